//! What becomes of a record that matched: never one that costs less to guess.

use crate::bench::{Bench, Candidate, What};
use crate::hash::{Memory, NotRun};
use crate::hashed::{Input, Kdf};
use crate::history::History;
use crate::record::{Form, Inner};
use crate::{Binding, Params, Password, Record, Upgrade, params};

pub(crate) enum Renewal {
    /// The password is hashed anew.
    Hash(Params),
    /// The hash stays, and is sealed with the current pepper.
    Seal,
}

impl Bench {
    pub(crate) fn renewal(&self, candidate: &Candidate, password: &Password) -> Option<Renewal> {
        let Candidate { stored, inner: Inner { hashed, .. }, .. } = candidate;
        let due = match hashed.argon2id() {
            Some(old) => self.policy.upgrades(old) || !stored.bound || stored.form == Form::Raw,
            None => true,
        };
        if due && hashed.pins_down(password) && self.can_enter(candidate) {
            return Some(Renewal::Hash(self.no_less_than(hashed.kdf)));
        }
        let current = self.peppers.as_ref().map(|peppers| peppers.current());
        (current.is_some() && stored.pepper() != current).then_some(Renewal::Seal)
    }

    /// What is remembered beside a record that is not among it.
    fn carried<'a>(&self, candidate: &'a Candidate) -> Option<&'a History> {
        self.worth(candidate).filter(|_| !candidate.stored.bound)
    }

    /// What is run to remember the password among that.
    pub(crate) fn entering(&self, candidate: &Candidate) -> Option<Kdf> {
        self.carried(candidate).map(|history| Kdf::new(history.params))
    }

    fn can_enter(&self, candidate: &Candidate) -> bool {
        self.entering(candidate).is_none_or(|kdf| self.affords(kdf))
            && self.carried(candidate).is_none_or(|old| old.opens_with(self.history.as_ref()))
    }

    /// What is made of `old`: with no less memory than it took, whichever function it was.
    fn no_less_than(&self, old: Kdf) -> Params {
        let own = self.policy.params();
        match old {
            Kdf::Argon2(_, params) if !params.is_strictly_weaker_than(own) => params.in_one_lane(),
            _ => own.with_memory_of(old.kib(), params::MAX_BLOCKS),
        }
    }

    pub(crate) fn upgrade(
        &self,
        candidate: Candidate,
        password: &Password,
        binding: &Binding,
        memory: &mut Memory,
    ) -> Result<Option<Upgrade>, NotRun> {
        let renewal = self.renewal(&candidate, password);
        let Candidate { stored: expected, standing, inner } = candidate;
        let new = match renewal {
            Some(Renewal::Hash(params)) => {
                let kept = inner.history.map(|history| (*history, expected.bound));
                let history = self.remembered(kept, params, password, binding, memory)?;
                let what = What { input: Input::Plain, text: password.nfc(), history };
                self.record(params, standing, what, binding, memory)?
            }
            Some(Renewal::Seal) => {
                self.seal(Record::plain(standing, expected.bound, expected.form, inner), binding)
            }
            None => return Ok(None),
        };
        Ok(new.ok().filter(Record::fits).map(|new| Upgrade::new(expected, new)))
    }

    /// What is remembered beside a password that is hashed anew with `params`; whether it was among
    /// what was `kept`.
    fn remembered(
        &self,
        kept: Option<(History, bool)>,
        params: Params,
        password: &Password,
        binding: &Binding,
        memory: &mut Memory,
    ) -> Result<Option<History>, NotRun> {
        let key = self.history.as_ref();
        let Some((old, among)) = kept else { return Ok(None) };
        // Entries that cost less than records do would be guessed instead of them.
        let dropped = self.policy.upgrades(old.params);
        if among && !dropped {
            return Ok(Some(old.keyed(key)));
        }
        let depth = if among { old.depth() } else { old.depth().saturating_add(1) };
        let history = match (dropped, self.salt()) {
            (false, _) => old,
            (true, Ok(salt)) => History::new(params, salt),
            (true, Err(_)) => return Ok(None),
        }
        .keyed(key);
        let entry = self.entry(&history, password, binding, memory)?;
        Ok(Some(history.with(entry, depth.min(crate::PasswordPolicy::MAX_REMEMBERED))))
    }
}
