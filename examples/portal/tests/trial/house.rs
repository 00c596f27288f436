//! A data folder, its secret, and the program over them.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use super::client::Client;

/// How long a start may take until its link is there.
pub const START: Duration = Duration::from_secs(5);

/// What it says before its address.
pub const ADDRESS: &str = "The portal is at http://";
/// What it says before the first link.
pub const LINK: &str = "Activate the first administrator, once: ";

/// What outlives the program.
pub struct House {
    folder: tempfile::TempDir,
}

/// The program, killed when it is dropped.
pub struct Running {
    child: Child,
    /// Where it says it is, such as `127.0.0.1:40123`.
    pub address: String,
    /// The link of a first start.
    pub link: Option<String>,
    /// From the start of the process until its last announced line.
    pub took: Duration,
    lines: Receiver<String>,
}

impl House {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Where the secret is: outside of the data.
    pub fn secret(&self) -> PathBuf {
        self.folder.path().join("secret")
    }

    /// A folder for whatever else a test keeps.
    pub fn aside(&self, name: &str) -> PathBuf {
        let folder = self.folder.path().join(name);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    /// Starts the program and waits until it says where it is; `first` when a link is to come.
    pub fn start(&self, first: bool) -> Running {
        let begun = Instant::now();
        let (child, lines) = self.launch();
        let next = || {
            let line = lines.recv_timeout(Duration::from_secs(60));
            line.unwrap_or_else(|why| panic!("{why}; it said: {}", self.stderr()))
        };
        let said = next();
        let address = said.strip_prefix(ADDRESS).unwrap().trim_end_matches('/').to_owned();
        let link = first.then(|| {
            let said = next();
            said.strip_prefix(LINK).unwrap_or_else(|| panic!("no link: {said}")).to_owned()
        });
        let took = begun.elapsed();
        Running { child, address, link, took, lines }
    }

    /// Starts the program without waiting for anything: the process and what it prints.
    pub fn launch(&self) -> (Child, Receiver<String>) {
        let mut child = Command::new(env!("CARGO_BIN_EXE_portal"))
            .args(["--listen", "127.0.0.1:0", "--data"])
            .arg(self.data())
            .arg("--secret")
            .arg(self.secret())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(self.folder.path().join("stderr")).unwrap())
            .spawn()
            .unwrap();
        let lines = lines(child.stdout.take().unwrap());
        (child, lines)
    }

    /// What the last start had to complain about.
    pub fn stderr(&self) -> String {
        fs::read_to_string(self.folder.path().join("stderr")).unwrap()
    }

    /// The link in the newest mail to `address`.
    pub fn mailed(&self, address: &str) -> Option<String> {
        mails(&self.data().join("outbox")).into_iter().rev().find_map(|mail| {
            mail.lines().find(|line| line.strip_prefix("To: ") == Some(address))?;
            let link = mail.lines().find(|line| line.starts_with("http://"));
            Some(link?.to_owned())
        })
    }
}

/// Complete mails, oldest first: their names begin with the time.
fn mails(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut names: Vec<_> =
        names.filter(|path| path.extension().is_some_and(|e| e == "eml")).collect();
    names.retain(|path| !path.file_name().unwrap().to_string_lossy().starts_with('.'));
    names.sort();
    names.iter().map(|path| fs::read_to_string(path).unwrap()).collect()
}

/// The lines of a program's output, until it ends.
pub fn lines(output: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            // Nobody may be listening any more; the pipe is emptied all the same.
            let _ = sender.send(line);
        }
    });
    receiver
}

impl Running {
    /// A browser-like client from `127.0.0.1`.
    pub fn client(&self) -> Client {
        Client::new(&self.address, "127.0.0.1")
    }

    /// The path of a link, whose host may be that of an earlier start.
    pub fn path(link: &str) -> String {
        let rest = link.strip_prefix("http://").unwrap();
        rest.split_once('/').map(|(_, path)| format!("/{path}")).unwrap()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends the program as a supervisor does, and gives its exit code.
    pub fn stop(&mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        self.child.wait().unwrap().code()
    }

    /// Links that it has printed since `start` was done with it; to be asked after its end.
    pub fn late_links(&self) -> Vec<String> {
        links(&self.lines)
    }
}

/// The links among the lines of a program that has ended.
pub fn links(lines: &Receiver<String>) -> Vec<String> {
    lines.iter().filter_map(|line| Some(line.strip_prefix(LINK)?.to_owned())).collect()
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
