//! Many calls alike, one record: so that whoever floods the gate does not flood the log, and a
//! session in use costs it one write a minute.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, MutexGuard, PoisonError};

use vouchsafe_access_log::{Actor, Operation, Outcome, Target, Text, name};
use vouchsafe_core::{Prefix, Source, TenantId, Timestamp, Unavailable};

use super::call::{Call, Draft};

const MINUTE: i64 = 60_000_000;
/// Room for one count a tenant, kind and minute beyond the table.
const KINDS: usize = 1_024;

/// Calls of the running minute that were counted and not written one by one.
#[derive(Debug)]
pub(crate) struct Counts {
    counted: Mutex<HashMap<Key, Counted>>,
    most: usize,
}

/// Calls alike: what was done, how it ended, in which minute, and by whom to what from where.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    tenant: TenantId,
    operation: Operation,
    outcome: Outcome,
    minute: i64,
    /// `None` counts everything that found no place of its own.
    whose: Option<(Actor, Target, Option<Prefix>)>,
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
    pub(crate) repeats: u32,
}

impl Due {
    pub(crate) const fn outcome(&self) -> &Outcome {
        &self.key.outcome
    }
}

impl Key {
    fn new(draft: &Draft, outcome: &Outcome, now: Timestamp) -> Self {
        let source = draft.call.source().address().and_then(|a| a.ladder().first().copied());
        Self {
            tenant: draft.tenant.clone(),
            operation: draft.operation,
            outcome: outcome.clone(),
            minute: now.micros().div_euclid(MINUTE),
            whose: Some((draft.actor.clone(), draft.target.clone(), source)),
        }
    }
}

