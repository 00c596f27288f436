//! Servers that belong to one test: on a free port, in a folder that goes away.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a server that does not start fails the test, within a minute"
)]

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Ports to choose from: below those that systems hand out to clients, so that a server that is
/// restarted finds its port free.
const PORTS: std::ops::Range<u16> = 20_000..32_000;
/// `nobody` and its group, as Debian numbers them.
const NOBODY: u32 = 65_534;
/// How long a server may take to answer. A bound against a test that hangs, and no measurement.
const START: Duration = Duration::from_secs(60);
/// What waits for the end of the test, and then ends the server: first in a way that lets it tidy up
/// what it has outside of its folder, as PostgreSQL's shared memory.
const GUARD: &str = r#"read -r _
kill -CONT "$1"; kill -QUIT "$1"; tries=0
while kill -0 "$1" && [ "$tries" -lt 50 ]; do sleep 0.1; tries=$((tries + 1)); done
kill -9 "$1"; rm -rf -- "$2""#;
/// Between two questions whether something has happened by now.
const AGAIN: Duration = Duration::from_millis(5);

/// A server program that a test starts, pauses, kills and restarts, with a folder and a port of its
/// own. Ends, together with its folder, when it is dropped or when the test's process ends.
///
/// It runs as `nobody` when the test runs as root: some servers refuse to run as root.
pub struct PrivateServer {
    folder: TempDir,
    port: u16,
    /// Held as long as the port is.
    _claim: File,
    command: Mutex<Vec<String>>,
    ready: Box<dyn Fn(u16) -> bool + Send + Sync>,
    running: Mutex<Option<Running>>,
}

struct Running {
    server: Child,
    /// Kills the server and removes the folder when the pipe to it closes.
    guard: Child,
}

impl PrivateServer {
    /// A folder and a port, and nothing that runs yet. `ready` is asked until it says that the
    /// server on this port serves.
    pub fn new(ready: impl Fn(u16) -> bool + Send + Sync + 'static) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        if is_root() {
            chown(folder.path(), Some(NOBODY), Some(NOBODY)).expect("chown");
        }
        let (port, claim) = free_port();
        Self {
            folder,
            port,
            _claim: claim,
            command: Mutex::default(),
            ready: Box::new(ready),
            running: Mutex::default(),
        }
    }

    /// The server's folder, which is its working directory too.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The server's port on 127.0.0.1.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// A program that will run as the server does, in its folder: for preparing it. The server may
    /// read and write what it makes.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            let id = NOBODY.to_string();
            command.args(["--reuid", &id, "--regid", &id, "--clear-groups", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command.current_dir(self.folder.path());
        command
    }

    /// Starts `program` with `arguments` and waits until it serves. [`restart`](Self::restart)
    /// will start the same.
    pub fn start(&self, program: &Path, arguments: &[String]) {
        let program = program.to_str().expect("a path in UTF-8").to_owned();
        *lock(&self.command) = std::iter::once(program).chain(arguments.iter().cloned()).collect();
        self.restart();
    }

    /// Kills the server, if it runs, and starts it again in the same folder and on the same port;
    /// waits until it serves.
    pub fn restart(&self) {
        self.kill();
        let mut running = lock(&self.running);
        let words = lock(&self.command).clone();
        let (program, arguments) = words.split_first().expect("`start` comes first");
        let log = self.folder.path().join("server.log");
        let out = OpenOptions::new().create(true).append(true).open(&log).expect("a log");
        let server = self
            .command(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(out.try_clone().expect("a log"))
            .stderr(out)
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}"));
        // Not even a test that is killed leaves a server behind.
        let guard = Command::new("sh")
            .args(["-c", GUARD, "sh"])
            .arg(server.id().to_string())
            .arg(self.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sh");
        let Running { server, .. } = running.insert(Running { server, guard });
        let mut ended = None;
        let ready = eventually(|| {
            ended = server.try_wait().expect("wait");
            ended.is_some() || (self.ready)(self.port)
        });
        if ended.is_some() || !ready {
            let said = fs::read_to_string(&log).unwrap_or_default();
            panic!("{words:?} does not serve ({ended:?}):\n{said}");
        }
    }

    /// Stops the server and its children where they are (`SIGSTOP`). Its socket still accepts.
    pub fn pause(&self) {
        let mut quiet = 0_u32;
        // A child that is born while its parent is being stopped shows at the second look.
        let stopped = eventually(|| {
            let runs = |id: &u32| state(*id).is_some_and(|state| state != 'T');
            let running: Vec<u32> = self.family().into_iter().filter(runs).collect();
            quiet = if running.is_empty() { quiet.saturating_add(1) } else { 0 };
            signal("STOP", &running);
            quiet == 2
        });
        assert!(stopped, "it runs on");
    }

    /// Lets it continue (`SIGCONT`).
    pub fn resume(&self) {
        signal("CONT", &self.family());
    }

    /// Kills it and its children (`SIGKILL`), if it runs, and waits for its end.
    pub fn kill(&self) {
        let family = self.family();
        let Some(mut running) = lock(&self.running).take() else { return };
        // First, so that it cannot hit an id that is given to another process.
        let _ = running.guard.kill();
        let _ = running.guard.wait();
        signal("KILL", &family);
        running.server.wait().expect("wait");
        assert!(eventually(|| family.iter().all(|id| state(*id).is_none())), "killed, yet alive");
    }

    /// The process of the server; `None` when it does not run.
    pub fn id(&self) -> Option<u32> {
        lock(&self.running).as_ref().map(|running| running.server.id())
    }

    /// The server and all that descend from it, parents first.
    fn family(&self) -> Vec<u32> {
        let mut family: Vec<u32> = self.id().into_iter().collect();
        let all = processes();
        let mut next = 0;
        while let Some(parent) = family.get(next) {
            let children = all.iter().filter(|(_, of)| of == parent).map(|(id, _)| *id);
            let children: Vec<u32> = children.filter(|id| !family.contains(id)).collect();
            family.extend(children);
            next = next.saturating_add(1);
        }
        family
    }
}

impl Drop for PrivateServer {
    fn drop(&mut self) {
        self.kill();
    }
}

impl std::fmt::Debug for PrivateServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PrivateServer({}, {:?})", self.port, self.folder.path())
    }
}

