//! Cycles among the files of one room: two files that need each other are one idea in two places.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::SourceFile;

/// What each module imports of its own room, by their paths from the crate's root.
pub(crate) struct Imports(BTreeMap<String, BTreeSet<String>>);

impl Imports {
    /// Looks at all files; a module and those within it are one family, which may know each other.
    pub(crate) fn of(sources: &[SourceFile]) -> Imports {
        let modules: BTreeSet<String> = sources.iter().map(module).collect();
        let mut imports = Imports(BTreeMap::new());
        for source in sources {
            let own = module(source);
            let room = own.split("::").next().unwrap_or_default().to_owned();
            let paths = source.code_outside_tests().flat_map(|(_, code)| paths(code, &own));
            let theirs = paths.filter_map(|path| deepest(&path, &modules));
            let is_other = |theirs: &String| {
                theirs.split("::").next() == Some(&room) && !within(theirs, &own) && !within(&own, theirs)
            };
            imports.0.insert(own.clone(), theirs.filter(is_other).collect());
        }
        imports
    }

    /// The modules that lead back to themselves, each with what it imports on the way.
    pub(crate) fn cycles(&self) -> Vec<String> {
        let reach: BTreeMap<&str, BTreeSet<&str>> = self.0.keys().map(|own| (own.as_str(), self.reach(own))).collect();
        let mut found = Vec::new();
        for (own, theirs) in &self.0 {
            let back = theirs.iter().filter(|theirs| reach[theirs.as_str()].contains(own.as_str()));
            found.extend(back.map(|theirs| format!("{own} imports {theirs}, which leads back to it")));
        }
        found
    }

    fn reach<'a>(&'a self, from: &'a str) -> BTreeSet<&'a str> {
        let mut seen = BTreeSet::from([from]);
        let mut next = vec![from];
        while let Some(module) = next.pop() {
            let theirs = self.0.get(module).into_iter().flatten();
            next.extend(theirs.filter(|theirs| seen.insert(theirs)).map(String::as_str));
        }
        seen
    }
}

fn module(source: &SourceFile) -> String {
    source.path().trim_end_matches(".rs").replace('/', "::")
}

fn within(inner: &str, outer: &str) -> bool {
    inner == outer || inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with("::"))
}

/// The paths of a line that begin with `crate` or `super`, from the crate's root.
fn paths(code: &str, own: &str) -> Vec<String> {
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | ':' | '$');
    code.split(|c| !is_name(c))
        .filter_map(|path| {
            if let Some(path) = path.strip_prefix("crate::") {
                return Some(path.to_owned());
            }
            let (mut base, mut rest) = (own, path);
            while let Some(shorter) = rest.strip_prefix("super::") {
                base = base.rsplit_once("::").map_or("", |(parent, _)| parent);
                rest = shorter;
            }
            (rest != path).then(|| format!("{base}::{rest}").trim_start_matches(':').to_owned())
        })
        .collect()
}

/// The longest beginning of a path that is a module.
fn deepest(path: &str, modules: &BTreeSet<String>) -> Option<String> {
    let mut path = path;
    while !modules.contains(path) {
        path = path.rsplit_once("::")?.0;
    }
    Some(path.to_owned())
}
