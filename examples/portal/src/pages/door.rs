//! Before sign-in: the door itself, links, and forgotten passwords.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use vouchsafe::core::Identifier;
use vouchsafe::gate::{Attempt, Code, Login, Next, NotSet, Purpose};
use vouchsafe_tower::{
    OptionalPrincipal, PasswordField, Presented, Reason, Refusal, Web, complete,
};

use super::assets::{RULES, SHOW_PASSWORD};
use super::{Frame, SHOW, done, problem, rules, token};
use crate::form::Form;
use crate::html;
use crate::html::Html;
use crate::setup::Portal;
use crate::web::{Failure, Guest, Submitted};

/// The start page: which tenant?
pub async fn landing(State(portal): State<Portal>) -> Html {
    let tenants: Html = portal
        .0
        .documents
        .iter()
        .map(|(tenant, policy)| {
            html! {
                "<li><a href='/" (tenant.as_str()) "/sign-in'>" (tenant.as_str()) "</a> "
                "<span class='hint'>under “" (policy.title()) "”</span></li>"
            }
        })
        .collect();
    Frame::bare("Welcome").page(html! {
        "<p>Where do you want to sign in?</p><ul>" (tenants) "</ul>"
    })
}

fn sign_in_page(guest: &Guest, name: &str, word: Option<Html>) -> Html {
    let main = html! {
        (word)
        "<form class='card' method='post' action='" (guest.path("sign-in")) "'>" (token(&guest.csrf))
        "<label for='name'>User name or mail address</label>"
        "<input id='name' name='name' value='" (name) "' autocomplete='username' "
        "autocapitalize='none' spellcheck='false' maxlength='254' required>"
        "<label for='password'>Password</label>"
        (PasswordField::current("password").show_button(SHOW))
        "<button>Sign in</button></form>"
        "<p><a href='" (guest.path("forgotten")) "'>Forgotten your password?</a> "
        "<a href='" (guest.path("locked")) "'>Locked out?</a></p>"
    };
    let frame = Frame::new("Sign in", &guest.tenant, &guest.csrf);
    Frame { scripts: &[SHOW_PASSWORD], ..frame }.page(main)
}

/// The sign-in page.
pub async fn sign_in(guest: Guest, OptionalPrincipal(principal): OptionalPrincipal) -> Response {
    match principal {
        Some(_) => guest.go("campaigns"),
        None => sign_in_page(&guest, "", None).into_response(),
    }
}

/// The same page once more, with what the gate said and the status for it.
fn refused(refusal: impl Into<Refusal>, page: impl FnOnce(&str) -> Html) -> Response {
    let refusal = refusal.into();
    let page = page(refusal.message());
    // The refusal's own headers say how long to wait.
    let (mut parts, _) = refusal.into_response().into_parts();
    parts.extensions.remove::<Refusal>();
    let (painted, body) = page.into_response().into_parts();
    parts.headers.remove(axum::http::header::CONTENT_LENGTH);
    parts.headers.extend(painted.headers);
    Response::from_parts(parts, body)
}

/// Tries to sign in.
pub async fn try_sign_in(
    guest: Guest,
    web: Web,
    Presented(presented): Presented,
    Submitted(mut form): Submitted,
) -> Result<Response, Failure> {
    let name = form.get("name").to_owned();
    if name.trim().is_empty() {
        let word = problem("Please give a user name or a mail address.");
        let page = sign_in_page(&guest, "", Some(word));
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
    }
    let Ok(identifier) = Identifier::new(&name) else {
        // Nobody can have this name: the answer is that to a name that nobody has.
        let why = Refusal::from(Reason::Gate(Code::WrongCredentials));
        return Ok(refused(why, |word| sign_in_page(&guest, &name, Some(problem(word)))));
    };
    let attempt = Attempt::new(guest.tenant.clone(), identifier, guest.call.clone());
    let attempt = attempt.replacing(presented);
    let password = form.secret("password");
    let gate = guest.portal.gate().clone();
    let login = complete(async move { gate.login(&attempt, password).await }).await?;
    Ok(match login {
        Login::SignedIn(issued) => {
            (web.signed_in(&issued), Redirect::to(&guest.path("campaigns"))).into_response()
        }
        // The way through a link works for everybody, and shows who is there.
        Login::Next(Next::ChangePassword(_)) => {
            let word = "Your password has to be changed first. Please ask for a link to do so.";
            (StatusCode::FORBIDDEN, wish_page(&guest, Wish::NewPassword, Some(problem(word))))
                .into_response()
        }
        Login::Next(_) => return Err(Failure::Forbidden),
        Login::Refused(why) => {
            refused(why, |word| sign_in_page(&guest, &name, Some(problem(word))))
        }
    })
}

