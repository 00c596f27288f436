//! Verifying one password: our pool against what `argon2` offers, at 47 104 KiB and one pass unless
//! the case says otherwise.

use std::hint::black_box;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use argon2::{Algorithm, Argon2, Block, Params, PasswordVerifier, Version};
use vouchsafe::core::{
    AccountDigest, ChangeOnly, ChargeId, Charged, PolicyDigest, Standing, TenantId, Timestamp,
    UserId,
};
use vouchsafe::os::{SystemClock, SystemEntropy};
use vouchsafe::password::{
    Binding, HashPolicy, HashPool, Hashing, OwnerPresent, Password, PasswordPolicy, PoolConfig,
    Record, Verified,
};

use crate::Result;
use crate::cores::{Kept, scaling};
use crate::measure::{Batch, Case, Sides, Unit};

/// OWASP's first: memory in KiB, and passes.
const FIRST: (u32, u32) = (47_104, 1);
/// OWASP's second, and the default of ours and of `argon2`.
const SECOND: (u32, u32) = (19_456, 2);
const TYPED: &str = "7 Kraniche über Bremen!";
const ACCOUNT: AccountDigest = AccountDigest::new([7; 16]);
const SALT: &[u8; 16] = b"sixteen bytes of";

/// One verification a batch, in turns, so that the pool never idles long enough to wipe its memory.
const PAIRS: usize = 41;

/// The cases.
pub const CASES: &[Case] = &[
    Case {
        name: "password/verify_warm",
        peer: "argon2",
        wanted: 1.5,
        unit: Unit::Nanos,
        pairs: PAIRS,
        prepare: verify_warm,
    },
    Case {
        name: "password/verify_vs_raw",
        peer: "argon2",
        wanted: 0.97,
        unit: Unit::Nanos,
        pairs: PAIRS,
        prepare: verify_vs_raw,
    },
    Case {
        name: "password/verify_vs_password_auth",
        peer: "password-auth",
        wanted: 1.5,
        unit: Unit::Nanos,
        pairs: PAIRS,
        prepare: verify_vs_password_auth,
    },
    Case {
        name: "password/verify_19456_kept",
        peer: "argon2",
        wanted: 0.97,
        unit: Unit::Nanos,
        pairs: PAIRS,
        prepare: verify_19456_kept,
    },
    Case {
        name: "password/verify_19456_fresh",
        peer: "argon2",
        wanted: 1.3,
        unit: Unit::Nanos,
        pairs: PAIRS,
        prepare: verify_19456_fresh,
    },
    Case {
        name: "password/pool_two_cores",
        peer: "argon2",
        wanted: 0.97,
        unit: Unit::Percent,
        pairs: 9,
        prepare: pool_two_cores,
    },
];

/// The word that makes this program the child of a case: it verifies once for each line it reads.
pub const CHILD: &str = "--verify-for-each-line";

/// A matching verification through the pool against `argon2`'s `verify_password`, which allocates
/// its memory each time.
fn verify_warm() -> Result<Sides> {
    let phc = phc(FIRST)?;
    let peer = move || {
        Batch::time(1, |_| {
            let argon2 = black_box(Argon2::default());
            Ok(argon2.verify_password(black_box(TYPED.as_bytes()), phc.as_str())?)
        })
    };
    Ok(Sides::new(ours(FIRST)?, peer))
}

/// The same against the bare hash in memory that is kept from one to the next.
fn verify_vs_raw() -> Result<Sides> {
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params(FIRST)?);
    let mut memory = vec![Block::new(); usize::try_from(FIRST.0)?];
    let expected = raw(&argon2, &mut memory)?;
    let peer = move || {
        Batch::time(1, |_| {
            let same = raw(&argon2, &mut memory)? == expected;
            if same { Ok(()) } else { Err("the bare hash did not match".into()) }
        })
    };
    Ok(Sides::new(ours(FIRST)?, peer))
}

/// The same against `password-auth`'s one call.
fn verify_vs_password_auth() -> Result<Sides> {
    let phc = phc(FIRST)?;
    let peer = move || {
        Batch::time(1, |_| Ok(password_auth::verify_password(black_box(TYPED), phc.as_str())?))
    };
    Ok(Sides::new(ours(FIRST)?, peer))
}

/// At 19 456 KiB and two passes, against a program whose allocator keeps the block between two
/// hashes, as glibc's does by itself below 32 MiB once it has given one back.
fn verify_19456_kept() -> Result<Sides> {
    let ours = ours(SECOND)?;
    let mut child = Verifier::start(&[
        ("MALLOC_MMAP_THRESHOLD_", "33554432"),
        ("MALLOC_TRIM_THRESHOLD_", "268435456"),
    ])?;
    Ok(Sides::new(ours, move || child.verify()))
}

/// The same against a program whose allocator maps fresh memory for each hash, as glibc's does from
/// 32 MiB and others do sooner: the kernel clears every page of it.
fn verify_19456_fresh() -> Result<Sides> {
    let ours = ours(SECOND)?;
    let mut child = Verifier::start(&[("MALLOC_MMAP_THRESHOLD_", "131072")])?;
    Ok(Sides::new(ours, move || child.verify()))
}

/// `argon2` in a process of its own, as how its memory is allocated is the whole process's.
struct Verifier {
    child: Child,
    asks: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Verifier {
    fn start(variables: &[(&str, &str)]) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(CHILD)
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let asks = child.stdin.take().ok_or("no way to ask")?;
        let answers = BufReader::new(child.stdout.take().ok_or("no answers")?);
        Ok(Self { child, asks, answers })
    }

