//! Promises as data: what is claimed, of what kind, and what it rests on.

use std::collections::BTreeSet;
use std::fmt;

use vouchsafe_core::ClauseId;

use crate::read::Reader;

/// What a document has so far: its fields, and the numbers given.
pub(crate) struct Known<'a> {
    pub(crate) is_field: &'a dyn Fn(&str) -> bool,
    pub(crate) promises: BTreeSet<ClauseId>,
    pub(crate) all: BTreeSet<ClauseId>,
}

impl Known<'_> {
    /// A number that nothing else has.
    fn fresh(&mut self, table: &Reader<'_>) -> Option<ClauseId> {
        let id = clause(table, "id")?;
        if !self.all.insert(id.clone()) {
            table.report_at("id", "another entry above has this number");
        }
        Some(id)
    }
}

/// How a promise is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A library refuses whatever would break it.
    Enforced,
    /// The host application has to call or wire something.
    Host,
    /// Evidence from elsewhere is checked: a file, an attestation with an age.
    Evidence,
    /// People keep it. It is registered, and never reported as enforced.
    Organisational,
}

impl Kind {
    pub(crate) const WORDS: [(&'static str, Self); 4] = [
        ("enforced", Self::Enforced),
        ("host", Self::Host),
        ("evidence", Self::Evidence),
        ("organisational", Self::Organisational),
    ];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(word_of(&Self::WORDS, *self))
    }
}

/// What a claim says of its action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Modality {
    /// It happens, always.
    Must,
    /// It never happens, but for the claim's exception.
    MustNot,
    /// It may happen.
    May,
    /// It happens in the way, at the place or by the subject that the claim names, and no other.
    Only,
}

impl Modality {
    pub(crate) const WORDS: [(&'static str, Self); 4] = [
        ("must", Self::Must),
        ("must-not", Self::MustNot),
        ("may", Self::May),
        ("only", Self::Only),
    ];
}

impl fmt::Display for Modality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(word_of(&Self::WORDS, *self))
    }
}

fn word_of<T: PartialEq + Copy>(words: &[(&'static str, T)], of: T) -> &'static str {
    words.iter().find(|(_, meaning)| *meaning == of).map_or("", |(word, _)| word)
}

/// A word of a claim: lower-case words joined by `-`, narrowing from left to right by `/`:
/// `data/social/private` is a part of `data/social` and of `data`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Term(String);

impl Term {
    /// Longest accepted, in bytes.
    pub const MAX_LEN: usize = 100;

    fn new(text: &str) -> Option<Self> {
        let step = |step: &str| {
            step.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
                && step.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        (text.len() <= Self::MAX_LEN && text.split('/').all(step)).then(|| Self(text.to_owned()))
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is `wider` itself or a part of it.
    #[must_use]
    pub fn is_within(&self, wider: &Self) -> bool {
        let rest = self.0.strip_prefix(wider.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What a promise says, in words that a program can set side by side with another's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    pub(crate) subject: Term,
    pub(crate) action: Term,
    pub(crate) object: Term,
    pub(crate) modality: Modality,
    pub(crate) manner: Option<Term>,
    pub(crate) exception: Option<Term>,
}

impl Claim {
    /// Who or what acts.
    #[must_use]
    pub const fn subject(&self) -> &Term {
        &self.subject
    }

    /// What is done.
    #[must_use]
    pub const fn action(&self) -> &Term {
        &self.action
    }

    /// To what.
    #[must_use]
    pub const fn object(&self) -> &Term {
        &self.object
    }

    /// Whether it must, must not or may be done.
    #[must_use]
    pub const fn modality(&self) -> Modality {
        self.modality
    }

    /// How, where, when or what for, if the claim says so.
    #[must_use]
    pub const fn manner(&self) -> Option<&Term> {
        self.manner.as_ref()
    }

    /// When the claim does not hold.
    #[must_use]
    pub const fn exception(&self) -> Option<&Term> {
        self.exception.as_ref()
    }
}

/// `service must-not collect data/social/private, except owner-consents`.
impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, action, object, modality, .. } = self;
        write!(f, "{subject} {modality} {action} {object}")?;
        if let Some(manner) = &self.manner {
            write!(f, " [{manner}]")?;
        }
        if let Some(exception) = &self.exception {
            write!(f, ", except {exception}")?;
        }
        Ok(())
    }
}

/// What a promise, or an interpretation, rests on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Support {
    /// A field of the policy: `session.idle`.
    Field(String),
    /// A numbered guarantee that holds whatever the policy says: `guarantee:SE-7`.
    Guarantee(String),
    /// Something shown from outside: `evidence:firewall-rules`.
    Evidence(String),
}

impl fmt::Display for Support {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(path) => f.write_str(path),
            Self::Guarantee(id) => write!(f, "guarantee:{id}"),
            Self::Evidence(name) => write!(f, "evidence:{name}"),
        }
    }
}

/// What a row of the document amounts to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Substance {
    /// A promise: how it is kept, what it claims, what it rests on.
    Promise {
        /// One or more.
        kinds: BTreeSet<Kind>,
        /// What it says.
        claim: Claim,
    },
    /// It promises nothing, and says why.
    NoPromise {
        /// Why nothing is promised.
        reason: String,
    },
}

