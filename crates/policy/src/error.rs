//! What is wrong with a document, and where.

use std::fmt;
use std::path::PathBuf;

/// One thing wrong in a document, with its place. It names the keys that the format knows, classes
/// and numbers, and repeats no other text of the document, be it a key or a value: the wrong file
/// may have been given, and that may hold a secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    line: u32,
    column: u32,
    path: String,
    message: String,
}

impl Problem {
    pub(crate) fn new((line, column): (u32, u32), path: String, message: String) -> Self {
        Self { line, column, path, message }
    }

    /// The line, from 1.
    #[must_use]
    pub const fn line(&self) -> u32 {
        self.line
    }

    /// The column in characters, from 1.
    #[must_use]
    pub const fn column(&self) -> u32 {
        self.column
    }

    /// The key's path, such as `class.staff.password.min_length`; empty for the whole document. A
    /// key that the format does not know is a `?` in it.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What is wrong and what would be right.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

/// Every problem of one document, in the order of their places. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems {
    file: String,
    list: Vec<Problem>,
}

impl Problems {
    pub(crate) fn new(file: String, list: Vec<Problem>) -> Self {
        Self { file, list }
    }

    /// The document's name as it was given to the loader.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The problems.
    #[must_use]
    pub fn list(&self) -> &[Problem] {
        &self.list
    }
}

/// A line each: `policy.toml:12:5: session.idle: expected ...`.
impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.list.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{}:{}:{}: ", self.file, problem.line, problem.column)?;
            if !problem.path.is_empty() {
                write!(f, "{}: ", problem.path)?;
            }
            f.write_str(&problem.message)?;
        }
        Ok(())
    }
}

/// Why there is no policy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// The file cannot be read.
    #[error("{}: {error}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        error: std::io::Error,
    },
    /// The document says something impossible, or leaves something out.
    #[error("{0}")]
    Invalid(Problems),
    /// No preset has this name.
    #[error("no preset has that name; there are: {}", crate::presets::NAMES.join(", "))]
    UnknownPreset,
    /// The document has no such user class, and a rule without a class does not exist.
    #[error("the policy has no user class `{0}`")]
    UnknownClass(String),
    /// Two policies contradict each other, so that nothing can keep both.
    #[error("{0}")]
    Contradiction(crate::Contradiction),
}
