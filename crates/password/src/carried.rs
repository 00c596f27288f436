//! What is found where a host keeps records itself: another seal of the same hash, or a password that the
//! host set, which takes over what is remembered of those before.

use vouchsafe_core::Standing;

use crate::bench::Candidate;
use crate::record::{Body, Inner};
use crate::{Binding, HashPool, PepperError, Record, Upgrade};

impl HashPool {
    /// `record`, a hash by other software that replaced `last` without a word to anybody, with what is
    /// remembered beside `last`: so that [`replace`](Self::replace) still refuses those passwords.
    /// Under a pepper it is sealed, as what is remembered was. Hashes nothing.
    ///
    /// It stays as it is where nothing is remembered, where the pepper of `last` is missing, where it is
    /// one of ours (which has its own), where [`Peppers::sealed_only`](crate::Peppers::sealed_only) does
    /// not believe it, and where it would be longer than [`Record::MAX_LEN`].
    #[must_use]
    pub fn remembering(&self, record: Record, last: &Record, binding: &Binding) -> Record {
        if record.bound {
            return record;
        }
        let (found, last) = (self.opened(&record, binding), self.known(last, binding));
        let (Some(found), Some((_, last))) = (found, last) else { return record };
        if found.inner.history.is_some() || last.history.is_none() {
            return record;
        }
        let (standing, mut inner) = (found.standing, found.inner);
        inner.history = last.history;
        let with = Record::plain(standing, record.bound, record.form, inner);
        match self.bench().seal(with, binding) {
            Ok(with) if with.fits() => with,
            _ => record,
        }
    }

    /// From `known` to `found`, where both are the same hash for the account of `binding`, and `found` is
    /// sealed: so [`Peppers::rotate`](crate::Peppers::rotate) leaves it. `None` for anything else, and
    /// where a pepper is missing. Hashes nothing.
    #[must_use]
    pub fn resealed(&self, known: &Record, found: &Record, binding: &Binding) -> Option<Upgrade> {
        found.pepper()?;
        let new = self.opened(found, binding)?;
        let (standing, inner) = self.known(known, binding)?;
        let was = (standing, known.bound, known.form, inner);
        let same = was == (new.standing, found.bound, found.form, new.inner);
        same.then(|| Upgrade::new(known.clone(), found.clone()))
    }

    /// Whether `record` may be somebody's password on the account of `binding`. Not where it was sealed for
    /// another account, was changed since, or is not sealed where
    /// [`Peppers::sealed_only`](crate::Peppers::sealed_only) asks for that; where its pepper is missing,
    /// nobody can tell.
    #[must_use]
    pub fn believes(&self, record: &Record, binding: &Binding) -> bool {
        let opened = self.bench().open(record.clone(), binding);
        !matches!(opened, Err(PepperError::Tampered | PepperError::NotSealed))
    }

    /// What is known already is not from a table: it counts also where only what is sealed does.
    fn known(&self, record: &Record, binding: &Binding) -> Option<(Standing, Inner)> {
        match &record.body {
            Body::Plain(inner) => Some((record.standing, inner.clone())),
            Body::Sealed(..) => self.opened(record, binding).map(|old| (old.standing, old.inner)),
        }
    }

    fn opened(&self, record: &Record, binding: &Binding) -> Option<Candidate> {
        self.bench().open(record.clone(), binding).ok()
    }
}
