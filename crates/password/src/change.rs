//! Whether a new password may take the place of the one before it.

use subtle::ConstantTimeEq;
use vouchsafe_core::Standing;

use crate::bench::{Bench, Candidate};
use crate::hash::{Memory, NotRun};
use crate::hashed::Kdf;
use crate::history::{Entry, History, HistoryKey};
use crate::nfc::nfd;
use crate::record::Form;
use crate::{Binding, Password, PasswordError};

/// What a new password is compared with.
#[derive(Default)]
pub(crate) struct Former<'a> {
    /// The one in force, where it is not among those remembered: nothing was remembered yet, or it was
    /// set elsewhere.
    newest: Option<&'a Candidate>,
    remembered: Option<&'a History>,
}

impl Former<'_> {
    /// What comparing runs.
    pub(crate) fn kdfs(&self) -> impl Iterator<Item = Kdf> + use<> {
        let remembered = self.remembered.map(|history| Kdf::new(history.params));
        [self.newest.map(Candidate::kdf), remembered].into_iter().flatten()
    }

    /// Whether `key` is the one that it is keyed with, if it is.
    pub(crate) fn opens_with(&self, key: Option<&HistoryKey>) -> bool {
        self.remembered.is_none_or(|history| history.opens_with(key))
    }
}

impl Bench {
    /// What replacing `previous` is compared with, where `remember` passwords are remembered.
    pub(crate) fn former<'a>(&self, previous: &'a Candidate, remember: u8) -> Former<'a> {
        if remember == 0 && previous.standing == Standing::Chosen {
            return Former::default();
        }
        let remembered = self.worth(previous);
        // An initial password is not among what is remembered beside it.
        let among = previous.stored.bound && previous.standing == Standing::Chosen;
        let among = among && remembered.is_some();
        Former { newest: (!among).then_some(previous), remembered }
    }

    /// What is remembered beside it, unless that costs less than a record does: then it would be guessed
    /// instead.
    pub(crate) fn worth<'a>(&self, previous: &'a Candidate) -> Option<&'a History> {
        let kept = previous.inner.history.as_deref();
        kept.filter(|history| !self.policy.upgrades(history.params))
    }

    /// What stays remembered beside a password that somebody else put in the place of `previous`.
    pub(crate) fn kept(&self, previous: &Candidate) -> Option<History> {
        self.worth(previous).map(|history| history.clone().keyed(self.history.as_ref()))
    }

    /// What is to be remembered once `password` has replaced `previous`, if it may.
    pub(crate) fn history(
        &self,
        previous: Option<&Candidate>,
        remember: u8,
        password: &Password,
        binding: &Binding,
        memory: &mut Memory,
    ) -> Result<Result<Option<History>, PasswordError>, NotRun> {
        let former = previous.map(|previous| self.former(previous, remember)).unwrap_or_default();
        let key = self.history.as_ref();
        if let Some(newest) = former.newest
            && self.is_right(newest, password, binding, memory)?
        {
            return Ok(Err(PasswordError::Reused));
        }
        let history = match former.remembered {
            Some(history) => history.clone(),
            None if remember == 0 => return Ok(Ok(None)),
            None => match self.salt() {
                Ok(salt) => History::new(self.policy.params(), salt),
                Err(error) => return Ok(Err(error.into())),
            },
        };
        let history = history.keyed(key);
        let entry = self.entry(&history, password, binding, memory)?;
        if history.holds(&entry, remember.max(1)) {
            return Ok(Err(PasswordError::Reused));
        }
        Ok(Ok((remember > 0).then(|| history.with(entry, remember))))
    }

    /// Whether `password` is the one of `candidate`.
    fn is_right(
        &self,
        candidate: &Candidate,
        password: &Password,
        binding: &Binding,
        memory: &mut Memory,
    ) -> Result<bool, NotRun> {
        let (raw, nfc, nfd) = (password.raw(), password.nfc(), nfd(password.nfc()));
        let mut texts = match candidate.stored.form {
            Form::Nfc => vec![nfc],
            // Enrolled elsewhere as it was typed there, which may have been in parts.
            Form::Raw => vec![nfc, raw, &nfd],
        };
        texts.dedup();
        let hashed = &candidate.inner.hashed;
        let tag = self.tag(candidate, &texts, binding, memory)?;
        Ok(hashed.tells(nfc) && tag.ct_eq(&hashed.hash).into())
    }

    pub(crate) fn entry(
        &self,
        history: &History,
        password: &Password,
        binding: &Binding,
        memory: &mut Memory,
    ) -> Result<Entry, NotRun> {
        self.count(Kdf::new(history.params));
        history.entry(self.history.as_ref(), password.nfc(), binding, memory)
    }
}
