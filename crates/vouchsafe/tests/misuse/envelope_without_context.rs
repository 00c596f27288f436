//! A ciphertext is opened wherever it turns up.
//! error: E0061
//! fix: Context<'_>` is missing
use vouchsafe::envelope::{Context, Envelope};

pub fn read(envelope: &Envelope, place: &Context<'_>, sealed: &[u8]) {
    #[cfg(not(fixed))]
    let _opened = envelope.open(sealed);
    #[cfg(fixed)]
    let _opened = envelope.open(place, sealed);
}
