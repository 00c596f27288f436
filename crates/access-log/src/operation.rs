//! What was done.

use std::fmt;

macro_rules! operations {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $name:literal;)*) => {
        /// What was done: the four operations on data, and a closed list of security events after
        /// the OWASP logging vocabulary.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Operation {
            $($(#[$doc])* $variant,)*
        }

        impl Operation {
            /// Every operation.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its name in exports.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Its number in the canonical bytes; never reused.
            #[must_use]
            pub const fn code(self) -> u8 {
                match self { $(Self::$variant => $code,)* }
            }
        }
    };
}

operations! {
    /// Data came into being.
    Created = 1, "created";
    /// Data was read (`sensitive_read`).
    Read = 2, "read";
    /// Data was changed.
    Updated = 3, "updated";
    /// Data was removed.
    Deleted = 4, "deleted";
    /// A sign-in succeeded (`authn_login_success`).
    SignedIn = 16, "signed_in";
    /// A sign-in was refused (`authn_login_fail`).
    SignInRefused = 17, "sign_in_refused";
    /// An account was locked (`authn_login_lock`).
    Locked = 18, "locked";
    /// An account was unlocked.
    Unlocked = 19, "unlocked";
    /// Somebody signed out (`session_logout`).
    SignedOut = 20, "signed_out";
    /// A session ended by revocation or expiry (`session_expired`).
    SessionEnded = 21, "session_ended";
    /// A session was presented and refused (`session_use_after_expire`).
    SessionRefused = 22, "session_refused";
    /// A source or an account has to wait (`excess_rate_limit_exceeded`).
    Throttled = 23, "throttled";
    /// A session was presented and accepted: it is in use.
    SessionUsed = 24, "session_used";
    /// Somebody was invited (`user_created`).
    Invited = 32, "invited";
    /// An invited account was activated by its owner.
    Activated = 33, "activated";
    /// A one-time link was refused (`authn_token_reuse`).
    LinkRefused = 34, "link_refused";
    /// A link for a new password was asked for.
    ResetRequested = 35, "reset_requested";
    /// A password was changed (`authn_password_change`).
    PasswordChanged = 36, "password_changed";
    /// A change of password was refused (`authn_password_change_fail`).
    PasswordChangeRefused = 37, "password_change_refused";
    /// An account was disabled (`user_archived`).
    Disabled = 38, "disabled";
    /// A user's rights were changed (`privilege_permissions_changed`).
    RightsChanged = 39, "rights_changed";
    /// A link for lifting a lockout was asked for.
    UnlockRequested = 41, "unlock_requested";
    /// Every browser that had signed in to an account was forgotten.
    DevicesForgotten = 42, "devices_forgotten";
    /// An access was refused for lack of rights (`authz_fail`).
    AccessRefused = 40, "access_refused";
    /// A policy came into force.
    PolicyLoaded = 48, "policy_loaded";
    /// A policy was refused.
    PolicyRefused = 49, "policy_refused";
    /// The service opened its gate (`sys_startup`).
    GateOpened = 50, "gate_opened";
    /// The service closed its gate (`sys_shutdown`).
    GateClosed = 51, "gate_closed";
    /// A key was made, replaced or destroyed.
    KeyChanged = 52, "key_changed";
    /// Somebody is trying a few passwords on many accounts.
    SprayAlarm = 53, "spray_alarm";
    /// Less than usual is promised for a while: a store may have lost what it acknowledged, or does
    /// not answer.
    Degraded = 54, "degraded";
    /// Records of the log were shown.
    LogRead = 64, "log_read";
    /// Records of the log were exported.
    Exported = 65, "exported";
    /// The log was verified.
    Verified = 66, "verified";
    /// On opening, the log set aside a tail that a crash left unfinished.
    TailSetAside = 67, "tail_set_aside";
    /// Records of the log were erased at the end of their time.
    Pruned = 68, "pruned";
}

impl Operation {
    /// The operation with that number.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|operation| operation.code() == code)
    }

    /// The operation with that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|operation| operation.as_str() == name)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_names_are_unique_and_come_back() {
        for &operation in Operation::ALL {
            assert_eq!(Operation::from_code(operation.code()), Some(operation));
            assert_eq!(Operation::from_name(operation.as_str()), Some(operation));
        }
        assert_eq!(Operation::from_code(24), Some(Operation::SessionUsed));
        assert_eq!(Operation::from_code(0), None);
        assert_eq!(Operation::from_name("SignedIn"), None);
    }
}
