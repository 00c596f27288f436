//! What is kept of one account: its charges, nothing that identifies it.

use std::ops::{Deref, DerefMut};

use vouchsafe_core::{
    AccountDigest, Cell, CellKey, ChargeId, Corrupt, Space, Timestamp, WrongDigest,
};

use crate::bytes;
use crate::event::CrossingKind;

/// One attempt that was charged and not refunded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Charge {
    pub(crate) at: Timestamp,
    pub(crate) id: ChargeId,
    /// Settled as a failure. Unsettled otherwise.
    pub(crate) failed: bool,
    /// From before the last success: it counts in its windows, and no longer in the run.
    pub(crate) past: bool,
    /// The known device that it came from.
    pub(crate) device: Option<u64>,
}

/// The last unlock: what makes a repeat of it harmless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unlocked {
    pub(crate) at: Timestamp,
    pub(crate) id: ChargeId,
}

/// Failures since the last success whose charges have left the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) count: u32,
    pub(crate) last: Timestamp,
}

/// A crossing that somebody has been told to announce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Notice {
    pub(crate) id: ChargeId,
    pub(crate) kind: CrossingKind,
    /// When somebody was told so.
    pub(crate) at: Timestamp,
    pub(crate) announced: bool,
}

/// The failures of one account or unknown name: a log of charges, oldest first.
///
/// A log and not a counter, because nothing smaller can say exactly what is in a sliding window,
/// nor take one charge back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LockoutState {
    /// The latest moment any step has seen.
    pub(crate) seen: Timestamp,
    pub(crate) charges: Vec<Charge>,
    pub(crate) more: Beside,
}

/// What few accounts have beside their charges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct More {
    pub(crate) unlocked: Option<Unlocked>,
    pub(crate) run: Option<Run>,
    /// The last wrong secrets, newest last; at most [`MAX_WRONG`](LockoutState::MAX_WRONG).
    pub(crate) wrong: Vec<WrongDigest>,
    /// When repeats were refunded, newest last; at most [`MAX_REPEATS`](crate::LockoutPolicy::MAX_REPEATS).
    pub(crate) repeats: Vec<Timestamp>,
    pub(crate) notices: Vec<Notice>,
}

impl More {
    const NONE: Self = Self {
        unlocked: None,
        run: None,
        wrong: Vec::new(),
        repeats: Vec::new(),
        notices: Vec::new(),
    };
}

/// A [`More`] that takes memory once something is changed in it: states are moved about a lot, and
/// mostly have none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Beside(Option<Box<More>>);

impl Beside {
    const NONE: Self = Self(None);

    /// What is there, if anything, to be taken out or moved: takes no memory.
    pub(crate) fn there(&mut self) -> Option<&mut More> {
        self.0.as_deref_mut()
    }
}

impl Deref for Beside {
    type Target = More;

    fn deref(&self) -> &More {
        static NONE: More = More::NONE;
        self.0.as_deref().unwrap_or(&NONE)
    }
}

impl DerefMut for Beside {
    fn deref_mut(&mut self) -> &mut More {
        self.0.get_or_insert_with(|| Box::new(More::NONE))
    }
}

impl PartialEq for Beside {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Beside {}

impl LockoutState {
    /// How many wrong secrets are recognised when they come again.
    pub const MAX_WRONG: usize = 3;

    /// No failures, and no moment seen.
    pub(crate) const NONE: Self =
        Self { seen: Timestamp::MIN, charges: Vec::new(), more: Beside::NONE };

    /// Where the failures of `account` are kept.
    #[must_use]
    pub const fn key(account: AccountDigest) -> CellKey {
        CellKey::new(Space::Lockout, *account.as_bytes())
    }

    /// How many charges it holds, expired ones that no step has dropped yet included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.charges.len()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.charges.is_empty()
    }
}

/// Written as version 2, which the module `bytes` describes; version 1 is read.
impl Cell for LockoutState {
    const SPACE: Space = Space::Lockout;

    fn from_bytes(bytes: Vec<u8>) -> Result<Self, Corrupt> {
        bytes::read(&bytes)
    }

    fn into_bytes(self) -> Vec<u8> {
        let mut out = Vec::new();
        bytes::write(&self, &mut out);
        out
    }

    fn read(bytes: &[u8]) -> Result<Self, Corrupt> {
        bytes::read(bytes)
    }

    fn write(self, out: &mut Vec<u8>) {
        bytes::write(&self, out);
    }
}
