//! What text may stand in a record, and in which form.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use crate::RecordError;

/// A short technical name: an application, a service, a kind of entity, a reason code.
///
/// A letter, then letters, digits, `.`, `-` or `_`; so it needs no escaping in any format.
/// [`name!`](crate::name!) makes one from a literal, checked while compiling.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Cow<'static, str>);

impl Name {
    /// Longest accepted, in bytes.
    pub const MAX_LEN: usize = 64;

    /// Reads a name.
    ///
    /// # Errors
    /// [`RecordError::Name`] for anything that is not one.
    pub fn new(text: impl Into<Cow<'static, str>>) -> Result<Self, RecordError> {
        let text = text.into();
        if is_name(&text) { Ok(Self(text)) } else { Err(RecordError::Name) }
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// For [`name!`](crate::name!), which calls it in a constant: a bad literal does not compile.
    #[doc(hidden)]
    #[must_use]
    pub const fn literal(text: &'static str) -> Self {
        assert!(is_name(text), "not a name");
        Self(Cow::Borrowed(text))
    }
}

const fn is_name(text: &str) -> bool {
    let [first, rest @ ..] = text.as_bytes() else { return false };
    let mut rest = rest;
    if !first.is_ascii_alphabetic() || text.len() > Name::MAX_LEN {
        return false;
    }
    while let [byte, tail @ ..] = rest {
        if !byte.is_ascii_alphanumeric() && !matches!(*byte, b'.' | b'-' | b'_') {
            return false;
        }
        rest = tail;
    }
    true
}

/// A [`Name`] from a literal; a bad one does not compile.
///
/// ```compile_fail
/// let spaces = vouchsafe_access_log::name!("not a name");
/// ```
#[macro_export]
macro_rules! name {
    ($text:literal) => {{
        const NAME: $crate::Name = $crate::Name::literal($text);
        NAME
    }};
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name({})", self.0)
    }
}

/// Text from outside, such as an entity's id, in a form that cannot forge anything.
///
/// Control characters, line and paragraph separators, bidirectional and other invisible format
/// characters are written as `\u{..}`, a backslash as `\\`. The original comes back with
/// [`original`](Self::original). Its text does not show in `Debug`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(Arc<str>);

impl Text {
    /// Longest accepted, in bytes after escaping.
    pub const MAX_LEN: usize = 512;

    /// Takes `raw`, escaping what must not be shown as it is.
    ///
    /// # Errors
    /// [`RecordError::Empty`], [`RecordError::TooLong`].
    pub fn new(raw: &str) -> Result<Self, RecordError> {
        let mut text = String::new();
        for character in raw.chars() {
            push_escaped(&mut text, character);
            if text.len() > Self::MAX_LEN {
                return Err(RecordError::TooLong { max: Self::MAX_LEN });
            }
        }
        if text.is_empty() { Err(RecordError::Empty) } else { Ok(Self(text.into())) }
    }

    /// Takes as much of `raw` as fits, and ends with `…` when that is not all; nothing at all
    /// becomes `…` too. For text that a stranger chose and that must not stop the record.
    #[must_use]
    pub fn clipped(raw: &str) -> Self {
        const MARK: &str = "…";
        if let Ok(text) = Self::new(raw) {
            return text;
        }
        let mut text = String::new();
        for character in raw.chars() {
            let fits = text.len();
            push_escaped(&mut text, character);
            if text.len() > Self::MAX_LEN.saturating_sub(MARK.len()) {
                text.truncate(fits);
                break;
            }
        }
        text.push_str(MARK);
        Self(text.into())
    }

    /// The escaped text: safe in a terminal, a page or a line of a file.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text as it was given.
    #[must_use]
    pub fn original(&self) -> String {
        unescape(&self.0).unwrap_or_default()
    }

    /// Reads the escaped form back; anything that [`new`](Self::new) would not have written is
    /// refused.
    ///
    /// # Errors
    /// [`RecordError::NotCanonical`], or those of [`new`](Self::new).
    pub fn from_escaped(escaped: &str) -> Result<Self, RecordError> {
        if escaped.len() > Self::MAX_LEN {
            return Err(RecordError::TooLong { max: Self::MAX_LEN });
        }
        let text = Self::new(&unescape(escaped).ok_or(RecordError::NotCanonical)?)?;
        if text.as_str() == escaped { Ok(text) } else { Err(RecordError::NotCanonical) }
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Text(..)")
    }
}

fn push_escaped(out: &mut String, character: char) {
    if character == '\\' {
        out.push_str("\\\\");
    } else if is_escaped(character) {
        out.extend(character.escape_unicode());
    } else {
        out.push(character);
    }
}

fn unescape(escaped: &str) -> Option<String> {
    let mut out = String::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some((plain, after)) = rest.split_once('\\') {
        out.push_str(plain);
        if let Some(after) = after.strip_prefix('\\') {
            out.push('\\');
            rest = after;
        } else {
            let (digits, after) = after.strip_prefix("u{")?.split_once('}')?;
            out.push(char::from_u32(u32::from_str_radix(digits, 16).ok()?)?);
            rest = after;
        }
    }
    out.push_str(rest);
    Some(out)
}

/// The categories Cc, Zl, Zp and Cf of Unicode 17, the tag block and the interlinear marks.
///
/// The list is part of the format and does not follow later versions of Unicode: a record written
/// today reads the same for as long as it is kept.
const fn is_escaped(character: char) -> bool {
    matches!(character,
        '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{ad}'
        | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}'..='\u{891}'
        | '\u{8e2}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_comes_back() {
        for character in '\0'..=char::MAX {
            let text = Text::new(&format!("a{character}")).unwrap();
            assert_eq!(text.original(), format!("a{character}"));
            assert_eq!(Text::from_escaped(text.as_str()).unwrap(), text);
            assert!(!text.as_str().chars().any(char::is_control));
        }
    }

    #[test]
    fn only_what_was_written_is_read() {
        for bad in [
            "\\",
            "\\n",
            "\\u{}",
            "\\u{41}",
            "\\u{000a}",
            "\\u{A}",
            "\\u{a",
            "a\nb",
            "\u{202e}",
            "\\u{+a}",
            "\\u{110000}",
        ] {
            assert_eq!(Text::from_escaped(bad), Err(RecordError::NotCanonical), "{bad:?}");
        }
        assert_eq!(Text::from_escaped(""), Err(RecordError::Empty));
    }

    #[test]
    fn bounds() {
        assert!(Text::new(&"x".repeat(512)).is_ok());
        assert_eq!(Text::new(&"x".repeat(513)), Err(RecordError::TooLong { max: 512 }));
        assert_eq!(Text::clipped(&"x".repeat(512)).original(), "x".repeat(512));
        let clipped = Text::clipped(&"é".repeat(1_000_000));
        assert!(clipped.as_str().len() <= 512 && clipped.as_str().ends_with("é…"));
        assert_eq!(Text::clipped("").as_str(), "…");
        assert!(Name::new("a".repeat(64)).is_ok());
        for bad in ["", "1a", "a b", "a\n", "ä", &"a".repeat(65)] {
            assert_eq!(Name::new(bad.to_owned()), Err(RecordError::Name), "{bad:?}");
        }
    }
}
