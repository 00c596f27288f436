//! The rule for new passwords, and when one rule is weaker than another.

use std::fmt;

use vouchsafe_core::Order;

use crate::common::CommonPasswords;
use crate::rules::{Kinds, is_unassigned};
use crate::{Breached, Kind, Password, PasswordError, PolicyProblem, Unmet, guessable};

/// The rule for new passwords of one class of users.
///
/// Lengths count Unicode code points after NFC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasswordPolicy {
    min: u32,
    max: u32,
    kinds: Kinds,
    common: bool,
    personal: bool,
    remember: u8,
    breached: bool,
}

/// Collects the parts of a [`PasswordPolicy`].
#[derive(Clone, Debug)]
#[must_use = "`build` makes the policy"]
pub struct PasswordPolicyBuilder(PasswordPolicy);

/// The bundled list says little at this minimum length: ASVS 5.0, 6.2.4 asks for at least 3 000
/// entries that a password could be. Only their length is looked at: an entry of letters alone counts
/// also where a policy requires a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deficit {
    /// The policy's minimum length in code points.
    pub min_length: u32,
    /// How many entries are at least that long.
    pub entries: u32,
}

impl Deficit {
    /// How many entries there should be (ASVS 5.0, 6.2.4).
    pub const WANTED: u32 = 3_000;
}

impl fmt::Display for Deficit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { min_length, entries } = self;
        let wanted = Self::WANTED;
        write!(f, "{entries} common passwords have {min_length} or more characters, not {wanted}")
    }
}

/// What is known of an account, its tenant and the site: passwords made of it are guessed first.
///
/// At most [`MAX`](Self::MAX) attributes of [`MAX_BYTES`](Self::MAX_BYTES) bytes are looked at.
/// `Debug` shows none.
#[derive(Clone, Default)]
pub struct Attributes {
    words: Vec<Vec<char>>,
    taken: usize,
}

impl Attributes {
    /// Most attributes that are looked at.
    pub const MAX: usize = 32;
    /// Longest attribute that is looked at, in bytes: an e-mail address and some.
    pub const MAX_BYTES: usize = 256;

    /// None.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// With a name, an address, a word of the site: pieces of three or more letters or digits count (of two
    /// in Chinese, Japanese and Korean), and all pieces together; shorter ones beside those. With or without
    /// the digits at them, and the marks on their letters.
    #[must_use]
    pub fn with(mut self, attribute: &str) -> Self {
        if self.taken < Self::MAX && attribute.len() <= Self::MAX_BYTES {
            self.taken = self.taken.saturating_add(1);
            self.words.extend(guessable::words(&normalised(attribute)));
            guessable::in_order(&mut self.words);
        }
        self
    }
}

fn normalised(text: &str) -> String {
    unicode_normalization::UnicodeNormalization::nfc(text).collect()
}

impl fmt::Debug for Attributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Attributes(..)")
    }
}

/// A password that met the rule.
#[must_use]
pub struct Accepted {
    pub(crate) password: Password,
    /// How many passwords its policy remembers.
    pub(crate) remember: u8,
}

impl fmt::Debug for Accepted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Accepted(..)")
    }
}

impl PasswordPolicyBuilder {
    /// Least code points, 1 to 256.
    pub fn min_length(mut self, min: u32) -> Self {
        self.0.min = min;
        self
    }

    /// Most code points, 8 to 256.
    pub fn max_length(mut self, max: u32) -> Self {
        self.0.max = max;
        self
    }

    /// At least one character of this kind.
    pub fn require(mut self, kind: Kind) -> Self {
        self.0.kinds = self.0.kinds.with(kind);
        self
    }

    /// Whether common passwords, and habitual forms of them, are refused.
    pub fn refuse_common(mut self, refuse: bool) -> Self {
        self.0.common = refuse;
        self
    }

    /// Whether passwords made of the account's and the site's words are refused.
    pub fn refuse_personal(mut self, refuse: bool) -> Self {
        self.0.personal = refuse;
        self
    }

    /// How many of an account's passwords are remembered and not taken again, the one in force
    /// included: 0, for none, to 24.
    pub fn remember(mut self, passwords: u8) -> Self {
        self.0.remember = passwords;
        self
    }

