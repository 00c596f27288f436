//! One run of a hash, in memory that is kept and wiped.

use std::hint::black_box;
use std::num::NonZeroU32;

use argon2::{Algorithm, Argon2, AssociatedData, Block, ParamsBuilder, Version};
use zeroize::Zeroize;

use crate::{Binding, Params};

/// One round.
pub(crate) const ONCE: NonZeroU32 = NonZeroU32::MIN;

/// Memory for Argon2 and scrypt, wiped before it goes back to the allocator.
pub(crate) struct Memory {
    blocks: Vec<Block>,
    pub(crate) dirty: bool,
}

impl Memory {
    /// `None` when the allocator has no more.
    pub(crate) fn new(kib: u32) -> Option<Self> {
        let blocks_len = usize::try_from(kib).ok()?;
        let mut blocks = Vec::new();
        blocks.try_reserve_exact(blocks_len).ok()?;
        blocks.resize(blocks_len, Block::new());
        Some(Self { blocks, dirty: false })
    }

    pub(crate) fn kib(&self) -> u32 {
        u32::try_from(self.blocks.len()).unwrap_or(u32::MAX)
    }

    /// To be written to.
    pub(crate) fn blocks_mut(&mut self) -> &mut [Block] {
        self.dirty = true;
        &mut self.blocks
    }

    pub(crate) fn wipe(&mut self) {
        if self.dirty {
            self.blocks.iter_mut().for_each(Zeroize::zeroize);
            self.dirty = false;
        }
    }

    #[cfg(test)]
    fn is_zero(&self) -> bool {
        self.blocks.iter().all(|block| block.as_ref().iter().all(|word| *word == 0))
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.wipe();
    }
}

/// The hash was not computed.
#[derive(Debug)]
pub(crate) struct NotRun;

/// Which of the Argon2 family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Variant {
    pub(crate) algorithm: Algorithm,
    pub(crate) version: Version,
}

impl Variant {
    /// Argon2id, version 1.3: what new records are made with.
    pub(crate) const NEW: Self = Self { algorithm: Algorithm::Argon2id, version: Version::V0x13 };
}

/// Fills `out` with the Argon2 tag of `password`, bound to `binding` as associated data.
pub(crate) fn argon2(
    variant: Variant,
    params: Params,
    salt: &[u8],
    binding: Option<&Binding>,
    password: &[u8],
    memory: &mut Memory,
    out: &mut [u8],
) -> Result<(), NotRun> {
    let mut builder = ParamsBuilder::new();
    builder.m_cost(params.memory_kib()).t_cost(params.passes()).p_cost(params.lanes());
    builder.output_len(out.len());
    if let Some(binding) = binding {
        builder.data(AssociatedData::new(binding.as_bytes()).map_err(|_| NotRun)?);
    }
    let params = builder.build().map_err(|_| NotRun)?;
    let argon2 = Argon2::new(variant.algorithm, variant.version, params);
    argon2
        .hash_password_into_with_memory(password, salt, out, memory.blocks_mut())
        .map_err(|_| NotRun)
}

/// Hashes keep their input on the stack and do not wipe it (BLAKE2b, for one): this overwrites the
/// stack below the caller.
#[inline(never)]
pub(crate) fn scrub_stack() {
    let mut stack = [0_u8; 16 * 1024];
    black_box(&mut stack).zeroize();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_wiped_when_asked_and_not_before() {
        let params = Params::new(64, 1, 1).unwrap();
        let mut memory = Memory::new(64).unwrap();
        assert!(memory.is_zero());
        let out = &mut [0; 32];
        let salt = b"saltsaltsaltsalt";
        argon2(Variant::NEW, params, salt, None, b"secret", &mut memory, out).unwrap();
        assert!(!memory.is_zero());
        memory.wipe();
        assert!(memory.is_zero() && !memory.dirty);
    }
}
