//! What people see.

pub mod account;
pub mod admin;
pub mod assets;
pub mod campaigns;
pub mod door;
pub mod log;
pub mod person;
pub mod policy;
pub mod rules;

use axum::response::{IntoResponse, Response};
use vouchsafe::core::{TenantId, Timestamp};
use vouchsafe_tower::CSRF_FIELD;

use crate::html;
use crate::html::Html;
use crate::users::{Person, Role};

/// What the button at a password field says.
pub const SHOW: &str = "Show";

/// What stands around a page's own part.
pub struct Frame<'a> {
    /// The page's name: in the window's title and as its heading.
    pub title: &'a str,
    /// At which tenant.
    pub tenant: Option<&'a TenantId>,
    /// Who is signed in.
    pub person: Option<&'a Person>,
    /// The token of the page's forms.
    pub csrf: &'a str,
    /// The files with its scripts.
    pub scripts: &'a [&'a str],
}

impl<'a> Frame<'a> {
    /// A page at a tenant.
    #[must_use]
    pub const fn new(title: &'a str, tenant: &'a TenantId, csrf: &'a str) -> Self {
        Self { title, tenant: Some(tenant), person: None, csrf, scripts: &[] }
    }

    /// A page of no tenant, without forms.
    #[must_use]
    pub const fn bare(title: &'a str) -> Self {
        Self { title, tenant: None, person: None, csrf: "", scripts: &[] }
    }

    /// The page around `main`.
    #[must_use]
    pub fn page(&self, main: Html) -> Html {
        let file = |name| html! { "<script src='/static/" (name) "' defer></script>" };
        let scripts: Html = self.scripts.iter().map(file).collect();
        let tenant = self.tenant.map(|tenant| html! { " · " (tenant.as_str()) });
        html! {
            "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
            "<meta name='viewport' content='width=device-width, initial-scale=1'>"
            "<meta name='color-scheme' content='light dark'>"
            "<title>" (self.title) (tenant) " · Portal</title>"
            "<link rel='stylesheet' href='/static/style.css'>"
            "<link rel='icon' href='/static/icon.svg' type='image/svg+xml'>"
            (scripts)
            "</head><body><a class='skip' href='#main'>Skip to the content</a>"
            "<header><a class='brand' href='/'>Portal" (tenant) "</a>" (self.navigation()) "</header>"
            "<main id='main' tabindex='-1'><h1>" (self.title) "</h1>" (main) "</main>"
            "<footer><p>A published security policy, in force and shown. "
            "An example application of the Vouchsafe libraries.</p></footer></body></html>"
        }
    }

    fn navigation(&self) -> Option<Html> {
        let (tenant, person) = (self.tenant?, self.person?);
        let mut places = vec![("campaigns", "Campaigns"), ("policy", "Policy")];
        if person.role == Role::Administrator {
            places.extend([("users", "People"), ("log", "Access log")]);
        }
        places.push(("account", "Your account"));
        let items: Html = places
            .into_iter()
            .map(|(path, name)| {
                let here = (name == self.title).then(|| html! { " aria-current='page'" });
                html! { "<li><a href='/" (tenant.as_str()) "/" (path) "'" (here) ">" (name) "</a></li>" }
            })
            .collect();
        Some(html! {
            "<nav aria-label='Portal'><ul>" (items) "</ul>"
            "<form method='post' action='/" (tenant.as_str()) "/sign-out'>" (token(self.csrf))
            "<span class='who'>" (person.name) "</span> <button class='plain'>Sign out</button></form></nav>"
        })
    }
}

/// The hidden field that shows that a form is ours: the first in each form.
#[must_use]
pub fn token(csrf: &str) -> Html {
    html! { "<input type='hidden' name='" (CSRF_FIELD) "' value='" (csrf) "'>" }
}

/// A form that is one button.
#[must_use]
pub fn button(action: &str, csrf: &str, text: &str) -> Html {
    html! {
        "<form class='inline' method='post' action='" (action) "'>" (token(csrf))
        "<button>" (text) "</button></form>"
    }
}

/// What went wrong with the form before, read out by screen readers.
#[must_use]
pub fn problem(text: &str) -> Html {
    html! { "<div class='problem' role='alert'><p>" (text) "</p></div>" }
}

/// What was done.
#[must_use]
pub fn done(text: &str) -> Html {
    html! { "<div class='done' role='status'><p>" (text) "</p></div>" }
}

/// A moment, to the second, for people and programs.
#[must_use]
pub fn moment(time: Timestamp) -> Html {
    let exact = time.to_string();
    let shown: String = exact.chars().take(19).map(|c| if c == 'T' { ' ' } else { c }).collect();
    html! { "<time datetime='" (exact) "'>" (shown) " UTC</time>" }
}

impl IntoResponse for Html {
    fn into_response(self) -> Response {
        axum::response::Html(self.into_string()).into_response()
    }
}
