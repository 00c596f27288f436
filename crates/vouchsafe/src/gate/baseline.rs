//! Is the policy still what was promised?
//!
//! A tenant's baseline is the join of its contracts in force; without any, the policy it was first
//! served under. It is kept in the store, so that neither a weaker policy nor an older set of
//! contracts goes unnoticed at the next start.

use std::collections::{BTreeMap, BTreeSet};

use vouchsafe_access_log::{
    AnySink, Field, Operation, Record, RecordSink, RetentionPolicy, Target,
};
use vouchsafe_core::{
    Case, Cell, CellKey, Corrupt, Machine, Order, PolicyDigest, Space, Step, TenantId, Timestamp,
};
use vouchsafe_crypto::MacKey;
use vouchsafe_envelope::EnvelopePolicy;
use vouchsafe_policy::{Policy, Verdict, compare};
use vouchsafe_store::{AnyCells, Cells, Encrypted, drive};

use super::terms::{Kept, Terms, read, write};
use super::{OpenError, Policies};

/// What a tenant is owed, and how its policy stands to it.
pub(super) struct Checked {
    /// What is kept of it from now on.
    pub(super) kept: Kept,
    /// The baseline in force.
    pub(super) baseline: Policy,
    /// It is new, or other contracts than those that were kept.
    pub(super) raised: bool,
    /// The documents that are promised now and were not before.
    pub(super) new: BTreeSet<PolicyDigest>,
    /// What comes into force later.
    pub(super) ahead: Vec<Ahead>,
}

/// A contract that comes into force while the gate may be open.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ahead {
    /// Whose.
    pub tenant: TenantId,
    /// From when it holds.
    pub since: Timestamp,
    /// The baseline from then on.
    pub baseline: PolicyDigest,
    /// Where the policy that is served is below it: section, witness, old and new value, and clause
    /// of each weakening. Unless empty, no gate opens under this policy from then on.
    pub findings: Vec<String>,
}

/// The tenants that have a baseline. Its absence beside a store or a log that is not empty is no
/// fresh start.
#[derive(Clone, Debug, Default)]
struct Roll(BTreeSet<TenantId>);

/// Puts what it is given, whatever was there: one process opens a gate at a time, and a lost race
/// is decided again at the next start.
pub(super) struct Put<S>(std::marker::PhantomData<fn() -> S>);

impl<S> Put<S> {
    pub(super) const fn new() -> Self {
        Self(std::marker::PhantomData)
    }
}

impl<S: Clone + Cell> Machine for Put<S> {
    type State = S;
    type Event = S;
    type Verdict = ();

    fn step(&self, _was: Option<&S>, event: &S, _now: Timestamp) -> Step<S, ()> {
        Step::save(event.clone(), Timestamp::MAX, ())
    }
}

/// The baselines of an installation.
pub(super) struct Baselines<'a> {
    cells: &'a AnyCells,
    digests: &'a MacKey,
    entropy: &'a std::sync::Arc<dyn vouchsafe_core::Entropy>,
    now: Timestamp,
    roll: Roll,
}

/// How the records of promises begin.
pub(super) const PROMISED: &str = "promised";

/// The digest of a document that a record says was promised.
pub(super) fn promise(record: &Record) -> Option<&str> {
    let Target::Entity { kind, id } = &record.target else { return None };
    let says = record.operation == Operation::PolicyLoaded && kind.as_str() == "policy";
    id.as_str().strip_prefix(PROMISED).filter(|_| says).map(str::trim_start)
}

impl<'a> Baselines<'a> {
    /// Reads which tenants have a baseline. On a first start that is noted before anything else is
    /// written: whoever is cut short then starts again.
    pub(super) async fn read(
        cells: &'a AnyCells,
        sink: &AnySink,
        digests: &'a MacKey,
        entropy: &'a std::sync::Arc<dyn vouchsafe_core::Entropy>,
        now: Timestamp,
    ) -> Result<Self, OpenError> {
        let key = Self::key_of(digests, "vouchsafe baselines v1", "");
        let roll = load::<Roll>(cells, key).await?;
        let first = roll.is_none();
        let baselines = Self { cells, digests, entropy, now, roll: roll.unwrap_or_default() };
        if first {
            for space in Space::ALL {
                if !cells.scan(space, None, 1).await?.is_empty() {
                    return Err(OpenError::MissingBaselines);
                }
            }
            if sink.holds_records().await.map_err(|_| OpenError::Log)? == Some(true) {
                return Err(OpenError::MissingBaselines);
            }
            baselines.put(key, baselines.roll.clone()).await?;
        }
        Ok(baselines)
    }

