//! How long a link lives and how often one is sent: the section, and its order.

use std::fmt;
use std::time::Duration;

use vouchsafe_core::Order;

use crate::{Error, Problem};

/// What a one-time link is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// Setting the first password of an invited account.
    Activation,
    /// Setting a new password for a forgotten one.
    Reset,
    /// Lifting one's own lockout.
    Unlock,
    /// Confirming a new address.
    EmailChange,
}

impl Purpose {
    /// Every purpose.
    pub const ALL: [Self; 4] = [Self::Activation, Self::Reset, Self::Unlock, Self::EmailChange];

    /// The number kept; never reused.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Activation => 1,
            Self::Reset => 2,
            Self::Unlock => 3,
            Self::EmailChange => 4,
        }
    }

    pub(crate) fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|purpose| purpose.code() == code)
    }

    /// Its name, as in a policy document.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Activation => "activation",
            Self::Reset => "reset",
            Self::Unlock => "unlock",
            Self::EmailChange => "email_change",
        }
    }
}

/// One value a purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PerPurpose<T> {
    activation: T,
    reset: T,
    unlock: T,
    email_change: T,
}

impl<T: Copy> PerPurpose<T> {
    pub(crate) const fn get(&self, purpose: Purpose) -> T {
        match purpose {
            Purpose::Activation => self.activation,
            Purpose::Reset => self.reset,
            Purpose::Unlock => self.unlock,
            Purpose::EmailChange => self.email_change,
        }
    }

    pub(crate) const fn set(&mut self, purpose: Purpose, value: T) {
        match purpose {
            Purpose::Activation => self.activation = value,
            Purpose::Reset => self.reset = value,
            Purpose::Unlock => self.unlock = value,
            Purpose::EmailChange => self.email_change = value,
        }
    }
}

/// How long links live and how often a stranger can have one sent. Always valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkPolicy {
    lifetimes: PerPurpose<Duration>,
    resend_floor: Duration,
}

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
/// Rodauth's default pause between two mails, and the least there may be here.
const FLOOR: Duration = Duration::from_secs(300);

/// A day to activate and to confirm an address (the cap of NIST SP 800-63A-4, 3.8), an hour to
/// reset or unlock, five minutes between two mails.
impl Default for LinkPolicy {
    fn default() -> Self {
        Self {
            lifetimes: PerPurpose { activation: DAY, reset: HOUR, unlock: HOUR, email_change: DAY },
            resend_floor: FLOOR,
        }
    }
}

impl LinkPolicy {
    /// Starts from the default.
    pub fn builder() -> LinkPolicyBuilder {
        LinkPolicyBuilder(Self::default())
    }

    /// A link for `purpose` is refused from this long after it was issued.
    #[must_use]
    pub const fn lifetime(&self, purpose: Purpose) -> Duration {
        self.lifetimes.get(purpose)
    }

    /// The least time between two links for the same account and purpose that strangers ask for.
    #[must_use]
    pub const fn resend_floor(&self) -> Duration {
        self.resend_floor
    }

    /// The weakest policy that is no weaker than either.
    #[must_use]
    pub fn join(&self, other: &Self) -> Self {
        let mut joined = self.clone();
        for purpose in Purpose::ALL {
            let shorter = self.lifetime(purpose).min(other.lifetime(purpose));
            joined.lifetimes.set(purpose, shorter);
        }
        joined.resend_floor = self.resend_floor.max(other.resend_floor);
        joined
    }
}

/// Builds a [`LinkPolicy`].
#[must_use = "`build` makes the policy"]
#[derive(Clone, Debug)]
pub struct LinkPolicyBuilder(LinkPolicy);

impl LinkPolicyBuilder {
    /// Sets how long links for `purpose` live.
    pub const fn lifetime(mut self, purpose: Purpose, lifetime: Duration) -> Self {
        self.0.lifetimes.set(purpose, lifetime);
        self
    }

    /// Sets the least time between two links that strangers ask for.
    pub const fn resend_floor(mut self, floor: Duration) -> Self {
        self.0.resend_floor = floor;
        self
    }

    /// The policy, if it can stand.
    ///
    /// # Errors
    /// [`Error::Policy`] with every field that cannot: lifetimes from 1 minute to 24 hours, the
    /// resend floor from 300 seconds to 24 hours.
    pub fn build(self) -> Result<LinkPolicy, Error> {
        let policy = self.0;
        let mut problems = Vec::new();
        let mut between = |field, value, least, most| {
            if value < least || value > most {
                problems.push(Problem::Duration { field, value, least, most });
            }
        };
        for purpose in Purpose::ALL {
            between(purpose.name(), policy.lifetime(purpose), Duration::from_secs(60), DAY);
        }
        between("resend_floor", policy.resend_floor, FLOOR, DAY);
        if problems.is_empty() { Ok(policy) } else { Err(Error::Policy(problems)) }
    }
}

/// What one policy lets pass and another does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkWitness {
    /// A link for `purpose`, redeemed when it is `age` old.
    Redeemed {
        /// What it is for.
        purpose: Purpose,
        /// How old it is.
        age: Duration,
    },
    /// A second mail to the same account, `gap` after the first.
    Resent {
        /// The time between the two.
        gap: Duration,
    },
}

impl fmt::Display for LinkWitness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Redeemed { purpose, age } => {
                write!(f, "a link for {} still works when {age:?} old", purpose.name())
            }
            Self::Resent { gap } => write!(f, "a second link is sent {gap:?} after the first"),
        }
    }
}

impl Order for LinkPolicy {
    type Witness = LinkWitness;

    fn weakening(&self, baseline: &Self) -> Option<LinkWitness> {
        for purpose in Purpose::ALL {
            let age = baseline.lifetime(purpose);
            if self.lifetime(purpose) > age {
                return Some(LinkWitness::Redeemed { purpose, age });
            }
        }
        let gap = self.resend_floor;
        (gap < baseline.resend_floor).then_some(LinkWitness::Resent { gap })
    }
}