impl Counts {
    /// Counts at most `most` kinds at once; of what does not fit, only how many there were.
    pub(crate) fn new(most: usize) -> Self {
        Self { counted: Mutex::default(), most }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Counted>> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts the call if calls alike are counted in this minute; if not, it is to be written.
    pub(crate) fn counted(&self, draft: &Draft, outcome: &Outcome, now: Timestamp) -> bool {
        let key = Key::new(draft, outcome, now);
        let mut counted = self.lock();
        let full = counted.len() >= self.most;
        let entry = match counted.get_mut(&key) {
            None if full => counted.get_mut(&Key { whose: None, ..key }),
            own => own,
        };
        let Some(entry) = entry else { return false };
        entry.repeats = entry.repeats.saturating_add(1);
        true
    }

    /// One was written, or is being: from now on those alike are counted.
    pub(crate) fn open(&self, draft: &Draft, outcome: &Outcome, now: Timestamp) {
        let key = Key::new(draft, outcome, now);
        let mut counted = self.lock();
        if counted.contains_key(&key) {
            return;
        }
        if counted.len() < self.most {
            counted.insert(key, Counted { draft: draft.clone(), repeats: 0 });
        } else if counted.len() < self.most.saturating_add(KINDS) {
            let rest = Key { whose: None, ..key };
            counted.entry(rest).or_insert_with(|| Counted { draft: of_many(draft), repeats: 0 });
        }
    }

    /// Counts the call whether or not one alike was written.
    pub(crate) fn count(&self, draft: &Draft, outcome: &Outcome, now: Timestamp) {
        if !self.counted(draft, outcome, now) {
            self.open(draft, outcome, now);
            self.counted(draft, outcome, now);
        }
    }

    /// Takes out what was counted in minutes other than `now`'s; with `all`, in this one too.
    pub(crate) fn take_due(&self, now: Timestamp, all: bool) -> Vec<Due> {
        let minute = now.micros().div_euclid(MINUTE);
        let over = self.lock().extract_if(|key, _| all || key.minute != minute).collect::<Vec<_>>();
        let counted = over.into_iter().filter(|(_, counted)| counted.repeats > 0);
        counted.map(|(key, Counted { draft, repeats })| Due { key, draft, repeats }).collect()
    }

    /// Puts back what could not be written.
    pub(crate) fn put_back(&self, due: Due) {
        let Due { key, draft, repeats } = due;
        match self.lock().entry(key) {
            Entry::Occupied(mut there) => {
                let counted = there.get_mut();
                counted.repeats = counted.repeats.saturating_add(repeats);
            }
            Entry::Vacant(place) => {
                place.insert(Counted { draft, repeats });
            }
        }
    }
}

/// What is said of calls of which only the number is known.
fn of_many(draft: &Draft) -> Draft {
    Draft {
        actor: Actor::Service(name!("gate")),
        target: Target::Entity { kind: name!("calls"), id: Text::clipped("several") },
        call: Call::from(Source::Unavailable(Unavailable::Local)),
        ..draft.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::call::account_target;
    use vouchsafe_core::{AccountDigest, PolicyDigest};

    const NOW: Timestamp = Timestamp::from_micros(5 * MINUTE);
    const LATER: Timestamp = Timestamp::from_micros(6 * MINUTE);

    fn draft(account: u8) -> Draft {
        Draft {
            tenant: TenantId::new("acme").unwrap(),
            actor: Actor::Unauthenticated { claimed: None },
            target: account_target(AccountDigest::new([account; 16])),
            operation: Operation::SignInRefused,
            call: Call::from(Source::Unavailable(Unavailable::Local)),
            policy: PolicyDigest::NONE,
            clause: None,
        }
    }

    fn locked() -> Outcome {
        Outcome::Refused(name!("account.locked"))
    }

    /// Whether the call is the first of its kind, which is then opened.
    fn is_first(counts: &Counts, draft: &Draft, outcome: &Outcome) -> bool {
        let first = !counts.counted(draft, outcome, NOW);
        if first {
            counts.open(draft, outcome, NOW);
        }
        first
    }

    fn repeats(due: &[Due]) -> Vec<u32> {
        let mut repeats: Vec<_> = due.iter().map(|due| due.repeats).collect();
        repeats.sort_unstable();
        repeats
    }

    #[test]
    fn counts_are_exact_and_kinds_do_not_mix() {
        let counts = Counts::new(8);
        let firsts = (0..100).filter(|i| is_first(&counts, &draft(i % 2), &locked())).count();
        assert_eq!(firsts, 2);
        assert!(is_first(&counts, &draft(0), &Outcome::Succeeded));
        let somebody = Actor::Service(name!("console"));
        assert!(is_first(&counts, &Draft { actor: somebody, ..draft(0) }, &locked()));
        assert!(counts.take_due(NOW, false).is_empty(), "the minute is still running");
        assert_eq!(repeats(&counts.take_due(LATER, false)), [49, 49]);
        assert!(counts.take_due(LATER, true).is_empty());
        assert!(is_first(&counts, &draft(0), &locked()), "nothing is left of that minute");
    }

    /// Beyond the table only the number is kept, and it is said of nobody.
    #[test]
    fn what_does_not_fit_is_counted_by_kind() {
        let counts = Counts::new(1);
        assert!(is_first(&counts, &draft(0), &locked()));
        assert_eq!((1..100).filter(|i| is_first(&counts, &draft(*i), &locked())).count(), 1);
        assert!(is_first(&counts, &draft(1), &Outcome::Succeeded));
        assert!(!is_first(&counts, &draft(0), &locked()));
        let due = counts.take_due(NOW, true);
        assert_eq!(repeats(&due), [1, 98]);
        for due in due {
            let own = due.draft.target == draft(0).target;
            assert_eq!(own, due.repeats == 1);
            assert_eq!(own, due.draft.actor == draft(0).actor);
        }
    }

    #[test]
    fn what_could_not_be_written_is_kept_where_it_was() {
        let counts = Counts::new(8);
        for account in [1, 2] {
            for _ in 0..3 {
                counts.count(&draft(account), &locked(), NOW);
            }
        }
        for due in counts.take_due(NOW, true) {
            counts.put_back(due);
        }
        counts.count(&draft(1), &locked(), NOW);
        assert_eq!(repeats(&counts.take_due(NOW, true)), [3, 4]);
        assert!(counts.take_due(NOW, true).is_empty());
    }
}