    async fn kept(&self, tenant: &TenantId) -> Result<Option<Kept>, OpenError> {
        if !self.roll.0.contains(tenant) {
            return Ok(None);
        }
        let kept = load(self.cells, self.key(tenant)).await?;
        kept.map(Some).ok_or_else(|| OpenError::MissingBaseline { tenant: tenant.clone() })
    }

    /// Checks a tenant's policy against its contracts and against what was kept.
    pub(super) async fn check(
        &self,
        tenant: &TenantId,
        policy: &Policy,
        contracts: &[Policy],
    ) -> Result<Checked, OpenError> {
        let now = self.now;
        let kept = self.kept(tenant).await?;
        let old = kept.as_ref().map(Kept::terms).transpose().map_err(|_| OpenError::Corrupt)?;
        let old = old.map(|terms| terms.at(now));
        let terms = match &old {
            Some(old) if contracts.is_empty() => old.clone(),
            old => Terms::new(contracts, old.as_ref(), policy, now),
        };
        // Ahead of the joins and comparisons, whose number grows with the dates.
        let new = terms.kept();
        let (bytes, most) = (new.clone().into_bytes().len(), Encrypted::<AnyCells>::MAX_VALUE);
        if bytes > most {
            let (tenant, contracts) = (tenant.clone(), contracts.len());
            return Err(OpenError::ContractsTooLong { tenant, contracts, bytes, most });
        }
        // As much as before, today and on every day that was promised.
        for when in old.iter().flat_map(|old| [now].into_iter().chain(old.dates())) {
            let was = old.as_ref().map(|old| old.baseline(tenant, when)).transpose()?.flatten();
            if let (Some(owed), Some(was)) = (terms.baseline(tenant, when)?, was) {
                let findings = weaker(&owed, &was);
                if !findings.is_empty() {
                    return Err(OpenError::OlderBaseline { tenant: tenant.clone(), findings });
                }
            }
        }
        let baseline = terms.baseline(tenant, now)?.unwrap_or_else(|| policy.clone());
        let findings = weaker(policy, &baseline);
        if !findings.is_empty() {
            return Err(OpenError::BelowBaseline { tenant: tenant.clone(), findings });
        }
        let mut ahead = Vec::new();
        for since in terms.dates() {
            if let Some(baseline) = terms.baseline(tenant, since)? {
                let findings = weaker(policy, &baseline);
                let (tenant, baseline) = (tenant.clone(), baseline.digest());
                ahead.push(Ahead { tenant, since, baseline, findings });
            }
        }
        let raised = kept.is_none_or(|kept| kept != new);
        if raised {
            // What cannot be read back must not be kept: a contract that is itself a join, say.
            new.terms().map_err(|error| OpenError::Contracts {
                tenant: tenant.clone(),
                error: Box::new(error),
            })?;
        }
        let mut documents = terms.digests();
        if let Some(old) = &old {
            documents = documents.difference(&old.digests()).copied().collect();
        }
        Ok(Checked { kept: new, baseline, raised, new: documents, ahead })
    }

    /// Checks what the tenants share, one log and one keyring, against what any of them was
    /// promised: tenants that are not served any more have records and sealed data there, too.
    pub(super) async fn check_shared(
        &self,
        policies: &Policies,
        checked: &[(TenantId, Checked)],
    ) -> Result<(), OpenError> {
        let mut baselines: Vec<_> = checked.iter().map(|(_, of)| of.baseline.clone()).collect();
        for tenant in &self.roll.0 {
            if policies.get(tenant).is_some() {
                continue;
            }
            if let Some(kept) = self.kept(tenant).await? {
                let terms = kept.terms().map_err(|_| OpenError::Corrupt)?.at(self.now);
                baselines.extend(terms.baseline(tenant, self.now)?);
            }
        }
        let served = Shared::of(policies.iter().map(|(_, policy)| &**policy))?;
        let owed = Shared::of(&baselines)?;
        let findings = match (served, owed) {
            (Some(served), Some(owed)) => served.weaker_than(&owed),
            _ => Vec::new(),
        };
        if findings.is_empty() { Ok(()) } else { Err(OpenError::BelowShared { findings }) }
    }

