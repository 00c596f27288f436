//! Who asks, and may they: the routes, and what handlers get to see of a request.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use tokio::net::TcpListener;
use vouchsafe::access_log::{Name, Target, Text, Url, name};
use vouchsafe::core::TenantId;
use vouchsafe::gate::{self, Acting, Code, Refused};
use vouchsafe::policy::Policy;
use vouchsafe_tower::{
    BuildError, Call, Connection, Csp, CspSource, CsrfToken, Directive, Principal, Reason, Refusal,
    SecurityHeaders, Tenant, Web, first_segment,
};

use crate::campaigns::CampaignError;
use crate::form::{Form, FormError};
use crate::html;
use crate::pages::{self, Frame, account, admin, assets, campaigns, door, log, person, policy};
use crate::setup::Portal;
use crate::users::{Person, Role, UsersError};

/// How often the work in between is done.
const UPKEEP: Duration = Duration::from_secs(3);
/// How long a shutdown waits for requests that are being answered.
const FAREWELL: Duration = Duration::from_secs(5);

/// The whole application, with every layer around it.
///
/// # Errors
/// [`BuildError`] when the portal's address is not one of this machine's own.
pub fn router(portal: &Portal) -> Result<Router, BuildError> {
    let csp = [Directive::Style, Directive::Script, Directive::Image]
        .into_iter()
        .try_fold(Csp::strict(), |csp, directive| csp.allow(directive, CspSource::OwnOrigin))?;
    let web = Web::builder(portal.gate().clone())
        .tenant(first_segment)
        .insecure_loopback(portal.0.listen)
        .headers(SecurityHeaders::strict().csp(csp))
        .body_limit(|_| Form::MAX_BYTES)
        .clock(portal.0.clock.clone())
        .build()?;
    let tenant = Router::new()
        .route("/", get(campaigns::home))
        .route("/sign-in", get(door::sign_in).post(door::try_sign_in))
        .route("/sign-out", post(door::sign_out))
        .route("/forgotten", get(door::forgotten).post(door::ask_reset))
        .route("/locked", get(door::locked).post(door::ask_unlock))
        .route("/unlock/{token}", get(door::unlock).post(door::try_unlock))
        .route("/activate/{token}", get(door::activate).post(door::try_activate))
        .route("/reset/{token}", get(door::reset).post(door::try_reset))
        .route("/campaigns", get(campaigns::list).post(campaigns::create))
        .route("/campaigns/new", get(campaigns::blank))
        .route("/campaigns/{id}", get(campaigns::show).post(campaigns::update))
        .route("/campaigns/{id}/delete", get(campaigns::confirm).post(campaigns::delete))
        .route("/account", get(account::show))
        .route("/account/password", post(account::change_password))
        .route("/account/end-others", post(account::end_others))
        .route("/users", get(admin::list).post(admin::invite))
        .route("/users/{id}", get(person::show))
        .route("/users/{id}/invite", post(person::invite_again))
        .route("/users/{id}/unlock", post(person::unlock))
        .route("/users/{id}/disable", post(person::disable))
        .route("/users/{id}/enable", post(person::enable))
        .route("/users/{id}/end-sessions", post(person::end_sessions))
        .route("/users/{id}/sessions/{session}/end", post(person::end_session))
        .route("/log", get(log::show))
        .route("/log/verify", post(log::verify))
        .route("/log/download", get(log::download))
        .route("/policy", get(policy::show))
        .route("/policy/probe", post(policy::probe));
    let router = Router::new()
        .route("/", get(door::landing))
        .route("/static/{name}", get(assets::show))
        .nest("/{tenant}", tenant)
        .fallback(async || Failure::NotFound)
        .method_not_allowed_fallback(async || Failure::NoMethod)
        .with_state(portal.clone());
    Ok(web.protect(router).layer(middleware::from_fn(paint)))
}

/// Serves until `end`, then answers what was begun and writes what is still to be written.
///
/// # Errors
/// When the listener fails, or the log's last head cannot be noted.
pub async fn serve(
    portal: Portal,
    listener: TcpListener,
    end: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let router = router(&portal).map_err(io::Error::other)?;
    let (stop, stopping) = tokio::sync::oneshot::channel::<()>();
    let service = router.into_make_service_with_connect_info::<Connection>();
    let server = axum::serve(listener, service).with_graceful_shutdown(async {
        let _ = stopping.await;
    });
    let mut server = tokio::spawn(server.into_future());
    let between = {
        let portal = portal.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(UPKEEP).await;
                if let Err(error) = portal.upkeep().await {
                    eprintln!("portal: the log's head cannot be noted: {error}");
                }
            }
        })
    };
    end.await;
    let _ = stop.send(());
    let served = tokio::time::timeout(FAREWELL, &mut server).await;
    server.abort();
    between.abort();
    portal.close().await.map_err(io::Error::other)?;
    match served {
        Ok(Ok(served)) => served,
        // Somebody held a connection open.
        _ => Ok(()),
    }
}

