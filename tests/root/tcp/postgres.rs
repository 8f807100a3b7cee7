//! A database server with connections of its own.

use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use tempfile::TempDir;

use crate::common::Namespace;
use crate::common::skip;
use crate::common::wait_for;

/// PostgreSQL in a namespace, with a database of pgbench.
pub(crate) struct Postgres<'a> {
    namespace: &'a Namespace,
    dir: TempDir,
    programs: std::path::PathBuf,
    server: Child,
}

/// What it serves, and as whom.
const SERVED: [&str; 4] = ["-h", "127.0.0.1", "-U", "postgres"];

impl<'a> Postgres<'a> {
    /// Starts it and fills a database; says aloud why not where it is not installed.
    pub(crate) fn start(namespace: &'a Namespace, test: &str) -> Option<Postgres<'a>> {
        let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
        let programs = versions.filter_map(Result::ok).map(|version| version.path().join("bin"));
        let Some(programs) = programs.into_iter().find(|bin| bin.join("pgbench").exists()) else {
            skip(test, "PostgreSQL is not installed");
            return None;
        };
        let dir = tempfile::tempdir().unwrap();
        assert!(Command::new("chown").arg("postgres").arg(dir.path()).status().unwrap().success());
        let mut postgres = Postgres { namespace, dir, programs, server: Command::new("true").spawn().unwrap() };
        postgres.server.wait().unwrap();
        let data = postgres.dir.path().join("data").display().to_string();
        let made = postgres.as_server("initdb", &["-A", "trust", "-N", "-D", &data]).status().unwrap();
        assert!(made.success());
        let sockets = format!("unix_socket_directories={}", postgres.dir.path().display());
        let options = ["-D", &data, "-c", "listen_addresses=127.0.0.1", "-c", &sockets, "-c", "fsync=off"];
        postgres.server = postgres.as_server("postgres", &options).spawn().unwrap();
        wait_for("PostgreSQL", || postgres.client("pg_isready", "-q").status().unwrap().success().then_some(()));
        assert!(postgres.client("pgbench", "-i -q -s 1 postgres").status().unwrap().success());
        Some(postgres)
    }

    /// The process that listens.
    pub(crate) fn pid(&self) -> i64 {
        self.server.id().into()
    }

    fn as_server(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = self.namespace.command("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(self.programs.join(program));
        command.args(arguments).current_dir(self.dir.path()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// A client program of PostgreSQL, in the same namespace.
    pub(crate) fn client(&self, program: &str, arguments: &str) -> Command {
        let mut command = self.namespace.command(self.programs.join(program).to_str().unwrap());
        command.args(SERVED).args(arguments.split(' ')).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Bytes acknowledged and received of the connections to the server, as ss(8) reads them out of the sockets.
    pub(crate) fn bytes(&self) -> (i64, i64) {
        let said = self.namespace.run("ss -tinH state established dport = :5432");
        let sum = |name: &str| -> i64 {
            said.split_whitespace().filter_map(|word| word.strip_prefix(name)?.parse::<i64>().ok()).sum()
        };
        (sum("bytes_acked:"), sum("bytes_received:"))
    }
}

impl Drop for Postgres<'_> {
    fn drop(&mut self) {
        // Fast shutdown; the process is the server itself, as nsenter and setpriv became it.
        let pid = rustix::process::Pid::from_raw(self.server.id().cast_signed()).unwrap();
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::INT);
        let _ = self.server.wait();
    }
}
