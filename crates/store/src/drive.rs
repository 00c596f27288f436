//! The one retry loop: load, step, swap.

use vouchsafe_core::{Cell, CellKey, Effect, Entropy, Machine, Pending, Timestamp};

use crate::{Cells, Change, Loaded, Put, StoreError, Swap, Undelivered, Version};

/// Most swaps one event may try. Callers of one node stand in line ([`crate::Turns`]), so only
/// other nodes can win the race, each at most once a round trip.
pub const MAX_ATTEMPTS: u32 = 64;

/// Most swaps of one event that may go unanswered before the store is given up.
pub const MAX_UNANSWERED: usize = 3;

/// Delivers `event` to the machine whose state is the cell at `key`, and gives back the verdict
/// once its effect is durable.
///
/// A store that changes cells where they lie ([`Cells::alter`]) is asked to do so once, and all is
/// done. Elsewhere a lost race costs one more swap and no load: the conflict brings the cell along. After an
/// unanswered swap the cell is loaded again; a swap that did happen is recognised by its version,
/// any other is stepped again, which a machine's idempotence by event id makes harmless. The
/// store's time, where it has one, wins over `node_now`.
///
/// An erase carries no version, so an unanswered one is always stepped again: a machine whose
/// verdict must survive that keeps a state instead of erasing it.
///
/// # Errors
/// [`Undelivered`] gives the event back together with the reason. After
/// [`StoreError::Unavailable`] and [`StoreError::Contended`] its effect may have been kept.
pub async fn drive<C, M>(
    cells: &C,
    entropy: &impl Entropy,
    key: CellKey,
    machine: &M,
    event: M::Event,
    node_now: Timestamp,
) -> Result<M::Verdict, Undelivered<M::Event>>
where
    C: Cells,
    M: Machine,
    M::State: Cell,
{
    let done = match where_it_lies(cells, entropy, key, machine, &event, node_now) {
        Some(done) => done,
        // Boxed, so that whoever never comes here does not carry its room along.
        None => Box::pin(deliver(cells, entropy, key, machine, &event, node_now)).await,
    };
    done.map_err(|error| Undelivered { error, event })
}

/// Loads and swaps.
async fn deliver<C, M>(
    cells: &C,
    entropy: &impl Entropy,
    key: CellKey,
    machine: &M,
    event: &M::Event,
    node_now: Timestamp,
) -> Result<M::Verdict, StoreError>
where
    C: Cells,
    M: Machine,
    M::State: Cell,
{
    let mut loaded = cells.load(key).await?;
    let mut unanswered: Vec<(Version, Pending<M::Verdict>)> = Vec::new();
    for _ in 0..MAX_ATTEMPTS {
        // A conflict, too, may show a swap of ours that arrived late.
        if let Some(version) = loaded.version()
            && let Some(at) = unanswered.iter().position(|(ours, _)| *ours == version)
        {
            return Ok(unanswered.swap_remove(at).1.committed());
        }
        let (expected, put, pending) =
            match attempt(entropy, key, machine, event, loaded, node_now)? {
                Attempt::Nothing(verdict) => return Ok(verdict),
                Attempt::Swap { expected, put, pending } => (expected, put, pending),
            };
        let version = match &put {
            Put::Save { version, .. } => Some(*version),
            Put::Erase => None,
        };
        match cells.swap(key, expected, put).await {
            Ok(Swap::Done) => return Ok(pending.committed()),
            Ok(Swap::Conflict(current)) => loaded = current,
            Ok(Swap::Full) => return Err(StoreError::Full),
            Err(StoreError::Unavailable(reason)) => {
                if unanswered.len() == MAX_UNANSWERED {
                    return Err(StoreError::Unavailable(reason));
                }
                // An erase has no version to be recognised by; a fresh one keeps the count.
                let version = match version {
                    Some(version) => version,
                    None => Version::fresh(entropy)?,
                };
                unanswered.push((version, pending));
                loaded = cells.load(key).await?;
            }
            Err(error) => return Err(error),
        }
    }
    Err(StoreError::Contended { attempts: MAX_ATTEMPTS })
}

/// One step without a swap, where the store can do that.
fn where_it_lies<C, M>(
    cells: &C,
    entropy: &impl Entropy,
    key: CellKey,
    machine: &M,
    event: &M::Event,
    now: Timestamp,
) -> Option<Result<M::Verdict, StoreError>>
where
    C: Cells,
    M: Machine,
    M::State: Cell,
{
    let mut verdict = None;
    let done = cells.alter(key, &mut |bytes, out| {
        let was = bytes.map(M::State::read).transpose().map_err(|_| StoreError::Corrupt(key))?;
        let (effect, pending) = machine.step(was.as_ref(), event, now).split();
        verdict = Some(pending);
        Ok(match effect {
            Effect::Keep => Change::Keep,
            Effect::Erase => Change::Erase,
            Effect::Save { state, until } => {
                state.write(out);
                Change::Save { until, version: Version::fresh(entropy)? }
            }
        })
    })?;
    match done {
        // A store that did not ask has done nothing.
        Ok(()) => verdict.map(|pending| Ok(pending.committed())),
        Err(error) => Some(Err(error)),
    }
}

enum Attempt<V> {
    /// The step changes nothing.
    Nothing(V),
    /// The step wants this swap.
    Swap { expected: Option<Version>, put: Put, pending: Pending<V> },
}

fn attempt<M>(
    entropy: &impl Entropy,
    key: CellKey,
    machine: &M,
    event: &M::Event,
    loaded: Loaded,
    node_now: Timestamp,
) -> Result<Attempt<M::Verdict>, StoreError>
where
    M: Machine,
    M::State: Cell,
{
    let now = loaded.time.unwrap_or(node_now);
    let expected = loaded.version();
    let was: Option<M::State> = loaded.state(key)?;
    let (effect, pending) = machine.step(was.as_ref(), event, now).split();
    let put = match effect {
        Effect::Keep => return Ok(Attempt::Nothing(pending.committed())),
        // Nothing is there to erase: no swap, hence no race to lose.
        Effect::Erase if expected.is_none() => {
            return Ok(Attempt::Nothing(pending.committed()));
        }
        Effect::Erase => Put::Erase,
        Effect::Save { state, until } => {
            Put::Save { bytes: state.into_bytes(), until, version: Version::fresh(entropy)? }
        }
    };
    Ok(Attempt::Swap { expected, put, pending })
}