/// Signs out.
pub async fn sign_out(
    guest: Guest,
    web: Web,
    OptionalPrincipal(principal): OptionalPrincipal,
) -> Result<Response, Failure> {
    if let Some(principal) = principal {
        let (gate, call) = (guest.portal.gate().clone(), guest.call.clone());
        complete(async move { gate.sign_out(principal, &call).await }).await??;
    }
    Ok((web.signed_out(&guest.tenant), Redirect::to(&guest.path("sign-in"))).into_response())
}

/// What somebody who cannot sign in may ask for by mail.
#[derive(Clone, Copy)]
enum Wish {
    NewPassword,
    Unlock,
}

fn wish_page(guest: &Guest, wish: Wish, word: Option<Html>) -> Html {
    let (title, path, what) = match wish {
        Wish::NewPassword => ("Forgotten password", "forgotten", "for a new password"),
        Wish::Unlock => ("Locked account", "locked", "that unlocks your account"),
    };
    let main = html! {
        (word)
        "<p>We send a link " (what) " to the mail address of your account.</p>"
        "<form class='card' method='post' action='" (guest.path(path)) "'>" (token(&guest.csrf))
        "<label for='name'>User name or mail address</label>"
        "<input id='name' name='name' autocomplete='username' autocapitalize='none' "
        "spellcheck='false' maxlength='254' required>"
        "<button>Send me a link</button></form>"
        "<p><a href='" (guest.path("sign-in")) "'>Back to sign-in</a></p>"
    };
    Frame::new(title, &guest.tenant, &guest.csrf).page(main)
}

/// Sends a link, if there is anybody to send it to: the answer does not tell.
async fn ask(guest: Guest, wish: Wish, form: Form) -> Result<Response, Failure> {
    let word = "If somebody here has this name or address, a mail is on its way.";
    if let Ok(identifier) = Identifier::new(form.get("name")) {
        let attempt = Attempt::new(guest.tenant.clone(), identifier, guest.call.clone());
        let gate = guest.portal.gate().clone();
        let asked = complete(async move {
            match wish {
                Wish::NewPassword => gate.request_reset(&attempt).await,
                Wish::Unlock => gate.request_unlock(&attempt).await,
            }
        });
        if let Err(why) = asked.await? {
            return Ok(refused(why, |word| wish_page(&guest, wish, Some(problem(word)))));
        }
    }
    Ok(wish_page(&guest, wish, Some(done(word))).into_response())
}

/// The page for a forgotten password.
pub async fn forgotten(guest: Guest) -> Html {
    wish_page(&guest, Wish::NewPassword, None)
}

/// Asks for a link for a new password.
pub async fn ask_reset(guest: Guest, Submitted(form): Submitted) -> Result<Response, Failure> {
    ask(guest, Wish::NewPassword, form).await
}

/// The page for a locked account.
pub async fn locked(guest: Guest) -> Html {
    wish_page(&guest, Wish::Unlock, None)
}

/// Asks for a link that unlocks.
pub async fn ask_unlock(guest: Guest, Submitted(form): Submitted) -> Result<Response, Failure> {
    ask(guest, Wish::Unlock, form).await
}

