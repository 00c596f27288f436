//! Asking for a password on the terminal, which shows none of it.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::{Signal, kill_current_process_group};
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use crate::Password;

/// Why nobody typed a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PromptError {
    /// This process has no controlling terminal. What stands in for one, a pipe for example, is
    /// not asked: who reads it is not known.
    #[error("there is no terminal to ask for a password on")]
    NoTerminal,
    /// The terminal cannot be set, written to or read.
    #[error("the terminal does not answer: {0}")]
    Terminal(ErrorKind),
    /// More than [`Password::MAX_BYTES`]. The whole line was read and thrown away.
    #[error("a password has at most {} bytes", Password::MAX_BYTES)]
    TooLong,
    /// The terminal does not send UTF-8.
    #[error("what was typed is not UTF-8")]
    NotUtf8,
    /// The end of the input came before anything was typed: Ctrl-D, or nobody is there any more.
    #[error("nothing was typed")]
    Ended,
    /// Ctrl-C or Ctrl-\ was typed, and the signal that it stands for did not end the process.
    #[error("interrupted")]
    Interrupted,
    /// The new password was typed differently the second time.
    #[error("the two passwords are not the same")]
    Differ,
}

impl From<std::io::Error> for PromptError {
    fn from(error: std::io::Error) -> Self {
        Self::Terminal(error.kind())
    }
}

impl From<rustix::io::Errno> for PromptError {
    fn from(error: rustix::io::Errno) -> Self {
        Self::Terminal(error.kind())
    }
}

/// Writes `text` to the process's terminal and reads a line there that it does not show.
///
/// The terminal is the controlling one, `/dev/tty`, wherever input and output lead to. What was
/// typed ahead was shown, so it is thrown away. The line can be edited blindly: the terminal's own
/// keys take back a character, a word or all of it. It is kept in memory that is wiped, and never
/// moved while it grows.
///
/// The terminal is as before when this returns or panics, and before the process is stopped or
/// ended from its keyboard: Ctrl-C, Ctrl-\ and Ctrl-Z do what they do elsewhere, to the whole
/// process group, after the line is wiped and the terminal is set back; after Ctrl-Z and `fg` it is
/// asked for anew. What cannot be seen to is a signal from elsewhere that ends the process: most
/// shells then set their terminal back themselves; otherwise `stty sane` does.
///
/// Control characters in `text` are written as U+FFFD.
///
/// # Errors
/// [`PromptError`] says why there is no password.
pub fn prompt(text: &str) -> Result<Password, PromptError> {
    Silent::open()?.ask(text)
}

/// The same for a new password, asked for twice: what nobody can see may be mistyped.
///
/// # Errors
/// [`PromptError::Differ`], and as for [`prompt`].
pub fn prompt_new(text: &str, again: &str) -> Result<Password, PromptError> {
    let mut terminal = Silent::open()?;
    let (first, second) = (terminal.ask(text)?, terminal.ask(again)?);
    let same: bool = first.nfc().as_bytes().ct_eq(second.nfc().as_bytes()).into();
    if same { Ok(first) } else { Err(PromptError::Differ) }
}

/// One prompt at a time: a second one would take the silent terminal for the usual one.
static ONE: Mutex<()> = Mutex::new(());

/// The terminal, which shows nothing until this is dropped.
struct Silent {
    terminal: File,
    before: Termios,
    _one: MutexGuard<'static, ()>,
}

impl Silent {
    fn open() -> Result<Self, PromptError> {
        let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let terminal = File::options().read(true).write(true).open("/dev/tty");
        let terminal = terminal.map_err(|_| PromptError::NoTerminal)?;
        let before = tcgetattr(&terminal)?;
        let mut silent = Self { terminal, before, _one: one };
        silent.fall_silent()?;
        Ok(silent)
    }