    /// Whether passwords that are known from breaches are refused; no by default. Passwords are then
    /// checked with a list of them, by [`PasswordPolicy::check_against`].
    pub fn refuse_breached(mut self, refuse: bool) -> Self {
        self.0.breached = refuse;
        self
    }

    /// The policy, with the minimum raised to what the required kinds need at least.
    ///
    /// # Errors
    /// [`PasswordError::Policy`] with every problem.
    pub fn build(mut self) -> Result<PasswordPolicy, PasswordError> {
        let bound = PasswordPolicy::MAX_LENGTH;
        let policy = &mut self.0;
        let mut problems = Vec::new();
        if !(1..=bound).contains(&policy.min) {
            problems.push(PolicyProblem::MinLength(policy.min));
        }
        if !(8..=bound).contains(&policy.max) {
            problems.push(PolicyProblem::MaxLength(policy.max));
        }
        if policy.remember > PasswordPolicy::MAX_REMEMBERED {
            problems.push(PolicyProblem::Remember(policy.remember));
        }
        policy.min = policy.min.max(policy.kinds.least());
        if policy.max < policy.min {
            problems.push(PolicyProblem::Inverted { min: policy.min, max: policy.max });
        }
        if problems.is_empty() { Ok(self.0) } else { Err(PasswordError::Policy(problems)) }
    }
}

impl PasswordPolicy {
    /// Most code points that any policy allows: with four bytes each they still fit the byte cap.
    pub const MAX_LENGTH: u32 = 256;

    /// Most passwords that any policy remembers.
    pub const MAX_REMEMBERED: u8 = 24;

    /// Starts from 8 to 256 code points, common and personal passwords refused, no kind required.
    pub const fn builder() -> PasswordPolicyBuilder {
        PasswordPolicyBuilder(Self {
            min: 8,
            max: Self::MAX_LENGTH,
            kinds: Kinds::NONE,
            common: true,
            personal: true,
            remember: 0,
            breached: false,
        })
    }

    /// Our recommendation: 15 code points (NIST SP 800-63B-4, 3.1.1.2, for a password on its own),
    /// no required kinds, common and personal passwords refused.
    #[must_use]
    pub const fn vouchsafe() -> Self {
        Self { min: 15, ..Self::builder().0 }
    }

    /// Zoomph's rule for consumers (Z7.1, Z7.2): 8 characters, an upper-case letter, a number and a
    /// special character. Beyond it, common and personal passwords are refused.
    #[must_use]
    pub const fn zoomph_consumer() -> Self {
        let kinds = Kinds::NONE.with(Kind::Upper).with(Kind::Number).with(Kind::Special);
        Self { kinds, ..Self::builder().0 }
    }

    /// Zoomph's rule for staff (Z7.2): as for consumers, and alphabetic and numeric, which an
    /// upper-case letter and a number already are.
    #[must_use]
    pub const fn zoomph_staff() -> Self {
        Self::zoomph_consumer()
    }

    /// Least code points.
    #[must_use]
    pub const fn min_length(&self) -> u32 {
        self.min
    }

    /// Most code points.
    #[must_use]
    pub const fn max_length(&self) -> u32 {
        self.max
    }

    /// Whether a character of this kind is required.
    #[must_use]
    pub const fn requires(&self, kind: Kind) -> bool {
        self.kinds.contains(kind)
    }

    /// Whether common passwords are refused.
    #[must_use]
    pub const fn refuses_common(&self) -> bool {
        self.common
    }

    /// Whether passwords made of the account's and the site's words are refused.
    #[must_use]
    pub const fn refuses_personal(&self) -> bool {
        self.personal
    }

    /// How many of an account's passwords are remembered and not taken again.
    #[must_use]
    pub const fn remembers(&self) -> u8 {
        self.remember
    }

    /// Whether passwords that are known from breaches are refused.
    #[must_use]
    pub const fn refuses_breached(&self) -> bool {
        self.breached
    }

    /// Says so when the list of common passwords has too few entries of the minimum length, or is
    /// not used at all: a blocklist that is empty by construction must not look like one.
    #[must_use]
    pub fn deficit(&self) -> Option<Deficit> {
        let entries = if self.common { CommonPasswords::at_least(self.min) } else { 0 };
        (entries < Deficit::WANTED).then_some(Deficit { min_length: self.min, entries })
    }

