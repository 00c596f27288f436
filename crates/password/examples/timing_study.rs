//! What an attacker learns from how long an answer takes: accounts of each kind in turns, one wrong
//! password each.
//!
//! ```text
//! cargo run --release -p vouchsafe-password --features import --example timing_study -- [samples]
//! ```
//!
//! 2 000 samples of each kind unless said otherwise, about 20 minutes; nothing else should run. It is
//! a study and no test: it decides nothing.
//!
//! How to read it. `delta` is Cliff's: how much likelier an answer for this kind of account is slower
//! than one for a name that nobody has, than quicker. 0 says that one answer tells nothing; 1 and -1
//! that every answer tells. Below 0.147 is called negligible (Romano and others, 2006), which is said
//! of one answer: whoever may ask a thousand times learns from less, and the lockout is what keeps
//! them from asking. The last column is what the median of many answers would show.
//!
//! Expected: next to nothing for accounts under the policy's own parameters, for those without a
//! password and for unreadable records; everything for hashes by other software, which cost what they
//! cost until their owners next sign in.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use vouchsafe_password::core::{
    AccountDigest, ChargeId, Charged, Clock, Entropy, PolicyDigest, TenantId, Timestamp, UserId,
};
use vouchsafe_password::crypto::SystemEntropy;
use vouchsafe_password::{Binding, HashPolicy, HashPool, Password, PoolConfig, Stored, Verified};