/// One numbered statement of the published document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promise {
    pub(crate) id: ClauseId,
    pub(crate) text: String,
    pub(crate) substance: Substance,
    pub(crate) rests_on: Vec<Support>,
}

impl Promise {
    /// Its number.
    #[must_use]
    pub const fn id(&self) -> &ClauseId {
        &self.id
    }

    /// A paraphrase of it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it is a promise, and of what kind.
    #[must_use]
    pub const fn substance(&self) -> &Substance {
        &self.substance
    }

    /// How it is kept; empty for a statement that promises nothing.
    pub fn kinds(&self) -> impl Iterator<Item = Kind> {
        let kinds = match &self.substance {
            Substance::Promise { kinds, .. } => Some(kinds),
            Substance::NoPromise { .. } => None,
        };
        kinds.into_iter().flatten().copied()
    }

    /// What it claims, unless it promises nothing.
    #[must_use]
    pub const fn claim(&self) -> Option<&Claim> {
        match &self.substance {
            Substance::Promise { claim, .. } => Some(claim),
            Substance::NoPromise { .. } => None,
        }
    }

    /// The fields, guarantees and evidence it rests on.
    #[must_use]
    pub fn rests_on(&self) -> &[Support] {
        &self.rests_on
    }
}

/// A recorded answer where the document is silent or contradicts itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interpretation {
    pub(crate) id: ClauseId,
    pub(crate) of: Vec<ClauseId>,
    pub(crate) question: String,
    pub(crate) answer: String,
    pub(crate) rests_on: Vec<Support>,
}

impl Interpretation {
    /// Its own number.
    #[must_use]
    pub const fn id(&self) -> &ClauseId {
        &self.id
    }

    /// The promises it reads.
    #[must_use]
    pub fn of(&self) -> &[ClauseId] {
        &self.of
    }

    /// What the document leaves open.
    #[must_use]
    pub fn question(&self) -> &str {
        &self.question
    }

    /// How it is read here.
    #[must_use]
    pub fn answer(&self) -> &str {
        &self.answer
    }

    /// The fields, guarantees and evidence that carry the answer.
    #[must_use]
    pub fn rests_on(&self) -> &[Support] {
        &self.rests_on
    }
}

/// Longest text of a promise, in bytes.
const MAX_TEXT: usize = 2_000;

/// Reads a `[[promise]]` entry.
pub(crate) fn read_promise(table: Reader<'_>, known: &mut Known<'_>) -> Option<Promise> {
    let id = known.fresh(&table);
    known.promises.extend(id.clone());
    let text = prose(&table, "text");
    let rests_on = supports(&table, known.is_field);
    let substance = match table.text("no_promise") {
        Some(_) => prose(&table, "no_promise").map(|reason| Substance::NoPromise { reason }),
        None => {
            let kinds = kinds(&table);
            let claim = table.table("claim").and_then(claim);
            table.missing("claim");
            kinds.zip(claim).map(|(kinds, claim)| Substance::Promise { kinds, claim })
        }
    };
    let promises = matches!(substance, Some(Substance::Promise { .. }));
    if promises && rests_on.as_ref().is_some_and(Vec::is_empty) {
        table.report("a promise rests on something: name a field, a guarantee or evidence");
    }
    table.finish();
    Some(Promise { id: id?, text: text?, substance: substance?, rests_on: rests_on? })
}

