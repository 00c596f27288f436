//! What is kept of one account's links.

use vouchsafe_core::{Corrupt, Timestamp};

use super::policy::PerPurpose;
use crate::wire::{Reader, put_option, put_time};
use crate::{AddressDigest, LinkPolicy, Purpose, SecretDigest};

/// The most links for one purpose that may be live at once.
pub const MAX_LIVE: usize = 3;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) purpose: Purpose,
    pub(crate) selector: [u8; 16],
    pub(crate) verifier: SecretDigest,
    pub(crate) address: AddressDigest,
    pub(crate) generation: u64,
    pub(crate) expires: Timestamp,
}

/// The one-time links of one account: a part of the account's cell. Holds hashes only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Links {
    /// The latest moment any step has seen: time does not run backwards.
    pub(crate) seen: Timestamp,
    /// When the last one was sent.
    pub(crate) sent: PerPurpose<Option<Timestamp>>,
    /// Which redemption was the last, so that it can be repeated after a lost answer.
    pub(crate) redeemed: Option<u64>,
    pub(crate) links: Vec<Link>,
}

impl Links {
    const VERSION: u8 = 1;
    /// Longest encoding, in bytes.
    pub const MAX_BYTES: usize = 55 + 4 * MAX_LIVE * 81;

    pub(crate) fn empty(seen: Timestamp) -> Self {
        Self { seen, sent: PerPurpose::default(), redeemed: None, links: Vec::new() }
    }

    /// The same links, as if nothing had happened after `now`: what was stamped later was stamped
    /// while the clock stood wrong, and must not outlive the mistake.
    pub(crate) fn restamped(&self, policy: &LinkPolicy, now: Timestamp) -> Self {
        let mut state = self.clone();
        state.seen = now;
        for purpose in Purpose::ALL {
            state.sent.set(purpose, state.sent.get(purpose).map(|at| at.min(now)));
        }
        for link in &mut state.links {
            link.expires = link.expires.min(now.after(policy.lifetime(link.purpose)));
        }
        state
    }

    /// From this moment on no link is live and none was sent too recently.
    #[must_use]
    pub fn needed_until(&self, policy: &LinkPolicy) -> Timestamp {
        let sent = Purpose::ALL.into_iter().filter_map(|purpose| self.sent.get(purpose));
        let floors = sent.map(|at| at.after(policy.resend_floor()));
        let ends = self.links.iter().map(|link| link.expires);
        ends.chain(floors).max().unwrap_or(self.seen)
    }

    /// The same without the links that had expired at `by`; `None` when there is none such.
    #[must_use]
    pub fn tidied(&self, by: Timestamp) -> Option<Self> {
        let mut state = self.clone();
        state.links.retain(|link| by < link.expires);
        (state.links.len() < self.links.len()).then_some(state)
    }

    /// The bytes to keep; the first is the format's version.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.links.len().saturating_mul(81).saturating_add(55));
        out.push(Self::VERSION);
        put_time(&mut out, self.seen);
        for purpose in Purpose::ALL {
            put_option(&mut out, self.sent.get(purpose).map(|at| at.micros().to_be_bytes()));
        }
        put_option(&mut out, self.redeemed.map(u64::to_be_bytes));
        // At most three a purpose: whatever adds a link keeps to it.
        out.push(u8::try_from(self.links.len()).unwrap_or(u8::MAX));
        for link in &self.links {
            out.push(link.purpose.code());
            out.extend_from_slice(&link.selector);
            out.extend_from_slice(link.verifier.as_bytes());
            out.extend_from_slice(&link.address.0);
            out.extend_from_slice(&link.generation.to_be_bytes());
            put_time(&mut out, link.expires);
        }
        out
    }

    /// Reads back what [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    /// [`Corrupt`] for anything else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Corrupt> {
        let mut reader = Reader::new(bytes);
        if reader.byte()? != Self::VERSION {
            return Err(Corrupt);
        }
        let mut read = Self::empty(reader.time()?);
        for purpose in Purpose::ALL {
            read.sent.set(purpose, reader.option(Reader::time)?);
        }
        read.redeemed = reader.option(Reader::number)?;
        for _ in 0..reader.byte()? {
            let link = Link {
                purpose: Purpose::from_code(reader.byte()?).ok_or(Corrupt)?,
                selector: reader.array()?,
                verifier: SecretDigest::new(reader.array()?),
                address: AddressDigest(reader.array()?),
                generation: reader.number()?,
                expires: reader.time()?,
            };
            let alike = read.links.iter().filter(|other| other.purpose == link.purpose).count();
            let twice = read.links.iter().any(|other| other.selector == link.selector);
            if alike >= MAX_LIVE || twice {
                return Err(Corrupt);
            }
            read.links.push(link);
        }
        reader.end()?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tidying_leaves_out_what_has_expired() {
        let at = Timestamp::from_micros;
        let until = |expires| Link {
            purpose: Purpose::Reset,
            selector: [1; 16],
            verifier: SecretDigest::new([2; 32]),
            address: AddressDigest([3; 16]),
            generation: 0,
            expires,
        };
        let all = Links { links: vec![until(at(10)), until(at(20))], ..Links::empty(at(5)) };
        assert_eq!(all.tidied(at(9)), None);
        let left = Links { links: vec![until(at(20))], ..all.clone() };
        assert_eq!(all.tidied(at(10)), Some(left));
    }
}
