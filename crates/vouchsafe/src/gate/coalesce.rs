//! Many refusals alike, one record: so that whoever floods the gate does not flood the log.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use vouchsafe_access_log::Operation;
use vouchsafe_core::{Prefix, TenantId, Timestamp};

use super::call::Draft;
use super::refusal::Code;

const MINUTE: i64 = 60_000_000;
/// The counter of everything that found no place of its own.
const REST: [u8; 16] = [0xff; 16];
/// Room for one count a tenant, kind and minute beyond the table.
const KINDS: usize = 1_024;

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
    key: Key,
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
            return true;
        }
        // The table is full: what does not fit is counted by kind alone, whoever it was about.
        let key = Key { counter: REST, source: None, ..key };
        if let Some(entry) = counted.get_mut(&key) {
            entry.repeats = entry.repeats.saturating_add(1);
            return false;
        }
        if counted.len() < self.most.saturating_add(KINDS) {
            counted.insert(key, Counted { draft: draft.clone(), repeats: 0 });
        }
        true
    }

    /// The first of its kind was not written after all: it counts like the others.
    pub(crate) fn unwritten(&self, draft: &Draft, counter: [u8; 16], code: Code, now: Timestamp) {
        let _ = self.is_first(draft, counter, code, now);
    }

    /// Takes out one count of a minute before `now`'s; with `all`, of this one too.
    pub(crate) fn take_due(&self, now: Timestamp, all: bool) -> Option<Due> {
        let minute = now.micros().div_euclid(MINUTE);
        let mut counted = self.lock();
        let over = |key: &Key| all || key.minute != minute;
        counted.retain(|key, entry| entry.repeats > 0 || !over(key));
        let key = counted.keys().find(|key| over(key)).cloned()?;
        let Counted { draft, repeats } = counted.remove(&key)?;
        Some(Due { draft, code: key.code, repeats, key })
    }

    /// Puts back what could not be written.
    pub(crate) fn put_back(&self, due: Due) {
        let mut counted = self.lock();
        let entry = counted.entry(due.key).or_insert(Counted { draft: due.draft, repeats: 0 });
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
        assert!(refusals.take_due(now, false).is_none(), "the minute is still running");
        let later = Timestamp::from_micros(6 * MINUTE);
        let due = || refusals.take_due(later, false).map(|due| due.repeats);
        assert_eq!([due(), due(), due()], [Some(49), Some(49), None]);
        assert!(refusals.take_due(later, true).is_none());
    }

    #[test]
    fn what_does_not_fit_is_counted_by_kind() {
        let refusals = Refusals::new(1);
        let now = Timestamp::EPOCH;
        assert!(refusals.is_first(&draft(), [0; 16], Code::Locked, now));
        let firsts =
            (1..100).filter(|i| refusals.is_first(&draft(), [*i; 16], Code::Locked, now)).count();
        assert_eq!(firsts, 1);
        assert!(refusals.is_first(&draft(), [1; 16], Code::Busy, now));
        assert!(!refusals.is_first(&draft(), [0; 16], Code::Locked, now));
        let mut repeats = Vec::from_iter(std::iter::from_fn(|| refusals.take_due(now, true)));
        repeats.sort_by_key(|due| due.repeats);
        assert_eq!(repeats.iter().map(|due| due.repeats).collect::<Vec<_>>(), [1, 98]);
    }

    #[test]
    fn what_could_not_be_written_is_kept_where_it_was() {
        let refusals = Refusals::new(8);
        let now = Timestamp::EPOCH;
        for counter in [1, 2] {
            for _ in 0..3 {
                refusals.is_first(&draft(), [counter; 16], Code::Locked, now);
            }
            refusals.unwritten(&draft(), [counter; 16], Code::Locked, now);
        }
        let due = refusals.take_due(now, true).unwrap();
        refusals.put_back(due);
        for _ in 0..2 {
            assert_eq!(refusals.take_due(now, true).unwrap().repeats, 3);
        }
        assert!(refusals.take_due(now, true).is_none());
    }
}
