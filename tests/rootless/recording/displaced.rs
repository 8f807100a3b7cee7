//! Unfinished recordings that somebody moves, removes or replaces: what is left is said, and no other file gets the name.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ebrec::recording::Existing;
use ebrec::recording::Identity;
use ebrec::recording::Rows;
use ebrec::recording::Schema;
use ebrec::recording::WriteError;
use ebrec::recording::Writer;
use ebrec::recording::column;
use ebrec::recording::partial_path;
use ebrec::recording::recover;

/// A recording with a checkpoint and some rows after it, which ends when `displace` has done its work on the unfinished file.
fn ends_when(displace: impl FnOnce(&Path)) -> (tempfile::TempDir, PathBuf, WriteError) {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("out")).unwrap();
    let path = dir.path().join("out/run.parquet");
    let schema = Arc::new(Schema::new([]));
    let identity = Identity { host: "box".to_owned(), run_id: "0123".to_owned() };
    let mut writer = Writer::create(&path, Arc::clone(&schema), identity, Existing::Replace).unwrap();
    let mut rows = Rows::new(schema, 0);
    for n in 0..2000 {
        rows.row("exec").at(n).int(column::TID, n as i64);
        if n == 1000 {
            rows.take(1, true).into_iter().for_each(|batch| writer.write(batch).unwrap());
            writer.checkpoint().unwrap();
        }
    }
    rows.take(1, true).into_iter().for_each(|batch| writer.write(batch).unwrap());
    displace(&partial_path(&path));
    let error = writer.finish(Duration::from_secs(10)).unwrap_err();
    (dir, path, error)
}

#[test]
fn a_recording_that_was_moved_with_its_directory_is_recovered_by_its_new_name() {
    let (dir, _, error) = ends_when(|partial| {
        let out = partial.parent().unwrap();
        fs::rename(out, out.with_file_name("elsewhere")).unwrap();
    });
    let now = partial_path(&dir.path().join("elsewhere/run.parquet"));
    assert!(error.to_string().contains(&format!("hint: ebrec recover '{}'", now.display())), "{error}");
    let recovered = recover(&now, Existing::Keep).unwrap();
    assert_eq!(recovered.path, dir.path().join("elsewhere/run.parquet"));
}

#[test]
fn a_recording_that_was_removed_is_said_to_be_lost() {
    let (_dir, path, error) = ends_when(|partial| fs::remove_file(partial).unwrap());
    assert!(matches!(error, WriteError::Removed { .. }), "{error}");
    assert!(!path.exists());
    let (_dir, _, error) = ends_when(|partial| fs::remove_dir_all(partial.parent().unwrap()).unwrap());
    assert!(matches!(error, WriteError::Removed { .. }), "{error}");
}

/// As anyone can do in a directory that everyone can write to.
#[test]
fn a_file_that_was_put_in_the_place_of_a_recording_does_not_get_its_name() {
    let victim = tempfile::NamedTempFile::new().unwrap();
    fs::write(&victim, "precious").unwrap();
    let link = |partial: &Path| {
        fs::remove_file(partial).unwrap();
        symlink(&victim, partial).unwrap();
    };
    let copy = |partial: &Path| {
        fs::remove_file(partial).unwrap();
        fs::write(partial, "PAR1 another").unwrap();
    };
    for displace in [&link as &dyn Fn(&Path), &copy] {
        let (_dir, path, error) = ends_when(displace);
        assert!(matches!(error, WriteError::Removed { .. }), "{error}");
        assert!(path.symlink_metadata().is_err(), "another file has the name");
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    }
}