/// Where `program` is: in the search path, `/usr/sbin`, or in one of `folders`.
///
/// Panics with the line that installs it (Debian's `package`) where there is none.
pub fn find_program(program: &str, package: &str, folders: &[PathBuf]) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(["/usr/sbin".into()]);
    let mut files = places.chain(folders.iter().cloned()).map(|folder| folder.join(program));
    files.find(|file| file.is_file()).unwrap_or_else(|| {
        panic!("no {program}: run `apt-get update && apt-get install -y {package}`")
    })
}

/// Asks until the answer is yes; `false` after a minute without.
pub fn eventually(mut question: impl FnMut() -> bool) -> bool {
    let began = Instant::now();
    while !question() {
        if began.elapsed() > START {
            return false;
        }
        thread::sleep(AGAIN);
    }
    true
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// A port where nobody listens, and what keeps it from being given to any other test.
pub fn free_port() -> (u16, File) {
    let from = usize::try_from(std::process::id()).unwrap_or(0).wrapping_mul(37);
    let skip = from.checked_rem(PORTS.len()).unwrap_or(0);
    let ports = PORTS.cycle().skip(skip).take(PORTS.len());
    let mut claims = ports.filter_map(|port| {
        let name = format!("vouchsafe-test-port-{port}");
        let path = std::env::temp_dir().join(name);
        let file = OpenOptions::new().create(true).append(true).open(path).ok()?;
        file.try_lock().ok()?;
        TcpListener::bind(("127.0.0.1", port)).ok()?;
        Some((port, file))
    });
    claims.next().expect("a free port")
}

fn signal(name: &str, ids: &[u32]) {
    let ids = ids.iter().map(u32::to_string);
    // One that has ended meanwhile is no failure.
    let mut command = Command::new("sh");
    command.args(["-c", r#"kill -s "$@" 2>/dev/null || :"#, "sh", name]).args(ids);
    assert!(command.status().expect("sh").success());
}

/// Its letter in /proc; `None` once it has ended.
fn state(id: u32) -> Option<char> {
    stat(id).map(|(state, _)| state).filter(|state| !"ZX".contains(*state))
}

/// Every process and its parent.
fn processes() -> Vec<(u32, u32)> {
    let names = fs::read_dir("/proc").expect("/proc").flatten();
    let ids = names.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter_map(|id| Some((id, stat(id)?.1))).collect()
}

/// State and parent.
fn stat(id: u32) -> Option<(char, u32)> {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name before them, in parentheses, may hold anything.
    let mut words = text.rsplit_once(')')?.1.split_whitespace();
    Some((words.next()?.chars().next()?, words.next()?.parse().ok()?))
}
