//! One's own account: sessions and password.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use vouchsafe::gate::NotSet;
use vouchsafe::session::Session;
use vouchsafe_tower::{Refusal, Web, complete};

use super::assets::{RULES, SHOW_PASSWORD};
use super::{button, done, moment, problem, rules};
use crate::html;
use crate::html::Html;
use crate::web::{Failure, Member, Submitted};

/// A table of sessions; `last` makes what stands in the last column.
#[must_use]
pub fn sessions(sessions: &[Session], last: impl Fn(&Session) -> Html) -> Html {
    let rows: Html = sessions
        .iter()
        .map(|session| {
            let label = match session.label.as_str() {
                "" => "unknown",
                label => label,
            };
            html! {
                "<tr><th scope='row' data-label='Browser'>" (label) "</th>"
                "<td data-label='Opened'>" (moment(session.opened)) "</td>"
                "<td data-label='Last used'>" (moment(session.last_seen)) "</td>"
                "<td data-label='Ends, if not used'>" (moment(session.ends)) "</td>"
                "<td>" (last(session)) "</td></tr>"
            }
        })
        .collect();
    if sessions.is_empty() {
        return html! { "<p>None.</p>" };
    }
    html! {
        "<div class='table'><table class='stack'><caption>Open sessions</caption><thead><tr>"
        "<th scope='col'>Browser</th><th scope='col'>Opened</th><th scope='col'>Last used</th>"
        "<th scope='col'>Ends, if not used</th><th scope='col'>What to do</th></tr></thead>"
        "<tbody>" (rows) "</tbody></table></div>"
    }
}

async fn page(member: &Member, word: Option<Html>) -> Result<Html, Failure> {
    let guest = &member.guest;
    let open = member.acting()?.sessions(&member.person.id).await?;
    let this = member.principal.session().id;
    let table = sessions(&open, |session| match session.id == this {
        true => html! { "this one" },
        false => html! {},
    });
    let others = (open.len() > 1)
        .then(|| button(&guest.path("account/end-others"), &guest.csrf, "End all other sessions"));
    let policy = guest.policy()?;
    let main = html! {
        (word)
        "<dl><dt>User name</dt><dd>" (member.person.name) "</dd>"
        "<dt>Mail address</dt><dd>" (member.person.email) "</dd>"
        "<dt>Class</dt><dd>" (member.person.class) "</dd>"
        "<dt>Role</dt><dd>" (member.person.role.as_str()) "</dd></dl>"
        "<h2>Where you are signed in</h2>" (table) (others)
        "<h2>Change your password</h2>"
        "<form class='card' method='post' action='" (guest.path("account/password")) "'>"
        (rules::fields_after(&policy, &member.person.class, &member.person.email, &guest.csrf))
        "<button>Change the password</button></form>"
    };
    let frame = super::Frame { scripts: &[SHOW_PASSWORD, RULES], ..member.frame("Your account") };
    Ok(frame.page(main))
}

/// The page.
pub async fn show(member: Member) -> Result<Html, Failure> {
    page(&member, None).await
}

/// Ends every session of the person's but this one.
pub async fn end_others(member: Member) -> Result<Response, Failure> {
    member.acting()?.end_other_sessions().await?;
    Ok(member.guest.go("account"))
}

/// Changes the password; every other session ends, and this one goes on under a new token.
pub async fn change_password(
    member: Member,
    web: Web,
    Submitted(mut form): Submitted,
) -> Result<Response, Failure> {
    let again = form.secret("again");
    let (present, new) = (form.secret("present"), form.secret("new"));
    if new.expose() != again.expose() {
        let word = problem("The two new passwords are not the same.");
        let page = page(&member, Some(word)).await?;
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
    }
    let (gate, principal, call) =
        (member.guest.portal.gate().clone(), member.principal.clone(), member.guest.call.clone());
    let changed =
        complete(async move { gate.by(&principal, &call)?.change_password(present, new).await });
    let (status, word) = match changed.await? {
        Ok(issued) => {
            let main = html! {
                (done("Your password is changed, and every other session has ended."))
                "<p><a href='" (member.guest.path("account")) "'>To your account</a></p>"
            };
            // The forms of this page would be bound to the session that has just ended.
            let frame = super::Frame { person: None, ..member.frame("Your account") };
            return Ok((web.signed_in(&issued), frame.page(main)).into_response());
        }
        Err(NotSet::Unmet(unmet)) => {
            let policy = member.guest.policy()?;
            let word = rules::unmet(&policy, &member.person.class, &unmet);
            (StatusCode::UNPROCESSABLE_ENTITY, word)
        }
        Err(NotSet::Refused(why)) => {
            let refusal = Refusal::from(why);
            let word = match refusal.status() {
                // At sign-in the name could be wrong, too; here it cannot.
                StatusCode::UNAUTHORIZED => "The present password is wrong.",
                _ => refusal.message(),
            };
            (StatusCode::FORBIDDEN, problem(word))
        }
    };
    Ok((status, page(&member, Some(word)).await?).into_response())
}