    /// Checks that what the log has seen promised since a copy was made is in the copy or promised
    /// again.
    pub(super) async fn check_lost(
        &self,
        promised: &BTreeMap<TenantId, BTreeSet<String>>,
        checked: &[(TenantId, Checked)],
    ) -> Result<(), OpenError> {
        for (tenant, promised) in promised {
            let of = checked.iter().find(|(other, _)| other == tenant).map(|(_, of)| of);
            let mut known = of.map(|of| of.new.clone()).unwrap_or_default();
            if let Some(kept) = self.kept(tenant).await? {
                known.extend(kept.terms().map_err(|_| OpenError::Corrupt)?.digests());
            }
            let known: BTreeSet<_> = known.iter().map(ToString::to_string).collect();
            let documents: Vec<_> = promised.difference(&known).cloned().collect();
            if !documents.is_empty() {
                return Err(OpenError::LostBaseline { tenant: tenant.clone(), documents });
            }
        }
        Ok(())
    }

    /// Keeps a tenant's baseline: first the documents, then the name on the roll.
    pub(super) async fn keep(&mut self, tenant: &TenantId, kept: Kept) -> Result<(), OpenError> {
        self.put(self.key(tenant), kept).await?;
        if self.roll.0.insert(tenant.clone()) {
            let key = Self::key_of(self.digests, "vouchsafe baselines v1", "");
            self.put(key, self.roll.clone()).await?;
        }
        Ok(())
    }

    async fn put<S: Cell + Clone + Sync>(&self, key: CellKey, state: S) -> Result<(), OpenError> {
        let machine = Put::new();
        drive(self.cells, self.entropy, key, &machine, state, self.now)
            .await
            .map_err(|undelivered| OpenError::Store(undelivered.error))
    }

    fn key(&self, tenant: &TenantId) -> CellKey {
        Self::key_of(self.digests, "vouchsafe baseline v1", tenant.as_str())
    }

    fn key_of(digests: &MacKey, label: &str, name: &str) -> CellKey {
        CellKey::new(Space::System, digests.digest(label, &[name.as_bytes()]))
    }
}

async fn load<S: Cell>(cells: &AnyCells, key: CellKey) -> Result<Option<S>, OpenError> {
    Ok(cells.load(key).await?.state(key)?)
}

/// Where `policy` is below `baseline`.
fn weaker(policy: &Policy, baseline: &Policy) -> Vec<String> {
    let report = compare(policy, baseline);
    match report.verdict() {
        Verdict::NoWeaker => Vec::new(),
        _ => report.weaker().iter().map(ToString::to_string).collect(),
    }
}

/// What holds for all tenants at once: how long their one log keeps records, and how strong their
/// one keyring is. Which fields a record may lack is each tenant's own.
struct Shared {
    retention: RetentionPolicy,
    envelope: EnvelopePolicy,
}

impl Shared {
    /// The join over every class of these policies.
    fn of<'a>(policies: impl IntoIterator<Item = &'a Policy>) -> Result<Option<Self>, OpenError> {
        let mut all: Option<Self> = None;
        for class in policies.into_iter().flat_map(|policy| policy.classes()).map(|(_, c)| c) {
            let contradiction = |error: vouchsafe_access_log::PolicyError| {
                OpenError::SharedContradiction { reason: error.to_string() }
            };
            let (keep, erase) = (class.retention().keep_at_least(), class.retention().erase_by());
            let retention = RetentionPolicy::new(keep, erase, Field::ALL, [Operation::Read]);
            let retention = retention.map_err(|_| OpenError::Corrupt)?;
            let envelope = class.envelope();
            all = Some(match all {
                None => Self { retention, envelope: envelope.clone() },
                Some(all) => Self {
                    retention: all.retention.join(&retention).map_err(contradiction)?,
                    envelope: all.envelope.join(envelope),
                },
            });
        }
        Ok(all)
    }

    fn weaker_than(&self, owed: &Self) -> Vec<String> {
        let log = self.retention.weakening(&owed.retention).map(|w| format!("retention: {w}"));
        let keys = self.envelope.weakening(&owed.envelope).map(|w| format!("envelope: {w}"));
        log.into_iter().chain(keys).collect()
    }
}

impl Cell for Roll {
    const SPACE: Space = Space::System;

    fn from_bytes(bytes: Vec<u8>) -> Result<Self, Corrupt> {
        let texts = read(&bytes)?;
        let tenants = texts.iter().map(|text| TenantId::with_case(text, Case::Exact));
        tenants.collect::<Result<_, _>>().map(Self).map_err(|_| Corrupt)
    }

    fn into_bytes(self) -> Vec<u8> {
        write(self.0.iter().map(TenantId::as_str))
    }
}
