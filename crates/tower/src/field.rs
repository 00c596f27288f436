//! The field that a password is typed into.

use std::fmt;

/// Shows and hides what is in a [`PasswordField`], at the press of its button: serve it from the
/// page's own origin and load it with `<script src=".." defer>`. It needs `script-src 'self'` and
/// nothing else.
///
/// A field is hidden again when its form is sent, so that no browser keeps the text as that of an
/// ordinary field, and when the page is left.
pub const SHOW_PASSWORD_SCRIPT: &str = include_str!("show_password.js");

/// `<input type="password">`, as browsers and password managers want it: with the right
/// `autocomplete`, no spelling service to send the text to, no `maxlength` (browsers cut off what is
/// pasted without a word), and never a `value`.
///
/// ```
/// use vouchsafe_tower::PasswordField;
///
/// let field = PasswordField::current("password").to_string();
/// assert!(field.starts_with(
///     "<input type=\"password\" id=\"password\" name=\"password\" autocomplete=\"current-password\""
/// ));
/// ```
///
/// What is typed does not show. Where the host asks for it with
/// [`show_button`](Self::show_button), whoever types may look at it by an act of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "it is text for a page"]
pub struct PasswordField<'a> {
    kind: Kind,
    name: &'a str,
    id: &'a str,
    described_by: Option<&'a str>,
    show_button: Option<&'a str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Current,
    New,
}

impl<'a> PasswordField<'a> {
    /// For the password that somebody has: `autocomplete="current-password"`. `name` is also its
    /// id.
    pub const fn current(name: &'a str) -> Self {
        Self { kind: Kind::Current, name, id: name, described_by: None, show_button: None }
    }

    /// For one that somebody chooses: `autocomplete="new-password"`, in both fields of a form that
    /// asks for it twice. `name` is also its id.
    pub const fn chosen(name: &'a str) -> Self {
        Self { kind: Kind::New, ..Self::current(name) }
    }

    /// Another id than its name.
    pub const fn id(mut self, id: &'a str) -> Self {
        self.id = id;
        self
    }

    /// The id of the element that says more about it, the rules for instance.
    pub const fn described_by(mut self, id: &'a str) -> Self {
        self.described_by = Some(id);
        self
    }

    /// A button behind the field that shows what is typed and hides it again, off at first. It
    /// cannot be seen until [`SHOW_PASSWORD_SCRIPT`] runs. `text` says what it does, "Show" for
    /// instance.
    pub const fn show_button(mut self, text: &'a str) -> Self {
        self.show_button = Some(text);
        self
    }
}

impl fmt::Display for PasswordField<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let autocomplete = match self.kind {
            Kind::Current => "current-password",
            Kind::New => "new-password",
        };
        let (id, name) = (Escaped(self.id), Escaped(self.name));
        write!(
            f,
            "<input type=\"password\" id=\"{id}\" name=\"{name}\" autocomplete=\"{autocomplete}\" \
             autocapitalize=\"none\" autocorrect=\"off\" spellcheck=\"false\" required"
        )?;
        if let Some(described_by) = self.described_by {
            write!(f, " aria-describedby=\"{}\"", Escaped(described_by))?;
        }
        f.write_str(">")?;
        match self.show_button {
            Some(text) => write!(
                f,
                "<button type=\"button\" class=\"show-password\" data-shows=\"{id}\" \
                 aria-controls=\"{id}\" aria-pressed=\"false\" hidden>{}</button>",
                Escaped(text)
            ),
            None => Ok(()),
        }
    }
}

/// Text that stays text, in elements and in quoted attributes.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                // No character of its own in a page: a browser would guess.
                control if control.is_control() => f.write_str("\u{fffd}")?,
                plain => write!(f, "{plain}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_byte_for_byte() {
        assert_eq!(
            PasswordField::current("password").to_string(),
            "<input type=\"password\" id=\"password\" name=\"password\" \
             autocomplete=\"current-password\" autocapitalize=\"none\" autocorrect=\"off\" \
             spellcheck=\"false\" required>"
        );
        assert_eq!(
            PasswordField::chosen("new")
                .id("a")
                .described_by("rules")
                .show_button("Show")
                .to_string(),
            "<input type=\"password\" id=\"a\" name=\"new\" autocomplete=\"new-password\" \
             autocapitalize=\"none\" autocorrect=\"off\" spellcheck=\"false\" required \
             aria-describedby=\"rules\"><button type=\"button\" class=\"show-password\" \
             data-shows=\"a\" aria-controls=\"a\" aria-pressed=\"false\" hidden>Show</button>"
        );
    }

    #[test]
    fn what_is_put_in_cannot_become_markup() {
        let hostile = "'\"><script value=\"\">alert(1)</script>&\n";
        let field = PasswordField::current(hostile).id(hostile).described_by(hostile);
        let field = field.show_button(hostile).to_string();
        assert_eq!(field.matches('<').count(), 3, "{field}");
        assert_eq!(field.matches('>').count(), 3, "{field}");
        let own = PasswordField::current("a").described_by("b").show_button("c").to_string();
        assert_eq!(field.matches('"').count(), own.matches('"').count(), "{field}");
        assert!(!field.contains('\'') && !field.contains('\n'), "{field}");
    }
}
