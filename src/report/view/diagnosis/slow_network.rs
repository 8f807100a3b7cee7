//! `slow-network`: a process was blocked in writing to a connection by TCP whose reader, on this machine too, waited for data meanwhile: what
//! lies between them is the limit, such as a shaped link of a container. Precondition: as `slow-reader`, and waits of the reader for the
//! very connection for most of the window.

use anyhow::Result;

use crate::report::view::diagnosis::Finding;
use crate::report::view::diagnosis::Rule;
use crate::report::view::diagnosis::Scene;
use crate::report::view::diagnosis::slow_reader;
use crate::report::view::diagnosis::slow_reader::Limit;

pub(super) static RULE: Rule = Rule { name: "slow-network", resource: "network", view: "tcp", outdoes: &[], find };

fn find(scene: &Scene<'_>) -> Result<Vec<Finding>> {
    slow_reader::blocked(scene, Limit::Network)
}