/// Reads an `[[interpretation]]` entry.
pub(crate) fn read_interpretation(
    table: Reader<'_>,
    known: &mut Known<'_>,
) -> Option<Interpretation> {
    let id = known.fresh(&table);
    let question = prose(&table, "question");
    let answer = prose(&table, "answer");
    let rests_on = supports(&table, known.is_field);
    table.missing("of");
    let of = table.texts("of").map(|ids| {
        let read = |(text, at): (&str, usize)| {
            let id = ClauseId::new(text.to_owned()).ok().filter(|id| known.promises.contains(id));
            if id.is_none() {
                table.report_place("of", at, "expected the number of a promise above");
            }
            id
        };
        ids.into_iter().filter_map(read).collect()
    });
    table.finish();
    Some(Interpretation {
        id: id?,
        of: of?,
        question: question?,
        answer: answer?,
        rests_on: rests_on?,
    })
}

fn clause(table: &Reader<'_>, key: &'static str) -> Option<ClauseId> {
    table.missing(key);
    match ClauseId::new(table.text(key)?.to_owned()) {
        Ok(id) => Some(id),
        Err(error) => {
            table.report_at(key, error.to_string());
            None
        }
    }
}

/// A text of the document that is shown to people: bounded, not empty, without control characters.
pub(crate) fn prose(table: &Reader<'_>, key: &'static str) -> Option<String> {
    table.missing(key);
    let text = table.text(key)?.trim();
    if text.is_empty() || text.len() > MAX_TEXT || text.chars().any(char::is_control) {
        let message = format!("expected 1 to {MAX_TEXT} bytes on one line, without controls");
        table.report_at(key, message);
        return None;
    }
    Some(text.to_owned())
}

fn kinds(table: &Reader<'_>) -> Option<BTreeSet<Kind>> {
    table.missing("kinds");
    let mut kinds = BTreeSet::new();
    let mut all_known = true;
    for (text, at) in table.texts("kinds")? {
        match Kind::WORDS.iter().find(|(word, _)| *word == text) {
            Some((_, kind)) => {
                kinds.insert(*kind);
            }
            None => {
                all_known = false;
                let known = Kind::WORDS.map(|(word, _)| word).join(", ");
                table.report_place("kinds", at, format!("expected one of {known}"));
            }
        }
    }
    if kinds.is_empty() && all_known {
        table.report_at("kinds", "a promise is of one kind at least");
    }
    (all_known && !kinds.is_empty()).then_some(kinds)
}

fn claim(table: Reader<'_>) -> Option<Claim> {
    let required = |key| {
        table.missing(key);
        term(&table, key)
    };
    let subject = required("subject");
    let action = required("action");
    let object = required("object");
    table.missing("modality");
    let modality = table.choice("modality", &Modality::WORDS);
    let manner = term(&table, "manner");
    let exception = term(&table, "exception");
    table.finish();
    Some(Claim {
        subject: subject?,
        action: action?,
        object: object?,
        modality: modality?,
        manner,
        exception,
    })
}

fn term(table: &Reader<'_>, key: &'static str) -> Option<Term> {
    let term = Term::new(table.text(key)?);
    if term.is_none() {
        let message = "expected lower-case words joined by `-` and narrowed by `/`, such as \
                       \"data/social/private\"";
        table.report_at(key, message);
    }
    term
}

fn supports(table: &Reader<'_>, is_field: &dyn Fn(&str) -> bool) -> Option<Vec<Support>> {
    if table.find("rests_on").is_none() {
        return Some(Vec::new());
    }
    let mut supports = Vec::new();
    for (text, at) in table.texts("rests_on")? {
        let support = match text.split_once(':') {
            Some(("guarantee", id)) => {
                ClauseId::new(id.to_owned()).ok().map(|id| Support::Guarantee(id.to_string()))
            }
            Some(("evidence", name)) => Term::new(name).map(|name| Support::Evidence(name.0)),
            Some(_) => None,
            None => is_field(text).then(|| Support::Field(text.to_owned())),
        };
        match support {
            Some(support) => supports.push(support),
            None => table.report_place(
                "rests_on",
                at,
                "expected a field of the policy such as \"session.idle\", \"guarantee:..\" or \
                 \"evidence:..\"",
            ),
        }
    }
    Some(supports)
}
