//! How long a session lasts and how many there may be: the section, and its order.

use std::fmt;
use std::time::Duration;

use vouchsafe_core::{Order, Timestamp};

use crate::{Error, Problem};

/// The most sessions an account may have under any policy: what bounds the stored state.
pub const MAX_SESSIONS: u32 = 64;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);
/// Browsers keep no cookie longer (RFC 6265bis, 5.5): a longer limit could not be reached.
const LONGEST: Duration = Duration::from_secs(400 * 86_400);

/// What happens to a sign-in when the account has as many sessions as it may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AtCap {
    /// The session that has gone unused longest ends, and the new one opens. The default: whoever
    /// signs in on a new device gets in.
    #[default]
    EndLongestUnused,
    /// The new session is refused.
    Refuse,
}

/// How long sessions last and how many an account may have at once. Always valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionPolicy {
    idle: Duration,
    absolute: Option<Duration>,
    granularity: Duration,
    max_sessions: u32,
    at_cap: AtCap,
}

/// Thirty minutes idle, twelve hours in all, ten sessions.
///
/// 30 minutes: OWASP's upper end for low-value applications, and the inactivity limit of NIST
/// SP 800-63B (2017) AAL2. 12 hours: SP 800-63B-4, 2.3.3, the limit of AAL3.
impl Default for SessionPolicy {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(30 * 60),
            absolute: Some(Duration::from_secs(12 * 60 * 60)),
            granularity: MINUTE,
            max_sessions: 10,
            at_cap: AtCap::default(),
        }
    }
}

impl SessionPolicy {
    /// Starts from the default with this idle limit.
    pub fn builder(idle: Duration) -> SessionPolicyBuilder {
        SessionPolicyBuilder(Self { idle, ..Self::default() })
    }

    /// A session not used for this long is over: refused from this moment on, to the microsecond.
    #[must_use]
    pub const fn idle(&self) -> Duration {
        self.idle
    }

    /// A session opened this long ago is over, used or not; `None`: never by age alone.
    #[must_use]
    pub const fn absolute(&self) -> Option<Duration> {
        self.absolute
    }

    /// A use is written down once this much has passed since the last one written, so most uses
    /// only read. A session may end early by up to this much, and never late. Zero: exact.
    #[must_use]
    pub const fn granularity(&self) -> Duration {
        self.granularity
    }

    /// How many sessions one account may have at once.
    #[must_use]
    pub const fn max_sessions(&self) -> u32 {
        self.max_sessions
    }

    /// What happens when one more is to open.
    #[must_use]
    pub const fn at_cap(&self) -> AtCap {
        self.at_cap
    }

    /// The weakest policy that is no weaker than either.
    #[must_use]
    pub fn join(&self, other: &Self) -> Self {
        Self {
            idle: self.idle.min(other.idle),
            absolute: match (self.absolute, other.absolute) {
                (Some(one), Some(two)) => Some(one.min(two)),
                (one, two) => one.or(two),
            },
            granularity: self.granularity.min(other.granularity),
            max_sessions: self.max_sessions.min(other.max_sessions),
            at_cap: if self.at_cap == other.at_cap { self.at_cap } else { AtCap::Refuse },
        }
    }

    /// The last moment, exclusive, of a session opened and last seen then.
    pub(crate) fn deadline(&self, opened: Timestamp, last_seen: Timestamp) -> Timestamp {
        let idle = last_seen.after(self.idle);
        self.absolute.map_or(idle, |absolute| idle.min(opened.after(absolute)))
    }
}

/// Builds a [`SessionPolicy`].
#[must_use = "`build` makes the policy"]
#[derive(Clone, Debug)]
pub struct SessionPolicyBuilder(SessionPolicy);

impl SessionPolicyBuilder {
    /// Sets the absolute limit.
    pub const fn absolute(mut self, absolute: Duration) -> Self {
        self.0.absolute = Some(absolute);
        self
    }

