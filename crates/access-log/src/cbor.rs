//! The canonical bytes of a record.
//!
//! Deterministic CBOR (RFC 8949, 4.2): one array of thirteen, the format's version first. Reading
//! ends by writing what was read and comparing, so that there is exactly one byte string a record.

use std::net::IpAddr;
use std::num::NonZeroU32;

use minicbor::data::Type;
use minicbor::{Decoder, Encoder};
use vouchsafe_core::{
    AccountDigest, Address, ClauseId, PolicyDigest, Source, TenantId, Timestamp, Unavailable,
    UserId,
};

use crate::record::{Actor, Outcome, Record, Target, Url};
use crate::{Name, Operation, RecordError, Text};

const VERSION: u8 = 1;
const FIELDS: u64 = 13;

impl Record {
    /// The most bytes a record may have: what an entry of a C2SP tlog bundle can hold.
    pub const MAX_BYTES: usize = 65_535;

    /// The one byte string of this record.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut encoder = Encoder::new(Vec::with_capacity(256));
        // Writing into a vector cannot fail; minicbor's error has room for other writers.
        let _ = self.write(&mut encoder);
        encoder.into_writer()
    }

    /// Reads a record. Every byte string that is accepted is the one
    /// [`to_bytes`](Self::to_bytes) gives back.
    ///
    /// # Errors
    /// [`RecordError`] for anything else; nothing is allocated beyond the length of `bytes`.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        if bytes.len() > Self::MAX_BYTES {
            return Err(RecordError::RecordTooLong { max: Self::MAX_BYTES });
        }
        let mut reader = Reader(Decoder::new(bytes));
        let record = reader.record()?;
        if record.to_bytes() == bytes { Ok(record) } else { Err(RecordError::NotCanonical) }
    }

    fn write(&self, out: &mut Encoder<Vec<u8>>) -> Result<(), WriteError> {
        out.array(FIELDS)?.u8(VERSION)?.str(self.tenant.as_str())?;
        match &self.actor {
            Actor::User(user) => out.array(2)?.u8(1)?.str(user.as_str())?,
            Actor::Service(name) => out.array(2)?.u8(2)?.str(name.as_str())?,
            Actor::Unauthenticated { claimed: Some(claimed) } => {
                out.array(2)?.u8(3)?.bytes(claimed.as_bytes())?
            }
            Actor::Unauthenticated { claimed: None } => out.array(1)?.u8(3)?,
        };
        match &self.target {
            Target::Url(url) => {
                out.array(4)?.u8(1)?.str(url.template().as_str())?;
                out.array(u64::try_from(url.query().len()).unwrap_or(u64::MAX))?;
                for (key, value) in url.query() {
                    out.array(2)?.str(key.as_str())?.str(value.as_str())?;
                }
                out.u16(url.withheld())?
            }
            Target::Entity { kind, id } => {
                out.array(3)?.u8(2)?.str(kind.as_str())?.str(id.as_str())?
            }
        };
        out.u8(self.operation.code())?;
        match &self.outcome {
            Outcome::Succeeded => out.array(1)?.u8(1)?,
            Outcome::Refused(reason) => out.array(2)?.u8(2)?.str(reason.as_str())?,
            Outcome::Failed(reason) => out.array(2)?.u8(3)?.str(reason.as_str())?,
        };
        out.str(self.application.as_str())?;
        match self.source {
            Source::Direct(address) => write_address(out.array(2)?.u8(1)?, address)?,
            Source::Forwarded { client, hops } => {
                write_address(out.array(3)?.u8(2)?, client)?.u8(hops)?
            }
            Source::Unavailable(reason) => out.array(2)?.u8(3)?.u8(unavailable_code(reason))?,
        };
        out.bool(self.shared_source)?.i64(self.time.micros())?.bytes(self.policy.as_bytes())?;
        match &self.clause {
            Some(clause) => out.str(clause.as_str())?,
            None => out.null()?,
        };
        out.u32(self.repeats.get())?;
        Ok(())
    }
}

type WriteError = minicbor::encode::Error<std::convert::Infallible>;

fn write_address(
    out: &mut Encoder<Vec<u8>>,
    address: Address,
) -> Result<&mut Encoder<Vec<u8>>, WriteError> {
    match address.ip() {
        IpAddr::V4(v4) => out.bytes(&v4.octets()),
        IpAddr::V6(v6) => out.bytes(&v6.octets()),
    }
}

/// Numbers of the reasons, never reused. A reason that core gains later is written as `Hidden`
/// until it has a number here.
const UNAVAILABLE: [(Unavailable, u8); 4] = [
    (Unavailable::Local, 1),
    (Unavailable::Hidden, 2),
    (Unavailable::Unreadable, 3),
    (Unavailable::TooLong, 4),
];

fn unavailable_code(reason: Unavailable) -> u8 {
    UNAVAILABLE.iter().find(|(known, _)| *known == reason).map_or(2, |(_, code)| *code)
}

struct Reader<'b>(Decoder<'b>);

