//! Content-Security-Policy: everything is refused but what was allowed by name.

use std::collections::BTreeMap;
use std::fmt;

use vouchsafe::session::LinkOrigin;

use crate::BuildError;

/// A content security policy. Begins as [`strict`](Self::strict); there is no way to allow inline
/// scripts or `eval`, and none to lift `frame-ancestors`, `base-uri` or `object-src`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Csp(BTreeMap<Directive, Vec<String>>);

/// What a page may load, or where it may send a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Directive {
    /// `connect-src`: what scripts may talk to.
    Connect,
    /// `font-src`.
    Font,
    /// `form-action`: where forms go. `'self'` from the start.
    FormAction,
    /// `img-src`.
    Image,
    /// `manifest-src`.
    Manifest,
    /// `media-src`.
    Media,
    /// `script-src`.
    Script,
    /// `style-src`.
    Style,
}

impl Directive {
    const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect-src",
            Self::Font => "font-src",
            Self::FormAction => "form-action",
            Self::Image => "img-src",
            Self::Manifest => "manifest-src",
            Self::Media => "media-src",
            Self::Script => "script-src",
            Self::Style => "style-src",
        }
    }
}

/// From where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CspSource {
    /// Our own origin.
    OwnOrigin,
    /// Another origin.
    Origin(LinkOrigin),
    /// The one inline text with this SHA-256 digest.
    Sha256([u8; 32]),
    /// `data:` addresses, for images and fonts only.
    Data,
}

impl Csp {
    /// `default-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'`.
    #[must_use]
    pub fn strict() -> Self {
        Self(BTreeMap::from([(Directive::FormAction, vec!["'self'".to_owned()])]))
    }

    /// Allows one more source.
    ///
    /// # Errors
    /// [`BuildError::Csp`] for `data:` where it would let code in, and for a digest where nothing
    /// is inline.
    pub fn allow(mut self, directive: Directive, source: CspSource) -> Result<Self, BuildError> {
        let text = match source {
            CspSource::OwnOrigin => "'self'".to_owned(),
            CspSource::Origin(origin) => origin.as_str().to_owned(),
            CspSource::Sha256(digest)
                if matches!(directive, Directive::Script | Directive::Style) =>
            {
                format!("'sha256-{}'", base64(&digest))
            }
            CspSource::Sha256(_) => {
                return Err(BuildError::Csp("a digest is of a script or style"));
            }
            CspSource::Data if matches!(directive, Directive::Image | Directive::Font) => {
                "data:".to_owned()
            }
            CspSource::Data => return Err(BuildError::Csp("data: is for images and fonts")),
        };
        let sources = self.0.entry(directive).or_default();
        if !sources.contains(&text) {
            sources.push(text);
        }
        Ok(self)
    }
}

impl Default for Csp {
    fn default() -> Self {
        Self::strict()
    }
}

impl fmt::Display for Csp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("default-src 'none'; base-uri 'none'; frame-ancestors 'none'")?;
        for (directive, sources) in &self.0 {
            write!(f, "; {} {}", directive.name(), sources.join(" "))?;
        }
        Ok(())
    }
}

/// RFC 4648, 4, with padding, as CSP spells digests.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let group = (byte(0) << 16) | (byte(1) << 8) | byte(2);
        for (place, shift) in [18, 12, 6, 0].into_iter().enumerate() {
            let six = usize::try_from((group >> shift) & 63).unwrap_or(0);
            let letter = LETTERS.get(six).copied().map_or('=', char::from);
            text.push(if place <= chunk.len() { letter } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_of_rfc_4648() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(base64(&[0xfb, 0xff, 0xfe]), "+//+");
    }

    #[test]
    fn what_lets_code_in_does_not_build() {
        for directive in [Directive::Script, Directive::Style, Directive::Connect] {
            assert!(Csp::strict().allow(directive, CspSource::Data).is_err());
        }
        let digest = CspSource::Sha256([0; 32]);
        assert!(Csp::strict().allow(Directive::Image, digest.clone()).is_err());
        let csp = Csp::strict().allow(Directive::Script, digest).unwrap();
        let csp = csp.allow(Directive::Script, CspSource::OwnOrigin).unwrap();
        let csp = csp.allow(Directive::Script, CspSource::OwnOrigin).unwrap();
        let digest = format!("{}=", "A".repeat(43));
        assert!(csp.to_string().ends_with(&format!("; script-src 'sha256-{digest}' 'self'")));
    }
}
