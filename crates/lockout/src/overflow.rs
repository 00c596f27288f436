//! Counting on while the store has no room.
//!
//! A store that is full makes no cell for an account which has none. Its attempts are then charged to
//! one of a few thousand coarse counters, which accounts share, and admitted only where their exact
//! charges and the coarse ones together leave room: it over-counts, and never under-counts.
//!
//! Nothing spans two counters, so every attempt charges first and looks at the other counter
//! afterwards. Of attempts that are admitted, the last to be charged has seen all the others.
//!
//! Known devices have coarse counters apart from the strangers': names that an attacker makes up come
//! without a device cookie, so they fill the strangers' alone.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use vouchsafe_core::{AccountDigest, ChargeId, Charged, Machine, Timestamp};

use crate::counters::Devices;
use crate::event::{Begin, Crossing, CrossingKind, Lock, LockoutEvent, LockoutVerdict};
use crate::machine::AHEAD;
use crate::rule::{Obstacle, Standing, UNLOCK_MEMORY};
use crate::state::Charge;
use crate::{Device, LockoutMachine, LockoutPolicy, LockoutState, Reason, Release};

/// Most charges of one coarse counter: two windows of the largest limit. Beyond them it refuses; and
/// beyond twice as many, those included that no longer count and are not forgotten yet.
const MAX_CHARGES: usize = 128;
/// Counters of an account: the strangers', and its devices'.
const LANES: usize = 1 + Devices::MAX_COUNTERS as usize;
/// Most unlocks remembered in one coarse counter. Beyond them the oldest is forgotten, and what was
/// before it counts for its account again; and the same unlock again is taken for another.
const MAX_UNLOCKED: usize = 64;

/// Coarse counters for the accounts that a store has no room for.
///
/// They are this process's: only beside a store that is this process's, too, does an account have
/// no more than N failures. Where several nodes share a store, a full one refuses.
///
/// An unlock takes no charge away, as it may be another account's: those before it no longer count
/// for the account that was unlocked, and for everybody else they do.
///
/// Whoever drives events goes by this order:
/// 1. [`settle`](Self::settle): the charge may be one of these counters'. If it is not, or the event
///    is another, drive it through the store.
/// 2. Admitted by the store: [`beside`](Self::beside) has to agree, or the charge is taken back.
/// 3. The store is full: [`charge`](Self::charge), *then* load the account's cell, then
///    [`admit`](Self::admit).
/// 4. An unlock or a reset: [`before`](Self::before), *then* drive it, then
///    [`unlocked`](Self::unlocked).
///
/// As long as [`is_idle`](Self::is_idle), the first two have nothing to say.
pub struct Overflow {
    /// In pairs: one of strangers, and one of known devices.
    counters: Box<[Mutex<Entries>]>,
    /// No charge here counts at that moment any more, in microseconds.
    busy_until: AtomicI64,
}

/// Where the coarse counters of an account stand, as an unlock leaves them behind.
#[derive(Clone, Copy, Debug)]
#[must_use = "give it to `unlocked` once the unlock is in the store"]
pub struct Before {
    account: AccountDigest,
    /// Which unlock.
    id: ChargeId,
    numbers: [u64; LANES],
    repeated: bool,
}

impl Before {
    /// This very unlock was done already: there is nothing to drive.
    #[must_use]
    pub const fn is_repeated(&self) -> bool {
        self.repeated
    }
}

/// What is in a coarse counter.
#[derive(Default)]
struct Entries {
    all: Vec<Entry>,
    /// How many there ever were.
    number: u64,
    /// Unlocked accounts, oldest unlock first.
    unlocked: Vec<Unlocked>,
}

/// An account for which charges with a lower number count no more.
struct Unlocked {
    account: AccountDigest,
    id: ChargeId,
    number: u64,
    at: Timestamp,
}

/// A charge, and until when it counts.
#[derive(Clone, Copy)]
struct Entry {
    charge: Charge,
    until: Timestamp,
    /// Which one of its counter.
    number: u64,
}

impl Overflow {
    /// Four thousand of strangers, so that it takes twenty thousand wrong attempts in a window to fill
    /// those of a rule of five, and as many of known devices; with five charges each, two and a half
    /// mebibytes.
    pub const COUNTERS: usize = 4_096;

    /// So many counters of each kind, at least one.
    #[must_use]
    pub fn new(counters: usize) -> Self {
        let counters = counters.max(1).saturating_mul(2);
        let counters = (0..counters).map(|_| Mutex::default()).collect();
        Self { counters, busy_until: AtomicI64::new(i64::MIN) }
    }

