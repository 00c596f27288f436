//! What a machine must have besides Rust, and how it gets it.

use std::process::Command;

use crate::Result;
use crate::run::{root, shown, succeed, works};

/// A thing that some tests use.
struct Need {
    what: &'static str,
    /// Succeeds where it is there.
    probe: &'static [&'static str],
    /// Debian's packages that bring it.
    packages: &'static [&'static str],
    /// Only needed when this path exists.
    used_by: &'static str,
}

const NEEDS: &[Need] = &[
    Need {
        what: "a C compiler (ring and SQLite are partly C)",
        probe: &["cc", "--version"],
        packages: &["gcc", "libc6-dev"],
        used_by: "crates/crypto",
    },
    Need {
        what: "Python's venv (a second reader of our sealed objects)",
        probe: &["python3", "-c", "import venv, ensurepip"],
        packages: &["python3-venv"],
        used_by: "crates/envelope/tests/interop.py",
    },
    Need {
        what: "chromium (the portal's browser test)",
        probe: &["chromium", "--version"],
        packages: &["chromium"],
        used_by: "examples/portal/tests/browser.rs",
    },
    Need {
        what: "chromedriver (the portal's browser test)",
        probe: &["chromedriver", "--version"],
        packages: &["chromium-driver"],
        used_by: "examples/portal/tests/browser.rs",
    },
    Need {
        what: "redis-server (the Redis store's tests)",
        probe: &["redis-server", "--version"],
        packages: &["redis-server"],
        used_by: "crates/testkit/src/redis.rs",
    },
    Need {
        what: "redis-benchmark (the Redis store's peer)",
        probe: &["redis-benchmark", "--version"],
        packages: &["redis-tools"],
        used_by: "crates/testkit/src/redis.rs",
    },
    Need {
        what: "PostgreSQL (the PostgreSQL store's tests and its peer)",
        // Debian keeps the server out of the search path.
        probe: &["sh", "-c", "ls /usr/lib/postgresql/*/bin/postgres || command -v postgres"],
        packages: &["postgresql"],
        used_by: "crates/testkit/src/postgres.rs",
    },
];

/// Sees to it that everything is there: installs it with apt-get where that is possible without a
/// question, and otherwise says the exact line to type.
pub fn ensure() -> Result<String> {
    let missing = missing();
    if missing.is_empty() {
        return Ok("nothing missing".into());
    }
    let mut packages = Vec::new();
    for need in &missing {
        println!("missing: {}", need.what);
        packages.extend_from_slice(need.packages);
    }
    let typed = format!("apt-get update && apt-get install -y {}", packages.join(" "));
    let Some(prefix) = privilege() else {
        return Err(format!("not root, and sudo would ask. Please run: sudo sh -c '{typed}'"));
    };
    apt(prefix, &["update"])?;
    apt(prefix, &[&["install", "-y", "--no-install-recommends"], packages.as_slice()].concat())?;
    match self::missing().first() {
        None => Ok(format!("installed {}", packages.join(" "))),
        Some(need) => Err(format!("after `{typed}`, still missing: {}", need.what)),
    }
}

fn missing() -> Vec<&'static Need> {
    let used = NEEDS.iter().filter(|need| root().join(need.used_by).exists());
    used.filter(|need| !probe(need)).collect()
}

fn probe(need: &Need) -> bool {
    need.probe.split_first().is_some_and(|(program, rest)| works(Command::new(program).args(rest)))
}

/// What to write before a command that changes the machine: nothing for root, `sudo -n` where it
/// asks no question, `None` where neither or no apt-get.
fn privilege() -> Option<&'static [&'static str]> {
    if !works(Command::new("apt-get").arg("--version")) {
        return None;
    }
    let id = Command::new("id").arg("-u").output().ok()?;
    if id.stdout.trim_ascii() == b"0" {
        return Some(&[]);
    }
    works(Command::new("sudo").args(["-n", "true"])).then_some(&["sudo", "-n"])
}

fn apt(prefix: &[&str], arguments: &[&str]) -> Result<()> {
    let mut words = prefix.to_vec();
    words.extend(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q"]);
    words.extend(arguments);
    let (program, rest) = words.split_first().ok_or("no command")?;
    let mut command = Command::new(program);
    command.args(rest);
    println!("$ {}", shown(&command));
    succeed(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_tells_present_from_absent() {
        let need = |probe| Need { what: "", probe, packages: &[], used_by: "" };
        assert!(probe(&need(&["sh", "-c", "exit 0"])));
        assert!(!probe(&need(&["sh", "-c", "exit 1"])));
        assert!(!probe(&need(&["no-such-program-anywhere"])));
    }
}
