//! Which crate may depend on which.

use crate::Result;
use crate::metadata::{Package, packages};

/// From each crate, the crates it may depend on in normal and build edges; `?` marks those that
/// must be behind a feature. A crate that is not listed may depend on none of ours.
const ALLOWED: &[(&str, &[&str])] = &[
    ("core", &[]),
    ("crypto", &["core"]),
    ("password", &["core", "crypto"]),
    ("lockout", &["core", "crypto"]),
    ("session", &["core", "crypto"]),
    ("envelope", &["core", "crypto"]),
    ("access-log", &["core"]),
    ("ledger", &["access-log", "core", "crypto"]),
    ("policy", &["access-log", "core", "crypto", "envelope", "lockout", "password", "session"]),
    ("store", &["core", "crypto"]),
    ("store-postgres", &["core", "store"]),
    ("store-redis", &["core", "store"]),
    ("store-sqlite", &["core", "store"]),
    (
        "vouchsafe",
        &[
            "access-log",
            "core",
            "crypto",
            "envelope",
            "ledger?",
            "lockout",
            "password",
            "policy",
            "session",
            "store",
            "store-postgres?",
            "store-redis?",
            "store-sqlite?",
        ],
    ),
    ("tower", &["vouchsafe"]),
    ("testkit", &["core", "store", "vouchsafe?"]),
    ("migrate", &["testkit", "vouchsafe"]),
    ("portal", &["tower", "vouchsafe"]),
    ("siege", &["core", "crypto", "lockout", "store", "testkit", "vouchsafe"]),
];

/// Fails on any edge that is not allowed.
pub fn run() -> Result<()> {
    let packages = packages()?;
    let problems = problems(&packages);
    let edges = packages.iter().flat_map(|p| &p.dependencies).filter(|d| d.ours && !d.dev).count();
    if problems.is_empty() {
        println!("{edges} edges between {} crates, all allowed", packages.len());
        Ok(())
    } else {
        Err(problems.join("\n"))
    }
}

fn short(name: &str) -> &str {
    name.strip_prefix("vouchsafe-").unwrap_or(name)
}

fn problems(packages: &[Package]) -> Vec<String> {
    let mut problems = Vec::new();
    for package in packages {
        let listed = ALLOWED.iter().find(|(from, _)| *from == short(&package.name));
        let allowed = listed.map_or([].as_slice(), |(_, to)| to);
        for dependency in package.dependencies.iter().filter(|dependency| dependency.ours) {
            let edge = format!("{} -> {}", package.name, dependency.name);
            let optional = format!("{}?", short(&dependency.name));
            if dependency.dev {
                if dependency.versioned && package.published {
                    problems.push(format!("{edge}: a dev edge names a path only, no version"));
                }
            } else if allowed.contains(&optional.as_str()) {
                if !dependency.optional {
                    problems.push(format!("{edge}: only behind a feature"));
                }
            } else if !allowed.contains(&short(&dependency.name)) {
                problems.push(format!("{edge}: not among the allowed edges"));
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::parse;

    fn one(package: &str, dependency: &str) -> Vec<String> {
        let json = format!(
            r#"{{"packages": [{{"name": "{package}", "version": "1.0.0", "manifest_path": "/x/Cargo.toml",
                "targets": [], "dependencies": [{dependency}]}}]}}"#
        );
        problems(&parse(&json).unwrap())
    }

    #[test]
    fn engines_do_not_know_one_another() {
        let edge = r#"{"name": "vouchsafe-session", "path": "/y", "req": "=0.1.0", "kind": null}"#;
        assert_eq!(
            one("vouchsafe-lockout", edge),
            ["vouchsafe-lockout -> vouchsafe-session: not among the allowed edges"]
        );
        assert!(one("vouchsafe-policy", edge).is_empty());
    }

    #[test]
    fn build_edges_count_and_dev_edges_do_not() {
        let build = r#"{"name": "vouchsafe-store", "path": "/y", "req": "*", "kind": "build"}"#;
        assert_eq!(one("vouchsafe-lockout", build).len(), 1);
        let dev = r#"{"name": "vouchsafe-store", "path": "/y", "req": "*", "kind": "dev"}"#;
        assert!(one("vouchsafe-lockout", dev).is_empty());
        let versioned = r#"{"name": "vouchsafe-store", "path": "/y", "req": "^1", "kind": "dev"}"#;
        assert_eq!(one("vouchsafe-lockout", versioned).len(), 1);
    }

    #[test]
    fn some_edges_must_be_optional() {
        let always = r#"{"name": "vouchsafe-ledger", "path": "/y", "req": "=0.1.0"}"#;
        assert_eq!(
            one("vouchsafe", always),
            ["vouchsafe -> vouchsafe-ledger: only behind a feature"]
        );
        let optional =
            r#"{"name": "vouchsafe-ledger", "path": "/y", "req": "=0.1.0", "optional": true}"#;
        assert!(one("vouchsafe", optional).is_empty());
    }

    #[test]
    fn other_peoples_crates_are_not_our_business() {
        assert!(
            one("vouchsafe-core", r#"{"name": "time", "req": "^0.3", "kind": null}"#).is_empty()
        );
    }

    #[test]
    fn an_unlisted_crate_may_use_none_of_ours() {
        let edge = r#"{"name": "vouchsafe-core", "path": "/y", "req": "*", "kind": null}"#;
        assert_eq!(one("xtask", edge).len(), 1);
    }
}
