//! What stands before an object's payload: its unchangeable facts, who can open it, and a MAC.

use vouchsafe_core::{PolicyDigest, TenantId, Timestamp};

use crate::EnvelopeError;
use crate::wire::Reader;

const MAGIC: [u8; 4] = *b"VCHS";
const VERSION: u8 = 1;
/// Cobblestone-256. Other numbers are refused.
const SUITE: u8 = 2;
/// No flag has a meaning yet.
const FLAGS: u16 = 0;
/// Most recipients of one object.
pub const MAX_RECIPIENTS: usize = 16;
const MAC: usize = 32;

/// Facts about an object that its header carries in the clear and that cannot be changed without
/// making the object unreadable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// Which version of the object this is, counted by the host.
    pub generation: u64,
    /// When it was sealed.
    pub created: Timestamp,
    /// How long it is kept: a class of the host's; 0 for none.
    pub retention: u16,
    /// The policy in force when it was sealed.
    pub policy: PolicyDigest,
}

/// Everything that never changes: the payload is bound to these bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fixed {
    pub(crate) object: [u8; 16],
    pub(crate) about: About,
    pub(crate) context: [u8; 32],
    pub(crate) tenant: TenantId,
}

/// Somebody who can open the object: whose key, which version of it, and the data key under it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recipient {
    pub(crate) provider: Vec<u8>,
    pub(crate) key: [u8; 16],
    pub(crate) version: u32,
    pub(crate) wrapped: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) fixed: Fixed,
    pub(crate) recipients: Vec<Recipient>,
    pub(crate) mac: [u8; MAC],
}

/// The length of the header that `bytes` begin with; the payload follows.
///
/// # Errors
/// [`EnvelopeError::Malformed`] for anything else; [`EnvelopeError::Refused`] for a suite that this
/// version does not know.
pub fn header_len(bytes: &[u8]) -> Result<usize, EnvelopeError> {
    Parsed::read(bytes).map(|parsed| parsed.signed.len().saturating_add(MAC))
}

/// A header, and the bytes that it was read from.
pub(crate) struct Parsed<'a> {
    pub(crate) header: Header,
    /// The unchangeable part, as it stands.
    pub(crate) fixed: &'a [u8],
    /// What the MAC is over.
    pub(crate) signed: &'a [u8],
    /// What follows the header.
    pub(crate) payload: &'a [u8],
}

impl<'a> Parsed<'a> {
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, EnvelopeError> {
        let mut reader = Reader::new(bytes);
        let fixed = Fixed::read(&mut reader)?;
        let fixed_end = reader.at();
        let recipients = read_recipients(&mut reader)?;
        let signed_end = reader.at();
        let mac = reader.array("header MAC")?;
        let cut = |at| bytes.split_at_checked(at).unwrap_or((bytes, &[]));
        Ok(Self {
            header: Header { fixed, recipients, mac },
            fixed: cut(fixed_end).0,
            signed: cut(signed_end).0,
            payload: cut(reader.at()).1,
        })
    }
}

impl Fixed {
    fn read(reader: &mut Reader<'_>) -> Result<Self, EnvelopeError> {
        if reader.array("magic")? != MAGIC {
            return Err(EnvelopeError::Malformed { what: "magic", at: 0 });
        }
        if reader.u8("version")? != VERSION {
            return Err(EnvelopeError::Malformed { what: "version", at: MAGIC.len() });
        }
        // One error for a wrong suite, a wrong key and a wrong context.
        if reader.u8("suite")? != SUITE {
            return Err(EnvelopeError::Refused);
        }
        let at = reader.at();
        if reader.u16("flags")? != FLAGS {
            return Err(EnvelopeError::Malformed { what: "flags", at });
        }
        let object = reader.array("object id")?;
        let generation = reader.u64("generation")?;
        let at = reader.at();
        let micros = reader.i64("created")?;
        let created = Timestamp::from_micros(micros);
        if created.micros() != micros {
            return Err(EnvelopeError::Malformed { what: "created", at });
        }
        let retention = reader.u16("retention")?;
        let policy = PolicyDigest::new(reader.array("policy digest")?);
        let context = reader.array("context digest")?;
        let tenant = read_tenant(reader)?;
        let about = About { generation, created, retention, policy };
        Ok(Self { object, about, context, tenant })
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&[VERSION, SUITE]);
        out.extend_from_slice(&FLAGS.to_be_bytes());
        out.extend_from_slice(&self.object);
        out.extend_from_slice(&self.about.generation.to_be_bytes());
        out.extend_from_slice(&self.about.created.micros().to_be_bytes());
        out.extend_from_slice(&self.about.retention.to_be_bytes());
        out.extend_from_slice(self.about.policy.as_bytes());
        out.extend_from_slice(&self.context);
        write_tenant(&self.tenant, &mut out);
        out
    }
}

/// Appends the recipients to the fixed part; with the MAC behind it, that is a header.
pub(crate) fn with_recipients(fixed: &[u8], recipients: &[Recipient]) -> Vec<u8> {
    let mut out = fixed.to_vec();
    out.push(length(recipients.len()));
    for recipient in recipients {
        out.push(length(recipient.provider.len()));
        out.extend_from_slice(&recipient.provider);
        out.extend_from_slice(&recipient.key);
        out.extend_from_slice(&recipient.version.to_be_bytes());
        out.push(length(recipient.wrapped.len()));
        out.extend_from_slice(&recipient.wrapped);
    }
    out
}

/// A count or length that fits a byte by construction.
fn length(len: usize) -> u8 {
    u8::try_from(len).unwrap_or(u8::MAX)
}

fn read_recipients(reader: &mut Reader<'_>) -> Result<Vec<Recipient>, EnvelopeError> {
    let at = reader.at();
    let count = usize::from(reader.u8("recipients")?);
    if !(1..=MAX_RECIPIENTS).contains(&count) {
        return Err(EnvelopeError::Malformed { what: "recipients", at });
    }
    let mut recipients = Vec::with_capacity(count);
    for _ in 0..count {
        let len = usize::from(reader.u8("provider")?);
        let provider = reader.bytes(len, "provider")?.to_vec();
        let key = reader.array("key id")?;
        let version = reader.u32("key version")?;
        let len = usize::from(reader.u8("wrapped key")?);
        let wrapped = reader.bytes(len, "wrapped key")?.to_vec();
        recipients.push(Recipient { provider, key, version, wrapped });
    }
    Ok(recipients)
}

pub(crate) fn write_tenant(tenant: &TenantId, out: &mut Vec<u8>) {
    out.push(length(tenant.as_str().len()));
    out.extend_from_slice(tenant.as_str().as_bytes());
}

pub(crate) fn read_tenant(reader: &mut Reader<'_>) -> Result<TenantId, EnvelopeError> {
    let at = reader.at();
    let malformed = || EnvelopeError::Malformed { what: "tenant", at };
    let len = usize::from(reader.u8("tenant")?);
    let text = std::str::from_utf8(reader.bytes(len, "tenant")?).map_err(|_| malformed())?;
    // Canonical texts are their own exact form, whatever the case rule they were made under.
    let tenant = TenantId::with_case(text, vouchsafe_core::Case::Exact).map_err(|_| malformed())?;
    if tenant.as_str() == text { Ok(tenant) } else { Err(malformed()) }
}