    /// Whether no charge here counts at `now`: nobody was refused room for as long as that matters.
    #[must_use]
    pub fn is_idle(&self, now: Timestamp) -> bool {
        self.busy_until.load(Ordering::SeqCst) <= now.micros()
    }

    fn counter(&self, account: AccountDigest, lane: u64, now: Timestamp) -> Option<Counter<'_>> {
        let number = u128::from_be_bytes(*account.as_bytes()).wrapping_add(lane.into());
        let pairs = u128::try_from(self.counters.len().checked_div(2)?).ok()?;
        let at = number.checked_rem(pairs)?.checked_mul(2)?.checked_add(lane.min(1).into())?;
        let counter = self.counters.get(usize::try_from(at).ok()?)?;
        let mut entries = counter.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in entries.all.iter_mut().filter(|entry| entry.charge.at > now.after(AHEAD)) {
            // The clock was wrong and is right again.
            let counts = entry.until.since(entry.charge.at);
            (entry.charge.at, entry.until) = (now, now.after(counts));
        }
        // Callers' clocks need not agree, so nothing is forgotten at once.
        entries.all.retain(|entry| entry.until.after(AHEAD) > now);
        let oldest = entries.all.first().map_or(u64::MAX, |entry| entry.number);
        let again = |before: &Unlocked| before.at.after(UNLOCK_MEMORY) > now;
        entries.unlocked.retain(|before| before.number > oldest || again(before));
        Some(Counter(entries))
    }

    /// Charges an attempt for which the store has no room. It is admitted by [`admit`](Self::admit),
    /// with what the store holds of the account *after* this.
    ///
    /// False: there is no room here, either, or the policy bounds consecutive failures, of which
    /// nothing is kept here. The attempt is to be refused, as the store is full.
    #[must_use]
    pub fn charge(&self, machine: &LockoutMachine, begin: &Begin, now: Timestamp) -> bool {
        let policy = machine.policy();
        let lane = policy.lane(begin.device.map(|device| device.id()));
        let Some(mut counter) = self.counter(begin.account(), lane, now) else { return false };
        let all = &counter.0.all;
        let live = all.iter().filter(|entry| entry.until > now).count();
        let full = live >= MAX_CHARGES || all.len() >= MAX_CHARGES.saturating_mul(2);
        if policy.consecutive().is_some() || full {
            return false;
        }
        if counter.place(begin.id()).is_none() {
            let at = counter.0.all.last().map_or(now, |last| last.charge.at.max(now));
            let until = at.after(policy.longest_window());
            let charge = Charge { at, id: begin.id(), failed: false, past: false, device: None };
            let number = counter.0.number;
            counter.0.all.push(Entry { charge, until, number });
            counter.0.number = number.saturating_add(1);
            self.busy_until.fetch_max(until.after(AHEAD).micros(), Ordering::SeqCst);
        }
        true
    }

    /// Whether an attempt that was [charged](Self::charge) here is admitted: `exact` is what the
    /// store held of its account afterwards. If it is not, its charge is taken back.
    ///
    /// # Errors
    /// The attempt as a stranger's, which it is: its device is not known, or not any more. Nothing is
    /// charged; it begins again.
    pub fn admit(
        &self,
        machine: &LockoutMachine,
        begin: Begin,
        exact: Option<&LockoutState>,
        now: Timestamp,
    ) -> Result<LockoutVerdict, Begin> {
        let (account, id, policy) = (begin.account(), begin.id(), machine.policy());
        let device = begin.device.map(|device| device.id());
        let lane = policy.lane(device);
        let wait = LockoutVerdict::Wait { until: now.after(policy.settle_within()) };
        let Some(mut counter) = self.counter(account, lane, now) else { return Ok(wait) };
        // Whoever comes later looks here, too: only those before count against it.
        let Some((place, own)) = counter.place(id) else { return Ok(wait) };
        let known = |device: Device| device.account() == account && machine.knows(&device, now);
        if lane != 0 && !begin.device.is_some_and(known) {
            counter.0.all.remove(place);
            return Err(begin.from_device(None));
        }
        if own.number < counter.from(account) {
            // An unlock came in between: on neither side of it would it count.
            counter.0.all.remove(place);
            return Ok(LockoutVerdict::Wait { until: now });
        }
        let others = counter.of(account, place);
        let now = own.charge.at.max(now);
        // A lock, or what is about to be one, may outlast the windows, which is all that is looked at
        // otherwise.
        let alone = exact.map(|exact| policy.standing(exact, device, now));
        let alone = alone.filter(|standing| !matches!(standing, Standing::Free));
        Ok(match alone.unwrap_or_else(|| standing(policy, lane, others, exact, None, now)) {
            Standing::Free => machine.admitted(account, id, own.charge.at),
            refused => {
                counter.0.all.remove(place);
                refusal(refused, now)
            }
        })
    }

    /// What becomes of an attempt that the store has admitted, by what the store held of its account
    /// afterwards. `Some`: there are charges here that leave it no room; its charge is to be taken
    /// back ([`Begin::withdraw`], on a beginning with its id), and this is its verdict.
    #[must_use]
    pub fn beside(
        &self,
        machine: &LockoutMachine,
        charged: &Charged,
        exact: Option<&LockoutState>,
        now: Timestamp,
    ) -> Option<LockoutVerdict> {
        let own = exact.and_then(|exact| exact.charges.iter().find(|own| own.id == charged.id()));
        // An unlock has taken it away meanwhile: it would count on neither side of it.
        let Some(own) = own else { return Some(LockoutVerdict::Wait { until: now }) };
        let (policy, lane) = (machine.policy(), machine.policy().lane(own.device));
        let counter = self.counter(charged.account(), lane, now)?;
        let others = counter.of(charged.account(), usize::MAX);
        if others.is_empty() {
            return None;
        }
        match standing(policy, lane, others, exact, Some(own.id), own.at.max(now)) {
            Standing::Free => None,
            refused => Some(refusal(refused, now)),
        }
    }

    /// Settles a charge of these counters. One that is none of theirs is given back: it is for the
    /// store, like every other event.
    ///
    /// # Errors
    /// The event.
    pub fn settle(
        &self,
        machine: &LockoutMachine,
        event: LockoutEvent,
        now: Timestamp,
    ) -> Result<LockoutVerdict, LockoutEvent> {
        let (id, failed) = match &event {
            LockoutEvent::Matched(settle) => (settle.id(), false),
            LockoutEvent::NotVerified(settle) => (settle.id(), false),
            LockoutEvent::NotMatched(settle) => (settle.id(), true),
            _ => return Err(event),
        };
        if self.is_idle(now) {
            return Err(event);
        }
        let counters = machine.policy().devices().map_or(0, |devices| u64::from(devices.counters));
        let found = (0..=counters).find_map(|lane| {
            let counter = self.counter(event.account(), lane, now)?;
            counter.place(id).map(|(place, own)| (counter, place, own))
        });
        let Some((mut counter, place, own)) = found else { return Err(event) };
        if failed {
            if let Some(entry) = counter.0.all.get_mut(place) {
                entry.charge.failed = true;
            }
        } else if !own.charge.failed {
            counter.0.all.remove(place);
        }
        drop(counter);
        // What the machine says of a charge that is nowhere: the proof, and nothing to keep.
        Ok(machine.step(None, &event, now).split().1.committed())
    }

    /// Where the coarse counters of an account stand, ahead of an unlock or a reset of it.
    pub fn before(&self, event: &LockoutEvent, now: Timestamp) -> Option<Before> {
        let (account, id) = match event {
            LockoutEvent::Unlock { account, id } => (*account, *id),
            _ => return None,
        };
        let (mut numbers, mut repeated) = ([0; LANES], false);
        for (lane, number) in (0..).zip(&mut numbers) {
            let counter = self.counter(account, lane, now)?;
            *number = counter.0.number;
            let same = |other: &Unlocked| (other.account, other.id) == (account, id);
            repeated |= counter.0.unlocked.iter().any(same);
        }
        Some(Before { account, id, numbers, repeated })
    }

    /// The store has taken in the unlock that this was asked ahead of: charges from before count for
    /// its account no more. Those that came while it was under way do, so that at no moment an
    /// account has more by than the policy says since its last unlock.
    pub fn unlocked(&self, before: Before, now: Timestamp) {
        let Before { account, id, numbers, .. } = before;
        for (lane, number) in (0..).zip(numbers) {
            let Some(mut counter) = self.counter(account, lane, now) else { continue };
            let unlocked = &mut counter.0.unlocked;
            unlocked.retain(|older| older.account != account);
            if unlocked.len() >= MAX_UNLOCKED {
                unlocked.remove(0);
            }
            unlocked.push(Unlocked { account, id, number, at: now });
        }
    }

    /// The lock that what the store holds of an account and the charges here come to, and what is to
    /// be announced of it where the machine is [announcing](LockoutMachine::announcing).
    #[must_use]
    pub fn lock(
        &self,
        machine: &LockoutMachine,
        account: AccountDigest,
        exact: Option<&LockoutState>,
        now: Timestamp,
    ) -> Option<(Lock, Option<Crossing>)> {
        let counter = self.counter(account, 0, now)?;
        let others = counter.of(account, usize::MAX);
        let policy = machine.policy();
        if others.is_empty() {
            return None;
        }
        let Standing::Locked(lock) = standing(policy, 0, others, exact, None, now) else {
            return None;
        };
        // The charge that filled it: whoever settles last, and whichever counter it is in.
        let strangers = exact.into_iter().flat_map(|exact| policy.charges_in(0, &exact.charges));
        let all = others.iter().map(|entry| &entry.charge).chain(strangers);
        let last = all.map(|charge| (charge.at, charge.id)).max();
        let crossing = last.map(|(_, id)| Crossing { id, kind: CrossingKind::Locked });
        Some((lock, crossing.filter(|_| machine.is_announcing())))
    }
}