    /// Characters come one by one, those that stand for signals too, so that nothing happens before
    /// the terminal is set back.
    fn fall_silent(&mut self) -> Result<(), PromptError> {
        self.before = tcgetattr(&self.terminal)?;
        let mut silent = self.before.clone();
        silent.local_modes.remove(
            LocalModes::ECHO
                | LocalModes::ECHONL
                | LocalModes::ICANON
                | LocalModes::IEXTEN
                | LocalModes::ISIG,
        );
        silent.special_codes[SpecialCodeIndex::VMIN] = 1;
        silent.special_codes[SpecialCodeIndex::VTIME] = 0;
        Ok(tcsetattr(&self.terminal, OptionalActions::Flush, &silent)?)
    }

    /// Whatever is left of a paste is thrown away rather than shown, or run by a shell.
    fn set_back(&self) {
        // A terminal that is gone needs nothing.
        let _ = tcsetattr(&self.terminal, OptionalActions::Flush, &self.before);
    }

    fn ask(&mut self, text: &str) -> Result<Password, PromptError> {
        loop {
            let shown: String =
                text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
            self.terminal.write_all(shown.as_bytes())?;
            let mut line = Line::new();
            let end = self.read(&mut line);
            self.terminal.write_all(b"\n")?;
            match end? {
                End::Line => return line.password(),
                End::Nothing => return Err(PromptError::Ended),
                End::Signal(signal) => {
                    drop(line);
                    self.set_back();
                    kill_current_process_group(signal)?;
                    if signal != Signal::TSTP {
                        return Err(PromptError::Interrupted);
                    }
                    self.fall_silent()?;
                }
            }
        }
    }

    fn read(&self, line: &mut Line) -> Result<End, PromptError> {
        let keys = Keys::of(&self.before);
        let mut byte = Zeroizing::new([0_u8]);
        loop {
            match (&self.terminal).read(byte.as_mut()) {
                Ok(0) => return Ok(End::Nothing),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            }
            let [typed] = *byte;
            if let Some(end) = line.take(typed, &keys) {
                return Ok(end);
            }
        }
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        self.set_back();
    }
}

/// How a line ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Line,
    Nothing,
    Signal(Signal),
}

/// What the terminal's keys are; `None` for those that are switched off.
struct Keys {
    erase: Option<u8>,
    word: Option<u8>,
    all: Option<u8>,
    end: Option<u8>,
    interrupt: Option<u8>,
    quit: Option<u8>,
    stop: Option<u8>,
}

impl Keys {
    fn of(terminal: &Termios) -> Self {
        // `_POSIX_VDISABLE` is 0 or 255.
        let key = |at| Some(terminal.special_codes[at]).filter(|key| !matches!(key, 0 | 255));
        Self {
            erase: key(SpecialCodeIndex::VERASE),
            word: key(SpecialCodeIndex::VWERASE),
            all: key(SpecialCodeIndex::VKILL),
            end: key(SpecialCodeIndex::VEOF),
            interrupt: key(SpecialCodeIndex::VINTR),
            quit: key(SpecialCodeIndex::VQUIT),
            stop: key(SpecialCodeIndex::VSUSP),
        }
    }
}

/// What was typed so far; it never grows out of the memory that it began with.
struct Line {
    bytes: Zeroizing<Vec<u8>>,
    too_long: bool,
}

impl Line {
    fn new() -> Self {
        Self {
            bytes: Zeroizing::new(Vec::with_capacity(Password::MAX_TYPED_BYTES)),
            too_long: false,
        }
    }

    /// One more byte; `Some` when it ends the line.
    fn take(&mut self, byte: u8, keys: &Keys) -> Option<End> {
        let typed = Some(byte);
        if matches!(byte, b'\n' | b'\r') {
            return Some(End::Line);
        } else if typed == keys.interrupt {
            return Some(End::Signal(Signal::INT));
        } else if typed == keys.quit {
            return Some(End::Signal(Signal::QUIT));
        } else if typed == keys.stop {
            return Some(End::Signal(Signal::TSTP));
        } else if typed == keys.end {
            let nothing = self.bytes.is_empty() && !self.too_long;
            return Some(if nothing { End::Nothing } else { End::Line });
        } else if typed == keys.all {
            self.bytes.clear();
            self.too_long = false;
        } else if typed == keys.erase || matches!(byte, 0x7f | 0x08) {
            self.erase();
        } else if typed == keys.word {
            while self.bytes.last() == Some(&b' ') {
                self.erase();
            }
            while self.bytes.last().is_some_and(|last| *last != b' ') {
                self.erase();
            }
        } else if self.too_long || self.bytes.len() == Password::MAX_TYPED_BYTES {
            self.too_long = true;
            self.bytes.zeroize();
        } else {
            self.bytes.push(byte);
        }
        None
    }

