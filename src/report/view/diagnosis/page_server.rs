//! `page-server`: a process waited for pages of its memory that a program has to supply (userfaultfd), as in a virtual machine that moves
//! in while it runs. Precondition: a function of that on the stacks of its sleeps.

use anyhow::Result;

use crate::report::view::diagnosis::Finding;
use crate::report::view::diagnosis::Rule;
use crate::report::view::diagnosis::Scene;
use crate::report::view::diagnosis::names::Class;
use crate::report::view::diagnosis::slow_filesystem;

pub(super) static RULE: Rule =
    Rule { name: "page-server", resource: "page faults", view: "offcpu", outdoes: &["paging", "disk"], find };

fn find(scene: &Scene<'_>) -> Result<Vec<Finding>> {
    slow_filesystem::served(scene, Class::Pages)
}
