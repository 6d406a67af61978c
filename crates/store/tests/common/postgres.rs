//! A PostgreSQL of its own for one test: a cluster in a temporary folder, reached by a socket in it.
//!
//! Where PostgreSQL is not installed the test says so and passes, except where the variable `CI` is set: there it must be
//! installed. A server refuses to run as root, so root runs it as the user whom Debian's package makes.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

const USER: &str = "postgres";

/// A running server; stopped when dropped.
pub(crate) struct Server {
    folder: TempDir,
    bin: PathBuf,
}

impl Server {
    /// Starts one, or says why not.
    pub(crate) fn start() -> Option<Self> {
        let Some(bin) = bin() else {
            assert!(
                std::env::var_os("CI").is_none(),
                "PostgreSQL must be installed in CI"
            );
            println!("SKIPPED: PostgreSQL is not installed (Debian: apt-get install postgresql)");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        if is_root() {
            run(Command::new("chown").arg(USER).arg(folder.path()));
        }
        let server = Self { folder, bin };
        let cluster = server.cluster();
        run(server
            .command("initdb")
            .args(["-D", &cluster, "-U", USER, "-A", "trust", "-N"]));
        server.again();
        Some(server)
    }

    /// What a client connects with.
    pub(crate) fn connection(&self) -> String {
        format!(
            "host={} user={USER} dbname=postgres",
            self.folder.path().display()
        )
    }

    /// All that its tables hold, as text; bytes in hexadecimal.
    pub(crate) fn dump(&self) -> String {
        let folder = self.folder.path().display().to_string();
        // It lies where `initdb` really does.
        let real = std::fs::canonicalize(self.bin.join("initdb")).unwrap();
        let mut command = self.command_at(&real.with_file_name("pg_dump"));
        command.args(["--inserts", "-h", &folder, "-U", USER, "postgres"]);
        let output = command.stdout(Stdio::piped()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Stops it; connections break.
    pub(crate) fn stop(&mut self) {
        run(self
            .command("pg_ctl")
            .args(["-D", &self.cluster(), "-m", "fast", "-w", "stop"]));
    }

    /// Starts it again.
    pub(crate) fn again(&self) {
        let socket = self.folder.path().display();
        let options = format!(
            "-c listen_addresses='' -c unix_socket_directories='{socket}' -c shared_buffers=16MB"
        );
        let log = format!("{socket}/log");
        run(self.command("pg_ctl").args([
            "-D",
            &self.cluster(),
            "-l",
            &log,
            "-o",
            &options,
            "-w",
            "start",
        ]));
    }

    fn cluster(&self) -> String {
        self.folder.path().join("cluster").display().to_string()
    }

    fn command(&self, name: &str) -> Command {
        self.command_at(&self.bin.join(name))
    }

    fn command_at(&self, program: &Path) -> Command {
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", USER, "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command
            .current_dir(self.folder.path())
            .stdout(Stdio::null());
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let stop = ["-D", &self.cluster(), "-m", "immediate", "-w", "stop"];
        let _stopped = self
            .command("pg_ctl")
            .args(stop)
            .stderr(Stdio::null())
            .status();
    }
}

fn run(command: &mut Command) {
    let status = command.status().unwrap();
    assert!(status.success(), "{command:?}: {status}");
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout.trim_ascii() == b"0"
}

/// The newest of Debian's folders, or where the search path has `initdb`.
fn bin() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok();
    let debian = versions
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin"));
    let search = std::env::var_os("PATH").unwrap_or_default();
    let on_path: Vec<PathBuf> = std::env::split_paths(&search).collect();
    let mut found: Vec<PathBuf> = debian
        .chain(on_path)
        .filter(|bin| has_server(bin))
        .collect();
    found.sort();
    found.pop()
}

fn has_server(bin: &Path) -> bool {
    ["initdb", "pg_ctl"]
        .iter()
        .all(|name| bin.join(name).is_file())
}
