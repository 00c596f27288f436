//! What a hash costs: Argon2id's parameters, and which are weaker than which.

use std::fmt;

use vouchsafe_core::Order;

use crate::PasswordError;

/// Argon2id's cost: memory in KiB, passes over it, and lanes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Params {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

/// Most blocks that are computed in one run: 1 GiB in one pass or 64 MiB in 16.
pub(crate) const MAX_BLOCKS: u64 = 1 << 20;

/// Equal in strength, by OWASP's Password Storage Cheat Sheet and ASVS 5.0 appendix C: what is at
/// least one of these is at least each.
pub(crate) const EQUIVALENTS: [Params; 3] =
    [Params::of(47_104, 1), Params::of(19_456, 2), Params::of(12_288, 3)];

impl Params {
    /// Most memory that a stored record may ask for, in KiB: 1 GiB.
    pub const MAX_MEMORY_KIB: u32 = 1 << 20;
    /// Most passes that a stored record may ask for.
    pub const MAX_PASSES: u32 = 64;
    /// Most lanes that a stored record may ask for.
    pub const MAX_LANES: u32 = 16;

    const fn of(memory_kib: u32, passes: u32) -> Self {
        Self { memory_kib, passes, lanes: 1 }
    }

    /// These parameters, if Argon2 knows them and they are under the ceilings above.
    #[must_use]
    pub const fn new(memory_kib: u32, passes: u32, lanes: u32) -> Option<Self> {
        let known = passes >= 1 && lanes >= 1 && lanes <= Self::MAX_LANES;
        let known = known && memory_kib / 8 >= lanes;
        if known && memory_kib <= Self::MAX_MEMORY_KIB && passes <= Self::MAX_PASSES {
            Some(Self { memory_kib, passes, lanes })
        } else {
            None
        }
    }

    /// Memory in KiB.
    #[must_use]
    pub const fn memory_kib(self) -> u32 {
        self.memory_kib
    }

    /// Passes over the memory.
    #[must_use]
    pub const fn passes(self) -> u32 {
        self.passes
    }

    /// Lanes.
    #[must_use]
    pub const fn lanes(self) -> u32 {
        self.lanes
    }

    /// Blocks of 1 KiB computed in one run: memory times passes.
    #[must_use]
    pub fn blocks(self) -> u64 {
        u64::from(self.memory_kib).saturating_mul(u64::from(self.passes))
    }

    /// Whether a guess costs at least as much in every respect, or both sides of a published
    /// equivalence say so. More lanes let an attacker finish sooner, so they are weaker.
    #[must_use]
    pub fn is_no_weaker_than(self, other: Self) -> bool {
        self.covers(other)
            || (EQUIVALENTS.iter().any(|e| self.covers(*e))
                && EQUIVALENTS.iter().any(|e| e.covers(other)))
    }

    /// Weaker, and in no respect stronger.
    #[must_use]
    pub fn is_strictly_weaker_than(self, other: Self) -> bool {
        other.is_no_weaker_than(self) && !self.is_no_weaker_than(other)
    }

    pub(crate) const fn in_one_lane(self) -> Self {
        Self { lanes: 1, ..self }
    }

    /// With at least so much memory, and as many passes as are at most `blocks` with it.
    pub(crate) fn with_memory_of(self, kib: u32, blocks: u64) -> Self {
        let memory_kib = self.memory_kib.max(kib);
        let most = blocks.checked_div(u64::from(memory_kib)).unwrap_or(1).max(1);
        let passes = self.passes.min(u32::try_from(most).unwrap_or(u32::MAX));
        Self { memory_kib, passes, ..self }
    }

    const fn covers(self, other: Self) -> bool {
        self.memory_kib >= other.memory_kib
            && self.passes >= other.passes
            && self.lanes <= other.lanes
    }
}

/// As in a PHC string: `m=19456,t=2,p=1`.
impl fmt::Display for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "m={},t={},p={}", self.memory_kib, self.passes, self.lanes)
    }
}

impl fmt::Debug for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Params({self})")
    }
}

/// How new records are hashed, and which old ones are to be hashed anew.
///
/// One lane always: the lanes run one after another here, so more would help only an attacker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashPolicy(Params);

