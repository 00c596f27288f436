//! What is remembered of the passwords before one that the gate's host set itself.

use crate::record::Body;
use crate::{Binding, HashPool, Record};

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
        let Body::Plain(inner) = &record.body else { return record };
        let bench = self.bench();
        let believed = bench.open(record.clone(), binding).is_ok();
        if !believed || record.bound || inner.history.is_some() {
            return record;
        }
        let Ok(last) = bench.open(last.clone(), binding) else { return record };
        if last.inner.history.is_none() {
            return record;
        }
        let mut inner = inner.clone();
        inner.history = last.inner.history;
        let with = Record::plain(record.standing, record.bound, record.form, inner);
        match bench.seal(with, binding) {
            Ok(with) if with.fits() => with,
            _ => record,
        }
    }
}