/// Hashes as other software writes them by default; no password is known to match any.
const IMPORTED: [(&str, &str); 4] = [
    (
        "Argon2, as argon2-cffi",
        "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHRzYWx0c2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    ),
    (
        "PBKDF2, as Django",
        "pbkdf2_sha256$600000$c2FsdHNhbHRzYWx0$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    ),
    ("bcrypt, cost 10", "$2b$10$abcdefghijklmnopqrstuuAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
    ("bcrypt, cost 12", "$2b$12$abcdefghijklmnopqrstuuAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
];
/// Columns of a histogram.
const BINS: usize = 60;

struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> Timestamp {
        Timestamp::EPOCH
    }
}

struct Kind {
    name: &'static str,
    stored: Stored,
    times: Vec<Duration>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let samples: usize = std::env::args().nth(1).map_or(Ok(2_000), |samples| samples.parse())?;
    let (config, entropy) =
        (PoolConfig::new(HashPolicy::default()), Arc::new(SystemEntropy::new()));
    let pool = HashPool::new(config.workers(1), Arc::new(Stopped), entropy.clone())?;
    let mut kinds = kinds(&pool)?;
    let binding = martha()?;
    // In turns, so that what else the machine does falls on all alike, and each in an order of its own:
    // a hash is slower behind one that let its memory go cold.
    for turn in 0..samples.saturating_add(1) {
        let mut drawn = vec![[0; 8]; kinds.len()];
        entropy.fill(drawn.as_flattened_mut())?;
        let mut order: Vec<_> = drawn.into_iter().zip(&mut kinds).collect();
        order.sort_unstable_by_key(|(place, _)| *place);
        for (_, kind) in order {
            let took = ask(&pool, &kind.stored, binding)?;
            // The first turn warms up.
            if turn > 0 {
                kind.times.push(took);
            }
        }
    }
    kinds.iter_mut().for_each(|kind| kind.times.sort());
    print(&kinds)
}

fn martha() -> Result<Binding, Box<dyn Error>> {
    Ok(Binding::new(&TenantId::new("acme")?, &UserId::new("martha")?))
}

fn kinds(pool: &HashPool) -> Result<Vec<Kind>, Box<dyn Error>> {
    let own = pool.hash_initial(&Password::new("right".to_owned())?, martha()?).wait()?;
    let mut kinds = vec![
        Kind { name: "unknown", stored: Stored::Absent, times: Vec::new() },
        Kind { name: "known", stored: own.as_record().clone().into(), times: Vec::new() },
        Kind { name: "without a password", stored: Stored::read(None), times: Vec::new() },
        Kind { name: "unreadable", stored: Stored::read(Some("$2b$12$abc")), times: Vec::new() },
    ];
    for (name, text) in IMPORTED {
        match Stored::import(Some(text)) {
            Stored::Unusable(error) => println!("left out, {name}: {error}"),
            stored => kinds.push(Kind { name, stored, times: Vec::new() }),
        }
    }
    Ok(kinds)
}

#[expect(
    clippy::disallowed_methods,
    reason = "nobody counts attempts in a study, which has a clock"
)]
fn ask(pool: &HashPool, stored: &Stored, binding: Binding) -> Result<Duration, Box<dyn Error>> {
    let account = AccountDigest::new([7; 16]);
    let id = ChargeId::new(1);
    let charged = Charged::assertion(account, id, PolicyDigest::NONE, Timestamp::MAX);
    let (typed, stored) = (Password::new("wrong".to_owned())?, stored.clone());
    let begun = Instant::now();
    let verified = pool.verify(charged, &typed, stored, binding).wait();
    let took = begun.elapsed();
    match verified {
        Verified::NoMatch(_) => Ok(took),
        other => Err(format!("{other:?}").into()),
    }
}

fn quantile(times: &[Duration], percent: usize) -> f64 {
    let at = times.len().saturating_sub(1).saturating_mul(percent) / 100;
    times.get(at).map_or(0.0, Duration::as_secs_f64) * 1e3
}

/// Cliff's delta: of all pairs, how many more are slower than quicker.
fn delta(times: &[Duration], than: &[Duration]) -> f64 {
    // Both are sorted.
    let below = |time: &Duration| than.partition_point(|other| other < time) as f64;
    let above = |time: &Duration| (than.len() as f64) - than.partition_point(|o| o <= time) as f64;
    let sum: f64 = times.iter().map(|time| below(time) - above(time)).sum();
    sum / (times.len() as f64 * than.len() as f64)
}

fn print(kinds: &[Kind]) -> Result<(), Box<dyn Error>> {
    let unknown = &kinds.first().ok_or("no kinds")?.times;
    println!("{} samples of each kind, milliseconds\n", unknown.len());
    println!(
        "{:24}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}{:>12}",
        "account", "5 %", "25 %", "median", "75 %", "95 %", "delta", "median, +-"
    );
    for Kind { name, times, .. } in kinds {
        print!("{name:24}");
        for percent in [5, 25, 50, 75, 95] {
            print!("{:9.2}", quantile(times, percent));
        }
        let apart = (quantile(times, 50) / quantile(unknown, 50) - 1.0) * 100.0;
        println!("{:9.3}{apart:+11.1} %", delta(times, unknown));
    }
    histograms(kinds);
    Ok(())
}

/// How often which time came, from the quickest to the slowest of all, equal steps in its logarithm.
fn histograms(kinds: &[Kind]) {
    let least = kinds.iter().map(|kind| quantile(&kind.times, 1)).fold(f64::INFINITY, f64::min);
    let most = kinds.iter().map(|kind| quantile(&kind.times, 99)).fold(0.0, f64::max);
    println!("\n{:24}{least:<10.1}{most:>50.1}", "milliseconds");
    for Kind { name, times, .. } in kinds {
        let mut bins = [0_u32; BINS];
        for time in times {
            let place = (time.as_secs_f64() * 1e3 / least).ln() / (most / least).ln();
            // A float beyond the range becomes its end.
            let at = (place * BINS as f64) as usize;
            if let Some(bin) = bins.get_mut(at.min(BINS.saturating_sub(1))) {
                *bin = bin.saturating_add(1);
            }
        }
        let highest = bins.iter().max().copied().unwrap_or(0).max(1);
        let bar = |count: &u32| {
            let height = (f64::from(*count) / f64::from(highest) * 8.0).ceil() as usize;
            " ▁▂▃▄▅▆▇█".chars().nth(height).unwrap_or(' ')
        };
        println!("{name:24}{}", bins.iter().map(bar).collect::<String>());
    }
}
