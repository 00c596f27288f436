//! Counting attempts on a million accounts in memory, against a rate limiter over a million keys.
//!
//! Ours is what a host does for an attempt: read the clock, digest the user's id, draw the charge's
//! id, drive the event through the store.

use std::fmt::Display;
use std::hint::black_box;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use vouchsafe::core::{
    AccountDigest, Cell, ChargeId, Clock, Effect, Entropy, Machine, Matched, NotMatched,
    PolicyDigest, Standing, TenantId, UserId,
};
use vouchsafe::crypto::MacKey;
use vouchsafe::lockout::{
    AccountKey, Begin, Limit, LockoutEvent, LockoutMachine, LockoutPolicy, LockoutState,
    LockoutVerdict, Subject,
};
use vouchsafe::os::{SystemClock, SystemEntropy};
use vouchsafe::store::{Cells, MemoryStore, Put, Swap, Version, drive};

use crate::cores;
use crate::draw::{Drawn, MILLION, at_once, numbers};
use crate::measure::{Batch, Case, Sides, Unit};
use crate::{Error, Result};

const BATCH: u32 = 50_000;
const PAIRS: usize = 15;
const DAY: Duration = Duration::from_secs(24 * 3_600);
const FAILURES: u32 = 5;

/// The cases.
pub const CASES: &[Case] = &[
    Case {
        name: "lockout/deny_locked",
        peer: "governor",
        wanted: 0.5,
        unit: Unit::PerSecond,
        pairs: PAIRS,
        prepare: deny_locked,
    },
    Case {
        name: "lockout/begin_settle",
        peer: "governor",
        wanted: 0.28,
        unit: Unit::PerSecond,
        pairs: PAIRS,
        prepare: begin_settle,
    },
    Case {
        name: "lockout/deny_locked_two_threads",
        peer: "governor",
        wanted: 1.0,
        unit: Unit::Percent,
        pairs: PAIRS,
        prepare: deny_locked_two_threads,
    },
];

/// An attempt on one of a million locked accounts against a check of one of a million keys that
/// have used up their five.
fn deny_locked() -> Result<Sides> {
    let (house, mut drawn) = (House::new(FAILURES)?, users()?);
    let ours = move || {
        Batch::time(BATCH, |_| match house.begin(drawn.take())? {
            LockoutVerdict::Locked { .. } => Ok(()),
            other => Err(format!("{other:?}").into()),
        })
    };
    let (limiter, mut keys) = (used_up()?, keys());
    let peer = move || {
        Batch::time(BATCH, |_| match limiter.check_key(black_box(keys.take())) {
            Ok(()) => Err("let by".into()),
            Err(until) => {
                black_box(until);
                Ok(())
            }
        })
    };
    Ok(Sides::new(ours, peer))
}

/// What two threads do of [`deny_locked`] beside each other, in percent of what one does alone:
/// with nothing in between, 200.
fn deny_locked_two_threads() -> Result<Sides> {
    let (house, drawn) = (Arc::new(House::new(FAILURES)?), Arc::new(users()?));
    let mut next = 0;
    let ours = move || {
        scaling(&mut next, |thread| {
            let (house, drawn) = (Arc::clone(&house), Arc::clone(&drawn));
            move |number| match house.begin(drawn.at(thread, number))? {
                LockoutVerdict::Locked { .. } => Ok(()),
                other => Err(format!("{other:?}").into()),
            }
        })
    };
    let (limiter, keys) = (Arc::new(used_up()?), Arc::new(keys()));
    let mut next = 0;
    let peer = move || {
        scaling(&mut next, |thread| {
            let (limiter, keys) = (Arc::clone(&limiter), Arc::clone(&keys));
            move |number| match limiter.check_key(black_box(keys.at(thread, number))) {
                Ok(()) => Err("let by".into()),
                Err(until) => {
                    black_box(until);
                    Ok(())
                }
            }
        })
    };
    Ok(Sides::new(ours, peer))
}

/// One thread and two, each with work of its own that nobody has just brought into a cache.
fn scaling<W: FnMut(u32) -> Result<()> + Send + 'static>(
    next: &mut u32,
    work: impl Fn(usize) -> W,
) -> Result<Batch> {
    let mut rate = |threads: usize| {
        let numbers = *next..*next + BATCH;
        *next += BATCH;
        let works: Vec<W> = (0..threads).map(&work).collect();
        let start = Instant::now();
        let running: Vec<_> = works
            .into_iter()
            .map(|mut one| {
                let mut numbers = numbers.clone();
                std::thread::spawn(move || numbers.try_for_each(&mut one))
            })
            .collect();
        for thread in running {
            thread.join().map_err(|_| "a thread panicked")??;
        }
        let done = f64::from(BATCH) * if threads == 1 { 1.0 } else { 2.0 };
        Ok(done / start.elapsed().as_secs_f64())
    };
    // What ran before was the other side: the first run finds nothing of this one's in any cache.
    let _: f64 = rate(1)?;
    cores::scaling(rate)
}

