//! Values as they travel: redacted when a log shows a statement's parameters.

use std::error::Error;
use std::fmt;

use bytes::{BufMut, BytesMut};
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use vouchsafe_core::Timestamp;

type Failed = Box<dyn Error + Sync + Send>;

/// From PostgreSQL's epoch back to ours, 2000-01-01 to 1970-01-01, in microseconds.
const EPOCH: i64 = 946_684_800_000_000;

/// 128 bits: a `uuid`, which sorts by its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Id(pub(crate) [u8; 16]);

impl ToSql for Id {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Failed> {
        out.put_slice(&self.0);
        Ok(IsNull::No)
    }

    fn accepts(of: &Type) -> bool {
        *of == Type::UUID
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Id {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Failed> {
        Ok(Self(raw.try_into()?))
    }

    fn accepts(of: &Type) -> bool {
        *of == Type::UUID
    }
}

/// A cell's value: a `bytea`.
#[derive(Clone, Copy)]
pub(crate) struct Value<'a>(pub(crate) &'a [u8]);

impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl ToSql for Value<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Failed> {
        out.put_slice(self.0);
        Ok(IsNull::No)
    }

    fn accepts(of: &Type) -> bool {
        *of == Type::BYTEA
    }

    to_sql_checked!();
}

/// The first place of a block of the table: a `tid`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block(pub(crate) u32);

impl ToSql for Block {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Failed> {
        out.put_u32(self.0);
        out.put_u16(0);
        Ok(IsNull::No)
    }

    fn accepts(of: &Type) -> bool {
        *of == Type::TID
    }

    to_sql_checked!();
}

/// The server's time: a `timestamptz`, in microseconds since 2000.
pub(crate) struct Moment(pub(crate) Timestamp);

impl<'a> FromSql<'a> for Moment {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Failed> {
        let micros = i64::from_be_bytes(raw.try_into()?);
        let micros = micros.checked_add(EPOCH).ok_or("a time beyond all time")?;
        Ok(Self(Timestamp::from_micros(micros)))
    }

    fn accepts(of: &Type) -> bool {
        *of == Type::TIMESTAMPTZ
    }
}
