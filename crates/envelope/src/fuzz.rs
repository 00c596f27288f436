//! What a fuzzer calls: each decoder of bytes that anybody may have written. They return whether
//! what was read is written back as it was; most input is simply refused.

use crate::header::{Parsed, with_recipients};

/// The header of an object.
#[must_use]
pub fn header(bytes: &[u8]) -> bool {
    let Ok(parsed) = Parsed::read(bytes) else {
        return true;
    };
    let written = with_recipients(&parsed.header.fixed.to_bytes(), &parsed.header.recipients);
    let whole = [written.as_slice(), &parsed.header.mac, parsed.payload].concat();
    written == parsed.signed && whole == bytes
}

/// A keyring file, and what it holds once it is open.
#[cfg(feature = "keyring")]
#[must_use]
pub fn keyring(bytes: &[u8]) -> bool {
    crate::keyring::file::reads(bytes)
}
