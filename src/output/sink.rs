//! Where output goes, by the name that the user gave: nothing but a regular file is ever replaced.

use std::fs::File;
use std::fs::FileType;
use std::fs::Metadata;
use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::path::PathBuf;

/// Why nothing can be written to a name: one line, and a hint where there is one.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// It is neither a file nor a stream.
    #[error("'{}' is {what}, not a file to write to\nhint: name a file", path.display())]
    Kind {
        /// The name.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// A symbolic link to nothing.
    #[error("'{}' is a symbolic link to '{}', which does not exist\nhint: -o '{}'", .0.display(), .1.display(), .1.display())]
    Dangling(PathBuf, PathBuf),
    /// A symbolic link that can't be followed: by its rules for links in shared directories, for example, the kernel refuses.
    #[error("'{}' is a symbolic link to '{}', which can't be followed: {error}", path.display(), target.display())]
    Link {
        /// The name.
        path: PathBuf,
        /// What it points to.
        target: PathBuf,
        /// What the operating system says.
        error: io::Error,
    },
}

/// Where output goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sink {
    /// Standard output: `-` or `/dev/stdout`.
    Stdout,
    /// A pipe or a character device, which is written into.
    Stream(PathBuf),
    /// A regular file, or a name that is free. Where the user named a symbolic link, this is what it points to: the link stays.
    File(PathBuf),
}

impl Sink {
    /// Finds out what a name stands for, without opening it.
    ///
    /// # Errors
    /// Nothing can be written there: a directory, a block device, a socket, a symbolic link to nothing. A name that can't be looked
    /// at is taken for a file's; opening it says why it can't be one.
    pub fn named(path: &Path) -> Result<Sink, Refused> {
        if path == Path::new("-") || path == Path::new("/dev/stdout") {
            return Ok(Sink::Stdout);
        }
        let Ok(found) = path.symlink_metadata() else { return Ok(Sink::File(path.to_owned())) };
        if !found.is_symlink() {
            return Sink::of(path, &found, path.to_owned());
        }
        // The kernel follows the link, and so its rules hold for links that others put into a shared directory.
        let target = path.metadata().map_err(|error| broken_link(path, error))?;
        if !target.is_file() {
            return Sink::of(path, &target, path.to_owned());
        }
        let place = path.canonicalize().map_err(|error| broken_link(path, error))?;
        match place.symlink_metadata() {
            Ok(there) if is_same(&there, &target) => Sink::of(path, &target, place),
            _ => Err(broken_link(path, io::ErrorKind::Other.into())),
        }
    }

    fn of(path: &Path, found: &Metadata, place: PathBuf) -> Result<Sink, Refused> {
        match kind(found.file_type()) {
            Kind::Regular => Ok(Sink::File(place)),
            Kind::Stream => Ok(Sink::Stream(place)),
            Kind::Other(what) => Err(Refused::Kind { path: path.to_owned(), what }),
        }
    }
}

/// Opens a pipe or a device for writing. A named pipe waits for its reader, as with every program.
///
/// # Errors
/// What the operating system says.
pub fn open_stream(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.custom_flags(rustix::fs::OFlags::NOCTTY.bits().cast_signed());
    }
    options.open(path)
}

enum Kind {
    Regular,
    Stream,
    Other(&'static str),
}

#[cfg(unix)]
fn kind(of: FileType) -> Kind {
    use std::os::unix::fs::FileTypeExt;
    match of {
        _ if of.is_file() => Kind::Regular,
        _ if of.is_fifo() || of.is_char_device() => Kind::Stream,
        _ if of.is_dir() => Kind::Other("a directory"),
        _ if of.is_block_device() => Kind::Other("a block device"),
        _ if of.is_socket() => Kind::Other("a socket"),
        _ => Kind::Other("something else"),
    }
}

#[cfg(not(unix))]
fn kind(of: FileType) -> Kind {
    match of {
        _ if of.is_file() => Kind::Regular,
        _ if of.is_dir() => Kind::Other("a directory"),
        _ => Kind::Stream,
    }
}

#[cfg(unix)]
fn is_same(one: &Metadata, other: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

#[cfg(not(unix))]
fn is_same(one: &Metadata, _: &Metadata) -> bool {
    one.is_file()
}

fn broken_link(path: &Path, error: io::Error) -> Refused {
    let (path, target) = (path.to_owned(), path.read_link().unwrap_or_default());
    match error.kind() {
        io::ErrorKind::NotFound => Refused::Dangling(path, target),
        _ => Refused::Link { path, target, error },
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;
    use std::path::Path;

    use super::Sink;

    #[test]
    fn a_dash_is_standard_output_and_never_a_file() {
        assert_eq!(Sink::named(Path::new("-")).unwrap(), Sink::Stdout);
        assert_eq!(Sink::named(Path::new("/dev/stdout")).unwrap(), Sink::Stdout);
    }

    #[test]
    fn a_device_is_written_into() {
        assert_eq!(Sink::named(Path::new("/dev/null")).unwrap(), Sink::Stream("/dev/null".into()));
    }

    #[test]
    fn a_link_leads_to_its_file_and_one_to_nothing_is_refused_with_the_name_to_give() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("file"), dir.path().join("link"));
        symlink(&file, &link).unwrap();
        let refused = Sink::named(&link).unwrap_err().to_string();
        assert!(refused.ends_with(&format!("which does not exist\nhint: -o '{}'", file.display())), "{refused}");
        std::fs::write(&file, "").unwrap();
        assert_eq!(Sink::named(&link).unwrap(), Sink::File(file.canonicalize().unwrap()));
        let through = dir.path().join("through");
        symlink("/dev/null", &through).unwrap();
        assert_eq!(Sink::named(&through).unwrap(), Sink::Stream(through));
    }

    #[test]
    fn what_can_not_be_written_to_is_named() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Sink::named(dir.path()).unwrap_err().to_string().contains("is a directory"));
        let socket = dir.path().join("socket");
        let _listener = UnixListener::bind(&socket).unwrap();
        assert!(Sink::named(&socket).unwrap_err().to_string().contains("is a socket"));
    }
}
