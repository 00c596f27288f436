//! A PostgreSQL server of one test's own.

#![expect(clippy::expect_used, reason = "a server that fails fails the test")]

use std::io::Write;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::server::{PrivateServer, eventually, find_program};

/// Debian's package with the server and its tools.
const PACKAGE: &str = "postgresql";
/// Where Debian has them: a folder a major version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// A PostgreSQL server on a free port, in a folder that goes away: see [`PrivateServer`], which it
/// dereferences to. It writes as durably as PostgreSQL does by default.
///
/// Connect as user `vouchsafe`, without a password, to the database `vouchsafe`.
#[derive(Debug)]
pub struct PostgresServer {
    server: PrivateServer,
    next: AtomicU64,
}

impl PostgresServer {
    /// A server with PostgreSQL's own settings.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// A server with these settings besides, as `["fsync=off"]`.
    pub fn with(settings: &[&str]) -> Self {
        // Small segments, as each server writes a whole one at first.
        let words = "-U vouchsafe -A trust -E UTF8 --no-locale --no-sync --wal-segsize=1 -D data";
        let words: Vec<&str> = words.split(' ').collect();
        let this = Self::made_by("initdb", &words, settings);
        this.psql_in("postgres", "CREATE DATABASE vouchsafe");
        this
    }

    /// A standby of this server that follows it without being waited for, and has caught up.
    pub fn standby(&self) -> Self {
        let words = format!("-h 127.0.0.1 -p {} -U vouchsafe -D data -R -N -c fast", self.port());
        let words: Vec<&str> = words.split(' ').collect();
        let standby = Self::made_by("pg_basebackup", &words, &[]);
        let following = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'";
        assert!(eventually(|| self.psql(following) == "1"), "the standby does not follow");
        standby
    }

    /// A server whose folder `data` the program `maker` makes.
    fn made_by(maker: &str, words: &[&str], settings: &[&str]) -> Self {
        let asks = program("pg_isready");
        let server = PrivateServer::new(move |port| {
            let mut asks = Command::new(&asks);
            asks.args(["-q", "-h", "127.0.0.1", "-p", &port.to_string()]);
            asks.status().is_ok_and(|status| status.success())
        });
        let made = server.command(program(maker)).args(words).output().expect("a program");
        assert!(made.status.success(), "{maker}: {}", String::from_utf8_lossy(&made.stderr));
        let port = format!("port={}", server.port());
        let ours = [
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "max_connections=200",
            // After a crash it syncs its folder, once and not file by file.
            "recovery_init_sync_method=syncfs",
            &port,
        ];
        let settings = ours.iter().chain(settings).flat_map(|setting| ["-c", setting]);
        let words = ["-D", "data"].into_iter().chain(settings);
        let words: Vec<String> = words.map(str::to_owned).collect();
        server.start(&program("postgres"), &words);
        Self { server, next: AtomicU64::new(0) }
    }

    /// One server for all tests of this process, which neither stop it nor change its settings. It
    /// does not sync (`fsync=off`): tests of durability start their own.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<PostgresServer> = OnceLock::new();
        SHARED.get_or_init(|| Self::with(&["fsync=off", "full_page_writes=off"]))
    }

    /// Where a client finds it.
    pub fn url(&self) -> String {
        format!("postgres://vouchsafe@127.0.0.1:{}/vouchsafe", self.port())
    }

    /// Starts it again with this certificate and key, in PEM. From then on it takes no connection
    /// without TLS, and none without a certificate that `clients` vouches for, where that is given:
    /// an authority's, in PEM.
    pub fn require_tls(&self, certificate: &str, key: &str, clients: Option<&str>) {
        let (authority, asks) = match clients {
            Some(pem) => (pem, " clientcert=verify-ca"),
            None => (certificate, ""),
        };
        let settings = "ssl = on\nssl_ca_file = 'root.crt'\n";
        let who = format!("hostssl all all 127.0.0.1/32 trust{asks}\n");
        for (file, text) in [
            ("server.crt", certificate),
            ("server.key", key),
            ("root.crt", authority),
            ("postgresql.auto.conf", settings),
            ("pg_hba.conf", &who),
        ] {
            // As the server's own, and nobody else's: it insists on it.
            let mut write = self.server.command("sh");
            write.args(["-c", r#"umask 077; cat > "data/$1""#, "sh", file]).stdin(Stdio::piped());
            let mut write = write.spawn().expect("sh");
            let mut input = write.stdin.take().expect("a pipe");
            input.write_all(text.as_bytes()).expect("a pipe");
            drop(input);
            assert!(write.wait().expect("sh").success(), "{file}");
        }
        self.server.restart();
    }

    /// The name of a schema that no test of this process has used.
    pub fn fresh_schema(&self) -> String {
        format!("test_{}", self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// What `psql` prints for these statements: rows in lines, columns parted by `|`.
    ///
    /// Panics with what it says when one fails.
    pub fn psql(&self, statements: &str) -> String {
        self.psql_in("vouchsafe", statements)
    }

    fn psql_in(&self, database: &str, statements: &str) -> String {
        let mut psql = self.psql_command(database);
        let output = psql.args(["-c", statements]).output().expect("psql");
        assert!(
            output.status.success(),
            "{statements}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// A `psql` that reads statements from its standard input: for a transaction that stays open.
    pub fn psql_command(&self, database: &str) -> Command {
        let mut psql = Command::new(program("psql"));
        let port = self.port().to_string();
        psql.args([
            "-X",
            "-q",
            "-A",
            "-t",
            "-v",
            "ON_ERROR_STOP=1",
            "-h",
            "127.0.0.1",
            "-p",
            &port,
        ]);
        psql.args(["-U", "vouchsafe", "-d", database]).stdin(Stdio::null());
        psql
    }

    /// One of PostgreSQL's programs, such as `pgbench`.
    pub fn program(name: &str) -> PathBuf {
        program(name)
    }
}

impl Deref for PostgresServer {
    type Target = PrivateServer;

    fn deref(&self) -> &PrivateServer {
        &self.server
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.server.resume();
        // Killed, it would leave a few bytes of shared memory behind in the system.
        let mut stop = self.server.command(program("pg_ctl"));
        stop.args(["-D", "data", "-m", "immediate", "-s", "stop"]);
        // One that was killed before has nothing to stop.
        let _stopped = stop.output();
    }
}

/// The newest of its kind that is installed.
fn program(name: &str) -> PathBuf {
    let versions = std::fs::read_dir(DEBIAN).into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = versions.map(|entry| entry.path()).collect();
    let number = |folder: &Path| folder.file_name()?.to_str()?.parse::<u32>().ok();
    folders.sort_by_key(|folder| std::cmp::Reverse(number(folder)));
    let folders: Vec<PathBuf> = folders.into_iter().map(|folder| folder.join("bin")).collect();
    find_program(name, PACKAGE, &folders)
}