/// A charge and its refund after a right password, on one of a million accounts with a failure
/// each, against one check that lets by.
fn begin_settle() -> Result<Sides> {
    let (house, mut drawn) = (House::new(1)?, users()?);
    let ours = move || {
        Batch::time(BATCH, |_| {
            let LockoutVerdict::Admitted(charged) = house.begin(drawn.take())? else {
                return Err("not admitted".into());
            };
            // The verifier's part.
            let settle = LockoutEvent::Matched(Matched::assertion(charged, Standing::Chosen));
            match house.drive(settle)? {
                LockoutVerdict::Authenticated(proof) => {
                    let _used = black_box(proof);
                    Ok(())
                }
                other => Err(format!("{other:?}").into()),
            }
        })
    };
    let plenty = Quota::per_second(NonZeroU32::new(1_000_000).ok_or("no burst")?);
    let (limiter, mut keys) = (limiter(plenty, 1)?, keys());
    let peer = move || {
        Batch::time(BATCH, |_| black_box(limiter.check_key(black_box(keys.take()))).map_err(early))
    };
    Ok(Sides::new(ours, peer))
}

/// A million keys that have used up their five a day.
fn used_up() -> Result<DefaultKeyedRateLimiter<u64>> {
    let five_a_day = Quota::with_period(DAY / FAILURES).ok_or("no period")?;
    let five_a_day = five_a_day.allow_burst(NonZeroU32::new(FAILURES).ok_or("no burst")?);
    limiter(five_a_day, FAILURES)
}

/// Keys in the order in which accounts are drawn, and as small as keys can be.
fn keys() -> Drawn<u64> {
    Drawn::new(numbers(1, MILLION).take(1 << 20).collect())
}

fn limiter(quota: Quota, used: u32) -> Result<DefaultKeyedRateLimiter<u64>> {
    let limiter = RateLimiter::keyed(quota);
    for key in 0..MILLION {
        for _ in 0..used {
            limiter.check_key(&key).map_err(early)?;
        }
    }
    Ok(limiter)
}

fn early(until: impl Display) -> Error {
    until.to_string().into()
}

fn users() -> Result<Drawn<UserId>> {
    let users = numbers(1, MILLION).take(1 << 20).map(user).collect::<Result<_>>()?;
    Ok(Drawn::new(users))
}

fn user(number: u64) -> Result<UserId> {
    Ok(UserId::new(&format!("user-{number:07}"))?)
}

/// A million accounts in memory.
struct House {
    machine: LockoutMachine,
    store: Arc<MemoryStore>,
    accounts: AccountKey,
    entropy: SystemEntropy,
}

impl House {
    /// With so many failures each.
    fn new(failures: u32) -> Result<Self> {
        let policy = LockoutPolicy::builder().limit(Limit::new(FAILURES, DAY));
        let policy = policy.build().map_err(|problems| format!("{problems:?}"))?;
        let entropy = SystemEntropy::new();
        let house = Self {
            machine: LockoutMachine::new(policy, PolicyDigest::NONE),
            store: Arc::new(MemoryStore::new(1 << 30)),
            accounts: AccountKey::new(&MacKey::generate(&entropy)?, &TenantId::new("acme")?),
            entropy,
        };
        for number in 0..MILLION {
            house.fail(&user(number)?, failures)?;
        }
        Ok(house)
    }

    /// The state after failures that the machine counted, stored in one swap.
    fn fail(&self, user: &UserId, failures: u32) -> Result<()> {
        let account = self.digest(user);
        let (now, mut state) = (SystemClock.now(), None);
        let mut until = now;
        for _ in 0..failures {
            let id = ChargeId::new(u64::from_be_bytes(self.entropy.id()?));
            let mut event = LockoutEvent::Begin(Begin::new(account, id));
            loop {
                let (effect, pending) = self.machine.step(state.as_ref(), &event, now).split();
                if let Effect::Save { state: new, until: end } = effect {
                    (state, until) = (Some(new), end);
                }
                match pending.committed() {
                    LockoutVerdict::Admitted(charged) => {
                        event = LockoutEvent::NotMatched(NotMatched::assertion(charged));
                    }
                    LockoutVerdict::Failed { .. } => break,
                    other => return Err(format!("{other:?}").into()),
                }
            }
        }
        let bytes = state.ok_or("no failure")?.into_bytes();
        let put = Put::save(bytes, until, Version::fresh(&self.entropy)?);
        match at_once(self.store.swap(LockoutState::key(account), None, put))?? {
            Swap::Done => Ok(()),
            other => Err(format!("{other:?}").into()),
        }
    }

    fn digest(&self, user: &UserId) -> AccountDigest {
        self.accounts.digest(Subject::User(user))
    }

    fn begin(&self, user: &UserId) -> Result<LockoutVerdict> {
        let id = ChargeId::new(u64::from_be_bytes(self.entropy.id()?));
        self.drive(LockoutEvent::Begin(Begin::new(self.digest(black_box(user)), id)))
    }

    fn drive(&self, event: LockoutEvent) -> Result<LockoutVerdict> {
        let (cells, key, now) = (&*self.store, event.cell(), SystemClock.now());
        let driven = drive(cells, &self.entropy, key, &self.machine, event, now);
        at_once(driven)?.map_err(|undelivered| undelivered.error.into())
    }
}
