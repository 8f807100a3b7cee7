//! Names for frames of a recording, from files with symbols that are here now: `report --debug-dir`.

use std::collections::HashMap;
use std::path::Path;
use std::path::PathBuf;

use super::elf::hex;
use super::table::Tables;

/// Files looked at in a directory tree.
const MAX_FILES: usize = 200_000;

/// Directories with programs, libraries or their separate debug information.
pub struct DebugDirs {
    directories: Vec<PathBuf>,
    /// All files by build id; made when the usual places do not have one.
    index: Option<HashMap<String, PathBuf>>,
    tables: Tables,
}

impl DebugDirs {
    /// Takes the directories; nothing is read yet.
    pub fn new(directories: &[PathBuf]) -> DebugDirs {
        DebugDirs { directories: directories.to_vec(), index: None, tables: Tables::new() }
    }

    /// The function at a place in the file of a build id: by the address that its symbol table has for the place, where
    /// that is known, else by the place.
    pub fn function(&mut self, build_id: &str, address: Option<u64>, offset: u64) -> Option<String> {
        let path = self.find(build_id)?;
        let by_address = address.and_then(|address| self.tables.at_address(&path, address));
        by_address.or_else(|| self.tables.at_offset(&path, offset))
    }

    fn find(&mut self, build_id: &str) -> Option<PathBuf> {
        let (directory, rest) = (build_id.get(..2)?, build_id.get(2..)?);
        // A build id out of a stranger's file must not name a path of its own.
        if !build_id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let usual = [format!(".build-id/{directory}/{rest}.debug"), format!("{directory}/{rest}.debug")];
        for root in &self.directories {
            if let Some(found) = usual.iter().map(|place| root.join(place)).find(|place| place.is_file()) {
                return Some(found);
            }
        }
        let directories = &self.directories;
        self.index.get_or_insert_with(|| index(directories)).get(build_id).cloned()
    }
}

/// The files below the directories by build id; separate debug information goes before the file that it belongs to.
fn index(directories: &[PathBuf]) -> HashMap<String, PathBuf> {
    let mut found: HashMap<String, PathBuf> = HashMap::new();
    let mut rest = directories.to_vec();
    let mut looked_at = 0;
    while let Some(path) = rest.pop() {
        let Ok(entries) = std::fs::read_dir(&path) else { continue };
        for entry in entries.flatten() {
            looked_at += 1;
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() && looked_at < MAX_FILES {
                rest.push(entry.path());
            } else if kind.is_file()
                && let Some(id) = build_id(&entry.path())
                && (entry.path().extension().is_some_and(|ending| ending == "debug") || !found.contains_key(&id))
            {
                found.insert(id, entry.path());
            }
        }
    }
    found
}

fn build_id(path: &Path) -> Option<String> {
    // By sections, which separate debug information still has where its program headers mean nothing.
    Some(hex(&blazesym::helper::read_elf_build_id(path).ok()??))
}

#[cfg(test)]
mod tests {
    use super::DebugDirs;
    use std::path::PathBuf;

    #[test]
    fn a_build_id_that_is_none_leads_nowhere() {
        let mut dirs = DebugDirs::new(&[PathBuf::from("/")]);
        assert_eq!(dirs.function("../../etc/passwd", None, 0), None);
        assert_eq!(dirs.function("a", None, 0), None);
    }
}
