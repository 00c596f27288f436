//! Who did what to which thing, from where, when, and how it ended.

use std::num::NonZeroU32;

use vouchsafe_core::{AccountDigest, ClauseId, PolicyDigest, Source, TenantId, Timestamp, UserId};

use crate::{Name, Operation, RecordError, Text};

/// One access.
///
/// A plain struct on purpose: a field that is left out does not compile, and each field's type
/// holds only what may stand there.
///
/// ```compile_fail,E0063
/// use vouchsafe_access_log::{Actor, Operation, Outcome, Record, Target, name};
/// use vouchsafe_core::{PolicyDigest, Source, TenantId, Timestamp, Unavailable};
///
/// let record = Record {                      // no `actor`
///     tenant: TenantId::new("acme").unwrap(),
///     target: Target::entity(name!("campaign"), "7").unwrap(),
///     operation: Operation::Updated,
///     outcome: Outcome::Succeeded,
///     application: name!("portal"),
///     source: Source::Unavailable(Unavailable::Local),
///     shared_source: false,
///     time: Timestamp::EPOCH,
///     policy: PolicyDigest::NONE,
///     clause: None,
///     repeats: std::num::NonZeroU32::MIN,
/// };
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Record {
    /// Whose data it is about. The record belongs to this tenant.
    pub tenant: TenantId,
    /// Who did it.
    pub actor: Actor,
    /// What it was done to.
    pub target: Target,
    /// What was done.
    pub operation: Operation,
    /// How it ended.
    pub outcome: Outcome,
    /// In which application or service.
    pub application: Name,
    /// From where.
    pub source: Source,
    /// Whether the source address is known to stand for more than one person: a translating
    /// gateway (NAT, PAT) or a proxy.
    pub shared_source: bool,
    /// When.
    pub time: Timestamp,
    /// The policy that was in force; [`PolicyDigest::NONE`] where there is none.
    pub policy: PolicyDigest,
    /// The clause that decided, or that asks for the record; `None` has to be written down.
    pub clause: Option<ClauseId>,
    /// How many accesses alike, within a minute, this record stands for: a flood of refusals is
    /// counted exactly and written once.
    pub repeats: NonZeroU32,
}

/// Who did it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Actor {
    /// One individual.
    User(UserId),
    /// A program.
    Service(Name),
    /// Nobody who has shown who they are.
    Unauthenticated {
        /// A keyed digest of who they said they were; `None` where they named nobody. Never the
        /// name itself: it may be a password in the wrong field.
        claimed: Option<AccountDigest>,
    },
}

/// What it was done to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// A URL.
    Url(Url),
    /// A thing of the application's.
    Entity {
        /// Its kind.
        kind: Name,
        /// Its id.
        id: Text,
    },
}

impl Target {
    /// The entity `id` of this kind.
    ///
    /// # Errors
    /// [`RecordError`] for an empty or overlong id; [`Text::clipped`] never fails.
    pub fn entity(kind: Name, id: &str) -> Result<Self, RecordError> {
        Ok(Self::Entity { kind, id: Text::new(id)? })
    }
}

/// A URL without its secrets: the path's template, and the query's allow-listed keys.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Url {
    template: Text,
    query: Vec<(Name, Text)>,
    withheld: u16,
}

impl Url {
    /// The most query parameters that are kept.
    pub const MAX_QUERY: usize = 8;

    /// The URL with this path template (`/campaigns/{id}`), and no query.
    ///
    /// # Errors
    /// [`RecordError::Path`], [`RecordError::TooLong`].
    pub fn new(template: &str) -> Result<Self, RecordError> {
        if !template.starts_with('/') || template.contains(['?', '#']) {
            return Err(RecordError::Path);
        }
        Ok(Self { template: Text::new(template)?, query: Vec::new(), withheld: 0 })
    }

    /// With the parameters of `query` (`a=1&b=2`, as it was received) whose keys are `allowed`.
    ///
    /// Everything else is counted and not kept: other keys, values that are empty or over
    /// [`Text::MAX_LEN`], and what comes after [`MAX_QUERY`](Self::MAX_QUERY) parameters.
    #[must_use]
    pub fn with_query(mut self, query: &str, allowed: &[Name]) -> Self {
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let key = allowed.iter().find(|name| name.as_str() == key);
            match (key, Text::new(value)) {
                (Some(key), Ok(value)) if self.query.len() < Self::MAX_QUERY => {
                    self.query.push((key.clone(), value));
                }
                _ => self.withheld = self.withheld.saturating_add(1),
            }
        }
        self
    }

    /// The path's template.
    #[must_use]
    pub const fn template(&self) -> &Text {
        &self.template
    }

    /// The parameters that were kept, in the order received.
    #[must_use]
    pub fn query(&self) -> &[(Name, Text)] {
        &self.query
    }

    /// How many parameters were not kept.
    #[must_use]
    pub const fn withheld(&self) -> u16 {
        self.withheld
    }

    pub(crate) fn from_parts(
        template: &str,
        query: Vec<(Name, Text)>,
        withheld: u16,
    ) -> Result<Self, RecordError> {
        if query.iter().any(|(_, value)| value.as_str().contains('&')) {
            return Err(RecordError::NotCanonical);
        }
        let path = Self::new(&Text::from_escaped(template)?.original())?;
        Ok(Self { template: path.template, query, withheld })
    }
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It was done.
    Succeeded,
    /// It was refused, for this reason.
    Refused(Name),
    /// It was allowed and failed, for this reason.
    Failed(Name),
}
