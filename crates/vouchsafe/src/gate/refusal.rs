//! Why a call was refused: one text for the outside, the exact reason for programs and the log.

use std::fmt;
use std::time::Duration;

use vouchsafe_core::{ClauseId, PolicyDigest, Timestamp};
use vouchsafe_lockout::retry_after;

/// A refused call.
///
/// Its `Display` and [`message`](Self::message) are the text for the person at the screen. The
/// exact reason is in [`code`](Self::code), for the host's own decisions and its log; showing it to
/// that person would tell a stranger what to try next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    code: Code,
    clause: Option<ClauseId>,
    policy: PolicyDigest,
    retry_after: Option<Duration>,
}

/// The exact reason of a refusal. The texts of [`Code::as_str`] are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// Nobody answers to the name, or the password is wrong.
    WrongCredentials,
    /// The password was withdrawn after the store was put back from a copy, or the host's own column
    /// was emptied or holds one from before the last: a mailed link sets a new one. To the outside,
    /// the same as a wrong password.
    ResetRequired,
    /// Too many failures: refused without looking at the password.
    Locked,
    /// Too many failures without a success between them: an administrator has to unlock, or the
    /// owner by a link. To the outside, the same as locked.
    DisabledByFailures,
    /// Somebody is trying passwords on many accounts: show first that this is no program, and say
    /// so with [`Attempt::challenge_passed`](super::Attempt::challenge_passed). Nothing was counted.
    Challenge,
    /// Too many attempts from this source.
    Throttled,
    /// Too many attempts at once; nothing was counted.
    Busy,
    /// No session answers to the token: never opened, ended, or expired.
    NoSession,
    /// The one-time link is unknown, used, superseded, expired, or for something else.
    NoLink,
    /// The account was asked for too many links.
    LinkLimit,
    /// The gate knows no such tenant, or the token belongs to another one.
    WrongTenant,
    /// The tenant has no such user.
    NoUser,
    /// The password was changed, or every session ended, by somebody else meanwhile.
    Raced,
    /// The account is disabled.
    Disabled,
    /// The mail with the link could not be handed over.
    NotSent,
    /// The store, the host's accounts or the source of randomness did not answer.
    Unavailable,
    /// The access log did not take the record.
    LogUnavailable,
    /// The stored state, or the text in the host's own column, does not read, or a new password cannot be
    /// compared with those before it, which the policy asks for: an operator has to look.
    Corrupt,
}

impl Code {
    /// Every code.
    pub const ALL: [Self; 18] = [
        Self::WrongCredentials,
        Self::ResetRequired,
        Self::Locked,
        Self::DisabledByFailures,
        Self::Challenge,
        Self::Throttled,
        Self::Busy,
        Self::NoSession,
        Self::NoLink,
        Self::LinkLimit,
        Self::WrongTenant,
        Self::NoUser,
        Self::Raced,
        Self::Disabled,
        Self::NotSent,
        Self::Unavailable,
        Self::LogUnavailable,
        Self::Corrupt,
    ];

    /// The stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WrongCredentials => "credentials.wrong",
            Self::ResetRequired => "credentials.withdrawn",
            Self::Locked => "account.locked",
            Self::DisabledByFailures => "account.disabled",
            Self::Challenge => "challenge.required",
            Self::Throttled => "source.throttled",
            Self::Busy => "gate.busy",
            Self::NoSession => "session.none",
            Self::NoLink => "link.none",
            Self::LinkLimit => "link.limit",
            Self::WrongTenant => "tenant.wrong",
            Self::NoUser => "user.none",
            Self::Raced => "credential.raced",
            Self::Disabled => "user.disabled",
            Self::NotSent => "mail.failed",
            Self::Unavailable => "gate.unavailable",
            Self::LogUnavailable => "log.unavailable",
            Self::Corrupt => "state.corrupt",
        }
    }

    /// The text for the person at the screen.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Self::WrongCredentials | Self::ResetRequired => "The name or the password is wrong.",
            Self::Challenge => "Please show that you are not a program.",
            Self::Locked | Self::DisabledByFailures | Self::Throttled => {
                "Too many attempts. Please try again later."
            }
            Self::NoSession | Self::WrongTenant => "Please sign in.",
            Self::NoLink => "This link cannot be used. Please ask for a new one.",
            Self::LinkLimit => "A link was sent a short while ago. Please look for that mail.",
            Self::NoUser => "There is no such user.",
            Self::Raced => "The password was changed meanwhile. Please sign in again.",
            Self::Disabled => "The account is disabled.",
            Self::NotSent => "The mail could not be sent. Please try again later.",
            Self::Busy | Self::Unavailable | Self::LogUnavailable | Self::Corrupt => {
                "The service cannot answer just now. Please try again in a moment."
            }
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Refused {
    pub(crate) const fn new(code: Code, policy: PolicyDigest) -> Self {
        Self { code, clause: None, policy, retry_after: None }
    }

    pub(crate) fn under(mut self, clause: Option<ClauseId>) -> Self {
        self.clause = clause;
        self
    }

    /// The public wait is a whole number of minutes, so that it does not tell when others tried.
    pub(crate) fn after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(retry_after(Timestamp::EPOCH.after(wait), Timestamp::EPOCH));
        self
    }

    /// The exact reason.
    #[must_use]
    pub const fn code(&self) -> Code {
        self.code
    }

    /// The promise whose value was applied, where there is one.
    #[must_use]
    pub const fn clause(&self) -> Option<&ClauseId> {
        self.clause.as_ref()
    }

    /// The policy that was in force.
    #[must_use]
    pub const fn policy(&self) -> PolicyDigest {
        self.policy
    }

    /// How long to wait, in whole minutes, where waiting helps.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// The text for the person at the screen.
    #[must_use]
    pub const fn message(&self) -> &'static str {
        self.code.message()
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for Refused {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_listed() {
        let mut names: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Code::ALL.len());
    }

    #[test]
    fn the_public_wait_is_in_whole_minutes() {
        let refused = |wait| Refused::new(Code::Locked, PolicyDigest::NONE).after(wait);
        for (wait, minutes) in [(0, 1), (1, 1), (60, 1), (61, 2), (86_400, 1_440)] {
            let shown = refused(Duration::from_secs(wait)).retry_after();
            assert_eq!(shown, Some(Duration::from_secs(minutes * 60)));
        }
        // Waiting that long suffices, to the microsecond.
        let shown = refused(Duration::from_micros(60_000_001)).retry_after();
        assert_eq!(shown, Some(Duration::from_secs(120)));
    }
}
