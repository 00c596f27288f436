//! Many calls alike, one record: so that whoever floods the gate does not flood the log, and a
//! session in use costs it one write a minute.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use vouchsafe_access_log::{Actor, Operation, Outcome, Target, Text, name};
use vouchsafe_core::{Prefix, Source, TenantId, Timestamp, Unavailable};

use super::call::{Call, Draft};

const MINUTE: i64 = 60_000_000;
/// Room for one count a kind and minute beyond a tenant's table.
const KINDS: usize = 1_024;

/// Calls of the running minute that were counted and not written one by one. Each tenant has a
/// table of its own, so that a crowd at one pushes out nothing of another.
#[derive(Debug)]
pub(crate) struct Counts {
    tables: Mutex<HashMap<TenantId, Table>>,
    /// Most counts of one tenant.
    most: usize,
    /// Most blocks of addresses that one account's calls alike are told apart by.
    apart: usize,
}

/// One tenant's counts.
#[derive(Debug, Default)]
struct Table {
    counted: HashMap<Key, Vec<Counted>>,
    /// How many counts there are.
    len: usize,
}

/// Calls alike: what was done, how it ended, in which minute, and by whom to what.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    operation: Operation,
    outcome: Outcome,
    minute: i64,
    /// `None` counts everything that found no place of its own.
    whose: Option<(Actor, Target)>,
}

/// Whence where calls alike came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whence {
    Block(Prefix),
    /// No address is known.
    Nowhere,
    /// More blocks than are told apart.
    Several,
}

#[derive(Debug)]
struct Counted {
    from: Whence,
    draft: Draft,
    repeats: u32,
}

/// A count that is ready to be written.
#[derive(Debug)]
pub(crate) struct Due {
    key: Key,
    from: Whence,
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
        Self {
            operation: draft.operation,
            outcome: outcome.clone(),
            minute: now.micros().div_euclid(MINUTE),
            whose: Some((draft.actor.clone(), draft.target.clone())),
        }
    }
}

impl Whence {
    fn new(draft: &Draft) -> Self {
        let block = draft.call.source().address().and_then(|a| a.ladder().first().copied());
        block.map_or(Self::Nowhere, Self::Block)
    }
}

impl Table {
    fn find(&mut self, key: &Key, from: Whence) -> Option<&mut Counted> {
        self.counted.get_mut(key)?.iter_mut().find(|counted| counted.from == from)
    }

    fn add(&mut self, key: Key, counted: Counted) {
        self.counted.entry(key).or_default().push(counted);
        self.len = self.len.saturating_add(1);
    }

    /// Under what such a call is counted: on its own, else beside the account's others, else beside
    /// everybody's.
    fn place(&mut self, key: Key, from: Whence, most: usize, apart: usize) -> (Key, Whence) {
        if self.find(&key, from).is_some() {
            return (key, from);
        }
        let blocks = self.counted.get(&key).map_or(0, Vec::len);
        let from = if blocks < apart { from } else { Whence::Several };
        if self.len < most || self.find(&key, from).is_some() {
            (key, from)
        } else {
            (Key { whose: None, ..key }, Whence::Several)
        }
    }
}

impl Counts {
    /// Counts at most `most` kinds at once, in equal shares of at least a sixteenth for each of so
    /// many tenants; of what does not fit, only how many there were. Of one account's calls alike, at
    /// most `apart` blocks of addresses are told apart.
    pub(crate) fn new(most: usize, tenants: usize, apart: usize) -> Self {
        let most = most.checked_div(tenants.clamp(1, 16)).unwrap_or(most);
        Self { tables: Mutex::default(), most, apart }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TenantId, Table>> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts the call if calls alike are counted in this minute; if not, it is to be written.
    pub(crate) fn counted(&self, draft: &Draft, outcome: &Outcome, now: Timestamp) -> bool {
        let mut tables = self.lock();
        let Some(table) = tables.get_mut(&draft.tenant) else { return false };
        let key = Key::new(draft, outcome, now);
        let (key, from) = table.place(key, Whence::new(draft), self.most, self.apart);
        let Some(counted) = table.find(&key, from) else { return false };
        counted.repeats = counted.repeats.saturating_add(1);
        true
    }

    /// One was written, or is being: from now on those alike are counted.
    pub(crate) fn open(&self, draft: &Draft, outcome: &Outcome, now: Timestamp) {
        let mut tables = self.lock();
        let table = tables.entry(draft.tenant.clone()).or_default();
        let key = Key::new(draft, outcome, now);
        let (key, from) = table.place(key, Whence::new(draft), self.most, self.apart);
        let full = table.len >= self.most.saturating_add(KINDS);
        if full || table.find(&key, from).is_some() {
            return;
        }
        let draft = match (&key.whose, from) {
            (None, _) => of_many(draft),
            (_, Whence::Several) => {
                // Whoever uses that many hides where they are.
                Draft {
                    call: Call::from(Source::Unavailable(Unavailable::Hidden)),
                    ..draft.clone()
                }
            }
            _ => draft.clone(),
        };
        table.add(key, Counted { from, draft, repeats: 0 });
    }

    /// Counts the call whether or not one alike was written.
    pub(crate) fn count(&self, draft: &Draft, outcome: &Outcome, now: Timestamp) {
        if !self.counted(draft, outcome, now) {
            self.open(draft, outcome, now);
            self.counted(draft, outcome, now);
        }
    }

    /// When the first of the running counts is to be written.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        let tables = self.lock();
        let minutes = tables.values().flat_map(|table| table.counted.keys()).map(|key| key.minute);
        let end = minutes.min()?.saturating_add(1).saturating_mul(MINUTE);
        Some(Timestamp::from_micros(end))
    }

