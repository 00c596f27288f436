//! Finds Argon2id's memory and passes for this machine:
//!
//! ```text
//! cargo run --release -p vouchsafe-password --example calibrate -- [milliseconds [KiB]]
//! ```
//!
//! 250 ms and 65 536 KiB unless said otherwise: OWASP wants a hash to take less than a second, and a hash
//! of 64 MiB fits the least budget that a pool has by default, `PoolConfig::LEAST_DEFAULT_KIB` (100 MiB).
//! The memory is for one hash: a pool takes as much for each of its workers.

use std::error::Error;
use std::time::{Duration, Instant};

use vouchsafe_password::calibrate;
use vouchsafe_password::core::{Clock, Timestamp};

struct Steady(Instant);

impl Clock for Steady {
    fn now(&self) -> Timestamp {
        Timestamp::EPOCH.after(self.0.elapsed())
    }

    fn steady(&self) -> Option<Duration> {
        Some(self.0.elapsed())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let wish = Duration::from_millis(args.next().map_or(Ok(250), |ms| ms.parse())?);
    let budget_kib = args.next().map_or(Ok(65_536), |kib| kib.parse())?;
    if args.next().is_some() {
        return Err("usage: calibrate [milliseconds [KiB]]".into());
    }
    #[expect(clippy::disallowed_methods, reason = "the example is the host, and brings the clock")]
    let clock = Steady(Instant::now());
    println!("{}", calibrate(wish, budget_kib, &clock)?);
    Ok(())
}
