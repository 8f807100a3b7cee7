//! The person behind sudo: who will own the recording and run the command.

use std::path::PathBuf;

use crate::host::root::Root;

/// The user who called sudo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invoker {
    /// The login name.
    pub name: String,
    /// The user id; never 0.
    pub uid: u32,
    /// The primary group id.
    pub gid: u32,
    /// All group ids of the user, the primary one first, as far as `/etc/group` lists them.
    pub groups: Vec<u32>,
    /// The home directory, if `/etc/passwd` knows the user.
    pub home: Option<PathBuf>,
    /// The login shell, if `/etc/passwd` knows the user.
    pub shell: Option<PathBuf>,
}

impl Invoker {
    /// Returns the user who called sudo, or `None` when nobody did, when root did, or when this process isn't root and so
    /// has nothing to hand over.
    ///
    /// `variable` looks up environment variables: sudo sets `SUDO_UID`, `SUDO_GID` and `SUDO_USER`.
    pub fn read(root: &Root, euid: u32, variable: impl Fn(&str) -> Option<String>) -> Option<Invoker> {
        if euid != 0 {
            return None;
        }
        let uid: u32 = variable("SUDO_UID")?.parse().ok().filter(|uid| *uid != 0)?;
        let gid: u32 = variable("SUDO_GID")?.parse().ok()?;
        let passwd = root.text("/etc/passwd").unwrap_or_default();
        let entry: Option<Vec<&str>> =
            passwd.lines().map(fields).find(|entry| entry.get(2).and_then(|id| id.parse().ok()) == Some(uid));
        let part = |index: usize| entry.as_ref().and_then(|entry| entry.get(index).copied());
        let name = part(0).map(str::to_owned).or_else(|| variable("SUDO_USER")).unwrap_or_else(|| uid.to_string());
        let directory = |index| part(index).filter(|path| path.starts_with('/')).map(PathBuf::from);
        Some(Invoker {
            groups: groups(&root.text("/etc/group").unwrap_or_default(), &name, gid),
            home: directory(5),
            shell: directory(6),
            name,
            uid,
            gid,
        })
    }
}

fn groups(group_file: &str, user: &str, primary: u32) -> Vec<u32> {
    let mut groups = vec![primary];
    for entry in group_file.lines().map(fields) {
        let [_, _, id, members, ..] = entry.as_slice() else { continue };
        let Ok(id) = id.parse() else { continue };
        if members.split(',').any(|member| member == user) && !groups.contains(&id) {
            groups.push(id);
        }
    }
    groups
}

fn fields(line: &str) -> Vec<&str> {
    line.split(':').collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Invoker;
    use crate::host::fixture::Machine;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\n\
                          # a comment\n\
                          +@netgroup\n\
                          alice:x:1000:1000:Alice,,,:/home/alice:/bin/zsh\n";
    const GROUP: &str = "root:x:0:\n\
                         adm:x:4:syslog,alice\n\
                         sudo:x:27:alice\n\
                         docker:x:998:alicea,malice\n\
                         alice:x:1000:alice\n\
                         broken:x:many:alice\n";

    fn sudo(uid: &'static str, gid: &'static str) -> impl Fn(&str) -> Option<String> {
        move |name| match name {
            "SUDO_UID" => Some(uid.to_owned()),
            "SUDO_GID" => Some(gid.to_owned()),
            "SUDO_USER" => Some("alice".to_owned()),
            _ => None,
        }
    }

    fn machine() -> Machine {
        Machine::with(&[("/etc/passwd", PASSWD), ("/etc/group", GROUP)])
    }

    #[test]
    fn the_user_behind_sudo_comes_with_home_and_groups() {
        let alice = Invoker::read(&machine().root(), 0, sudo("1000", "1000")).unwrap();
        assert_eq!(alice.name, "alice");
        assert_eq!((alice.uid, alice.gid), (1000, 1000));
        assert_eq!(alice.groups, [1000, 4, 27]);
        assert_eq!(alice.home.as_deref(), Some(Path::new("/home/alice")));
        assert_eq!(alice.shell.as_deref(), Some(Path::new("/bin/zsh")));
    }

    #[test]
    fn root_calling_sudo_and_no_sudo_at_all_are_nobody() {
        assert_eq!(Invoker::read(&machine().root(), 0, sudo("0", "0")), None);
        assert_eq!(Invoker::read(&machine().root(), 0, |_| None), None);
    }

    #[test]
    fn variables_are_not_believed_in_a_process_that_is_not_root() {
        assert_eq!(Invoker::read(&machine().root(), 1000, sudo("1001", "1001")), None);
    }

    #[test]
    fn garbage_in_the_variables_is_nobody() {
        for (uid, gid) in [("", "1000"), ("alice", "1000"), ("-1", "1000"), ("4294967296", "1000"), ("1000", "")] {
            assert_eq!(Invoker::read(&machine().root(), 0, sudo(uid, gid)), None, "{uid} {gid}");
        }
    }

    #[test]
    fn a_user_of_a_directory_service_keeps_the_ids_that_sudo_tells() {
        let remote = Invoker::read(&machine().root(), 0, sudo("70000", "70001")).unwrap();
        assert_eq!(remote.name, "alice");
        assert_eq!(remote.home, None);
        assert_eq!((remote.uid, remote.gid), (70000, 70001));
    }
}
