//! What has been shown about an attempt so far, by value.
//!
//! None of these is `Clone` or `Copy`, and none can be made but by `assertion()`, which clippy
//! disallows except at the places that mint. One charge, one verification, one settlement:
//!
//! ```text
//! lockout begins ─> Charged ─> verifier ─> Matched     ─> lockout settles ─> Authenticated | ChangeOnly
//!                                          NotMatched  ─> lockout settles: the charge stays a failure
//!                                          NotVerified ─> lockout refunds: nothing was hashed
//! ```

use crate::{PolicyDigest, Timestamp};

/// A keyed digest of the account (or unknown name) that an attempt is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountDigest([u8; 16]);

impl AccountDigest {
    /// The digest with these bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// Which charge: 64 random bits chosen by whoever begins the attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChargeId(u64);

impl ChargeId {
    /// The charge with this number, which must be fresh and random.
    #[must_use]
    pub const fn new(id: u64) -> Self {
        Self(id)
    }

    /// Its number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// This attempt has been counted, durably, before any secret is looked at.
///
/// Dropping it leaves the charge standing: an attempt nobody settles counts as failed.
#[must_use = "verify one secret with it; dropped, the attempt stays counted as a failure"]
#[derive(Debug)]
pub struct Charged {
    account: AccountDigest,
    id: ChargeId,
    policy: PolicyDigest,
    deadline: Timestamp,
}

impl Charged {
    /// Asserts that the attempt `id` on `account` has been counted under `policy`, and that no
    /// verification may start after `deadline`.
    ///
    /// A host that counts attempts by other means calls this itself, once per counted attempt.
    pub const fn assertion(
        account: AccountDigest,
        id: ChargeId,
        policy: PolicyDigest,
        deadline: Timestamp,
    ) -> Self {
        Self { account, id, policy, deadline }
    }

    /// The account it was charged to.
    #[must_use]
    pub const fn account(&self) -> AccountDigest {
        self.account
    }

    /// Which charge.
    #[must_use]
    pub const fn id(&self) -> ChargeId {
        self.id
    }

    /// The policy it was counted under.
    #[must_use]
    pub const fn policy(&self) -> PolicyDigest {
        self.policy
    }

    /// The last moment at which a verification may start.
    #[must_use]
    pub const fn deadline(&self) -> Timestamp {
        self.deadline
    }

    /// The same charge, with its deadline by another clock: that of the verifier, where a store's own
    /// was asked to count it. To be no later than the deadline that it had.
    pub const fn due(self, deadline: Timestamp) -> Self {
        Self { deadline, ..self }
    }
}

/// What a verified credential entitles to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Chosen by its owner: a session may be opened.
    Chosen,
    /// Default, initial, set by somebody else, or below the rule: it may only be changed.
    MustChange,
}

macro_rules! outcome {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[must_use = "settle it, or the attempt stays counted as a failure"]
        #[derive(Debug)]
        pub struct $name {
            charged: Charged,
        }

        impl $name {
            /// Asserts this outcome for the charge, which it consumes.
            pub const fn assertion(charged: Charged) -> Self {
                Self { charged }
            }

            /// The account it is about.
            #[must_use]
            pub const fn account(&self) -> AccountDigest {
                self.charged.account
            }

            /// The charge it consumes.
            #[must_use]
            pub const fn id(&self) -> ChargeId {
                self.charged.id
            }

            /// The policy it was counted under.
            #[must_use]
            pub const fn policy(&self) -> PolicyDigest {
                self.charged.policy
            }
        }
    };
}

/// A keyed digest of what the verifier computed from a wrong secret and the account's salt: the same
/// secret tried again gives the same one, and without the key it says nothing.
///
/// 48 bits: two wrong secrets of one account share one by a chance of 2^-48, which costs a guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WrongDigest([u8; 6]);

impl WrongDigest {
    /// The digest with these bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 6]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 6] {
        &self.0
    }
}

/// The secret was verified and is wrong: the charge stays, unless a recent wrong one was only
/// repeated.
#[must_use = "settle it, or the attempt stays counted as a failure"]
#[derive(Debug)]
pub struct NotMatched {
    charged: Charged,
    digest: Option<WrongDigest>,
}

impl NotMatched {
    /// Asserts this outcome for the charge, which it consumes.
    pub const fn assertion(charged: Charged) -> Self {
        Self { charged, digest: None }
    }

    /// The same, saying which wrong secret it was, so that a repeat of it is recognised.
    pub const fn with_digest(mut self, digest: WrongDigest) -> Self {
        self.digest = Some(digest);
        self
    }

    /// The account it is about.
    #[must_use]
    pub const fn account(&self) -> AccountDigest {
        self.charged.account
    }

    /// The charge it consumes.
    #[must_use]
    pub const fn id(&self) -> ChargeId {
        self.charged.id
    }

    /// The policy it was counted under.
    #[must_use]
    pub const fn policy(&self) -> PolicyDigest {
        self.charged.policy
    }

    /// Which wrong secret it was.
    #[must_use]
    pub const fn digest(&self) -> Option<WrongDigest> {
        self.digest
    }
}

outcome! {
    /// No verification started (overload, deadline, missing key): the charge is to be refunded.
    NotVerified
}

/// The secret was verified and is right.
#[must_use = "settle it, or the attempt stays counted as a failure"]
#[derive(Debug)]
pub struct Matched {
    charged: Charged,
    standing: Standing,
}

impl Matched {
    /// Asserts that the secret matched, and what the credential entitles to.
    pub const fn assertion(charged: Charged, standing: Standing) -> Self {
        Self { charged, standing }
    }

    /// The account it is about.
    #[must_use]
    pub const fn account(&self) -> AccountDigest {
        self.charged.account
    }

    /// The charge it consumes.
    #[must_use]
    pub const fn id(&self) -> ChargeId {
        self.charged.id
    }

    /// The policy it was counted under.
    #[must_use]
    pub const fn policy(&self) -> PolicyDigest {
        self.charged.policy
    }

    /// What the credential entitles to.
    #[must_use]
    pub const fn standing(&self) -> Standing {
        self.standing
    }
}

macro_rules! entitlement {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[must_use]
        #[derive(Debug)]
        pub struct $name {
            account: AccountDigest,
            policy: PolicyDigest,
            at: Timestamp,
        }

        impl $name {
            /// Asserts it of `account`, under `policy`, at `at`.
            pub const fn assertion(
                account: AccountDigest,
                policy: PolicyDigest,
                at: Timestamp,
            ) -> Self {
                Self { account, policy, at }
            }

            /// Whose it is.
            #[must_use]
            pub const fn account(&self) -> AccountDigest {
                self.account
            }

            /// The policy that was in force.
            #[must_use]
            pub const fn policy(&self) -> PolicyDigest {
                self.policy
            }

            /// When it was shown.
            #[must_use]
            pub const fn at(&self) -> Timestamp {
                self.at
            }
        }
    };
}

entitlement! {
    /// The account's owner is here: a session may be opened.
    Authenticated
}

entitlement! {
    /// The secret was right but is not its owner's choice: it may be changed, and nothing else.
    ChangeOnly
}
