//! One Argon2id run, in memory that is kept and wiped.

use std::hint::black_box;

use argon2::{Algorithm, Argon2, AssociatedData, Block, ParamsBuilder, Version};
use zeroize::{Zeroize, Zeroizing};

use crate::{Binding, Params};

/// Memory for Argon2, wiped before it goes back to the allocator.
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

/// Argon2 did not run.
#[derive(Debug)]
pub(crate) struct NotRun;

/// Fills `out` with the Argon2id tag of `password`, bound to `binding` as associated data.
pub(crate) fn run(
    params: Params,
    salt: &[u8],
    binding: Option<&Binding>,
    password: &str,
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
    memory.dirty = true;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let done = argon2.hash_password_into_with_memory(
        password.as_bytes(),
        salt,
        out,
        memory.blocks.as_mut_slice(),
    );
    scrub_stack();
    done.map_err(|_| NotRun)
}

/// As [`run`], in memory of its own.
pub(crate) fn tag(
    params: Params,
    salt: &[u8],
    binding: Option<&Binding>,
    password: &str,
    memory: &mut Memory,
    len: usize,
) -> Result<Zeroizing<Vec<u8>>, NotRun> {
    let mut tag = Zeroizing::new(vec![0; len]);
    run(params, salt, binding, password, memory, &mut tag)?;
    Ok(tag)
}

/// BLAKE2b keeps its input block on the stack and does not wipe it: this overwrites the stack
/// below the caller.
#[inline(never)]
fn scrub_stack() {
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
        run(params, b"saltsaltsaltsalt", None, "secret", &mut memory, &mut [0; 32]).unwrap();
        assert!(!memory.is_zero());
        memory.wipe();
        assert!(memory.is_zero() && !memory.dirty);
    }
}
