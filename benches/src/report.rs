//! Which version is the peer, and how is a result printed.

use std::process::Command;

use vouchsafe_testkit::PostgresServer;
use vouchsafe_testkit::server::find_program;

use crate::Result;
use crate::measure::{Case, Outcome, Unit};

/// The table's heading.
pub const HEAD: &str = "\
| case | speedup | wanted | ours | peer | unit | the peer |
|---|---|---|---|---|---|---|";

/// What the program was built from.
const LOCK: &str = include_str!("../Cargo.lock");

/// A row of the table.
pub fn row(case: &Case, outcome: &Outcome) -> String {
    let Outcome { ours, peer, speedup } = outcome;
    let (name, wanted, unit) = (case.name, case.wanted, unit(case.unit));
    let version = peer_version(case.peer).unwrap_or_else(|| "?".to_owned());
    let the_peer = format!("{} {version}", case.peer);
    format!("| {name} | {speedup:.2} | {wanted} | {ours:.0} | {peer:.0} | {unit} | {the_peer} |")
}

/// A line for programs: JSON. No name in it needs escaping.
pub fn json(case: &Case, outcome: &Outcome) -> Result<String> {
    let Outcome { ours, peer, speedup } = outcome;
    let (name, unit, of) = (case.name, unit(case.unit), case.peer);
    let version = peer_version(of).ok_or("the peer has no version")?;
    Ok(format!(
        r#"{{"case":"{name}","ours":{ours:.3},"peer":{peer:.3},"peer_version":"{of} {version}","unit":"{unit}","speedup":{speedup:.3}}}"#
    ))
}

const fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::Nanos => "ns",
        Unit::PerSecond => "1/s",
        Unit::Bytes => "bytes",
        Unit::Percent => "%",
    }
}

/// The version of a crate in the lock file, or of a program that is installed.
fn peer_version(peer: &str) -> Option<String> {
    let program = match peer {
        "pgbench" => PostgresServer::program(peer),
        "redis-benchmark" => find_program(peer, "redis-tools", &[]),
        _ => return version(LOCK, peer).map(str::to_owned),
    };
    let output = Command::new(program).arg("--version").output().ok()?;
    // pgbench (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)
    let said = String::from_utf8(output.stdout).ok()?;
    let mut words = said.split_whitespace();
    words.find(|word| word.starts_with(|first: char| first.is_ascii_digit())).map(str::to_owned)
}

/// The version of `peer` that this package depends on. Where there are several in the file, the
/// package's own list names the one.
fn version<'a>(lock: &'a str, peer: &str) -> Option<&'a str> {
    let quoted = |line: &'a str| line.trim().trim_end_matches(',').trim_matches('"');
    let packages = lock.split("[[package]]");
    let named = |package: &&str, name: &str| {
        package.lines().any(|line| line == format!("name = \"{name}\""))
    };
    let own = packages.clone().find(|package| named(package, "peers"))?;
    let own = own.lines().map(quoted).find(|line| line.split(' ').next() == Some(peer))?;
    match own.split_once(' ') {
        Some((_, version)) => Some(version),
        None => {
            let package = packages.clone().find(|package| named(package, peer))?;
            package.lines().find_map(|line| line.strip_prefix("version = ")).map(quoted)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases;

    const TWO: &str = r#"
[[package]]
name = "argon2"
version = "0.5.3"

[[package]]
name = "argon2"
version = "0.6.0"

[[package]]
name = "ring"
version = "0.17.14"

[[package]]
name = "peers"
version = "0.0.0"
dependencies = [
 "argon2 0.6.0",
 "ring",
]
"#;

    #[test]
    fn versions_are_those_of_the_lock_file() {
        assert_eq!(version(TWO, "argon2"), Some("0.6.0"));
        assert_eq!(version(TWO, "ring"), Some("0.17.14"));
        assert_eq!(version(TWO, "serde"), None);
    }

    #[test]
    fn every_peer_has_a_version() {
        for case in cases::all() {
            assert!(peer_version(case.peer).is_some(), "{}", case.peer);
        }
    }

    #[test]
    fn a_line_has_the_documented_fields() {
        let outcome = Outcome { ours: 20.0, peer: 30.0, speedup: 1.5 };
        let case = cases::all().next().unwrap();
        let line = json(case, &outcome).unwrap();
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        let fields = ["case", "ours", "peer", "peer_version", "unit", "speedup"];
        assert!(fields.iter().all(|field| line.contains(&format!("\"{field}\":"))));
        assert_eq!(read.as_object().unwrap().len(), fields.len());
        assert_eq!(read["speedup"], 1.5);
    }
}