impl<'b> Reader<'b> {
    fn record(&mut self) -> Result<Record, RecordError> {
        if self.array()? != FIELDS || self.u8()? != VERSION {
            return self.malformed();
        }
        Ok(Record {
            tenant: self.tenant()?,
            actor: self.actor()?,
            target: self.target()?,
            operation: match Operation::from_code(self.u8()?) {
                Some(operation) => operation,
                None => return self.malformed(),
            },
            outcome: self.outcome()?,
            application: self.name()?,
            source: self.source()?,
            shared_source: self.0.bool().or_else(|_| self.malformed())?,
            time: Timestamp::from_micros(self.0.i64().or_else(|_| self.malformed())?),
            policy: PolicyDigest::new(self.array_of()?),
            clause: self.clause()?,
            repeats: match self.0.u32().ok().and_then(NonZeroU32::new) {
                Some(repeats) => repeats,
                None => return self.malformed(),
            },
        })
    }

    fn malformed<T>(&self) -> Result<T, RecordError> {
        Err(RecordError::Malformed { at: self.0.position() })
    }

    fn array(&mut self) -> Result<u64, RecordError> {
        self.0.array().ok().flatten().map_or_else(|| self.malformed(), Ok)
    }

    fn u8(&mut self) -> Result<u8, RecordError> {
        self.0.u8().or_else(|_| self.malformed())
    }

    fn str(&mut self) -> Result<&'b str, RecordError> {
        self.0.str().or_else(|_| self.malformed())
    }

    fn bytes(&mut self) -> Result<&'b [u8], RecordError> {
        self.0.bytes().or_else(|_| self.malformed())
    }

    fn array_of<const N: usize>(&mut self) -> Result<[u8; N], RecordError> {
        self.bytes()?.try_into().or_else(|_| self.malformed())
    }

    fn name(&mut self) -> Result<Name, RecordError> {
        Name::new(self.str()?.to_owned())
    }

    // Ids are canonical already; `Exact` leaves a canonical id as it is, and the comparison at the
    // end refuses any other.
    fn tenant(&mut self) -> Result<TenantId, RecordError> {
        let text = self.str()?;
        TenantId::with_case(text, vouchsafe_core::Case::Exact).or_else(|_| self.malformed())
    }

    fn user(&mut self) -> Result<UserId, RecordError> {
        let text = self.str()?;
        UserId::with_case(text, vouchsafe_core::Case::Exact).or_else(|_| self.malformed())
    }

    fn actor(&mut self) -> Result<Actor, RecordError> {
        Ok(match (self.array()?, self.u8()?) {
            (2, 1) => Actor::User(self.user()?),
            (2, 2) => Actor::Service(self.name()?),
            (2, 3) => {
                Actor::Unauthenticated { claimed: Some(AccountDigest::new(self.array_of()?)) }
            }
            (1, 3) => Actor::Unauthenticated { claimed: None },
            _ => return self.malformed(),
        })
    }

    fn target(&mut self) -> Result<Target, RecordError> {
        Ok(match (self.array()?, self.u8()?) {
            (4, 1) => {
                let template = self.str()?;
                let pairs = usize::try_from(self.array()?).unwrap_or(usize::MAX);
                if pairs > Url::MAX_QUERY {
                    return self.malformed();
                }
                let mut query = Vec::with_capacity(pairs);
                for _ in 0..pairs {
                    if self.array()? != 2 {
                        return self.malformed();
                    }
                    query.push((self.name()?, Text::from_escaped(self.str()?)?));
                }
                let withheld = self.0.u16().or_else(|_| self.malformed())?;
                Target::Url(Url::from_parts(template, query, withheld)?)
            }
            (3, 2) => Target::Entity { kind: self.name()?, id: Text::from_escaped(self.str()?)? },
            _ => return self.malformed(),
        })
    }

    fn outcome(&mut self) -> Result<Outcome, RecordError> {
        Ok(match (self.array()?, self.u8()?) {
            (1, 1) => Outcome::Succeeded,
            (2, 2) => Outcome::Refused(self.name()?),
            (2, 3) => Outcome::Failed(self.name()?),
            _ => return self.malformed(),
        })
    }

    fn source(&mut self) -> Result<Source, RecordError> {
        Ok(match (self.array()?, self.u8()?) {
            (2, 1) => Source::Direct(self.address()?),
            (3, 2) => Source::Forwarded { client: self.address()?, hops: self.u8()? },
            (2, 3) => {
                let code = self.u8()?;
                match UNAVAILABLE.iter().find(|(_, known)| *known == code) {
                    Some((reason, _)) => Source::Unavailable(*reason),
                    None => return self.malformed(),
                }
            }
            _ => return self.malformed(),
        })
    }

    fn address(&mut self) -> Result<Address, RecordError> {
        let bytes = self.bytes()?;
        if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
            Ok(Address::new(v4.into()))
        } else if let Ok(v6) = <[u8; 16]>::try_from(bytes) {
            Ok(Address::new(v6.into()))
        } else {
            self.malformed()
        }
    }

    fn clause(&mut self) -> Result<Option<ClauseId>, RecordError> {
        if matches!(self.0.datatype(), Ok(Type::Null)) {
            return self.0.null().map(|()| None).or_else(|_| self.malformed());
        }
        let text = self.str()?.to_owned();
        ClauseId::new(text).map(Some).or_else(|_| self.malformed())
    }
}
