//! Another process that holds the file.
#![allow(dead_code, reason = "each test uses its part")]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rusqlite::Connection;

const FILE: &str = "VOUCHSAFE_STORE_HOLDER";

/// A process of its own in the middle of a transaction; it ends when this is dropped.
pub struct Holder(Child);

/// In the child: holds the file that the parent names, until it is told to commit.
pub fn holds() -> bool {
    let Some(file) = std::env::var_os(FILE) else { return false };
    let connection = Connection::open(file).unwrap();
    connection.execute_batch("BEGIN EXCLUSIVE; DELETE FROM cells").unwrap();
    // On stderr, which the test harness leaves alone.
    std::io::stderr().write_all(b"held\n").unwrap();
    std::io::stdin().lock().read_line(&mut String::new()).unwrap();
    connection.execute_batch("ROLLBACK").unwrap();
    true
}

impl Holder {
    /// Runs `test` of this binary again, which begins with [`holds`].
    pub fn start(test: &str, file: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([test, "--exact", "--nocapture", "--test-threads=1"])
            .env(FILE, file)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        BufReader::new(child.stderr.as_mut().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(said, "held\n");
        Self(child)
    }

    /// Stops it where it is.
    pub fn stop(&self) {
        self.signal("STOP");
        let stat = format!("/proc/{}/stat", self.0.id());
        let stopped = || std::fs::read_to_string(&stat).unwrap().contains(") T ");
        while !stopped() {
            std::thread::yield_now();
        }
    }

    /// Lets it go on, and end its transaction.
    pub fn go_on(mut self) {
        self.signal("CONT");
        self.0.stdin.take().unwrap().write_all(b"\n").unwrap();
        assert!(self.0.wait().unwrap().success());
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.0.id().to_string()]).status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _gone = self.0.wait();
    }
}
