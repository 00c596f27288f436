//! The test program once more, as a process of its own.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a child that does not obey fails the test"
)]

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

/// One test of this test program, run by a process of its own that its parent talks to, or kills.
///
/// The parent names the test and sets variables in its environment; the test looks for them to know
/// that it is the child. They talk in lines: the parent with [`tell`](Self::tell) and
/// [`line`](Self::line), the child with [`say`](Self::say) and [`wait`](Self::wait).
#[derive(Debug)]
pub struct ChildTest {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl ChildTest {
    /// Starts `test`, named as the test harness names it, with these variables.
    pub fn start(test: &str, variables: &[(&str, &dyn AsRef<OsStr>)]) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", test, "--nocapture", "--test-threads=1"])
            .envs(variables.iter().map(|(name, value)| (name, value.as_ref())))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a child");
        let lines = BufReader::new(child.stdout.take().expect("its output"));
        Self { child, lines }
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// In the child: says a line. The harness may have begun one of its own.
    pub fn say(line: &str) {
        println!("\n{line}");
    }

    /// In the child: waits for a line, or for the end of whoever would say it.
    pub fn wait() {
        std::io::stdin().read_line(&mut String::new()).expect("its parent");
    }

    /// Ends its next [`wait`](Self::wait).
    pub fn tell(&mut self) {
        self.child.stdin.as_mut().expect("its input").write_all(b"go\n").expect("it listens");
    }

    /// The rest of the next line that begins so.
    pub fn line(&mut self, begins: &str) -> String {
        loop {
            let mut line = String::new();
            let read = self.lines.read_line(&mut line).expect("text");
            assert_ne!(read, 0, "the child ended without a line that begins with {begins}");
            if let Some(rest) = line.strip_prefix(begins) {
                return rest.trim().to_owned();
            }
        }
    }

    /// The number after these words on the next line that begins with them.
    pub fn number(&mut self, begins: &str) -> usize {
        let rest = self.line(begins);
        rest.parse().unwrap_or_else(|_| panic!("{begins} {rest}"))
    }

    /// Lets it go on, and waits until it has ended well.
    pub fn finish(self) {
        let ended = self.end();
        assert!(ended.success(), "{ended}");
    }

    /// Lets it go on, and waits until it has ended somehow.
    pub fn end(mut self) -> ExitStatus {
        drop(self.child.stdin.take());
        self.child.wait().unwrap()
    }

    /// Kills it (`SIGKILL`), and waits for its end.
    pub fn kill(mut self) -> ExitStatus {
        self.child.kill().unwrap();
        self.child.wait().unwrap()
    }
}

impl Drop for ChildTest {
    fn drop(&mut self) {
        // A test that failed leaves no process behind; one that has ended cannot be killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
