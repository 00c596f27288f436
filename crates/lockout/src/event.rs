//! What is asked of the machine, and what it answers.

use vouchsafe_core::{
    AccountDigest, Authenticated, CellKey, ChangeOnly, ChargeId, Charged, Matched, NotMatched,
    NotVerified, PolicyDigest, Timestamp,
};

use crate::LockoutState;
use crate::device::Device;

/// An attempt that asks to be charged.
///
/// Not `Clone`: one beginning, one charge, one verification.
#[must_use = "drive it through the machine"]
#[derive(Debug)]
pub struct Begin {
    account: AccountDigest,
    id: ChargeId,
    pub(crate) device: Option<Device>,
}

impl Begin {
    /// An attempt on `account`, from nobody that is known; `id` is fresh and random.
    pub const fn new(account: AccountDigest, id: ChargeId) -> Self {
        Self { account, id, device: None }
    }

    /// The same attempt from a browser that has signed in before. What is another account's, too
    /// old or revoked counts as absent, and so does any where the policy has no device counters.
    pub const fn from_device(mut self, device: Option<Device>) -> Self {
        self.device = device;
        self
    }

    /// Takes the attempt back after a store failure: it may have been charged without anybody
    /// hearing of it. To be settled like any refund.
    ///
    /// Sound because a `Begin` that comes back was not answered: no [`Charged`] was delivered for
    /// it, so nothing was verified, and this consumes it.
    pub fn withdraw(self) -> NotVerified {
        #[expect(clippy::disallowed_methods, reason = "a charge that nobody received is refunded")]
        NotVerified::assertion(Charged::assertion(
            self.account,
            self.id,
            PolicyDigest::NONE,
            Timestamp::MIN,
        ))
    }

    /// The account it is about.
    #[must_use]
    pub const fn account(&self) -> AccountDigest {
        self.account
    }

    /// Which charge.
    #[must_use]
    pub const fn id(&self) -> ChargeId {
        self.id
    }
}

/// What happens to an account's failures.
#[derive(Debug)]
pub enum LockoutEvent {
    /// An attempt begins: it is to be charged before anything is verified.
    Begin(Begin),
    /// The secret was right.
    Matched(Matched),
    /// The secret was wrong.
    NotMatched(NotMatched),
    /// No verification started.
    NotVerified(NotVerified),
    /// Forget all failures. Settlements of charges from before change nothing afterwards.
    Unlock {
        /// Whose.
        account: AccountDigest,
        /// Which unlock: fresh and random; a repeat of the last one changes nothing.
        id: ChargeId,
    },
    /// A crossing has been announced, wherever the host announces it.
    Announced {
        /// Whose.
        account: AccountDigest,
        /// What was announced.
        crossing: Crossing,
    },
}

impl LockoutEvent {
    /// The account it is about.
    #[must_use]
    pub const fn account(&self) -> AccountDigest {
        match self {
            Self::Begin(begin) => begin.account(),
            Self::Matched(settle) => settle.account(),
            Self::NotMatched(settle) => settle.account(),
            Self::NotVerified(settle) => settle.account(),
            Self::Unlock { account, .. } | Self::Announced { account, .. } => *account,
        }
    }

    /// The same event, for whoever has to deliver it again: none of one that carries a proof, which is
    /// there once.
    #[must_use]
    pub const fn again(&self) -> Option<Self> {
        match *self {
            Self::Unlock { account, id } => Some(Self::Unlock { account, id }),
            Self::Announced { account, crossing } => Some(Self::Announced { account, crossing }),
            Self::Begin(_) | Self::Matched(_) | Self::NotMatched(_) | Self::NotVerified(_) => None,
        }
    }

    /// The cell to drive it through.
    #[must_use]
    pub const fn cell(&self) -> CellKey {
        LockoutState::key(self.account())
    }
}

/// Why an attempt is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// A limit's window is full.
    Limit,
    /// Too many failures without a success between them.
    Consecutive,
}

/// A lock in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lock {
    /// When it ends by itself, absent other attempts; `None`: when an administrator ends it.
    pub until: Option<Timestamp>,
    /// What was exceeded. Both at once are [`Reason::Consecutive`].
    pub reason: Reason,
}

/// What an account has just become, to be announced once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CrossingKind {
    /// A limit locked it.
    Locked,
    /// So many consecutive failures that only known devices may still try.
    DevicesOnly,
    /// So many consecutive failures that nobody may.
    Disabled,
}

impl CrossingKind {
    pub(crate) const fn code(self) -> u64 {
        match self {
            Self::Locked => 0,
            Self::DevicesOnly => 1,
            Self::Disabled => 2,
        }
    }

    pub(crate) const fn from_code(code: u64) -> Option<Self> {
        match code {
            0 => Some(Self::Locked),
            1 => Some(Self::DevicesOnly),
            2 => Some(Self::Disabled),
            _ => None,
        }
    }
}

/// Whoever is told of a crossing is to announce it, and to answer with
/// [`LockoutEvent::Announced`]. Told again of one that was not, somebody else announces it under the
/// same id and kind, so whoever listens can tell that it is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Crossing {
    /// The charge that filled the limit, or the run.
    pub id: ChargeId,
    /// What the account has become.
    pub kind: CrossingKind,
}

/// What came of an event.
#[derive(Debug)]
pub enum LockoutVerdict {
    /// Charged: verify once, before the deadline, and settle.
    Admitted(Charged),
    /// All charges are taken by attempts that are being verified: not locked, ask again when one
    /// of them settles, and by `until` at the latest. Nothing was charged.
    Wait {
        /// When the first of them counts as failed if nobody settles it.
        until: Timestamp,
    },
    /// Refused: nothing was charged.
    Locked {
        /// The lock in force.
        lock: Lock,
        /// To be announced, where the machine is [announcing](crate::LockoutMachine::announcing).
        crossing: Option<Crossing>,
    },
    /// The secret was right; the charge is refunded.
    Authenticated(Authenticated),
    /// The secret was right but may only be changed; the charge is refunded.
    ChangeOnly(ChangeOnly),
    /// The charge stands as a failure.
    Failed {
        /// The lock in force now, if any.
        locked: Option<Lock>,
        /// To be announced, where the machine is [announcing](crate::LockoutMachine::announcing).
        crossing: Option<Crossing>,
    },
    /// The secret was wrong, and the same as a recent wrong one; the charge is refunded.
    Repeated,
    /// Nothing was verified; the charge is refunded.
    Refunded,
    /// The account has no failures any more.
    Unlocked,
    /// Nobody will be told of the crossing any more.
    Noted,
}