    /// No absolute limit: a session in use never ends by age.
    pub const fn without_absolute(mut self) -> Self {
        self.0.absolute = None;
        self
    }

    /// Sets how coarsely uses are written down; zero writes each.
    pub const fn granularity(mut self, granularity: Duration) -> Self {
        self.0.granularity = granularity;
        self
    }

    /// Sets how many sessions one account may have.
    pub const fn max_sessions(mut self, max: u32) -> Self {
        self.0.max_sessions = max;
        self
    }

    /// Sets what happens when one more is to open.
    pub const fn at_cap(mut self, at_cap: AtCap) -> Self {
        self.0.at_cap = at_cap;
        self
    }

    /// The policy, if it can stand.
    ///
    /// # Errors
    /// [`Error::Policy`] with every field that cannot: idle from 1 minute to 30 days, absolute from
    /// idle to 400 days, granularity at most half of idle, 1 to 64 sessions.
    pub fn build(self) -> Result<SessionPolicy, Error> {
        let policy = self.0;
        let mut problems = Vec::new();
        let mut between = |field, value, least, most| {
            if value < least || value > most {
                problems.push(Problem::Duration { field, value, least, most });
            }
        };
        between("idle", policy.idle, MINUTE, DAY.saturating_mul(30));
        if let Some(absolute) = policy.absolute {
            between("absolute", absolute, policy.idle.min(LONGEST), LONGEST);
        }
        // Half, so that somebody who comes back within half the limit is never signed out.
        let half = policy.idle.checked_div(2).unwrap_or_default();
        between("granularity", policy.granularity, Duration::ZERO, half);
        if !(1..=MAX_SESSIONS).contains(&policy.max_sessions) {
            problems.push(Problem::Count {
                field: "max_sessions",
                value: policy.max_sessions,
                least: 1,
                most: MAX_SESSIONS,
            });
        }
        if problems.is_empty() { Ok(policy) } else { Err(Error::Policy(problems)) }
    }
}

/// What one policy lets pass and another does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionWitness {
    /// A session used every `every` from `opened` until `last_activity`, presented at `now`.
    Life {
        /// When it was opened.
        opened: Timestamp,
        /// The pause between two uses.
        every: Duration,
        /// When it was used last.
        last_activity: Timestamp,
        /// When it is presented.
        now: Timestamp,
    },
    /// This many sessions of one account, alive at once.
    AtOnce {
        /// How many.
        sessions: u32,
    },
}

impl fmt::Display for SessionWitness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Life { opened, last_activity, now, .. } => write!(
                f,
                "a session is still accepted {:?} after its last use and {:?} after it was opened",
                now.since(*last_activity),
                now.since(*opened)
            ),
            Self::AtOnce { sessions } => write!(f, "{sessions} sessions of one account at once"),
        }
    }
}

/// Compares what is promised: idle and absolute limits, and how many sessions there may be.
///
/// Granularity is no part of it, since it only ends sessions early, and neither is which of two
/// sessions has to go at the cap.
impl Order for SessionPolicy {
    type Witness = SessionWitness;

    fn weakening(&self, baseline: &Self) -> Option<SessionWitness> {
        let opened = Timestamp::EPOCH;
        let every = self.idle.min(baseline.idle).checked_div(2).unwrap_or_default();
        if self.idle > baseline.idle {
            let now = opened.after(baseline.idle);
            return Some(SessionWitness::Life { opened, every, last_activity: opened, now });
        }
        if let Some(limit) = baseline.absolute
            && self.absolute.is_none_or(|absolute| absolute > limit)
        {
            let now = opened.after(limit);
            let last_activity = now.before(Duration::from_micros(1));
            return Some(SessionWitness::Life { opened, every, last_activity, now });
        }
        (self.max_sessions > baseline.max_sessions)
            .then(|| SessionWitness::AtOnce { sessions: baseline.max_sessions.saturating_add(1) })
    }
}