impl Default for Overflow {
    fn default() -> Self {
        Self::new(Self::COUNTERS)
    }
}

impl fmt::Debug for Overflow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Overflow({} counters)", self.counters.len() / 2)
    }
}

/// One counter, without what no longer counts.
struct Counter<'a>(MutexGuard<'a, Entries>);

impl Counter<'_> {
    fn place(&self, id: ChargeId) -> Option<(usize, Entry)> {
        let place = self.0.all.iter().position(|entry| entry.charge.id == id)?;
        self.0.all.get(place).map(|entry| (place, *entry))
    }

    /// Charges with a lower number count no more for an account.
    fn from(&self, account: AccountDigest) -> u64 {
        let unlocked = self.0.unlocked.iter().find(|before| before.account == account);
        unlocked.map_or(0, |before| before.number)
    }

    /// The charges that count for an account, of those ahead of `place`.
    fn of(&self, account: AccountDigest, place: usize) -> &[Entry] {
        let (from, all) = (self.from(account), self.0.all.get(..place).unwrap_or(&self.0.all));
        all.get(all.partition_point(|entry| entry.number < from)..).unwrap_or_default()
    }
}

/// How these charges and the exact ones of this counter together stand to one more.
///
/// A limit whose lock does not end with the window is never filled: half of what filled it could be
/// forgotten before the lock has ended.
fn standing(
    policy: &LockoutPolicy,
    lane: u64,
    coarse: &[Entry],
    exact: Option<&LockoutState>,
    without: Option<ChargeId>,
    now: Timestamp,
) -> Standing {
    let exact = exact.into_iter().flat_map(|exact| policy.charges_in(lane, &exact.charges));
    let exact = exact.filter(|charge| Some(charge.id) != without).copied();
    let mut charges: Vec<Charge> = coarse.iter().map(|entry| entry.charge).collect();
    charges.extend(exact);
    // What another thread's clock put ahead of ours counts as of now.
    charges.iter_mut().for_each(|charge| charge.at = charge.at.min(now));
    charges.sort_by_key(|charge| charge.at);
    let mut obstacle = Obstacle::default();
    for limit in policy.limits() {
        let most = match limit.release() {
            Release::WindowSlides => limit.size(),
            Release::After(_) | Release::Admin => limit.size().saturating_sub(1),
        };
        let inside = charges.iter().rev().filter(|charge| charge.at.after(limit.window()) > now);
        if inside.clone().count() < most {
            continue;
        }
        let filling = inside.take(most);
        let first = filling.clone().last().map_or(now, |charge| charge.at);
        let due = filling.filter_map(|charge| policy.undecided(charge, now)).min();
        obstacle.meet(first.after(limit.window()), due, Reason::Limit);
    }
    obstacle.standing()
}

fn refusal(standing: Standing, now: Timestamp) -> LockoutVerdict {
    match standing {
        Standing::Locked(lock) => LockoutVerdict::Locked { lock, crossing: None },
        Standing::Wait(until) => LockoutVerdict::Wait { until },
        // Nobody is refused for nothing.
        Standing::Free => LockoutVerdict::Wait { until: now },
    }
}
