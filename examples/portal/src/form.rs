//! A submitted form: bounded, decoded strictly, each field once.

use std::fmt;

use vouchsafe::core::SecretString;

/// The fields of a submitted form. No `Debug` shows what is in them.
pub struct Form(Vec<(String, SecretString)>);

/// Why a form is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// More than the portal's forms can hold.
    #[error("the form is larger than this page's forms can be")]
    TooLarge,
    /// Not `application/x-www-form-urlencoded`, or not as browsers write it.
    #[error("the form is not one that a browser sends")]
    Malformed,
    /// One field, two values: which one was meant?
    #[error("a field of the form is there twice")]
    Twice,
}

impl Form {
    /// Largest form, in bytes: notes of 10 000 characters, each of up to four bytes, each byte
    /// written as three, and some.
    pub const MAX_BYTES: usize = 128 << 10;
    /// Most fields.
    pub const MAX_FIELDS: usize = 32;

    /// Reads `application/x-www-form-urlencoded` bytes, as the URL standard says, but refuses what
    /// browsers never send.
    ///
    /// # Errors
    /// [`FormError`].
    pub fn parse(body: &[u8]) -> Result<Self, FormError> {
        if body.len() > Self::MAX_BYTES {
            return Err(FormError::TooLarge);
        }
        let mut fields: Vec<(String, SecretString)> = Vec::new();
        for pair in body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            let name = decode(halves.next().unwrap_or_default())?;
            let value = SecretString::new(decode(halves.next().unwrap_or_default())?);
            if fields.iter().any(|(other, _)| *other == name) {
                return Err(FormError::Twice);
            }
            if fields.len() == Self::MAX_FIELDS {
                return Err(FormError::TooLarge);
            }
            fields.push((name, value));
        }
        Ok(Self(fields))
    }

    /// The field's value; empty where it is missing.
    #[must_use]
    pub fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value.expose())
    }

    /// Takes a secret field's value out.
    #[must_use]
    pub fn secret(&mut self, name: &str) -> SecretString {
        let at = self.0.iter().position(|(field, _)| field == name);
        at.map_or_else(|| SecretString::new(String::new()), |at| self.0.swap_remove(at).1)
    }
}

impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Form({} fields)", self.0.len())
    }
}

fn decode(text: &[u8]) -> Result<String, FormError> {
    // As long as it can get: a growing one would leave pieces of a password behind.
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(byte) = rest.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = (rest.next().and_then(digit), rest.next().and_then(digit));
                let (Some(high), Some(low)) = digits else { return Err(FormError::Malformed) };
                (high << 4) | low
            }
            plain => *plain,
        });
    }
    String::from_utf8(out).map_err(|_| FormError::Malformed)
}

fn digit(byte: &u8) -> Option<u8> {
    char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_decoded_as_browsers_write_them() {
        let mut form = Form::parse(b"name=a+b%2Bc&note=%C3%A4%0D%0A&empty=&flag&=x").unwrap();
        assert_eq!(form.get("name"), "a b+c");
        assert_eq!(form.get("note"), "\u{e4}\r\n");
        assert_eq!((form.get("empty"), form.get("flag"), form.get("missing")), ("", "", ""));
        assert_eq!(form.secret("name").expose(), "a b+c");
        assert_eq!(form.get("name"), "");
        assert!(!format!("{form:?}").contains("\u{e4}"));
    }

    #[test]
    fn what_no_browser_sends_is_refused() {
        for (body, error) in [
            (&b"a=%"[..], FormError::Malformed),
            (b"a=%4", FormError::Malformed),
            (b"a=%zz", FormError::Malformed),
            (b"a=%+1", FormError::Malformed),
            (b"a=%ff", FormError::Malformed),
            (b"a=\xff", FormError::Malformed),
            (b"a=1&a=2", FormError::Twice),
            (b"a=1&%61=1", FormError::Twice),
            (&vec![b'a'; Form::MAX_BYTES + 1], FormError::TooLarge),
        ] {
            assert_eq!(Form::parse(body).unwrap_err(), error);
        }
        let fields = |count: usize| (0..count).map(|n| format!("f{n}=1&")).collect::<String>();
        assert!(Form::parse(fields(32).as_bytes()).is_ok());
        assert_eq!(Form::parse(fields(33).as_bytes()).unwrap_err(), FormError::TooLarge);
        assert!(Form::parse(&vec![b'a'; Form::MAX_BYTES]).is_ok());
    }
}