    /// Takes one character back, however many bytes it has.
    fn erase(&mut self) {
        while self.bytes.pop().is_some_and(|byte| byte & 0b1100_0000 == 0b1000_0000) {}
    }

    fn password(mut self) -> Result<Password, PromptError> {
        if self.too_long {
            return Err(PromptError::TooLong);
        }
        let text = String::from_utf8(std::mem::take(&mut *self.bytes)).map_err(|error| {
            error.into_bytes().zeroize();
            PromptError::NotUtf8
        })?;
        Password::new(text).map_err(|_| PromptError::TooLong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: Keys = Keys {
        erase: Some(0x7f),
        word: Some(0x17),
        all: Some(0x15),
        end: Some(4),
        interrupt: Some(3),
        quit: Some(0x1c),
        stop: None,
    };

    fn typed(bytes: &[u8]) -> (Line, Option<End>) {
        let mut line = Line::new();
        let begun = line.bytes.as_ptr();
        let end = bytes.iter().find_map(|byte| line.take(*byte, &KEYS));
        assert_eq!(line.bytes.as_ptr(), begun, "it moved");
        (line, end)
    }

    fn text(bytes: &[u8]) -> Result<String, PromptError> {
        let (line, end) = typed(bytes);
        assert_eq!(end, Some(End::Line));
        line.password().map(|password| password.raw().to_owned())
    }

    #[test]
    fn the_keys_of_a_terminal_edit_blindly() {
        for (bytes, line) in [
            (&b"plain\n"[..], "plain"),
            (b"\r", ""),
            ("\u{e4}\u{1f512}\u{7f}b\n".as_bytes(), "\u{e4}b"),
            (b"\x7f\x7fab\x08\n", "a"),
            (b"one two  \x17three\n", "one three"),
            (b"one\x17\x17\n", ""),
            (b"wrong\x15right\n", "right"),
            (b"no newline\x04", "no newline"),
            // Switched off, so a character as others are.
            (b"a\x1a\0b\n", "a\u{1a}\0b"),
        ] {
            assert_eq!(text(bytes).unwrap(), line, "{bytes:?}");
        }
        assert_eq!(text(b"\xe4\n"), Err(PromptError::NotUtf8));
    }

    #[test]
    fn what_ends_a_line_besides_its_end() {
        for (bytes, end) in [
            (&b"\x04"[..], End::Nothing),
            (b"a\x7f\x04", End::Nothing),
            (b"half\x03", End::Signal(Signal::INT)),
            (b"half\x1c", End::Signal(Signal::QUIT)),
        ] {
            assert_eq!(typed(bytes).1, Some(end), "{bytes:?}");
        }
    }

    #[test]
    fn both_sides_of_the_bound() {
        let most = vec![b'a'; Password::MAX_BYTES];
        assert_eq!(text(&[&most, &b"\n"[..]].concat()).unwrap().len(), Password::MAX_BYTES);
        assert_eq!(text(&[&most, &b"a\n"[..]].concat()), Err(PromptError::TooLong));
        // As typed it may be longer, up to what a text in parts can be.
        let most = vec![b'a'; Password::MAX_TYPED_BYTES];
        for more in [&b"\n"[..], b"a\n", b"a\x7f\x7f\n", b"a\x04"] {
            assert_eq!(text(&[&most, more].concat()), Err(PromptError::TooLong));
        }
        // Nothing of a line that is too long is kept, and taking all of it back begins anew.
        let (line, _) = typed(&[&most, &b"abc"[..]].concat());
        assert!(line.bytes.is_empty() && line.too_long);
        assert_eq!(text(&[&most, &b"abc\x15short\n"[..]].concat()).unwrap(), "short");
    }
}
