//! Entry at a terminal, on a real one: a pseudo-terminal whose other end the test reads.
#![cfg(all(target_os = "linux", feature = "prompt"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    clippy::string_slice,
    missing_docs,
    reason = "tests"
)]

mod common;

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};

use common::scan::{MASK, found, masked, plain};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use vouchsafe_core::Standing;
use vouchsafe_password::{Password, PoolConfig, PromptError, prompt, prompt_new};

const MASKED: [u8; 24] = masked(*b"Zebra#47-Quarz!Lampe+Xyl");
/// How the child is to ask.
const HOW: &str = "VOUCHSAFE_PROMPT";

fn secret() -> String {
    String::from_utf8(MASKED.iter().map(|byte| byte ^ MASK).collect()).unwrap()
}

/// A terminal, and whoever sits before it.
struct Terminal {
    keyboard: File,
    shown: Vec<u8>,
    shell: Child,
}

impl Terminal {
    /// A shell on a terminal of its own, with a script that runs `"$@"`, which asks.
    fn with(script: &str, how: &str) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let keyboard = openpt(flags).unwrap();
        grantpt(&keyboard).unwrap();
        unlockpt(&keyboard).unwrap();
        let terminal = File::from(ioctl_tiocgptpeer(&keyboard, flags).unwrap());
        // A shell that never ends is ended, and what it shows with it. Whoever is started in the background
        // may have been told to ignore the keyboard's signals.
        let shell = Command::new("timeout")
            .args(["--signal=KILL", "300", "setsid", "--ctty"])
            .args(["env", "--default-signal=INT,QUIT,TSTP,TTIN,TTOU,CONT"])
            .args(["sh", "-c", script, "sh"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "the_child_asks", "--nocapture", "--test-threads=1"])
            .env(HOW, how)
            .stdin(terminal.try_clone().unwrap())
            .stdout(terminal.try_clone().unwrap())
            .stderr(terminal)
            .spawn()
            .expect("setsid (apt-get install util-linux)");
        Self { keyboard: File::from(keyboard), shown: Vec::new(), shell }
    }

    fn types(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Watches the screen until this comes, as often as said since the beginning.
    fn until_nth(&mut self, text: &str, nth: usize) {
        let mut chunk = [0; 1_024];
        while self.screen().matches(text).count() < nth {
            // An error, on Linux, once the shell has ended.
            let read = self.keyboard.read(&mut chunk).unwrap_or(0);
            assert_ne!(read, 0, "no `{text}` in:\n{}", self.screen());
            self.shown.extend(&chunk[..read]);
        }
    }

    fn until(&mut self, text: &str) {
        self.until_nth(text, 1);
    }

    fn screen(&self) -> String {
        String::from_utf8_lossy(&self.shown).into_owned()
    }

    /// Whether any four characters of the password in a row were shown.
    fn shows_the_password(&self) -> bool {
        let secret = secret();
        self.shown.windows(4).any(|shown| secret.as_bytes().windows(4).any(|part| part == shown))
    }

    /// The terminal echoes what is typed into the shell, and edits it as before.
    fn is_as_before(&mut self) {
        self.types("visible agaim\u{7f}n\n");
        self.until("visible agai");
        self.until("the shell read visible again");
        assert!(self.shell.wait().unwrap().success());
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}

/// Runs it, says how it ended and whether the terminal is as before, and reads a line.
const SCRIPT: &str = r#"
trap : INT QUIT
before=$(stty -g)
"$@"
echo "ended $?"
[ "$(stty -g)" = "$before" ] || { echo "the terminal was left changed"; exit 1; }
read -r line
echo "the shell read $line"
"#;

/// With job control, as an interactive shell; what was stopped is brought back.
const JOBS: &str = r#"
set -m
before=$(stty -g)
"$@"
[ "$(stty -g)" = "$before" ] || { echo "the terminal was left changed"; exit 1; }
echo "stopped"
read -r line
echo "the shell read $line"
fg >/dev/null
echo "ended $?"
"#;

/// The child's part; by itself it has nothing to ask.
#[test]
fn the_child_asks() {
    let Ok(how) = std::env::var(HOW) else { return };
    let asked = match how.as_str() {
        "masked" => prompt("Password of \u{1b}[1mzed: "),
        "new" => prompt_new("New: ", "Again: "),
        _ => echoing(),
    };
    match asked {
        Ok(password) => {
            let right = is_right(&password);
            drop(password);
            println!("\nright: {right}, left behind: {}", found(&MASKED));
        }
        Err(error) => println!("\nrefused: {error:?}"),
    }
}

/// As many programs ask: it reads a line, and leaves the terminal as it is.
fn echoing() -> Result<Password, PromptError> {
    let mut terminal = File::options().read(true).write(true).open("/dev/tty").unwrap();
    terminal.write_all(b"Password of zed: ").unwrap();
    let mut line = String::new();
    BufReader::new(terminal).read_line(&mut line).unwrap();
    Ok(Password::new(line.trim_end_matches('\n').to_owned()).unwrap())
}

fn is_right(typed: &Password) -> bool {
    let pool = common::pool(PoolConfig::new(common::cheap()).workers(1));
    let record = pool.hash_initial(&plain(&MASKED), common::martha()).wait().unwrap();
    let record = record.as_record().clone();
    let verified = pool.verify(common::charged(1), typed, record, common::martha()).wait();
    common::matched(verified) == Some(Standing::MustChange)
}

/// Types the password where it is asked for; whether the terminal showed any of it.
fn asked(how: &str) -> bool {
    let mut terminal = Terminal::with(SCRIPT, how);
    terminal.until("zed: ");
    terminal.types(&format!("{}\n", secret()));
    terminal.until("right: true");
    terminal.until("ended 0");
    let shows = terminal.shows_the_password();
    terminal.is_as_before();
    if how == "masked" {
        terminal.until("left behind: 0");
        assert!(terminal.screen().contains("Password of \u{fffd}[1mzed: "));
    }
    shows
}

#[test]
fn nothing_of_the_password_is_shown_or_kept() {
    assert!(!asked("masked"));
}

#[test]
fn a_prompt_that_echoes_is_caught() {
    assert!(asked("echoing"));
}

#[test]
fn after_ctrl_c_the_terminal_is_as_before() {
    for (key, status) in [("\u{3}", "ended 130"), ("\u{1c}", "ended 131")] {
        let mut terminal = Terminal::with(SCRIPT, "masked");
        terminal.until("zed: ");
        terminal.types(secret().get(..20).unwrap());
        terminal.types(key);
        terminal.until(status);
        assert!(!terminal.shows_the_password(), "{}", terminal.screen());
        terminal.is_as_before();
    }
}

#[test]
fn while_it_is_stopped_the_terminal_is_as_before() {
    let mut terminal = Terminal::with(JOBS, "masked");
    terminal.until("zed: ");
    // What was typed before is wiped, and counts no more.
    terminal.types(&secret());
    terminal.types("\u{1a}");
    terminal.until("stopped");
    terminal.types("visible\n");
    terminal.until("the shell read visible");
    terminal.until_nth("zed: ", 2);
    terminal.types("other\n");
    terminal.until("right: false, left behind: 0");
    terminal.until("ended 0");
    assert!(!terminal.shows_the_password(), "{}", terminal.screen());
}

#[test]
fn a_new_password_is_asked_for_twice() {
    for (again, said) in [(secret(), "right: true"), ("other".to_owned(), "refused: Differ")] {
        let mut terminal = Terminal::with(SCRIPT, "new");
        terminal.until("New: ");
        terminal.types(&format!("{}\n", secret()));
        terminal.until("Again: ");
        terminal.types(&format!("{again}\n"));
        terminal.until(said);
        terminal.until("ended 0");
        assert!(!terminal.shows_the_password(), "{}", terminal.screen());
        terminal.is_as_before();
    }
}

#[test]
fn without_a_terminal_nobody_is_asked() {
    let mut child = Command::new("setsid")
        .args(["--wait".as_ref(), std::env::current_exe().unwrap().as_os_str()])
        .args(["--exact", "the_child_asks", "--nocapture", "--test-threads=1"])
        .env(HOW, "masked")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("setsid (apt-get install util-linux)");
    // What comes through a pipe is nobody's entry.
    child.stdin.take().unwrap().write_all(b"a password\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("refused: NoTerminal"), "{said}");
}