/// 19 456 KiB and two passes: of the equivalents, the one OWASP puts first for shared servers.
impl Default for HashPolicy {
    fn default() -> Self {
        Self(Params::of(19_456, 2))
    }
}

impl HashPolicy {
    /// Argon2id with this much memory and this many passes.
    ///
    /// # Errors
    /// [`PasswordError::BelowFloor`] under each of 47 104 KiB × 1, 19 456 KiB × 2 and
    /// 12 288 KiB × 3 (OWASP); [`PasswordError::HashParams`] over the ceilings of [`Params`].
    pub fn argon2id(memory_kib: u32, passes: u32) -> Result<Self, PasswordError> {
        let policy = Self::danger_below_floor(memory_kib, passes)?;
        if EQUIVALENTS.iter().any(|floor| policy.0.covers(*floor)) {
            Ok(policy)
        } else {
            Err(PasswordError::BelowFloor(policy.0))
        }
    }

    /// For tests that hash by the thousand: any parameters Argon2 knows, however cheap to guess.
    ///
    /// # Errors
    /// [`PasswordError::HashParams`] for what Argon2 does not know, or over the ceilings.
    pub fn danger_below_floor(memory_kib: u32, passes: u32) -> Result<Self, PasswordError> {
        Params::new(memory_kib, passes, 1)
            .map(Self)
            .ok_or(PasswordError::HashParams { memory_kib, passes })
    }

    /// The parameters of new records.
    #[must_use]
    pub const fn params(self) -> Params {
        self.0
    }

    /// Whether a record with these parameters is hashed anew at its next successful use: with this
    /// policy's parameters, and never with less memory than the record took.
    #[must_use]
    pub fn upgrades(self, record: Params) -> bool {
        record.is_strictly_weaker_than(self.0)
    }

    /// The weakest policy that is no weaker than either.
    #[must_use]
    pub fn join(self, other: Self) -> Self {
        let listed = |policy: Self| EQUIVALENTS.contains(&policy.0);
        match (listed(self), listed(other)) {
            (true, true) if self == other => self,
            // Different, and equal in strength: the default stands for all of them.
            (true, true) => Self::default(),
            (true, false) if other.0.is_no_weaker_than(self.0) => other,
            (false, true) if self.0.is_no_weaker_than(other.0) => self,
            _ => Self(Params::of(
                self.0.memory_kib.max(other.0.memory_kib),
                self.0.passes.max(other.0.passes),
            )),
        }
    }
}

/// A stored record that the baseline has hashed anew and the candidate leaves as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashWitness {
    /// The record's parameters.
    pub record: Params,
}

impl fmt::Display for HashWitness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a record hashed with {} is no longer hashed anew", self.record)
    }
}

impl Order for HashPolicy {
    type Witness = HashWitness;

    fn weakening(&self, baseline: &Self) -> Option<HashWitness> {
        if self.0.is_no_weaker_than(baseline.0) {
            None
        } else if self.0.is_strictly_weaker_than(baseline.0) {
            Some(HashWitness { record: self.0 })
        } else {
            // The baseline in two lanes: weaker than the baseline, and still more than this policy
            // has in the respect in which it lacks.
            Some(HashWitness { record: Params { lanes: 2, ..baseline.0 } })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// More memory, and no more blocks than a record may cost.
    #[test]
    fn memory_is_raised_and_passes_are_cut() {
        let raised = |(memory, passes): (u32, u32), kib, blocks| {
            let params = Params::of(memory, passes).with_memory_of(kib, blocks);
            (params.memory_kib, params.passes)
        };
        assert_eq!(raised((64, 20), 32, 1 << 20), (64, 20));
        assert_eq!(raised((64, 20), 65_536, 1 << 20), (65_536, 16));
        assert_eq!(raised((64, 16), 65_536, 1 << 20), (65_536, 16));
        assert_eq!(raised((64, 15), 65_536, 1 << 20), (65_536, 15));
        assert_eq!(raised((64, 20), 1 << 20, 1 << 20), (1 << 20, 1));
    }
}
