//! What can be wrong with a breach filter, and with what it is built from.

use std::io::ErrorKind;

/// Why a breach filter does not answer, or cannot be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BreachError {
    /// The file cannot be read or written.
    #[error("the breach filter cannot be read or written: {0}")]
    Io(ErrorKind),
    /// It begins otherwise than a breach filter.
    #[error("this is not a breach filter")]
    NotAFilter,
    /// Made by a later version.
    #[error("version {0} of breach filters is not known")]
    Version(u16),
    /// The header does not have its checksum, or says what cannot be.
    #[error("the header of the breach filter is damaged")]
    Header,
    /// Shorter or longer than its header or its index says.
    #[error("the breach filter has {is} bytes instead of {said}")]
    Length {
        /// What the file says of itself.
        said: u64,
        /// What it has.
        is: u64,
    },
    /// The index does not have its checksum, or says what cannot be.
    #[error("the index of the breach filter is damaged")]
    Index,
    /// A shard does not have its checksum, or says what cannot be.
    #[error("shard {0} of the breach filter is damaged")]
    Shard(u32),
    /// The keys come in another order than ascending.
    #[error("key number {at} is below the one before it: the keys have to be sorted")]
    Unsorted {
        /// Its place among the keys that were given, from 1.
        at: u64,
    },
    /// Far more keys than were announced, or far more alike than digests are.
    #[error("shard {shard} got more than {most} keys: announce as many as there are")]
    Crowded {
        /// Which shard.
        shard: u32,
        /// The most that one takes.
        most: u32,
    },
    /// No seed was found for a shard, which does not happen to different keys.
    #[error("no seed makes a filter of shard {0}")]
    Unbuildable(u32),
    /// An earlier call failed: what was written so far is to be thrown away.
    #[error("the breach filter was not built, as an earlier call said")]
    Failed,
}

impl From<std::io::Error> for BreachError {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error.kind())
    }
}
