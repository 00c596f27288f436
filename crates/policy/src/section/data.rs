//! What is recorded, how long it is kept, and how it is encrypted.

use std::collections::BTreeSet;
use std::time::Duration;

use vouchsafe_access_log::{Field, Operation, PolicyError, RetentionPolicy};
use vouchsafe_core::Order;
use vouchsafe_envelope::{Curve, EnvelopePolicy, InvalidPolicy, KeyFloor, PublicKeyKind};

use super::{Fields, Section, given, note, optional, optional_duration};
use crate::Value;
use crate::compare::Witness;
use crate::read::Reader;

const DAY: Duration = Duration::from_secs(86_400);

impl Section for RetentionPolicy {
    const NAME: &'static str = "retention";
    const FIELDS: &'static [&'static str] =
        &["keep_at_least", "erase_by", "optional_fields", "operations"];

    /// Without a word about them, records are kept for 90 days (CIS Controls 8.1, 8.10) and erased
    /// within a year, only the source address may be unavailable, and everything is recorded.
    fn read(table: &Reader<'_>) -> Option<Self> {
        let keep = table.duration("keep_at_least");
        let keep =
            given(table, "keep_at_least", keep, DAY.saturating_mul(90), Duration::from_millis(1));
        let year = Some(DAY.saturating_mul(365));
        let erase_by = optional_duration(table, "erase_by", year);
        let fields = names(table, "optional_fields", Field::from_name);
        let fields =
            given(table, "optional_fields", fields, default_optional(), default_optional());
        let operation = |name: &str| {
            Operation::ALL.iter().copied().find(|operation| operation.as_str() == name)
        };
        let operations = names(table, "operations", operation);
        let all = || Operation::ALL.iter().copied().collect();
        let operations = given(table, "operations", operations, all(), all());
        let built = Self::new(keep, erase_by, fields, operations);
        note(table, built, |problem| match problem {
            PolicyError::NothingKept => Some("keep_at_least"),
            PolicyError::KeptTooLong { .. } => Some("erase_by"),
            PolicyError::NothingRecorded => Some("operations"),
            _ => None,
        })
    }

    fn fields(&self) -> Fields {
        let fields = self.nullable().iter().map(|field| Value::word(field.as_str()));
        let operations = self.operations().iter().map(|operation| Value::word(operation.as_str()));
        vec![
            ("keep_at_least", Value::Duration(self.keep_at_least())),
            ("erase_by", optional(self.erase_by())),
            ("optional_fields", Value::List(fields.collect())),
            ("operations", Value::List(operations.collect())),
        ]
    }

    fn weakening(&self, baseline: &Self) -> Option<Witness> {
        Order::weakening(self, baseline).map(Witness::Retention)
    }

    fn joined(&self, other: &Self) -> Result<Self, String> {
        self.join(other).map_err(|error| error.to_string())
    }
}

/// What nobody can promise to know of every event.
fn default_optional() -> BTreeSet<Field> {
    [Field::Address, Field::Claimed, Field::Clause].into()
}

/// A list of names, each of which means something.
fn names<T: Ord>(
    table: &Reader<'_>,
    key: &'static str,
    meaning: impl Fn(&str) -> Option<T>,
) -> Option<BTreeSet<T>> {
    let names = table.texts(key)?;
    let mut meant = BTreeSet::new();
    let mut known = true;
    for (name, at) in names {
        match meaning(name) {
            Some(value) => {
                meant.insert(value);
            }
            None => {
                known = false;
                table.report_place(key, at, "no such name");
            }
        }
    }
    known.then_some(meant)
}

impl Section for EnvelopePolicy {
    const NAME: &'static str = "envelope";
    const FIELDS: &'static [&'static str] = &["at_rest", "symmetric_bits", "weakest_key"];

    /// Without a word about it, everything is encrypted at rest, with 256 bits and keys of P-256
    /// or stronger: what the envelope itself does.
    fn read(table: &Reader<'_>) -> Option<Self> {
        let at_rest = given(table, "at_rest", table.flag("at_rest"), true, true);
        let bits =
            table.count("symmetric_bits").map(|bits| u16::try_from(bits).unwrap_or(u16::MAX));
        let bits = given(table, "symmetric_bits", bits, 256, 256);
        let key = table.text("weakest_key").and_then(|text| {
            let key = read_key(text);
            if key.is_none() {
                let curves = CURVES.map(|(name, _)| name).join(", ");
                table.report_at("weakest_key", format!("expected RSA-<bits> or one of {curves}"));
            }
            key
        });
        let key = given(table, "weakest_key", key, P256, P256);
        note(table, Self::new(at_rest, bits, key), |problem| match problem {
            InvalidPolicy::SymmetricBits => Some("symmetric_bits"),
            InvalidPolicy::RsaBits => Some("weakest_key"),
            _ => None,
        })
    }

    fn fields(&self) -> Fields {
        vec![
            ("at_rest", Value::Flag(self.at_rest())),
            ("symmetric_bits", Value::Count(self.symmetric_bits().into())),
            ("weakest_key", Value::word(weakest_key(self.public_keys()))),
        ]
    }

    fn weakening(&self, baseline: &Self) -> Option<Witness> {
        Order::weakening(self, baseline).map(Witness::Envelope)
    }

    fn joined(&self, other: &Self) -> Result<Self, String> {
        Ok(self.join(other))
    }
}

const P256: PublicKeyKind = PublicKeyKind::Curve(Curve::P256);

/// Of two that are equally strong, the one to print first.
const CURVES: [(&str, Curve); 6] = [
    ("P-224", Curve::P224),
    ("P-256", Curve::P256),
    ("Curve25519", Curve::Curve25519),
    ("P-384", Curve::P384),
    ("Curve448", Curve::Curve448),
    ("P-521", Curve::P521),
];

fn read_key(text: &str) -> Option<PublicKeyKind> {
    if let Some(bits) = text.strip_prefix("RSA-") {
        return bits.parse().ok().map(PublicKeyKind::Rsa);
    }
    let curve = CURVES.iter().find(|(name, _)| *name == text);
    curve.map(|(_, curve)| PublicKeyKind::Curve(*curve))
}

/// The key that stands for a floor: every floor is one curve's or one modulus's.
fn weakest_key(floor: KeyFloor) -> String {
    let curve = CURVES.iter().map(|(_, curve)| PublicKeyKind::Curve(*curve));
    curve
        .into_iter()
        .find(|key| KeyFloor::at(*key) == floor)
        .unwrap_or(PublicKeyKind::Rsa(floor.rsa_bits()))
        .to_string()
}