    /// Whether `password` meets the rule; if not, every rule that it fails.
    ///
    /// Under a policy that refuses breached passwords nothing does: that takes a list, and
    /// [`check_against`](Self::check_against).
    ///
    /// # Errors
    /// The unmet rules, in the order of [`Unmet`]'s variants; never empty.
    pub fn check(
        &self,
        password: &Password,
        attributes: &Attributes,
    ) -> Result<Accepted, Vec<Unmet>> {
        self.checked(password, attributes, None)
    }

    /// As [`check`](Self::check), with a list of breached passwords, which is asked where the policy
    /// refuses them. It may wait for a disk ([`BreachFilter::holds`](crate::BreachFilter::holds)).
    ///
    /// # Errors
    /// The unmet rules, in the order of [`Unmet`]'s variants; never empty. [`Unmet::NotScreened`] where
    /// the list does not answer.
    pub fn check_against(
        &self,
        password: &Password,
        attributes: &Attributes,
        breached: &dyn Breached,
    ) -> Result<Accepted, Vec<Unmet>> {
        self.checked(password, attributes, Some(breached))
    }

    fn checked(
        &self,
        password: &Password,
        attributes: &Attributes,
        list: Option<&dyn Breached>,
    ) -> Result<Accepted, Vec<Unmet>> {
        let text = password.nfc();
        let mut unmet = Vec::new();
        let length = u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
        if length < self.min {
            unmet.push(Unmet::TooShort(self.min));
        }
        if length > self.max {
            unmet.push(Unmet::TooLong(self.max));
        }
        let missing = self.kinds.iter().filter(|kind| !text.chars().any(|c| kind.holds(c)));
        unmet.extend(missing.map(Unmet::Missing));
        let folded = guessable::fold(text);
        if self.common
            && let Some(habit) = guessable::guessable(&folded)
        {
            unmet.push(Unmet::Common(habit));
        }
        if self.personal && guessable::personal(&folded, &attributes.words) {
            unmet.push(Unmet::Personal);
        }
        if self.breached {
            match list.map(|list| list.is_breached(password)) {
                Some(Ok(false)) => {}
                Some(Ok(true)) => unmet.push(Unmet::Breached),
                Some(Err(_)) | None => unmet.push(Unmet::NotScreened),
            }
        }
        unmet.extend(text.chars().position(is_unassigned).map(Unmet::Unassigned));
        if unmet.is_empty() {
            Ok(Accepted { password: password.share(), remember: self.remember })
        } else {
            Err(unmet)
        }
    }

    /// The weakest policy that is no weaker than either.
    #[must_use]
    pub fn join(&self, other: &Self) -> Self {
        // Both minima and both maxima are at least the needs of either's kinds, and at least 8 for
        // the maxima; together they need at most three code points.
        let kinds = self.kinds.union(other.kinds);
        Self {
            min: self.min.max(other.min).max(kinds.least()),
            max: self.max.max(other.max),
            kinds,
            common: self.common || other.common,
            personal: self.personal || other.personal,
            remember: self.remember.max(other.remember),
            breached: self.breached || other.breached,
        }
    }
}

/// A password that the two policies treat differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PasswordWitness {
    /// The baseline refuses it, the candidate accepts it.
    Accepted {
        /// The password.
        password: String,
        /// An attribute of the account, where that matters.
        attribute: Option<String>,
    },
    /// The candidate accepts it again after so many others, the baseline does not.
    Again {
        /// The password.
        password: String,
        /// How many passwords were set since.
        after: u8,
    },
    /// Once it is on the list of breached passwords, the baseline refuses it and the candidate accepts it.
    Breached {
        /// The password.
        password: String,
    },
    /// The baseline accepts it, the candidate refuses it for its length.
    Refused {
        /// The password.
        password: String,
    },
}

impl PasswordWitness {
    /// The password.
    #[must_use]
    pub fn password(&self) -> &str {
        match self {
            Self::Accepted { password, .. }
            | Self::Again { password, .. }
            | Self::Breached { password }
            | Self::Refused { password } => password,
        }
    }

