//! Which tenant, which user, under which name did somebody ask.

use std::fmt;
use std::sync::Arc;

use caseless::Caseless;
use unicode_general_category::{GeneralCategory as Category, get_general_category};
use unicode_normalization::UnicodeNormalization;

/// Whether letters that differ in case only are the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Case {
    /// `Acme` and `acme` are the same: the safe choice, and the default.
    #[default]
    Fold,
    /// They differ, and so do compatibility forms (`ﬁ` and `fi`): for ids that another system
    /// hands out. Only canonically equivalent texts (NFC) are the same.
    Exact,
}

/// A text that cannot be an identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// Nothing but blanks.
    #[error("an identifier cannot be empty")]
    Empty,
    /// Longer than the bound, before or after normalisation.
    #[error("an identifier has at most {max} bytes")]
    TooLong {
        /// The bound in bytes.
        max: usize,
    },
    /// A control, format, invisible, private-use or unassigned character, or a line or paragraph
    /// separator.
    #[error("character {at} of the identifier is a control, invisible or unassigned one")]
    Character {
        /// The offending character's position, from 0, after normalisation.
        at: usize,
    },
    /// A marker that logs use for nobody in particular: `-`, `anonymous`, `guest` and the like.
    #[error("the identifier is a shared marker, not one person's or tenant's")]
    Shared,
}

/// Markers that logs use for nobody in particular: an id is one individual's.
const SHARED: [&str; 8] =
    ["-", "*", "anonymous", "everyone", "guest", "nobody", "null", "undefined"];

fn canonical(text: &str, case: Case, max: usize) -> Result<Arc<str>, IdError> {
    if text.len() > max {
        return Err(IdError::TooLong { max });
    }
    if is_plain(text, case) {
        return Ok(text.into());
    }
    let composed: String = match case {
        Case::Exact => text.trim().nfc().collect(),
        Case::Fold => fold(text.trim()),
    };
    // Decomposing may have freed a blank at an end (U+00A8 is a blank and a diaeresis).
    let composed = composed.trim();
    if let Some(at) = composed.chars().position(is_refused) {
        return Err(IdError::Character { at });
    }
    let mut canonical = String::with_capacity(composed.len());
    for word in composed.split_whitespace() {
        if !canonical.is_empty() {
            canonical.push(' ');
        }
        canonical.push_str(word);
    }
    if canonical.is_empty() {
        return Err(IdError::Empty);
    }
    if canonical.len() > max {
        return Err(IdError::TooLong { max });
    }
    Ok(canonical.into())
}

fn is_shared(canonical: &str) -> bool {
    if canonical.is_ascii() {
        return SHARED.iter().any(|word| word.eq_ignore_ascii_case(canonical));
    }
    SHARED.contains(&fold(canonical).as_str())
}

/// Whether `text` is its own canonical form for reasons that need no tables: most ids are, each
/// time one is read back.
fn is_plain(text: &str, case: Case) -> bool {
    let plain =
        |byte: u8| byte.is_ascii_graphic() && (case == Case::Exact || !byte.is_ascii_uppercase());
    !text.is_empty() && text.bytes().all(plain)
}

/// Unicode's compatibility caseless match (definition D146), composed again at the end.
fn fold(text: &str) -> String {
    text.nfd().default_case_fold().nfkd().default_case_fold().nfkc().collect()
}

fn is_refused(character: char) -> bool {
    let category = get_general_category(character);
    matches!(
        category,
        Category::Control
            | Category::Format
            | Category::LineSeparator
            | Category::ParagraphSeparator
            | Category::PrivateUse
            | Category::Surrogate
            | Category::Unassigned
    ) || is_invisible(character)
}

/// What shows as nothing though its category is that of letters, marks or symbols: the rest of
/// Unicode's `Default_Ignorable_Code_Point`, and the blank Braille pattern.
const fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{34F}' // combining grapheme joiner
            | '\u{115F}'..='\u{1160}' // Hangul fillers
            | '\u{17B4}'..='\u{17B5}' // Khmer inherent vowels
            | '\u{180B}'..='\u{180F}' // Mongolian variation selectors
            | '\u{2800}' // Braille pattern blank
            | '\u{3164}' // Hangul filler
            | '\u{FE00}'..='\u{FE0F}' // variation selectors
            | '\u{FFA0}' // halfwidth Hangul filler
            | '\u{E0100}'..='\u{E01EF}' // variation selectors supplement
    )
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $max:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Longest accepted, in bytes, before and after normalisation.
            pub const MAX_LEN: usize = $max;

            /// The canonical form of `text`: normalised, case folded, without surrounding blanks,
            /// with one space for each run of blanks inside.
            ///
            /// # Errors
            /// [`IdError`] says what is wrong and where.
            pub fn new(text: &str) -> Result<Self, IdError> {
                Self::with_case(text, Case::Fold)
            }

            /// As [`new`](Self::new), with the case rule named.
            ///
            /// # Errors
            /// [`IdError`] says what is wrong and where.
            pub fn with_case(text: &str, case: Case) -> Result<Self, IdError> {
                let canonical = canonical(text, case, Self::MAX_LEN)?;
                // `Nobody` is nobody under either case rule.
                if is_shared(&canonical) {
                    return Err(IdError::Shared);
                }
                Ok(Self(canonical))
            }

            /// The canonical text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
    };
}

id! {
    /// One client of the service. Two texts that canonicalise alike are the same tenant.
    TenantId, 128
}

id! {
    /// One individual, for ever: a user's id is not reused after deletion.
    ///
    /// Its text does not show in `Debug`.
    UserId, 128
}

id! {
    /// What somebody typed to say who they are: a user name or an e-mail address, in canonical
    /// form. Whether anybody answers to it is for the host's accounts to say.
    ///
    /// Its text does not show in `Debug`. The bound is that of an e-mail path (RFC 5321, 4.5.3.1.3).
    Identifier, 254
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TenantId({:?})", self.as_str())
    }
}

impl fmt::Debug for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserId(..)")
    }
}

impl fmt::Debug for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identifier(..)")
    }
}
