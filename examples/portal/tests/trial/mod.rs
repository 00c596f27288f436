//! The real program from outside: started, asked over HTTP or by a browser, and killed.
#![allow(dead_code, clippy::disallowed_methods, reason = "each test uses some of it; real time")]

pub mod client;
pub mod house;
pub mod webdriver;

use std::time::{Duration, Instant};

/// Asks again and again until there is an answer; panics after `patience`.
pub fn wait_for<T>(what: &str, patience: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + patience;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "waited {patience:?} for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The text between two others, after which the search may go on.
pub fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    text.split_once(before)?.1.split_once(after).map(|(found, _)| found)
}
