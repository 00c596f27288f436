//! What the callers of a networked or durable store do in every bench of one.

use std::sync::Arc;

use vouchsafe::core::{CellKey, Space, Timestamp};
use vouchsafe::os::SystemEntropy;
use vouchsafe::store::{Cells, Put, Swap, Version};

use crate::Result;

/// Bytes of each value.
pub const VALUE: usize = 200;

/// The cell of one caller.
pub fn key(caller: u8) -> CellKey {
    CellKey::new(Space::Account, [caller.wrapping_mul(37); 16])
}

/// Loads a cell that is there, over and over.
pub async fn load_again(store: Arc<impl Cells>, key: CellKey, times: u32) -> Result<()> {
    for _ in 0..times {
        store.load(key).await?.cell.ok_or("no cell")?;
    }
    Ok(())
}

/// Swaps a cell, over and over.
pub async fn swap_again(
    store: Arc<impl Cells>,
    key: CellKey,
    until: Timestamp,
    times: u32,
) -> Result<()> {
    let entropy = SystemEntropy::new();
    let mut expected = store.load(key).await?.version();
    for _ in 0..times {
        let version = Version::fresh(&entropy)?;
        match store.swap(key, expected, Put::save(vec![7; VALUE], until, version)).await? {
            Swap::Done => expected = Some(version),
            other => return Err(format!("{other:?}").into()),
        }
    }
    Ok(())
}
