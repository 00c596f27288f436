//! A line on the terminal that says how far it is.

use std::io::{IsTerminal, Write};

/// Written to standard error, and only to a terminal.
pub struct Progress {
    what: &'static str,
    total: u64,
    shown: Option<u64>,
    terminal: bool,
}

impl Progress {
    pub fn new(what: &'static str, total: u64) -> Self {
        Self { what, total, shown: None, terminal: std::io::stderr().is_terminal() }
    }

    /// So much of the total is done.
    pub fn at(&mut self, done: u64) {
        let percent = done.saturating_mul(100).checked_div(self.total).unwrap_or(100).min(100);
        if self.terminal && self.shown != Some(percent) {
            self.shown = Some(percent);
            let _ = std::io::stderr().write_all(bar(self.what, percent).as_bytes());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown.is_some() {
            // What comes next starts on an empty line.
            let _ = std::io::stderr().write_all(b"\r\x1b[K");
        }
    }
}

/// `building [##########----------]  50 %`, from the line's start.
pub fn bar(what: &str, percent: u64) -> String {
    let done = usize::try_from(percent / 5).unwrap_or(20).min(20);
    let left = 20_usize.saturating_sub(done);
    format!("\r{what} [{}{}] {percent:>3} %", "#".repeat(done), "-".repeat(left))
}