/// Our own page over the texts of the layers; without a session, the way to sign in.
async fn paint(request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let response = next.run(request).await;
    let Some(refusal) = response.extensions().get::<Refusal>().cloned() else { return response };
    let tenant = path.split('/').nth(1).and_then(|segment| TenantId::new(segment).ok());
    if let (Reason::Gate(Code::NoSession), Some(tenant)) = (refusal.reason(), &tenant) {
        let to = format!("/{tenant}/sign-in");
        let (redirect, body) = Redirect::to(&to).into_response().into_parts();
        let (mut parts, _) = response.into_parts();
        // The layers' own headers stay: only what goes with the text goes.
        for of_text in [header::CONTENT_LENGTH, header::CONTENT_TYPE, header::WWW_AUTHENTICATE] {
            parts.headers.remove(of_text);
        }
        parts.status = redirect.status;
        parts.headers.extend(redirect.headers);
        return Response::from_parts(parts, body);
    }
    let page = failure_page(refusal.message());
    let (mut parts, _) = response.into_parts();
    let (painted, body) = page.into_response().into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.extend(painted.headers);
    Response::from_parts(parts, body)
}

fn failure_page(message: &str) -> html::Html {
    Frame::bare("That did not work").page(html! {
        (pages::problem(message)) "<p><a href='/'>To the start page</a></p>"
    })
}

/// Somebody at a tenant's door.
pub struct Guest {
    /// The portal.
    pub portal: Portal,
    /// The tenant.
    pub tenant: TenantId,
    /// Where the request comes from.
    pub call: gate::Call,
    /// The token for the page's forms.
    pub csrf: String,
}

/// Somebody who is signed in.
pub struct Member {
    /// As which guest.
    pub guest: Guest,
    /// Whose session it is.
    pub principal: gate::Principal,
    /// Who that is to the portal.
    pub person: Person,
}

/// A signed-in administrator.
pub struct Administrator(pub Member);

/// A form that our own page sent.
pub struct Submitted(pub Form);

impl Guest {
    /// The policy in force.
    ///
    /// # Errors
    /// For a tenant that is not served any more.
    pub fn policy(&self) -> Result<std::sync::Arc<Policy>, Failure> {
        Ok(self.portal.gate().policy(&self.tenant)?)
    }

    /// A path of the tenant's.
    #[must_use]
    pub fn path(&self, rest: &str) -> String {
        format!("/{}/{rest}", self.tenant)
    }

    /// Leads the browser to a page of the tenant's.
    #[must_use]
    pub fn go(&self, rest: &str) -> Response {
        Redirect::to(&self.path(rest)).into_response()
    }
}

impl Member {
    /// What the person may ask the gate for.
    ///
    /// # Errors
    /// For a tenant that is not served any more.
    pub fn acting(&self) -> Result<Acting<'_>, Failure> {
        Ok(self.guest.portal.gate().by(&self.principal, &self.guest.call)?)
    }

    /// What stands around a page for this person.
    #[must_use]
    pub fn frame<'a>(&'a self, title: &'a str) -> Frame<'a> {
        let guest = &self.guest;
        Frame { person: Some(&self.person), ..Frame::new(title, &guest.tenant, &guest.csrf) }
    }
}

impl FromRequestParts<Portal> for Guest {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, portal: &Portal) -> Result<Self, Refusal> {
        let Tenant(tenant) = Tenant::from_request_parts(parts, portal).await?;
        let Call(call) = Call::from_request_parts(parts, portal).await?;
        let agent = parts.headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
        let call = match agent.and_then(browser) {
            Some(browser) => call.labelled(&browser),
            None => call,
        };
        let csrf = CsrfToken::from_request_parts(parts, portal).await?.expose().to_owned();
        Ok(Self { portal: portal.clone(), tenant, call, csrf })
    }
}

/// A browser as people call it, such as "Firefox on Linux"; `None` for what is none of the usual.
fn browser(agent: &str) -> Option<String> {
    // In this order: each names those behind it, too.
    const BROWSERS: [(&str, &str); 5] = [
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
    ];
    const SYSTEMS: [(&str, &str); 7] = [
        ("Android", "Android"),
        ("iPhone", "an iPhone"),
        ("iPad", "an iPad"),
        ("Windows", "Windows"),
        ("Mac OS X", "macOS"),
        ("CrOS", "ChromeOS"),
        ("Linux", "Linux"),
    ];
    let first = |known: &[(&str, &'static str)]| {
        known.iter().find(|(mark, _)| agent.contains(mark)).map(|(_, name)| *name)
    };
    let browser = first(&BROWSERS)?;
    Some(first(&SYSTEMS).map_or_else(|| browser.to_owned(), |on| format!("{browser} on {on}")))
}

impl FromRequestParts<Portal> for Member {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, portal: &Portal) -> Result<Self, Failure> {
        let Principal(principal) = Principal::from_request_parts(parts, portal).await?;
        let guest = Guest::from_request_parts(parts, portal).await?;
        let person = portal.users().person(&guest.tenant, principal.user())?;
        let person = person.ok_or(Refusal::from(Reason::Gate(Code::NoSession)))?;
        Ok(Self { guest, principal, person })
    }
}

