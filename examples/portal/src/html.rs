//! HTML that escapes what is put into it.
//!
//! `html! { "<p>" (text) "</p>" }`: literals are markup, everything in parentheses is escaped. A
//! program's own literals are the only markup there is.

use std::fmt::Write as _;

use vouchsafe_tower::PasswordField;

/// A piece of a page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Html(String);

/// What can stand in a page.
pub trait Show {
    /// Adds it to a page.
    fn show(&self, page: &mut Html);
}

impl Html {
    /// Markup that is written in the program.
    pub fn markup(&mut self, literal: &'static str) {
        self.0.push_str(literal);
    }

    /// Adds text, escaped for elements and quoted attributes alike.
    pub fn text(&mut self, text: &str) {
        for character in text.chars() {
            match character {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                // No character of its own in a page: a browser would guess.
                control if control.is_control() && !matches!(control, '\n' | '\r' | '\t') => {
                    self.0.push('\u{fffd}');
                }
                plain => self.0.push(plain),
            }
        }
    }

    /// The whole piece.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

impl Show for str {
    fn show(&self, page: &mut Html) {
        page.text(self);
    }
}

impl Show for String {
    fn show(&self, page: &mut Html) {
        page.text(self);
    }
}

impl Show for Html {
    fn show(&self, page: &mut Html) {
        page.0.push_str(&self.0);
    }
}

/// It escapes what it is made of itself.
impl Show for PasswordField<'_> {
    fn show(&self, page: &mut Html) {
        // Writing to a string does not fail.
        let _ = write!(page.0, "{self}");
    }
}

impl<T: Show + ?Sized> Show for &T {
    fn show(&self, page: &mut Html) {
        (**self).show(page);
    }
}

impl<T: Show> Show for Option<T> {
    fn show(&self, page: &mut Html) {
        if let Some(shown) = self {
            shown.show(page);
        }
    }
}

macro_rules! show_numbers {
    ($($number:ty),*) => {$(
        impl Show for $number {
            fn show(&self, page: &mut Html) {
                // Writing to a string does not fail.
                let _ = write!(page.0, "{self}");
            }
        }
    )*};
}
show_numbers!(u16, u32, u64, usize);

impl FromIterator<Html> for Html {
    fn from_iter<I: IntoIterator<Item = Html>>(pieces: I) -> Self {
        let mut all = Self::default();
        for piece in pieces {
            all.0.push_str(&piece.0);
        }
        all
    }
}

/// Puts a page together: see the [module](self).
#[macro_export]
macro_rules! html {
    (@ $page:ident $markup:literal) => { $page.markup($markup) };
    (@ $page:ident ($shown:expr)) => { $crate::html::Show::show(&$shown, &mut $page) };
    ($($part:tt)*) => {{
        #[allow(unused_mut, reason = "an empty piece")]
        let mut page = $crate::html::Html::default();
        $($crate::html!(@ page $part);)*
        page
    }};
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_put_in_cannot_become_markup() {
        let hostile = "'\"><script>alert(1)</script>&\u{0}";
        let page = html! { "<p title='" (hostile) "'>" (hostile) "</p>" }.into_string();
        let escaped = "&#39;&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;&amp;\u{fffd}";
        assert_eq!(page, format!("<p title='{escaped}'>{escaped}</p>"));
    }

    #[test]
    fn pieces_are_not_escaped_twice() {
        let items: super::Html = ["a&b", "c"].iter().map(|t| html! { "<li>" (t) }).collect();
        let nothing: Option<&str> = None;
        assert_eq!(
            html! { "<ul>" (items) (nothing) (7_u32) }.into_string(),
            "<ul><li>a&amp;b<li>c7"
        );
    }
}
