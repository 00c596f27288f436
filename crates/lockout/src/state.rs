//! What is kept of one account: its charges, nothing that identifies it.

use vouchsafe_core::{AccountDigest, Cell, CellKey, ChargeId, Corrupt, Space, Timestamp};

use crate::{Limit, LockoutPolicy, Release};

/// One attempt that was charged and not refunded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Charge {
    pub(crate) at: Timestamp,
    pub(crate) id: ChargeId,
    /// Settled as a failure. Unsettled otherwise.
    pub(crate) failed: bool,
}

/// The last unlock: what makes a repeat of it harmless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unlocked {
    pub(crate) at: Timestamp,
    pub(crate) id: ChargeId,
}

/// The failures of one account or unknown name: a log of charges, oldest first.
///
/// A log and not a counter, because nothing smaller can say exactly what is in a sliding window,
/// nor take one charge back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LockoutState {
    /// The latest moment any step has seen.
    pub(crate) seen: Timestamp,
    pub(crate) unlocked: Option<Unlocked>,
    pub(crate) charges: Vec<Charge>,
}

const VERSION: u8 = 1;
const HAS_UNLOCK: u8 = 1;
/// One more than the largest number of failures, for [`crate::LockOn::Exceeding`].
const MAX_CHARGES: usize = LockoutPolicy::MAX_FAILURES as usize + 1;

impl LockoutState {
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

/// The charges that fill `limit`, and when it lets go of them by itself.
pub(crate) fn full<'a>(limit: &Limit, charges: &'a [Charge]) -> Option<(&'a [Charge], Timestamp)> {
    let start = charges.len().checked_sub(usize::try_from(limit.capacity()).ok()?)?;
    let newest = charges.get(start..)?;
    let (first, last) = (newest.first()?.at, newest.last()?.at);
    let slid = first.after(limit.window());
    if slid <= last {
        return None;
    }
    let end = match limit.release() {
        Release::WindowSlides => slid,
        Release::After(hold) => slid.max(last.after(hold)),
        Release::Admin => Timestamp::MAX,
    };
    Some((newest, end))
}

/// ```text
/// version = 1 | flags | seen: i64 | [unlocked: at i64, id u64] | count: u8 | count × (at i64, id u64, failed u8)
/// ```
/// Numbers are little-endian. 28 bytes with one charge.
impl Cell for LockoutState {
    const SPACE: Space = Space::Lockout;

    fn from_bytes(bytes: Vec<u8>) -> Result<Self, Corrupt> {
        let mut reader = Reader(&bytes);
        if reader.byte()? != VERSION {
            return Err(Corrupt);
        }
        let flags = reader.byte()?;
        let seen = reader.time()?;
        let unlocked = match flags {
            0 => None,
            HAS_UNLOCK => Some(Unlocked { at: reader.time()?, id: reader.id()? }),
            _ => return Err(Corrupt),
        };
        let count = usize::from(reader.byte()?);
        if count > MAX_CHARGES {
            return Err(Corrupt);
        }
        let mut charges: Vec<Charge> = Vec::with_capacity(count);
        for _ in 0..count {
            let (at, id) = (reader.time()?, reader.id()?);
            let failed = match reader.byte()? {
                0 => false,
                1 => true,
                _ => return Err(Corrupt),
            };
            if at > seen || charges.last().is_some_and(|before| before.at > at) {
                return Err(Corrupt);
            }
            charges.push(Charge { at, id, failed });
        }
        if !reader.0.is_empty() {
            return Err(Corrupt);
        }
        Ok(Self { seen, unlocked, charges })
    }

    fn into_bytes(self) -> Vec<u8> {
        let mut bytes =
            Vec::with_capacity(self.charges.len().saturating_mul(17).saturating_add(27));
        bytes.extend([VERSION, if self.unlocked.is_some() { HAS_UNLOCK } else { 0 }]);
        bytes.extend(self.seen.micros().to_le_bytes());
        if let Some(unlocked) = self.unlocked {
            bytes.extend(unlocked.at.micros().to_le_bytes());
            bytes.extend(unlocked.id.get().to_le_bytes());
        }
        bytes.push(u8::try_from(self.charges.len()).unwrap_or(u8::MAX));
        for charge in self.charges {
            bytes.extend(charge.at.micros().to_le_bytes());
            bytes.extend(charge.id.get().to_le_bytes());
            bytes.push(u8::from(charge.failed));
        }
        bytes
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Corrupt> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(Corrupt)?;
        self.0 = rest;
        Ok(*head)
    }

    fn byte(&mut self) -> Result<u8, Corrupt> {
        self.take::<1>().map(|[byte]| byte)
    }

    fn time(&mut self) -> Result<Timestamp, Corrupt> {
        let micros = i64::from_le_bytes(self.take()?);
        let time = Timestamp::from_micros(micros);
        // A moment outside the calendar was never written.
        if time.micros() == micros { Ok(time) } else { Err(Corrupt) }
    }

    fn id(&mut self) -> Result<ChargeId, Corrupt> {
        Ok(ChargeId::new(u64::from_le_bytes(self.take()?)))
    }
}