impl FromRequestParts<Portal> for Administrator {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, portal: &Portal) -> Result<Self, Failure> {
        let member = Member::from_request_parts(parts, portal).await?;
        if member.person.role == Role::Administrator {
            return Ok(Self(member));
        }
        let target =
            Url::new(parts.uri.path()).map_or_else(|_| entity(name!("page"), "?"), Target::Url);
        member.acting()?.denied(target, name!("role.member")).await?;
        Err(Failure::Forbidden)
    }
}

impl FromRequest<Portal> for Submitted {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &Portal) -> Result<Self, Failure> {
        const FORM: &[u8] = b"application/x-www-form-urlencoded";
        let kind = request.headers().get(header::CONTENT_TYPE).map(|kind| kind.as_bytes());
        let kind = kind.unwrap_or_default().split(|byte| *byte == b';').next().unwrap_or_default();
        if !kind.trim_ascii().eq_ignore_ascii_case(FORM) {
            return Err(FormError::Malformed.into());
        }
        let body = axum::body::to_bytes(request.into_body(), Form::MAX_BYTES).await;
        Ok(Self(Form::parse(&body.map_err(|_| FormError::TooLarge)?)?))
    }
}

/// A thing of the portal's, as the target of a record.
#[must_use]
pub fn entity(kind: Name, id: &str) -> Target {
    Target::Entity { kind, id: Text::clipped(id) }
}

/// Why a page is not shown.
#[derive(Debug)]
pub enum Failure {
    /// A layer or the gate refused.
    Refused(Refusal),
    /// There is no such page or thing.
    NotFound,
    /// The page is not for this method.
    NoMethod,
    /// Not for this person.
    Forbidden,
    /// Nobody may do that to themself.
    Oneself,
    /// What is looked for does not read.
    Question(FormError),
    /// The form does not read.
    Form(FormError),
    /// The portal's own parts failed; the details are for its operator.
    Broken(String),
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let (status, message) = match self {
            Self::Refused(refusal) => return refusal.into_response(),
            Self::NotFound => (StatusCode::NOT_FOUND, "There is nothing here.".to_owned()),
            Self::NoMethod => {
                (StatusCode::METHOD_NOT_ALLOWED, "This page does not take that.".to_owned())
            }
            Self::Forbidden => {
                (StatusCode::FORBIDDEN, "This page is for administrators.".to_owned())
            }
            Self::Oneself => (
                StatusCode::CONFLICT,
                "You cannot disable yourself. Another administrator can.".to_owned(),
            ),
            Self::Question(error) => {
                (StatusCode::BAD_REQUEST, format!("Nothing was looked for: {error}."))
            }
            Self::Form(FormError::TooLarge) => (
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("Nothing was changed: {}.", FormError::TooLarge),
            ),
            Self::Form(error) => {
                (StatusCode::BAD_REQUEST, format!("Nothing was changed: {error}."))
            }
            Self::Broken(detail) => {
                eprintln!("portal: {detail}");
                let text = "Something went wrong on our side. Please try again in a moment.";
                (StatusCode::INTERNAL_SERVER_ERROR, text.to_owned())
            }
        };
        (status, failure_page(&message)).into_response()
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused.into())
    }
}

impl From<CampaignError> for Failure {
    fn from(error: CampaignError) -> Self {
        match error {
            CampaignError::Gone => Self::NotFound,
            other => Self::Broken(other.to_string()),
        }
    }
}

impl From<FormError> for Failure {
    fn from(error: FormError) -> Self {
        Self::Form(error)
    }
}

macro_rules! broken {
    ($($error:ty),*) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::Broken(error.to_string())
            }
        }
    )*};
}
broken!(UsersError, vouchsafe::ledger::LedgerError, tokio::task::JoinError);

/// Where a listener of the portal may stand.
///
/// # Errors
/// When the address is taken, or not of this machine.
pub async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await
}

#[cfg(test)]
mod tests {
    use super::browser;

    #[test]
    fn browsers_are_called_what_people_call_them() {
        let chrome = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/148.0.0.0 Safari/537.36";
        for (agent, name) in [
            (format!("Mozilla/5.0 (X11; Linux x86_64) {chrome}"), Some("Chrome on Linux")),
            (format!("Mozilla/5.0 (Linux; Android 10; K) {chrome}"), Some("Chrome on Android")),
            (format!("Mozilla/5.0 (Windows NT 10.0) {chrome} Edg/148.0"), Some("Edge on Windows")),
            ("Mozilla/5.0 (X11; rv:140.0) Gecko/20100101 Firefox/140.0".into(), Some("Firefox")),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Safari/604.1".into(),
                Some("Safari on an iPhone"),
            ),
            ("curl/8.5.0".into(), None),
            (String::new(), None),
        ] {
            assert_eq!(browser(&agent).as_deref(), name, "{agent}");
        }
    }
}