    /// Once more, timed by the child.
    fn verify(&mut self) -> Result<Batch> {
        self.asks.write_all(b"\n")?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        Ok(Batch { operations: 1, took: Duration::from_nanos(line.trim().parse()?) })
    }
}

impl Drop for Verifier {
    fn drop(&mut self) {
        // What has ended already cannot be killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The child's life: each line is answered with the nanoseconds that one `verify_password` took.
pub fn verify_for_each_line() -> Result<()> {
    let phc = phc(SECOND)?;
    for line in std::io::stdin().lines() {
        line?;
        let begun = Instant::now();
        let argon2 = black_box(Argon2::default());
        argon2.verify_password(black_box(TYPED.as_bytes()), phc.as_str())?;
        println!("{}", begun.elapsed().as_nanos());
    }
    Ok(())
}

/// What two workers verify in the time in which one verifies a hundred, against two threads and one
/// that hash in memory of their own and wait for nobody: what the machine gives. The pool's own
/// figure is to be 180 at least.
fn pool_two_cores() -> Result<Sides> {
    let on = |core: usize| -> Result<Pool> {
        let _kept = Kept::to(core)?;
        Pool::new(SECOND, 1)
    };
    let pools = [on(0)?, on(1)?, Pool::new(SECOND, 2)?];
    let ours = move || {
        let mut next = pools.iter();
        scaling(|_| next.next().ok_or("one pool too few")?.rate())
    };
    Ok(Sides::new(ours, || scaling(raw_rate)))
}

/// Verifications in a batch of a rate.
const MANY: u32 = 96;

/// Bare hashes a second on so many threads, each of which takes the next as soon as it can.
fn raw_rate(threads: usize) -> Result<f64> {
    let begun = Instant::now();
    let taken = AtomicU32::new(0);
    let hash = || -> Result<()> {
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params(SECOND)?);
        let mut memory = vec![Block::new(); usize::try_from(SECOND.0)?];
        while taken.fetch_add(1, Ordering::Relaxed) < MANY {
            raw(&argon2, &mut memory)?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(hash)).collect();
        running.into_iter().try_for_each(|thread| thread.join().map_err(|_| "a thread panicked")?)
    })?;
    Ok(f64::from(MANY) / begun.elapsed().as_secs_f64())
}

fn params((memory_kib, passes): (u32, u32)) -> Result<Params> {
    Ok(Params::new(memory_kib, passes, 1, Some(Record::HASH))?)
}

fn raw(argon2: &Argon2<'_>, memory: &mut [Block]) -> Result<[u8; Record::HASH]> {
    let mut tag = [0; Record::HASH];
    let typed = black_box(TYPED.as_bytes());
    argon2.hash_password_into_with_memory(typed, SALT, &mut tag, memory)?;
    Ok(black_box(tag))
}

/// The hash as other software stores it.
fn phc(cost: (u32, u32)) -> Result<String> {
    use argon2::password_hash::PasswordHasher;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params(cost)?);
    Ok(argon2.hash_password_with_salt(TYPED.as_bytes(), SALT)?.to_string())
}

/// A matching verification of a record of our own, through a pool of one worker. As long as it is
/// there, the worker, this thread and the programs it starts share one core.
fn ours(cost: (u32, u32)) -> Result<impl FnMut() -> Result<Batch>> {
    let kept = Kept::to(1)?;
    let pool = Pool::new(cost, 1)?;
    Ok(move || {
        let _here = &kept;
        Batch::time(1, |number| pool.matches(pool.ask(number)?.wait()))
    })
}

/// A pool and a record of its own.
struct Pool {
    pool: HashPool,
    record: Record,
    binding: Binding,
}

impl Pool {
    fn new((memory_kib, passes): (u32, u32), workers: usize) -> Result<Self> {
        let policy = HashPolicy::argon2id(memory_kib, passes)?;
        let config = PoolConfig::new(policy).workers(workers);
        let pool = HashPool::new(config, Arc::new(SystemClock), Arc::new(SystemEntropy::new()))?;
        let binding = Binding::new(&TenantId::new("acme")?, &UserId::new("martha")?);
        let password = Password::new(TYPED.to_owned())?;
        let Ok(accepted) = PasswordPolicy::vouchsafe().check(&password, &Default::default()) else {
            return Err("the policy refuses the password".into());
        };
        let change = ChangeOnly::assertion(ACCOUNT, PolicyDigest::NONE, Timestamp::EPOCH);
        let record = pool.hash(accepted, OwnerPresent::from(change), binding).wait()?;
        let record = record.as_record().clone();
        Ok(Self { pool, record, binding })
    }

    fn ask(&self, number: u32) -> Result<Hashing<Verified>> {
        let id = ChargeId::new(number.into());
        let charged = Charged::assertion(ACCOUNT, id, PolicyDigest::NONE, Timestamp::MAX);
        let typed = black_box(Password::new(TYPED.to_owned())?);
        Ok(self.pool.verify(charged, &typed, self.record.clone(), self.binding))
    }

    fn matches(&self, verified: Verified) -> Result<()> {
        match verified {
            Verified::Match { matched, upgrade: None } => {
                let chosen = black_box(matched).standing() == Standing::Chosen;
                if chosen { Ok(()) } else { Err("not chosen by its owner".into()) }
            }
            other => Err(format!("{other:?}").into()),
        }
    }

    /// Verifications a second, all asked for at once.
    fn rate(&self) -> Result<f64> {
        let begun = Instant::now();
        let asked: Vec<_> = (0..MANY).map(|number| self.ask(number)).collect::<Result<_>>()?;
        asked.into_iter().try_for_each(|hashing| self.matches(hashing.wait()))?;
        Ok(f64::from(MANY) / begun.elapsed().as_secs_f64())
    }
}
