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

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(value: &impl ToSql, of: &Type) -> Vec<u8> {
        let mut out = BytesMut::new();
        assert!(matches!(value.to_sql(of, &mut out), Ok(IsNull::No)));
        out.to_vec()
    }

    #[test]
    fn values_travel_as_they_are_and_are_not_shown() {
        assert_eq!(sent(&Id([7; 16]), &Type::UUID), [7; 16]);
        assert_eq!(Id::from_sql(&Type::UUID, &[7; 16]).unwrap(), Id([7; 16]));
        assert!(Id::from_sql(&Type::UUID, &[7; 15]).is_err());
        assert_eq!(sent(&Value(b"hunter2"), &Type::BYTEA), b"hunter2");
        assert_eq!(format!("{:?}", Value(b"hunter2")), "7 bytes");
        assert_eq!(sent(&Block(0x0102), &Type::TID), [0, 0, 1, 2, 0, 0]);
    }

    #[test]
    fn each_is_of_one_type_only() {
        let of = |accepts: fn(&Type) -> bool| {
            let types = [Type::UUID, Type::BYTEA, Type::TID, Type::TIMESTAMPTZ, Type::TEXT];
            types.into_iter().filter(accepts).collect::<Vec<_>>()
        };
        assert_eq!(of(<Id as ToSql>::accepts), [Type::UUID]);
        assert_eq!(of(<Id as FromSql>::accepts), [Type::UUID]);
        assert_eq!(of(Value::accepts), [Type::BYTEA]);
        assert_eq!(of(Block::accepts), [Type::TID]);
        assert_eq!(of(Moment::accepts), [Type::TIMESTAMPTZ]);
    }

    #[test]
    fn the_servers_time_counts_from_2000() {
        let read = |micros: i64| {
            let moment = Moment::from_sql(&Type::TIMESTAMPTZ, &micros.to_be_bytes());
            moment.map(|Moment(time)| time.micros()).ok()
        };
        // Thirty years, seven of them leap years.
        assert_eq!(read(0), Some((30 * 365 + 7) * 86_400 * 1_000_000));
        assert_eq!(read(-EPOCH), Some(0));
        assert_eq!(read(i64::MAX - EPOCH), Some(Timestamp::MAX.micros()));
        assert_eq!(read(i64::MAX - EPOCH + 1), None);
        assert!(Moment::from_sql(&Type::TIMESTAMPTZ, &[0; 7]).is_err());
    }
}