    /// Takes out what was counted in minutes other than `now`'s; with `all`, in this one too.
    pub(crate) fn take_due(&self, now: Timestamp, all: bool) -> Vec<Due> {
        let minute = now.micros().div_euclid(MINUTE);
        let mut due = Vec::new();
        self.lock().retain(|_, table| {
            for (key, counted) in table.counted.extract_if(|key, _| all || key.minute != minute) {
                table.len = table.len.saturating_sub(counted.len());
                due.extend(counted.into_iter().filter(|counted| counted.repeats > 0).map(
                    |Counted { from, draft, repeats }| Due {
                        key: key.clone(),
                        from,
                        draft,
                        repeats,
                    },
                ));
            }
            table.len > 0
        });
        due
    }

    /// Puts back what could not be written.
    pub(crate) fn put_back(&self, due: Due) {
        let Due { key, from, draft, repeats } = due;
        let mut tables = self.lock();
        let table = tables.entry(draft.tenant.clone()).or_default();
        match table.find(&key, from) {
            Some(there) => there.repeats = there.repeats.saturating_add(repeats),
            None => table.add(key, Counted { from, draft, repeats }),
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
        let counts = Counts::new(8, 1, 8);
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
        let counts = Counts::new(1, 1, 1);
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
        let counts = Counts::new(8, 1, 8);
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

    /// Whoever comes from everywhere is counted by name, and costs nobody else a place.
    #[test]
    fn one_account_from_everywhere_costs_only_itself() {
        let counts = Counts::new(64, 2, 16);
        let from = |number: u16| Draft {
            call: Call::from(Source::Direct(
                std::net::IpAddr::from([0x2001, 0xdb8, 0, number, 0, 0, 0, 1]).into(),
            )),
            ..draft(0)
        };
        for round in 0..2 {
            let firsts = (0..1_000).filter(|i| is_first(&counts, &from(*i), &locked())).count();
            assert_eq!(firsts, if round == 0 { 17 } else { 0 });
        }
        // The rest of the tenant's share, and then the whole of another's.
        let accounts = (1..=100).filter(|i| is_first(&counts, &draft(*i), &locked())).count();
        assert_eq!(accounts, 32 - 17 + 1);
        let other = |account| Draft { tenant: TenantId::new("zenith").unwrap(), ..draft(account) };
        assert!((1..=32).all(|i| is_first(&counts, &other(i), &locked())));
        assert!((1..=32).all(|i| !is_first(&counts, &other(i), &locked())));
        let due = counts.take_due(NOW, true);
        let of_account = |due: &&Due| due.draft.target == draft(0).target;
        let own: Vec<_> = due.iter().filter(of_account).collect();
        assert_eq!(own.iter().map(|due| due.repeats).sum::<u32>(), 2_000 - 17);
        let nowhere = own.iter().filter(|due| due.draft.call.source().address().is_none());
        assert_eq!(nowhere.map(|due| due.repeats).collect::<Vec<_>>(), [2 * (1_000 - 16) - 1]);
        let others: Vec<_> = due.iter().filter(|due| due.draft.tenant == other(1).tenant).collect();
        assert_eq!((others.len(), others.iter().map(|due| due.repeats).sum::<u32>()), (32, 32));
        assert!(counts.lock().is_empty());
    }
}
