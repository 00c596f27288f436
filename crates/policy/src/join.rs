//! Several policies at once: what a tenant with several contracts is owed.

use std::collections::BTreeMap;
use std::fmt;

use vouchsafe_core::ClauseId;

use crate::policy::{Door, Head};
use crate::section::Section;
use crate::{ClassPolicy, Interpretation, Policy, PolicyError, Promise};

/// Policies that nothing can keep together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contradiction {
    section: String,
    policies: [String; 2],
    reason: String,
}

impl Contradiction {
    /// The section in which they contradict each other.
    #[must_use]
    pub fn section(&self) -> &str {
        &self.section
    }

    /// Their names. The first may be a join of several, by all their names.
    #[must_use]
    pub const fn policies(&self) -> &[String; 2] {
        &self.policies
    }

    /// What would have to happen and must not.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl fmt::Display for Contradiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [one, other] = &self.policies;
        write!(f, "`{one}` and `{other}` cannot both be kept: {}: {}", self.section, self.reason)
    }
}

/// The weakest policy that is no weaker than `first` and each of `rest`: a tenant's baseline, from
/// its contracts. Its values keep their clauses; its promises are those of all, and of two with one
/// number the first. A join of many may hold more limits, and a longer name, than a document may.
///
/// # Errors
/// [`PolicyError::Contradiction`] when one demands what another forbids.
pub fn join<'a>(
    first: &Policy,
    rest: impl IntoIterator<Item = &'a Policy>,
) -> Result<Policy, PolicyError> {
    rest.into_iter().try_fold(first.clone(), |joined, next| two(&joined, next))
}

fn two(one: &Policy, other: &Policy) -> Result<Policy, PolicyError> {
    if one == other {
        return Ok(one.clone());
    }
    let refuse = |section: String, reason: String| {
        let policies = [one.name().to_owned(), other.name().to_owned()];
        PolicyError::Contradiction(Contradiction { section, policies, reason })
    };
    let door = Door {
        lockout: one
            .door
            .lockout
            .joined(&other.door.lockout)
            .map_err(|reason| refuse("lockout".to_owned(), reason))?,
        throttle: one
            .door
            .throttle
            .joined(&other.door.throttle)
            .map_err(|reason| refuse("throttle".to_owned(), reason))?,
    };
    let mut classes: BTreeMap<String, ClassPolicy> = one.classes.clone();
    for (name, class) in &other.classes {
        let joined = match one.classes.get(name) {
            None => class.clone(),
            Some(own) => own
                .join(class)
                .map_err(|(section, reason)| refuse(format!("class.{name}.{section}"), reason))?,
        };
        classes.insert(name.clone(), joined);
    }
    let head = Head {
        name: names(one.name(), other.name()),
        title: if one.title() == other.title() {
            one.title().to_owned()
        } else {
            format!("{}; {}", one.title(), other.title())
        },
        effective: one.effective().max(other.effective()),
        supersedes: None,
    };
    let promises = union(one.promises(), other.promises(), Promise::id);
    let readings = union(one.interpretations(), other.interpretations(), Interpretation::id);
    let joined = Policy::new(head, door, classes, promises, readings);
    let clauses = clauses(&joined, one, other);
    Ok(joined.with_clauses(clauses))
}

/// Both names, joined; each of a join's names once.
fn names(one: &str, other: &str) -> String {
    let mut names: Vec<&str> = one.split("..").chain(other.split("..")).collect();
    names.sort_unstable();
    names.dedup();
    names.join("..")
}

/// Those of `one`, then what `other` adds.
fn union<T: Clone>(one: &[T], other: &[T], id: impl Fn(&T) -> &ClauseId) -> Vec<T> {
    let known = |item: &&T| !one.iter().any(|own| id(own) == id(item));
    one.iter().chain(other.iter().filter(known)).cloned().collect()
}

/// Each value's clause in the policy it came from.
fn clauses(joined: &Policy, one: &Policy, other: &Policy) -> BTreeMap<String, ClauseId> {
    let sources = [one, other].map(|policy| (policy, policy.values()));
    let mut clauses = BTreeMap::new();
    for (path, value) in joined.values() {
        let same = sources.iter().filter(|(_, values)| values.get(&path) == Some(&value));
        // A value that neither has, such as both documents' limits at once, is owed to both; the
        // first names it.
        let clause = same.chain(&sources).find_map(|(policy, _)| policy.clause_for(&path)).cloned();
        clauses.extend(clause.map(|clause| (path, clause)));
    }
    clauses
}
