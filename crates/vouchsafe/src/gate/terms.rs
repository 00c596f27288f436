//! What a tenant was promised, and from when.

use std::collections::BTreeSet;

use vouchsafe_core::{Cell, Corrupt, PolicyDigest, Space, TenantId, Timestamp};
use vouchsafe_policy::{Policy, join};

use super::OpenError;
use super::account_bytes::{field, put_field};

/// The documents that a tenant's baseline is the join of: a join may hold what no document can.
#[derive(Clone, Debug, Default)]
pub(super) struct Terms {
    /// In force, and staying so whatever a clock says later.
    in_force: Vec<Policy>,
    /// Of which the Effective Date lies ahead.
    ahead: Vec<Policy>,
}

impl Terms {
    /// The terms of these contracts at `now`. What `kept` has in force stays in force; without any
    /// in force, what was kept goes on, else `served`, the policy of the first start.
    pub(super) fn new(
        contracts: &[Policy],
        kept: Option<&Self>,
        served: &Policy,
        now: Timestamp,
    ) -> Self {
        let known = kept.map(|kept| kept.in_force.as_slice()).unwrap_or_default();
        let is_known = |policy: &Policy| known.iter().any(|old| old.digest() == policy.digest());
        let holds = |policy: &Policy| since(policy) <= now || is_known(policy);
        let (in_force, ahead) = contracts.iter().cloned().partition(holds);
        let mut terms = Self { in_force, ahead };
        if terms.in_force.is_empty() {
            terms.in_force = known.to_vec();
        }
        if terms.in_force.is_empty() {
            terms.in_force.push(served.clone());
        }
        terms
    }

    /// The same terms once it is `now`: what has come into force meanwhile is in force for good.
    pub(super) fn at(self, now: Timestamp) -> Self {
        let Self { mut in_force, ahead } = self;
        let (come, ahead) = ahead.into_iter().partition(|policy| since(policy) <= now);
        in_force.extend::<Vec<_>>(come);
        Self { in_force, ahead }
    }

    /// The moments ahead at which more comes into force.
    pub(super) fn dates(&self) -> BTreeSet<Timestamp> {
        self.ahead.iter().map(since).collect()
    }

    /// The baseline at `when`.
    pub(super) fn baseline(
        &self,
        tenant: &TenantId,
        when: Timestamp,
    ) -> Result<Option<Policy>, OpenError> {
        let ahead = self.ahead.iter().filter(|policy| since(policy) <= when);
        let mut documents = self.in_force.iter().chain(ahead);
        let Some(first) = documents.next() else { return Ok(None) };
        join(first, documents)
            .map(Some)
            .map_err(|error| OpenError::Contracts { tenant: tenant.clone(), error: error.into() })
    }

    /// The documents, those ahead included.
    pub(super) fn digests(&self) -> BTreeSet<PolicyDigest> {
        self.in_force.iter().chain(&self.ahead).map(Policy::digest).collect()
    }

    pub(super) fn kept(&self) -> Kept {
        let texts = |policies: &[Policy]| policies.iter().map(Policy::to_toml).collect();
        Kept { in_force: texts(&self.in_force), ahead: texts(&self.ahead) }
    }
}

/// From when a document holds: from 00:00 UTC of its Effective Date, without one from the first.
fn since(policy: &Policy) -> Timestamp {
    let begins = |date: time::Date| Timestamp::from_utc(date.midnight().assume_utc());
    policy.effective().map_or(Timestamp::MIN, begins)
}

/// Terms as they are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    in_force: BTreeSet<String>,
    ahead: BTreeSet<String>,
}

impl Kept {
    /// The terms again, or the first document that does not read.
    pub(super) fn terms(&self) -> Result<Terms, vouchsafe_policy::PolicyError> {
        let parse = |text: &String| Policy::parse(text, "kept baseline");
        let all = |texts: &BTreeSet<String>| texts.iter().map(parse).collect::<Result<_, _>>();
        Ok(Terms { in_force: all(&self.in_force)?, ahead: all(&self.ahead)? })
    }
}

/// Texts, each behind its length.
pub(super) fn write<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<u8> {
    let mut out = vec![1];
    texts.into_iter().for_each(|text| put_field(&mut out, text.as_bytes()));
    out
}

pub(super) fn read(bytes: &[u8]) -> Result<Vec<String>, Corrupt> {
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
        // An empty text divides what is in force from what lies ahead: no document is empty.
        let mut texts = read(&bytes)?.into_iter();
        let in_force = texts.by_ref().take_while(|text| !text.is_empty()).collect();
        Ok(Self { in_force, ahead: texts.collect() })
    }

    fn into_bytes(self) -> Vec<u8> {
        let Self { in_force, ahead } = &self;
        write(
            in_force.iter().map(String::as_str).chain([""]).chain(ahead.iter().map(String::as_str)),
        )
    }
}
