//! Many refusals alike, one record: so that whoever floods the gate does not flood the log.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use vouchsafe_access_log::Operation;
use vouchsafe_core::{Prefix, TenantId, Timestamp};

use super::call::Draft;
use super::refusal::Code;

const MINUTE: i64 = 60_000_000;

/// Refusals of the running minute that were counted and not written one by one.
#[derive(Debug)]
pub(crate) struct Refusals {
    counted: Mutex<HashMap<Key, Counted>>,
    most: usize,
}

/// Refusals alike: of one account (or unknown name), one kind, one source block, one minute.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    tenant: TenantId,
    counter: [u8; 16],
    source: Option<Prefix>,
    code: Code,
    operation: Operation,
    minute: i64,
}

#[derive(Debug)]
struct Counted {
    draft: Draft,
    repeats: u32,
}

/// A count that is ready to be written.
#[derive(Debug)]
pub(crate) struct Due {
    pub(crate) draft: Draft,
    pub(crate) code: Code,
    pub(crate) repeats: u32,
}

impl Refusals {
    /// Counts at most `most` kinds at once; what does not fit is written one by one.
    pub(crate) fn new(most: usize) -> Self {
        Self { counted: Mutex::default(), most }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Counted>> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes one refusal. True: it is the first of its kind in this minute and is to be written
    /// now; false: it was counted.
    pub(crate) fn is_first(
        &self,
        draft: &Draft,
        counter: [u8; 16],
        code: Code,
        now: Timestamp,
    ) -> bool {
        let source = draft.call.source().address().and_then(|a| a.ladder().first().copied());
        let minute = now.micros().div_euclid(MINUTE);
        let tenant = draft.tenant.clone();
        let operation = draft.operation;
        let key = Key { tenant, counter, source, code, operation, minute };
        let mut counted = self.lock();
        if let Some(entry) = counted.get_mut(&key) {
            entry.repeats = entry.repeats.saturating_add(1);
            return false;
        }
        if counted.len() < self.most {
            counted.insert(key, Counted { draft: draft.clone(), repeats: 0 });
        }
        true
    }

    /// Takes out what was counted in minutes before `now`'s; with `all`, in this one too.
    pub(crate) fn take_due(&self, now: Timestamp, all: bool) -> Vec<Due> {
        let minute = now.micros().div_euclid(MINUTE);
        let mut counted = self.lock();
        counted
            .extract_if(|key, _| all || key.minute != minute)
            .filter(|(_, entry)| entry.repeats > 0)
            .map(|(key, entry)| Due { draft: entry.draft, code: key.code, repeats: entry.repeats })
            .collect()
    }

    /// Puts back what could not be written.
    pub(crate) fn put_back(&self, due: Due, now: Timestamp) {
        let key = Key {
            tenant: due.draft.tenant.clone(),
            counter: [0; 16],
            source: due.draft.call.source().address().and_then(|a| a.ladder().first().copied()),
            code: due.code,
            operation: due.draft.operation,
            minute: now.micros().div_euclid(MINUTE),
        };
        let mut counted = self.lock();
        let entry = counted.entry(key).or_insert(Counted { draft: due.draft, repeats: 0 });
        entry.repeats = entry.repeats.saturating_add(due.repeats);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::call::{Call, account_target};
    use vouchsafe_access_log::Actor;
    use vouchsafe_core::{AccountDigest, PolicyDigest, Source, Unavailable};

    fn draft() -> Draft {
        Draft {
            tenant: TenantId::new("acme").unwrap(),
            actor: Actor::Unauthenticated { claimed: None },
            target: account_target(AccountDigest::new([1; 16])),
            operation: Operation::SignInRefused,
            call: Call::from(Source::Unavailable(Unavailable::Local)),
            policy: PolicyDigest::NONE,
            clause: None,
        }
    }

    #[test]
    fn counts_are_exact_and_kinds_do_not_mix() {
        let refusals = Refusals::new(8);
        let now = Timestamp::from_micros(5 * MINUTE);
        let firsts = (0..100)
            .filter(|i| refusals.is_first(&draft(), [i % 2; 16], Code::Locked, now))
            .count();
        assert_eq!(firsts, 2);
        assert!(refusals.is_first(&draft(), [0; 16], Code::Busy, now));
        assert!(refusals.take_due(now, false).is_empty(), "the minute is still running");
        let later = Timestamp::from_micros(6 * MINUTE);
        let due = refusals.take_due(later, false);
        assert_eq!(due.iter().map(|due| due.repeats).collect::<Vec<_>>(), [49, 49]);
        assert!(refusals.take_due(later, true).is_empty());
    }

    #[test]
    fn what_does_not_fit_is_written_one_by_one() {
        let refusals = Refusals::new(1);
        let now = Timestamp::EPOCH;
        assert!(refusals.is_first(&draft(), [0; 16], Code::Locked, now));
        assert!((0..3).all(|_| refusals.is_first(&draft(), [1; 16], Code::Locked, now)));
        assert!(!refusals.is_first(&draft(), [0; 16], Code::Locked, now));
    }

    #[test]
    fn what_could_not_be_written_is_kept() {
        let refusals = Refusals::new(8);
        let now = Timestamp::EPOCH;
        for _ in 0..3 {
            refusals.is_first(&draft(), [0; 16], Code::Locked, now);
        }
        let due = refusals.take_due(now, true).pop().unwrap();
        refusals.put_back(due, now);
        assert_eq!(refusals.take_due(now, true).pop().unwrap().repeats, 2);
    }
}
