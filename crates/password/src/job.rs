//! One piece of the pool's work.

use std::sync::Arc;

use vouchsafe_core::{Charged, Matched, NotMatched, Standing};
use zeroize::Zeroizing;

use crate::bench::{Bench, Candidate, Compared, What, caught};
use crate::hash::{Memory, NotRun};
use crate::hashed::{Input, Kdf};
use crate::renewal::Renewal;
use crate::ticket::Answer;
use crate::verify::not_verified;
use crate::{
    Accepted, Attributes, Binding, Breached, NewRecord, NotVerifiedReason, OwnerPresent, Password,
    PasswordError, PasswordPolicy, Record, Unmet, Verified,
};

pub(crate) enum Job {
    Verify(VerifyJob),
    Hash(HashJob),
    Wrap(WrapJob),
    Check(CheckJob),
}

pub(crate) struct VerifyJob {
    pub(crate) charged: Charged,
    pub(crate) password: Password,
    pub(crate) record: Option<Box<Candidate>>,
    pub(crate) binding: Binding,
    pub(crate) answer: Answer<Verified>,
}

/// A digest that was kept bare is to be kept in Argon2id.
pub(crate) struct WrapJob {
    pub(crate) input: Input,
    /// In lower-case hexadecimal.
    pub(crate) digest: Zeroizing<String>,
    pub(crate) standing: Standing,
    pub(crate) binding: Binding,
    pub(crate) answer: Answer<Result<Record, PasswordError>>,
}

/// A new password is to be looked up in a list, which may be on a disk.
pub(crate) struct CheckJob {
    pub(crate) policy: PasswordPolicy,
    pub(crate) password: Password,
    pub(crate) attributes: Attributes,
    pub(crate) list: Arc<dyn Breached>,
    pub(crate) answer: Answer<Result<Accepted, Vec<Unmet>>>,
}

pub(crate) struct HashJob {
    pub(crate) password: Password,
    /// How many passwords are remembered, this one included.
    pub(crate) remember: u8,
    /// What it replaces.
    pub(crate) previous: Option<Box<Candidate>>,
    pub(crate) owner: Option<OwnerPresent>,
    pub(crate) binding: Binding,
    pub(crate) answer: Answer<Result<NewRecord, PasswordError>>,
}

impl Job {
    /// Memory that it needs, in KiB.
    pub(crate) fn kib(&self, bench: &Bench) -> u32 {
        let own = bench.policy.params().memory_kib();
        match self {
            Self::Verify(VerifyJob { record: Some(candidate), password, .. }) => {
                let renewed = match bench.renewal(candidate, password) {
                    Some(Renewal::Hash(params)) => {
                        let entering = bench.entering(candidate).map_or(0, Kdf::kib);
                        params.memory_kib().max(entering)
                    }
                    Some(Renewal::Seal) | None => 0,
                };
                candidate.kdf().kib().max(renewed)
            }
            Self::Hash(HashJob { previous: Some(previous), remember, owner: Some(_), .. }) => {
                let former = bench.former(previous, *remember);
                former.kdfs().map(Kdf::kib).fold(own, u32::max)
            }
            Self::Verify(_) | Self::Hash(_) | Self::Wrap(_) => own,
            Self::Check(_) => 0,
        }
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        match self {
            Self::Verify(job) => job.answer.is_abandoned(),
            Self::Hash(job) => job.answer.is_abandoned(),
            Self::Wrap(job) => job.answer.is_abandoned(),
            Self::Check(job) => job.answer.is_abandoned(),
        }
    }

    pub(crate) fn refuse(self, reason: NotVerifiedReason) {
        match self {
            Self::Verify(job) => job.answer.give(not_verified(job.charged, reason)),
            Self::Hash(job) => job.answer.give(Err(PasswordError::NotHashed(reason))),
            Self::Wrap(job) => job.answer.give(Err(PasswordError::NotHashed(reason))),
            Self::Check(job) => job.not_screened(),
        }
    }

    pub(crate) fn run(self, bench: &Bench, memory: &mut Memory) {
        match self {
            Self::Verify(job) => job.run(bench, memory),
            Self::Hash(job) => job.run(bench, memory),
            Self::Wrap(job) => job.run(bench, memory),
            Self::Check(job) => job.run(),
        }
    }
}

impl VerifyJob {
    fn run(self, bench: &Bench, memory: &mut Memory) {
        let Self { charged, password, record, binding, answer } = self;
        if bench.now() > charged.deadline() {
            return answer.give(not_verified(charged, NotVerifiedReason::Late));
        }
        let account = charged.account();
        let compared = caught(|| match &record {
            Some(candidate) => bench.compare(candidate, account, &password, &binding, memory),
            None => bench.compare_with_nobody(account, &password, memory),
        });
        let outcome = match (compared, record) {
            (Err(NotRun), _) => not_verified(charged, NotVerifiedReason::Failed),
            (Ok(Compared { right: true, .. }), Some(candidate)) => {
                let standing = candidate.standing;
                let upgrade = caught(|| bench.upgrade(*candidate, &password, &binding, memory));
                let upgrade = upgrade.unwrap_or(None);
                #[expect(
                    clippy::disallowed_methods,
                    reason = "the verifier mints it: the tags agree"
                )]
                let matched = Matched::assertion(charged, standing);
                Verified::Match { matched, upgrade }
            }
            (Ok(Compared { digest, .. }), _) => {
                #[expect(
                    clippy::disallowed_methods,
                    reason = "the verifier mints it: the tags differ"
                )]
                let outcome = NotMatched::assertion(charged).with_digest(digest);
                Verified::NoMatch(outcome)
            }
        };
        drop(password);
        answer.give(outcome);
    }
}

impl HashJob {
    fn run(self, bench: &Bench, memory: &mut Memory) {
        let Self { password, remember, previous, owner, binding, answer } = self;
        let standing = if owner.is_some() { Standing::Chosen } else { Standing::MustChange };
        let owner = owner.map(|owner| owner.account());
        let made = caught(|| {
            let previous = previous.as_deref();
            let history = if owner.is_some() {
                bench.history(previous, remember, &password, &binding, memory)?
            } else {
                Ok(previous.and_then(|previous| bench.kept(previous)))
            };
            let history = match history {
                Ok(history) => history,
                Err(refused) => return Ok(Err(refused)),
            };
            let what = What { input: Input::Plain, text: password.nfc(), history };
            bench.record(bench.policy.params(), standing, what, &binding, memory)
        });
        drop(password);
        answer.give(hashed(made).map(|record| NewRecord { record, owner }));
    }
}

impl WrapJob {
    fn run(self, bench: &Bench, memory: &mut Memory) {
        let Self { input, digest, standing, binding, answer } = self;
        let params = bench.policy.params();
        let record = caught(|| {
            let what = What { input, text: &digest, history: None };
            bench.record(params, standing, what, &binding, memory)
        });
        answer.give(hashed(record));
    }
}

impl CheckJob {
    fn run(self) {
        let Self { policy, password, attributes, list, .. } = &self;
        match caught(|| Ok(policy.check_against(password, attributes, &**list))) {
            Ok(checked) => self.answer.give(checked),
            Err(NotRun) => self.not_screened(),
        }
    }

    /// Every other rule is answered all the same.
    fn not_screened(self) {
        self.answer.give(self.policy.check(&self.password, &self.attributes));
    }
}

fn hashed<T>(record: Result<Result<T, PasswordError>, NotRun>) -> Result<T, PasswordError> {
    record.unwrap_or(Err(PasswordError::NotHashed(NotVerifiedReason::Failed)))
}
