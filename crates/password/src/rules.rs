//! Which rules a password can fail, and the characters that count for them.

use std::fmt;

use unicode_general_category::{GeneralCategory as Category, get_general_category};

use crate::guessable::Guessable;

/// A kind of character that a policy can require, decided by Unicode's general categories.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Any letter: `Lu`, `Ll`, `Lt`, `Lm`, `Lo`.
    Letter,
    /// An upper-case letter: `Lu`.
    Upper,
    /// A number: `Nd`, `Nl`, `No`.
    Number,
    /// A special character: punctuation `P*`, a symbol `S*`, or a space `Zs`.
    Special,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Letter, Self::Upper, Self::Number, Self::Special];

    /// Whether `character` is of this kind.
    #[must_use]
    pub fn holds(self, character: char) -> bool {
        use Category as C;
        let category = get_general_category(character);
        match self {
            Self::Upper => category == C::UppercaseLetter,
            Self::Letter => matches!(
                category,
                C::UppercaseLetter
                    | C::LowercaseLetter
                    | C::TitlecaseLetter
                    | C::ModifierLetter
                    | C::OtherLetter
            ),
            Self::Number => {
                matches!(category, C::DecimalNumber | C::LetterNumber | C::OtherNumber)
            }
            Self::Special => matches!(
                category,
                C::ConnectorPunctuation
                    | C::DashPunctuation
                    | C::OpenPunctuation
                    | C::ClosePunctuation
                    | C::InitialPunctuation
                    | C::FinalPunctuation
                    | C::OtherPunctuation
                    | C::MathSymbol
                    | C::CurrencySymbol
                    | C::ModifierSymbol
                    | C::OtherSymbol
                    | C::SpaceSeparator
            ),
        }
    }
}

/// A set of kinds. An upper-case letter is a letter, so requiring it requires both.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Kinds(u8);

impl Kinds {
    pub(crate) const NONE: Self = Self(0);

    pub(crate) const fn with(self, kind: Kind) -> Self {
        Self(self.0 | bit(kind))
    }

    pub(crate) const fn contains(self, kind: Kind) -> bool {
        self.0 & bit(kind) == bit(kind)
    }

    pub(crate) const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = Kind> {
        Kind::ALL.into_iter().filter(move |kind| self.contains(*kind))
    }

    /// How many code points it takes at least to have them all.
    pub(crate) fn least(self) -> u32 {
        let bases = [Kind::Letter, Kind::Number, Kind::Special];
        u32::try_from(bases.into_iter().filter(|kind| self.contains(*kind)).count()).unwrap_or(3)
    }
}

const fn bit(kind: Kind) -> u8 {
    match kind {
        Kind::Letter => 1,
        Kind::Upper => 3,
        Kind::Number => 4,
        Kind::Special => 8,
    }
}

impl fmt::Debug for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

pub(crate) fn is_unassigned(character: char) -> bool {
    get_general_category(character) == Category::Unassigned
}

/// A rule that a password does not meet. Its text can be shown to whoever chooses the password,
/// and never holds any of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unmet {
    /// Fewer code points than this.
    TooShort(u32),
    /// More code points than this.
    TooLong(u32),
    /// No character of this kind.
    Missing(Kind),
    /// On the list of common passwords, or made of one by a habit.
    Common(Guessable),
    /// Little more than names and words of the account, its tenant or the site.
    Personal,
    /// It must be changed, or is one of the last that the rule remembers.
    Reused,
    /// On the list of passwords that are known from breaches.
    Breached,
    /// The list of breached passwords is to be asked, and there is none, or it does not answer.
    NotScreened,
    /// The character at this position, from 0, is not assigned in Unicode 16: a later version may
    /// normalise it differently, and the password would stop working.
    Unassigned(usize),
}

impl Unmet {
    /// A name that does not change between versions.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::TooShort(_) => "password.min_length",
            Self::TooLong(_) => "password.max_length",
            Self::Missing(Kind::Letter) => "password.letter",
            Self::Missing(Kind::Upper) => "password.upper_case",
            Self::Missing(Kind::Number) => "password.number",
            Self::Missing(Kind::Special) => "password.special",
            Self::Common(_) => "password.common",
            Self::Personal => "password.personal",
            Self::Reused => "password.reused",
            Self::Breached => "password.breached",
            Self::NotScreened => "password.not_screened",
            Self::Unassigned(_) => "password.unassigned",
        }
    }
}

impl fmt::Display for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort(1) => f.write_str("at least one character"),
            Self::TooShort(min) => write!(f, "at least {min} characters"),
            Self::TooLong(max) => write!(f, "at most {max} characters"),
            Self::Missing(Kind::Letter) => f.write_str("at least one letter"),
            Self::Missing(Kind::Upper) => f.write_str("at least one upper-case letter"),
            Self::Missing(Kind::Number) => f.write_str("at least one number"),
            Self::Missing(Kind::Special) => {
                f.write_str("at least one special character (punctuation, a symbol or a space)")
            }
            Self::Common(Guessable::Listed) => f.write_str("not a commonly used password"),
            Self::Common(Guessable::Repeated) => f.write_str("not the same piece over and over"),
            Self::Common(Guessable::Walk) => f.write_str("not a run along the keyboard"),
            Self::Common(Guessable::Padded) => {
                f.write_str("not a commonly used password with digits or signs around it")
            }
            Self::Personal => f.write_str("not made of names or of this site's words"),
            Self::Reused => f.write_str("not a password that was used here before"),
            Self::Breached => f.write_str("not a password that is known from a breach elsewhere"),
            Self::NotScreened => {
                f.write_str("known from no breach, which could not be checked just now")
            }
            Self::Unassigned(at) => write!(f, "only known characters (number {at} is not)"),
        }
    }
}