/// The page that a mail for unlocking leads to. Looking unlocks nothing: mail scanners open links.
pub async fn unlock(
    guest: Guest,
    Path((_, link)): Path<(String, String)>,
) -> Result<Html, Failure> {
    let gate = guest.portal.gate();
    let view = gate.peek(&guest.tenant, Purpose::Unlock, &link, &guest.call).await?;
    let main = html! {
        "<p>For <strong>" (view.account.address) "</strong>. The link works once, until "
        (super::moment(view.expires)) ".</p>"
        "<form class='card' method='post'>" (token(&guest.csrf)) "<button>Unlock the account</button></form>"
    };
    Ok(Frame::new("Unlock your account", &guest.tenant, &guest.csrf).page(main))
}

/// Unlocks.
pub async fn try_unlock(
    guest: Guest,
    Path((_, link)): Path<(String, String)>,
    Submitted(_): Submitted,
) -> Result<Html, Failure> {
    let (gate, tenant, call) =
        (guest.portal.gate().clone(), guest.tenant.clone(), guest.call.clone());
    complete(async move { gate.unlock(&tenant, &link, &call).await }).await??;
    let word = done("Your account is unlocked. You can sign in with your password now.");
    Ok(sign_in_page(&guest, "", Some(word)))
}

/// The page that an invitation leads to.
pub async fn activate(
    guest: Guest,
    Path((_, link)): Path<(String, String)>,
) -> Result<Html, Failure> {
    link_page(&guest, Purpose::Activation, &link, None).await
}

/// The page that a mail for a new password leads to.
pub async fn reset(guest: Guest, Path((_, link)): Path<(String, String)>) -> Result<Html, Failure> {
    link_page(&guest, Purpose::Reset, &link, None).await
}

/// Sets the first password.
pub async fn try_activate(
    guest: Guest,
    Path((_, link)): Path<(String, String)>,
    Submitted(form): Submitted,
) -> Result<Response, Failure> {
    set_by_link(guest, Purpose::Activation, link, form).await
}

/// Sets a new password.
pub async fn try_reset(
    guest: Guest,
    Path((_, link)): Path<(String, String)>,
    Submitted(form): Submitted,
) -> Result<Response, Failure> {
    set_by_link(guest, Purpose::Reset, link, form).await
}

async fn link_page(
    guest: &Guest,
    purpose: Purpose,
    link: &str,
    word: Option<Html>,
) -> Result<Html, Failure> {
    // Looking uses nothing up: mail scanners open links, too.
    let view = guest.portal.gate().peek(&guest.tenant, purpose, link, &guest.call).await?;
    let policy = guest.policy()?;
    let title = match purpose {
        Purpose::Activation => "Choose your password",
        _ => "Choose a new password",
    };
    let main = html! {
        (word)
        "<p>For <strong>" (view.account.address) "</strong>. The link works once, until "
        (super::moment(view.expires)) ".</p>"
        "<form class='card' method='post'>"
        (rules::fields(&policy, &view.account.class, &view.account.address, &guest.csrf))

        "<button>Set the password</button></form>"
    };
    let frame =
        Frame { scripts: &[SHOW_PASSWORD, RULES], ..Frame::new(title, &guest.tenant, &guest.csrf) };
    Ok(frame.page(main))
}

async fn set_by_link(
    guest: Guest,
    purpose: Purpose,
    link: String,
    mut form: Form,
) -> Result<Response, Failure> {
    let again = form.secret("again");
    let new = form.secret("new");
    if new.expose() != again.expose() {
        let word = problem("The two passwords are not the same.");
        let page = link_page(&guest, purpose, &link, Some(word)).await?;
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
    }
    let (gate, tenant, call) =
        (guest.portal.gate().clone(), guest.tenant.clone(), guest.call.clone());
    let text = link.clone();
    let redeem = async move { gate.redeem(&tenant, purpose, &text, new, &call).await };
    match complete(redeem).await? {
        Ok(_) => {
            let word = done("Your password is set. You can sign in with it now.");
            Ok(sign_in_page(&guest, "", Some(word)).into_response())
        }
        Err(NotSet::Unmet(unmet)) => {
            let view = guest.portal.gate().peek(&guest.tenant, purpose, &link, &guest.call).await?;
            let word = rules::unmet(&*guest.policy()?, &view.account.class, &unmet);
            let page = link_page(&guest, purpose, &link, Some(word)).await?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
        Err(NotSet::Refused(why)) => Err(why.into()),
    }
}
