//! Is the policy still what was promised?
//!
//! A tenant's baseline is the join of its contracts; without any, the policy it was first served
//! under. It is kept in the store, so that neither a weaker policy nor an older set of contracts
//! goes unnoticed at the next start.

use std::collections::BTreeSet;

use vouchsafe_core::{Case, Cell, CellKey, Corrupt, Machine, Space, Step, TenantId, Timestamp};
use vouchsafe_crypto::MacKey;
use vouchsafe_policy::{Policy, Verdict, compare, join};
use vouchsafe_store::{AnyCells, Cells, drive};

use super::OpenError;
use super::account::{field, put_field};

/// What a tenant is owed, and how its policy stands to it.
pub(super) struct Checked {
    /// What the baseline in force from now on is the join of.
    pub(super) documents: Vec<Policy>,
    /// The baseline itself.
    pub(super) baseline: Policy,
    /// It is new, or stronger than the one that was kept.
    pub(super) raised: bool,
}

/// The tenants that have a baseline. Its absence beside a store that is not empty is no fresh
/// start.
#[derive(Clone, Debug, Default)]
struct Roll(BTreeSet<TenantId>);

/// A tenant's baseline, as the documents it is the join of: a join may hold what no document can.
#[derive(Clone, Debug)]
struct Kept(Vec<String>);

/// Puts what it is given, whatever was there: one process opens a gate at a time, and a lost race
/// is decided again at the next start.
struct Put<S>(std::marker::PhantomData<fn() -> S>);

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
    roll: Roll,
    /// The store is empty: there is no roll yet.
    fresh: bool,
}

impl<'a> Baselines<'a> {
    /// Reads which tenants have a baseline.
    pub(super) async fn read(
        cells: &'a AnyCells,
        digests: &'a MacKey,
        entropy: &'a std::sync::Arc<dyn vouchsafe_core::Entropy>,
    ) -> Result<Self, OpenError> {
        let key = Self::key_of(digests, "vouchsafe baselines v1", "");
        let (roll, fresh) = match load::<Roll>(cells, key).await? {
            Some(roll) => (roll, false),
            None => {
                for space in Space::ALL {
                    if !cells.scan(space, None, 1).await?.is_empty() {
                        return Err(OpenError::MissingBaselines);
                    }
                }
                (Roll::default(), true)
            }
        };
        Ok(Self { cells, digests, entropy, roll, fresh })
    }

    /// Checks a tenant's policy against its contracts and against what was kept.
    pub(super) async fn check(
        &self,
        tenant: &TenantId,
        policy: &Policy,
        contracts: &[Policy],
    ) -> Result<Checked, OpenError> {
        let kept = if self.roll.0.contains(tenant) {
            let kept: Option<Kept> = load(self.cells, self.key(tenant)).await?;
            let Kept(documents) =
                kept.ok_or_else(|| OpenError::MissingBaseline { tenant: tenant.clone() })?;
            let parse = |text: &String| Policy::parse(text, "kept baseline");
            let documents: Result<Vec<_>, _> = documents.iter().map(parse).collect();
            joined(tenant, &documents.map_err(|_| OpenError::Corrupt)?)?
        } else {
            None
        };
        let owed = joined(tenant, contracts)?;
        if let (Some(owed), Some(kept)) = (&owed, &kept) {
            let report = compare(owed, kept);
            if report.verdict() != Verdict::NoWeaker {
                let findings = report.weaker().iter().map(ToString::to_string).collect();
                return Err(OpenError::OlderBaseline { tenant: tenant.clone(), findings });
            }
        }
        let raised = match (&owed, &kept) {
            (Some(owed), Some(kept)) => owed.digest() != kept.digest(),
            (_, kept) => kept.is_none(),
        };
        let baseline = owed.or(kept).unwrap_or_else(|| policy.clone());
        let report = compare(policy, &baseline);
        if report.verdict() != Verdict::NoWeaker {
            let findings = report.weaker().iter().map(ToString::to_string).collect();
            return Err(OpenError::BelowBaseline { tenant: tenant.clone(), findings });
        }
        let documents = match contracts {
            [] => vec![baseline.clone()],
            contracts => contracts.to_vec(),
        };
        if raised {
            // What cannot be read back must not be kept: a contract that is itself a join, say.
            for document in &documents {
                Policy::parse(&document.to_toml(), document.name()).map_err(|error| {
                    OpenError::Contracts { tenant: tenant.clone(), error: Box::new(error) }
                })?;
            }
        }
        Ok(Checked { documents, baseline, raised })
    }

    /// Keeps a tenant's baseline: first the documents, then the name on the roll.
    pub(super) async fn keep(
        &mut self,
        tenant: &TenantId,
        documents: &[Policy],
        now: Timestamp,
    ) -> Result<(), OpenError> {
        let roll = Self::key_of(self.digests, "vouchsafe baselines v1", "");
        if std::mem::take(&mut self.fresh) {
            // First of all an empty roll: documents alone would look like a store that lost its
            // roll, if this first start ended between the two.
            self.put(roll, self.roll.clone(), now).await?;
        }
        let documents = documents.iter().map(Policy::to_toml).collect();
        self.put(self.key(tenant), Kept(documents), now).await?;
        if self.roll.0.insert(tenant.clone()) {
            self.put(roll, self.roll.clone(), now).await?;
        }
        Ok(())
    }

    async fn put<S: Cell + Clone + Sync>(
        &self,
        key: CellKey,
        state: S,
        now: Timestamp,
    ) -> Result<(), OpenError> {
        let machine = Put(std::marker::PhantomData);
        drive(self.cells, self.entropy, key, &machine, state, now)
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
    let loaded = cells.load(key).await?;
    let state = loaded.cell.map(|cell| S::from_bytes(cell.bytes)).transpose();
    state.map_err(|_| OpenError::Corrupt)
}

/// The baseline that these documents promise together.
fn joined(tenant: &TenantId, documents: &[Policy]) -> Result<Option<Policy>, OpenError> {
    let Some((first, rest)) = documents.split_first() else { return Ok(None) };
    join(first, rest)
        .map(Some)
        .map_err(|error| OpenError::Contracts { tenant: tenant.clone(), error: Box::new(error) })
}

/// Texts, each behind its length.
fn write(texts: &[impl AsRef<str>]) -> Vec<u8> {
    let mut out = vec![1];
    texts.iter().for_each(|text| put_field(&mut out, text.as_ref().as_bytes()));
    out
}

fn read(bytes: &[u8]) -> Result<Vec<String>, Corrupt> {
    let Some((1, mut rest)) = bytes.split_first() else { return Err(Corrupt) };
    let mut texts = Vec::new();
    while !rest.is_empty() {
        let text = field(&mut rest)?.to_vec();
        texts.push(String::from_utf8(text).map_err(|_| Corrupt)?);
    }
    Ok(texts)
}

impl Cell for Kept {
    const SPACE: Space = Space::System;

    fn from_bytes(bytes: Vec<u8>) -> Result<Self, Corrupt> {
        read(&bytes).map(Self)
    }

    fn into_bytes(self) -> Vec<u8> {
        write(&self.0)
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
        write(&self.0.iter().map(TenantId::as_str).collect::<Vec<_>>())
    }
}
