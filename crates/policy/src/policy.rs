//! A policy: what is in force for which class, at which door, and by which promise.

use std::collections::BTreeMap;
use std::path::Path;

use vouchsafe_core::{ClauseId, PolicyDigest};
use vouchsafe_lockout::{LockoutPolicy, SourcePolicy};

use crate::compare::Witness;
use crate::read::Reader;
use crate::section::{self, Fields, Section};
use crate::{Interpretation, PolicyError, Promise, Support, Value, load, presets, print};

macro_rules! class_sections {
    ($($(#[$doc:meta])* $name:ident: $section:ty;)*) => {
        /// What holds for one class of users.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct ClassPolicy {
            $($name: $section,)*
        }

        impl ClassPolicy {
            $(
                $(#[$doc])*
                #[must_use]
                pub const fn $name(&self) -> &$section {
                    &self.$name
                }
            )*

            /// Names and fields of the sections that a class has.
            pub(crate) const SECTIONS: &[(&'static str, &'static [&'static str])] =
                &[$((<$section as Section>::NAME, <$section as Section>::FIELDS),)*];

            /// Reads every section, each laid over what the document says for all classes.
            pub(crate) fn read<'a>(
                class: &Reader<'a>,
                shared: &dyn Fn(&'static str) -> Reader<'a>,
            ) -> Option<Self> {
                $(let $name = section::read::<$section>(class, shared);)*
                Some(Self { $($name: $name?,)* })
            }

            pub(crate) fn fields(&self) -> Vec<(&'static str, Fields)> {
                vec![$((<$section as Section>::NAME, self.$name.fields()),)*]
            }

            /// For each section in which this is weaker than `baseline`, what shows it.
            pub(crate) fn weakenings(&self, baseline: &Self) -> Vec<(&'static str, Witness)> {
                let mut found = Vec::new();
                $(found.extend(self.$name.weakened(&baseline.$name));)*
                found
            }

            /// Both at once, or the section in which that cannot be and why.
            pub(crate) fn join(&self, other: &Self) -> Result<Self, (&'static str, String)> {
                Ok(Self {
                    $($name: self.$name.joined(&other.$name).map_err(|why| {
                        (<$section as Section>::NAME, why)
                    })?,)*
                })
            }
        }
    };
}

class_sections! {
    /// Which passwords may be chosen.
    password: vouchsafe_password::PasswordPolicy;
    /// How passwords are hashed.
    hash: vouchsafe_password::HashPolicy;
    /// How long sessions last, and how many there may be.
    session: vouchsafe_session::SessionPolicy;
    /// How long one-time links work.
    links: vouchsafe_session::LinkPolicy;
    /// What is recorded, and how long records are kept.
    retention: vouchsafe_access_log::RetentionPolicy;
    /// What is encrypted, and how strongly.
    envelope: vouchsafe_envelope::EnvelopePolicy;
}

/// A policy in which every section is valid and every value can be traced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    pub(crate) head: Head,
    pub(crate) door: Door,
    pub(crate) classes: BTreeMap<String, ClassPolicy>,
    pub(crate) promises: Vec<Promise>,
    pub(crate) interpretations: Vec<Interpretation>,
    clauses: BTreeMap<String, ClauseId>,
    digest: PolicyDigest,
}

/// Which document it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) effective: Option<time::Date>,
    pub(crate) supersedes: Option<PolicyDigest>,
}

/// What hangs on the door and not on the class: an unknown name has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Door {
    pub(crate) lockout: LockoutPolicy,
    pub(crate) throttle: SourcePolicy,
}

impl Door {
    pub(crate) const SECTIONS: &[(&'static str, &'static [&'static str])] =
        &[(LockoutPolicy::NAME, LockoutPolicy::FIELDS), (SourcePolicy::NAME, SourcePolicy::FIELDS)];

    pub(crate) fn fields(&self) -> Vec<(&'static str, Fields)> {
        vec![
            (LockoutPolicy::NAME, self.lockout.fields()),
            (SourcePolicy::NAME, self.throttle.fields()),
        ]
    }
}

impl Policy {
    /// Largest document, in bytes.
    pub const MAX_BYTES: usize = 1 << 20;
    /// Deepest nesting of tables and lists in a document.
    pub const MAX_NESTING: usize = 64;
    /// Most promises and interpretations in a document.
    pub const MAX_PROMISES: usize = 10_000;
    /// Most user classes in a document.
    pub const MAX_CLASSES: usize = 64;
    /// Longest name of a user class, in bytes.
    pub const MAX_CLASS_NAME: usize = 64;

    /// Reads a document from a file.
    ///
    /// # Errors
    /// [`PolicyError::Unreadable`], or [`PolicyError::Invalid`] with every problem of the document.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, PolicyError> {
        load::from_file(path.as_ref())
    }

    /// Reads a document. `name` stands in front of its problems, like a file's.
    ///
    /// # Errors
    /// [`PolicyError::Invalid`] with every problem of the document.
    pub fn parse(text: &str, name: &str) -> Result<Self, PolicyError> {
        load::from_text(text, name).map_err(PolicyError::Invalid)
    }

    /// One of the documents that come with the crate: [`PRESETS`](Self::PRESETS).
    ///
    /// # Errors
    /// [`PolicyError::UnknownPreset`].
    pub fn preset(name: &str) -> Result<Self, PolicyError> {
        let text = presets::text(name).ok_or(PolicyError::UnknownPreset)?;
        Self::parse(text, &format!("{name}.toml"))
    }

    /// The names of the documents that come with the crate: the two sources, and `vouchsafe`, what
    /// we recommend.
    pub const PRESETS: [&'static str; 3] = presets::NAMES;

    pub(crate) fn new(
        head: Head,
        door: Door,
        classes: BTreeMap<String, ClassPolicy>,
        promises: Vec<Promise>,
        interpretations: Vec<Interpretation>,
    ) -> Self {
        let clauses = BTreeMap::new();
        let digest = PolicyDigest::NONE;
        let mut policy = Self { head, door, classes, promises, interpretations, clauses, digest };
        let traced = |path: String| policy.cited(&path).map(|clause| (path, clause.clone()));
        policy.clauses = policy.values().into_keys().filter_map(traced).collect();
        policy.digest = print::digest(&policy);
        policy
    }

    /// The same policy, whose values are traced to these clauses.
    pub(crate) fn with_clauses(mut self, clauses: BTreeMap<String, ClauseId>) -> Self {
        self.clauses = clauses;
        self
    }

    /// The document's short name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.head.name
    }

    /// The published document's title.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.head.title
    }

    /// The day from which it holds, if the document says one.
    #[must_use]
    pub const fn effective(&self) -> Option<time::Date> {
        self.head.effective
    }

    /// The digest of the revision before.
    #[must_use]
    pub const fn supersedes(&self) -> Option<PolicyDigest> {
        self.head.supersedes
    }

    /// SHA-256 of [`to_toml`](Self::to_toml): the same for every way to write the same policy,
    /// whatever the order of keys, the blanks, the comments or the units.
    #[must_use]
    pub const fn digest(&self) -> PolicyDigest {
        self.digest
    }

    /// The canonical document: every value in force, spelled out for every class.
    #[must_use]
    pub fn to_toml(&self) -> String {
        print::to_toml(self)
    }

    /// What holds for the users of a class. There is no rule without a class.
    ///
    /// # Errors
    /// [`PolicyError::UnknownClass`].
    pub fn class(&self, name: &str) -> Result<&ClassPolicy, PolicyError> {
        self.classes.get(name).ok_or_else(|| PolicyError::UnknownClass(name.to_owned()))
    }

    /// The classes by name, in alphabetical order.
    pub fn classes(&self) -> impl Iterator<Item = (&str, &ClassPolicy)> {
        self.classes.iter().map(|(name, class)| (name.as_str(), class))
    }

    /// When an account locks, the same for every class.
    #[must_use]
    pub const fn lockout(&self) -> &LockoutPolicy {
        &self.door.lockout
    }

    /// How often one source may try, ahead of the exact counting. It is no promise, and is not
    /// compared.
    #[must_use]
    pub const fn throttle(&self) -> &SourcePolicy {
        &self.door.throttle
    }

    /// What the document promises, in its order.
    #[must_use]
    pub fn promises(&self) -> &[Promise] {
        &self.promises
    }

    /// The promise with this number.
    #[must_use]
    pub fn promise(&self, id: &str) -> Option<&Promise> {
        self.promises.iter().find(|promise| promise.id.as_str() == id)
    }

    /// How the document is read where it is silent or contradicts itself, in its order.
    #[must_use]
    pub fn interpretations(&self) -> &[Interpretation] {
        &self.interpretations
    }

    /// Every value in force by its path: `lockout.limits`, `class.staff.session.idle`.
    #[must_use]
    pub fn values(&self) -> BTreeMap<String, Value> {
        let mut values = BTreeMap::new();
        let mut add = |prefix: &str, sections: Vec<(&str, Fields)>| {
            for (section, fields) in sections {
                for (field, value) in fields {
                    values.insert(format!("{prefix}{section}.{field}"), value);
                }
            }
        };
        add("", self.door.fields());
        for (name, class) in &self.classes {
            add(&format!("class.{name}."), class.fields());
        }
        values
    }

    /// The promise, or the interpretation, that the value at `path` is taken from.
    ///
    /// A path without a class, such as `session.idle`, asks for whichever class has one.
    #[must_use]
    pub fn clause_for(&self, path: &str) -> Option<&ClauseId> {
        let anywhere = || {
            self.classes.keys().find_map(|class| self.clauses.get(&format!("class.{class}.{path}")))
        };
        self.clauses.get(path).or_else(anywhere)
    }

    /// The paths of values that no promise and no interpretation speaks of.
    #[must_use]
    pub fn unclaimed(&self) -> Vec<String> {
        self.values().into_keys().filter(|path| !self.clauses.contains_key(path)).collect()
    }

    /// The first promise, else the first interpretation, that names this very path; else the first
    /// that names it for every class.
    fn cited(&self, path: &str) -> Option<&ClauseId> {
        let promises = self.promises.iter().map(|p| (&p.id, &p.rests_on));
        let interpretations = self.interpretations.iter().map(|i| (&i.id, &i.rests_on));
        let all: Vec<_> = promises.chain(interpretations).collect();
        let naming = |path: &str| {
            let is_it =
                |support: &Support| matches!(support, Support::Field(field) if field == path);
            all.iter().find(|(_, rests_on)| rests_on.iter().any(is_it)).map(|(id, _)| *id)
        };
        naming(path).or_else(|| naming(without_class(path)?))
    }

    /// Whether this policy has a field of that path, with or without a class.
    pub(crate) fn is_field(path: &str, is_class: &dyn Fn(&str) -> bool) -> bool {
        let (sections, rest) = match path.strip_prefix("class.").and_then(|p| p.split_once('.')) {
            Some((class, rest)) if is_class(class) => (vec![ClassPolicy::SECTIONS], rest),
            Some(_) => return false,
            None => (vec![Door::SECTIONS, ClassPolicy::SECTIONS], path),
        };
        rest.split_once('.').is_some_and(|(section, field)| {
            let named =
                |(name, fields): &(&str, &[&str])| *name == section && fields.contains(&field);
            sections.into_iter().flatten().any(named)
        })
    }
}

/// `class.staff.session.idle` without its class.
fn without_class(path: &str) -> Option<&str> {
    path.strip_prefix("class.")?.split_once('.').map(|(_, rest)| rest)
}
