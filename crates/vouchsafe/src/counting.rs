//! Failures counted in a store, and beside it where the store is full.

use vouchsafe_core::{AccountDigest, Entropy, Timestamp};
use vouchsafe_lockout::{
    Begin, LockoutEvent, LockoutMachine, LockoutState, LockoutVerdict, Overflow,
};
use vouchsafe_store::{Cells, StoreError, Undelivered};

type Driven = Result<LockoutVerdict, Undelivered<LockoutEvent>>;

/// Drives a lockout event through `cells`, as [`vouchsafe_store::drive`] does, and through
/// `overflow` where there is no room in them.
///
/// `cells` are to be this process's alone, as [`MemoryStore`](vouchsafe_store::MemoryStore)'s are:
/// other processes do not see what is counted in `overflow`. Until the store is full for the first
/// time, and once that is over, an attempt costs what it costs without.
///
/// # Errors
/// As [`vouchsafe_store::drive`]; [`StoreError::Full`] only where `overflow` has no room, either. A
/// beginning that comes back may have been charged: it is to be [withdrawn](Begin::withdraw).
pub async fn drive(
    cells: &impl Cells,
    overflow: &Overflow,
    entropy: &impl Entropy,
    machine: &LockoutMachine,
    event: LockoutEvent,
    now: Timestamp,
) -> Driven {
    let (account, key) = (event.account(), event.cell());
    let before = overflow.before(&event, now);
    if before.is_some_and(|before| before.is_repeated()) {
        return Ok(LockoutVerdict::Unlocked);
    }
    let mut driven = match overflow.settle(machine, event, now) {
        Ok(verdict) => Ok(verdict),
        Err(event) => vouchsafe_store::drive(cells, entropy, key, machine, event, now).await,
    };
    if let Err(Undelivered { error: StoreError::Full, event: LockoutEvent::Begin(mut begin) }) =
        driven
    {
        loop {
            // Charged before it is looked at what the store holds: see `Overflow`.
            if !overflow.charge(machine, &begin, now) {
                return undelivered(StoreError::Full, begin);
            }
            let exact = match exact(cells, account).await {
                Ok(exact) => exact,
                Err(error) => return undelivered(error, begin),
            };
            match overflow.admit(machine, begin, exact.as_ref(), now) {
                Ok(verdict) => return Ok(verdict),
                Err(stranger) => begin = stranger,
            }
        }
    }
    if let Some(before) = before {
        // No room to say so, and nothing there to be forgotten: what it has is beside the store.
        let full = matches!(&driven, Err(Undelivered { error: StoreError::Full, .. }));
        if full && matches!(exact(cells, account).await, Ok(None)) {
            driven = Ok(LockoutVerdict::Unlocked);
        }
        if driven.is_ok() {
            overflow.unlocked(before, now);
        }
    }
    if overflow.is_idle(now) {
        return driven;
    }
    match &mut driven {
        Ok(LockoutVerdict::Admitted(charged)) => {
            // Whoever gets it back takes its charge back, now or later.
            let again = || Begin::new(account, charged.id());
            let exact = match exact(cells, account).await {
                Ok(exact) => exact,
                Err(error) => return undelivered(error, again()),
            };
            if let Some(refused) = overflow.beside(machine, charged, exact.as_ref(), now) {
                let back = LockoutEvent::NotVerified(again().withdraw());
                let back = vouchsafe_store::drive(cells, entropy, key, machine, back, now);
                if let Err(Undelivered { error, .. }) = back.await {
                    return undelivered(error, again());
                }
                return Ok(refused);
            }
        }
        Ok(LockoutVerdict::Failed { locked: locked @ None, crossing }) => {
            let exact = exact(cells, account).await;
            let exact = exact.ok().flatten();
            if let Some((lock, crossed)) = overflow.lock(machine, account, exact.as_ref(), now) {
                (*locked, *crossing) = (Some(lock), crossed);
            }
        }
        _ => {}
    }
    driven
}

fn undelivered(error: StoreError, begin: Begin) -> Driven {
    Err(Undelivered { error, event: LockoutEvent::Begin(begin) })
}

/// What the store holds of an account.
async fn exact(
    cells: &impl Cells,
    account: AccountDigest,
) -> Result<Option<LockoutState>, StoreError> {
    let key = LockoutState::key(account);
    cells.load(key).await?.state(key)
}