    /// The account's attributes that go with it.
    #[must_use]
    pub fn attributes(&self) -> Attributes {
        match self {
            Self::Accepted { attribute: Some(word), .. } => Attributes::none().with(word),
            _ => Attributes::none(),
        }
    }
}

impl fmt::Display for PasswordWitness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepted { password, attribute: None } => {
                write!(f, "the password `{password}` becomes acceptable")
            }
            Self::Accepted { password, attribute: Some(word) } => {
                write!(
                    f,
                    "the password `{password}` of somebody called `{word}` becomes acceptable"
                )
            }
            Self::Again { password, after } => {
                write!(f, "the password `{password}` becomes acceptable again after {after} others")
            }
            Self::Breached { password } => {
                write!(f, "the password `{password}`, known from a breach, becomes acceptable")
            }
            Self::Refused { password } => {
                let length = password.chars().count();
                write!(f, "the password `{password}` of {length} characters is refused")
            }
        }
    }
}

impl Order for PasswordPolicy {
    type Witness = PasswordWitness;

    fn weakening(&self, baseline: &Self) -> Option<PasswordWitness> {
        let accepted = |password| Some(PasswordWitness::Accepted { password, attribute: None });
        if self.min < baseline.min {
            // Long enough, where the range allows, not to be guessable by accident.
            let length = baseline.min.saturating_sub(1).min(self.max);
            return accepted(sample(length, &self.alphabets()));
        }
        // Long enough for every habit below, and always allowed: `max` is at least 8.
        let length = self.min.max(8);
        if let Some(kind) = baseline.kinds.iter().find(|kind| !self.kinds.contains(*kind)) {
            return accepted(match kind {
                Kind::Upper => sample(length, &[LOWER, DIGITS, SIGNS]),
                Kind::Letter => sample(length, &[DIGITS, SIGNS]),
                Kind::Number => sample(length, &[LOWER, UPPER, SIGNS]),
                Kind::Special => sample(length, &[LOWER, UPPER, DIGITS]),
            });
        }
        let inner = length.saturating_sub(2);
        if baseline.common && !self.common {
            let core = "a".repeat(usize::try_from(inner.saturating_sub(1)).unwrap_or(0));
            return accepted(format!("A{core}7#"));
        }
        if baseline.personal && !self.personal {
            let word = sample(inner, &[LOWER, UPPER]);
            let password = format!("{word}7#");
            return Some(PasswordWitness::Accepted { password, attribute: Some(word) });
        }
        if self.remember < baseline.remember {
            let password = sample(length, &self.alphabets());
            return Some(PasswordWitness::Again { password, after: self.remember });
        }
        if baseline.breached && !self.breached {
            return Some(PasswordWitness::Breached { password: sample(length, &self.alphabets()) });
        }
        if self.max < baseline.max {
            let password = sample(baseline.max, &baseline.alphabets());
            return Some(PasswordWitness::Refused { password });
        }
        None
    }
}

impl PasswordPolicy {
    /// Alphabets of every kind, the required ones first: the shortest sample must have those.
    fn alphabets(&self) -> [&'static str; 4] {
        let mut alphabets = [UPPER, DIGITS, SIGNS, LOWER];
        let wanted = |alphabet: &&str| match *alphabet {
            DIGITS => self.requires(Kind::Number),
            SIGNS => self.requires(Kind::Special),
            // A letter is next in any case.
            _ => false,
        };
        alphabets.sort_by_key(|alphabet| !wanted(alphabet));
        alphabets
    }
}

const LOWER: &str = "kvhqwnzcjgxmtbrdpfsl";
const UPPER: &str = "QXVKZHWJGCNMTBRDPFSL";
const DIGITS: &str = "7304918265";
const SIGNS: &str = "#;*?+~_=|@";

/// A text of this many characters, of the alphabets in turn and following no habit.
fn sample(length: u32, alphabets: &[&str]) -> String {
    (0..length)
        .filter_map(|at| {
            let at = usize::try_from(at).ok()?;
            let alphabet = alphabets.get(at.checked_rem(alphabets.len())?)?;
            let round = at.checked_div(alphabets.len())?;
            // A step that grows from round to round, so that nothing short repeats.
            let step = round.checked_mul(round.checked_add(3)?)?;
            alphabet.chars().nth(step.checked_rem(alphabet.len())?)
        })
        .collect()
}
