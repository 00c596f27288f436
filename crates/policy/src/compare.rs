//! Is this policy weaker than that one, where, and what shows it.

use std::fmt;

use vouchsafe_access_log as access_log;
use vouchsafe_core::{ClauseId, Order};
use vouchsafe_envelope as envelope;
use vouchsafe_lockout as lockout;
use vouchsafe_password as password;
use vouchsafe_session as session;

use crate::section::Section;
use crate::{Policy, Value};

/// Something that the engines treat differently under two policies.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Witness {
    /// Attempts to sign in.
    Lockout(lockout::Witness),
    /// A password that is chosen.
    Password(password::PasswordWitness),
    /// A stored hash.
    Hash(password::HashWitness),
    /// The use of a session.
    Session(session::SessionWitness),
    /// With so many sessions open, one more sign-in that is right in every respect: the weaker
    /// policy refuses it.
    SignInRefused {
        /// How many are open.
        sessions: u32,
    },
    /// The use of a one-time link.
    Links(session::LinkWitness),
    /// A record of some age, or one that lacks something.
    Retention(access_log::Witness),
    /// A key, a cipher, or data that is not encrypted.
    Envelope(envelope::Weakness),
    /// Users of this class, for whom the weaker policy has no rule.
    NoClass(String),
}

impl fmt::Display for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lockout(witness) => witness.fmt(f),
            Self::Password(witness) => witness.fmt(f),
            Self::Hash(witness) => witness.fmt(f),
            Self::Session(witness) => witness.fmt(f),
            Self::SignInRefused { sessions } => {
                write!(f, "with {sessions} sessions open, a correct sign-in is refused")
            }
            Self::Links(witness) => witness.fmt(f),
            Self::Retention(witness) => witness.fmt(f),
            Self::Envelope(witness) => witness.fmt(f),
            Self::NoClass(class) => write!(f, "there is no rule for users of class `{class}`"),
        }
    }
}

/// A field whose value differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// Its path, such as `class.staff.session.idle`.
    pub path: String,
    /// The promise that the stronger policy's value is taken from.
    pub clause: Option<ClauseId>,
    /// The value in the stronger policy.
    pub from: Option<Value>,
    /// The value in the weaker one.
    pub to: Option<Value>,
}

/// One section in which one policy is weaker than the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    section: String,
    witness: Witness,
    changed: Vec<Changed>,
}

impl Finding {
    /// The section: `lockout`, `class.staff.session`.
    #[must_use]
    pub fn section(&self) -> &str {
        &self.section
    }

    /// What the stronger policy stops, or guarantees, and the weaker one does not.
    #[must_use]
    pub const fn witness(&self) -> &Witness {
        &self.witness
    }

    /// The section's fields that differ, with the promises they were taken from. Which of them
    /// makes the difference, the witness says.
    #[must_use]
    pub fn changed(&self) -> &[Changed] {
        &self.changed
    }
}

/// `class.staff.session: ...; idle 30 min -> 1 h (Z7.7)`
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.section, self.witness)?;
        for Changed { path, clause, from, to } in &self.changed {
            let field = path.strip_prefix(&self.section).unwrap_or(path).trim_start_matches('.');
            let value =
                |value: &Option<Value>| value.as_ref().map_or("-".to_owned(), Value::to_string);
            write!(f, "; {field} {} -> {}", value(from), value(to))?;
            if let Some(clause) = clause {
                write!(f, " ({clause})")?;
            }
        }
        Ok(())
    }
}

/// The three answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// As strong as the baseline in every section, or stronger.
    NoWeaker,
    /// Weaker in some section, and nowhere stronger.
    Weaker,
    /// Weaker here and stronger there.
    Incomparable,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::NoWeaker => "no weaker",
            Self::Weaker => "weaker",
            Self::Incomparable => "incomparable",
        })
    }
}

/// How a candidate stands to a baseline, section by section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    weaker: Vec<Finding>,
    stronger: Vec<Finding>,
}

impl Report {
    /// The answer. Only [`Verdict::NoWeaker`] lets the candidate stand in for the baseline.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match (self.weaker.is_empty(), self.stronger.is_empty()) {
            (true, _) => Verdict::NoWeaker,
            (false, true) => Verdict::Weaker,
            (false, false) => Verdict::Incomparable,
        }
    }

    /// Where the candidate is weaker.
    #[must_use]
    pub fn weaker(&self) -> &[Finding] {
        &self.weaker
    }

    /// Where the baseline is weaker.
    #[must_use]
    pub fn stronger(&self) -> &[Finding] {
        &self.stronger
    }
}

/// How `candidate` stands to `baseline`: the door's lockout and each class's sections, by what the
/// engines do under them.
///
/// A weakness is what the baseline refuses and the candidate lets pass, what the baseline records
/// and the candidate need not, and what has to be allowed and the candidate refuses: a long
/// password, and a correct sign-in. That every lock has a way out, and that passphrases of 64
/// characters pass, no valid document can deny.
///
/// A class that the baseline has and the candidate has not is a weakness. What rests on evidence
/// or on people is not compared, and neither are source throttles.
#[must_use]
pub fn compare(candidate: &Policy, baseline: &Policy) -> Report {
    Report { weaker: weaknesses(candidate, baseline), stronger: weaknesses(baseline, candidate) }
}

/// The first section in which `self` is weaker.
impl Order for Policy {
    type Witness = Finding;

    fn weakening(&self, baseline: &Self) -> Option<Finding> {
        weaknesses(self, baseline).into_iter().next()
    }
}

fn weaknesses(weak: &Policy, strong: &Policy) -> Vec<Finding> {
    let mut found = Vec::new();
    if let Some((section, witness)) = weak.door.lockout.weakened(&strong.door.lockout) {
        found.push((section.to_owned(), witness));
    }
    for (name, class) in &strong.classes {
        match weak.classes.get(name) {
            None => found.push((format!("class.{name}"), Witness::NoClass(name.clone()))),
            Some(own) => {
                let weakenings = own.weakenings(class).into_iter();
                found.extend(weakenings.map(|(s, witness)| (format!("class.{name}.{s}"), witness)));
            }
        }
    }
    if found.is_empty() {
        return Vec::new();
    }
    let (to, from) = (weak.values(), strong.values());
    let finding = |(section, witness): (String, Witness)| {
        let prefix = format!("{section}.");
        let no_class = matches!(witness, Witness::NoClass(_));
        let differs = |(path, value): &(&String, &Value)| {
            !no_class && path.starts_with(&prefix) && to.get(*path) != Some(value)
        };
        let changed = from.iter().filter(differs).map(|(path, value)| Changed {
            path: path.clone(),
            clause: strong.clause_for(path).cloned(),
            from: Some(value.clone()),
            to: to.get(path).cloned(),
        });
        Finding { changed: changed.collect(), section, witness }
    };
    found.into_iter().map(finding).collect()
}
