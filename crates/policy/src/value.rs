//! A field's value, as it is printed and compared.

use std::fmt;
use std::time::Duration;

use crate::units;

/// The value of one field.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Value {
    /// A number without a unit.
    Count(u32),
    /// A length of time.
    Duration(Duration),
    /// A number of bytes.
    Size(u64),
    /// Yes or no.
    Flag(bool),
    /// One of the words that the field knows.
    Word(String),
    /// Several values.
    List(Vec<Value>),
    /// Values by name.
    Table(Vec<(&'static str, Value)>),
}

impl Value {
    pub(crate) fn word(word: impl Into<String>) -> Self {
        Self::Word(word.into())
    }
}

/// As people read it: `30 min`, `19 MiB`, `yes`.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Count(count) => count.to_string(),
            Self::Duration(duration) => units::print_duration(*duration),
            Self::Size(bytes) => units::print_size(*bytes),
            Self::Flag(true) => "yes".to_owned(),
            Self::Flag(false) => "no".to_owned(),
            Self::Word(word) => word.clone(),
            Self::List(list) => {
                list.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
            }
            Self::Table(table) => {
                let named = |(name, value): &(&str, Self)| format!("{name} {value}");
                table.iter().map(named).collect::<Vec<_>>().join(", ")
            }
        };
        f.pad(&text)
    }
}

impl Value {
    /// As the document writes it.
    pub(crate) fn to_toml(&self) -> String {
        match self {
            Self::Count(count) => count.to_string(),
            Self::Flag(flag) => flag.to_string(),
            Self::Duration(_) | Self::Size(_) | Self::Word(_) => quoted(&self.to_string()),
            Self::List(list) => {
                let list: Vec<_> = list.iter().map(Self::to_toml).collect();
                format!("[{}]", list.join(", "))
            }
            Self::Table(table) => {
                let named = |(name, value): &(&str, Self)| format!("{name} = {}", value.to_toml());
                format!("{{ {} }}", table.iter().map(named).collect::<Vec<_>>().join(", "))
            }
        }
    }
}

/// A TOML basic string.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len().saturating_add(2));
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
