"""A PostgreSQL server of a scenario's own, on a Unix socket in its work directory."""

import glob
import os
import pwd
import shutil
import subprocess

import planting

PORT = 54329


class Server:
    def __init__(self):
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb")) or [shutil.which("initdb")]
        if not found[-1]:
            planting.skip("no PostgreSQL server here")
        planting.need("psql", "setpriv")
        self.programs = os.path.dirname(os.path.realpath(found[-1]))
        user = next((name for name in ("postgres", "nobody") if name in {entry.pw_name for entry in pwd.getpwall()}), None)
        # The server refuses to run as root.
        self.user = pwd.getpwnam(user)
        template, self.data = f"{planting.SHARED}/postgres", f"{planting.WORK}/postgres"
        if not os.path.isdir(template):
            os.makedirs(f"{template}.new", exist_ok=True)
            os.chown(f"{template}.new", self.user.pw_uid, self.user.pw_gid)
            made = self.run("initdb", "-D", f"{template}.new", "-A", "trust", "-U", "postgres", "-N", "--locale=C")
            if made.returncode:
                planting.skip(f"initdb: {made.stderr.strip().splitlines()[-1:]}")
            os.rename(f"{template}.new", template)
        subprocess.run(["cp", "-a", template, self.data], check=True)
        os.chmod(planting.WORK, 0o777)
        self.process = planting.start([
            *self.words("postgres"), "-D", self.data, "-k", planting.WORK, "-p", PORT, "-c", "listen_addresses=",
        ])
        planting.wait_for("the server to take connections", lambda: self.query("select 1") == "1", 20)

    def words(self, program):
        user = [f"--reuid={self.user.pw_uid}", f"--regid={self.user.pw_gid}", "--clear-groups"]
        return ["setpriv", *user, f"{self.programs}/{program}"]

    def run(self, program, *words):
        return subprocess.run([*self.words(program), *words], capture_output=True, text=True, cwd="/")

    def client(self):
        return ["psql", "-XqAt", "-h", planting.WORK, "-p", str(PORT), "-U", "postgres"]

    def query(self, text):
        return subprocess.run([*self.client(), "-c", text], capture_output=True, text=True).stdout.strip()

    def session(self, text):
        """A session that says this and stays."""
        session = planting.start(self.client(), stdin=subprocess.PIPE)
        session.stdin.write(text.encode() + b";\n")
        session.stdin.flush()
        return session
