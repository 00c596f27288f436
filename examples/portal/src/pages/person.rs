//! For administrators: one user.

use axum::extract::Path;
use axum::response::Response;
use vouchsafe::access_log::name;
use vouchsafe::core::UserId;
use vouchsafe::gate::Code;
use vouchsafe::session::SessionId;
use vouchsafe_tower::{Reason, Refusal};

use super::admin::{standing, standings};
use super::{account, button};
use crate::html;
use crate::html::Html;
use crate::users::Person;
use crate::web::{Administrator, Failure, Member, entity};

/// The user that a path names, of the administrator's own tenant.
fn named(member: &Member, id: &str) -> Result<Person, Failure> {
    let id = UserId::new(id).map_err(|_| Failure::NotFound)?;
    let person = member.guest.portal.users().person(&member.guest.tenant, &id)?;
    person.ok_or(Failure::NotFound)
}

/// The page.
pub async fn show(
    Administrator(member): Administrator,
    Path((_, id)): Path<(String, String)>,
) -> Result<Html, Failure> {
    let person = named(&member, &id)?;
    let guest = &member.guest;
    let sessions = member.acting()?.sessions(&person.id).await?;
    let states = standings(&member, std::slice::from_ref(&person)).await?;
    let state = states.first().ok_or(Failure::NotFound)?;
    let path = |rest: &str| guest.path(&format!("users/{}/{rest}", person.id.as_str()));
    let act = |rest: &str, text: &str| button(&path(rest), &guest.csrf, text);
    let table = account::sessions(&sessions, |session| {
        act(&format!("sessions/{}/end", session.id), "End it")
    });
    // Only what can be done now.
    let mut acts = Vec::new();
    if state.lock.is_some() {
        acts.push(act("unlock", "Unlock"));
    }
    if person.disabled {
        acts.push(act("enable", "Enable"));
    } else {
        acts.push(act("invite", "Send a link for a password"));
        if !sessions.is_empty() {
            acts.push(act("end-sessions", "End all sessions"));
        }
        if person.id != member.person.id {
            acts.push(act("disable", "Disable"));
        }
    }
    let main = html! {
        "<dl><dt>Mail address</dt><dd>" (person.email) "</dd><dt>Class</dt><dd>" (person.class) "</dd>"
        "<dt>Role</dt><dd>" (person.role.as_str()) "</dd>"
        "<dt>State</dt><dd>" (standing(&person, state)) "</dd></dl>"
        "<p>" (acts.into_iter().collect::<Html>()) "</p>"
        "<h2>Sessions</h2>" (table)
        "<p><a href='" (guest.path("users")) "'>Everybody</a></p>"
    };
    Ok(member.frame(&person.name).page(main))
}

fn back(member: &Member, person: &Person) -> Response {
    member.guest.go(&format!("users/{}", person.id.as_str()))
}

/// Sends a link to set a password.
pub async fn invite_again(
    Administrator(member): Administrator,
    Path((_, id)): Path<(String, String)>,
) -> Result<Response, Failure> {
    let person = named(&member, &id)?;
    member.acting()?.invite(&person.id).await?;
    Ok(back(&member, &person))
}

/// Takes every failure, and the lock with them, away.
pub async fn unlock(
    Administrator(member): Administrator,
    Path((_, id)): Path<(String, String)>,
) -> Result<Response, Failure> {
    let person = named(&member, &id)?;
    member.acting()?.unlock(&person.id).await?;
    Ok(back(&member, &person))
}

/// Bars the user, who is somebody else: so an administrator who can sign in is always left.
pub async fn disable(
    Administrator(member): Administrator,
    Path((_, id)): Path<(String, String)>,
) -> Result<Response, Failure> {
    let person = named(&member, &id)?;
    // One after the other: two who bar each other would leave nobody.
    let _alone = member.guest.portal.0.disabling.lock().await;
    if person.id == member.person.id {
        let target = entity(name!("user"), person.id.as_str());
        member.acting()?.denied(target, name!("oneself")).await?;
        return Err(Failure::Oneself);
    }
    if named(&member, member.person.id.as_str())?.disabled {
        return Err(Refusal::from(Reason::Gate(Code::NoSession)).into());
    }
    member.acting()?.disable(&person.id).await?;
    member.guest.portal.users().set_disabled(&member.guest.tenant, &person.id, true)?;
    Ok(back(&member, &person))
}

/// Takes the bar away.
pub async fn enable(
    Administrator(member): Administrator,
    Path((_, id)): Path<(String, String)>,
) -> Result<Response, Failure> {
    let person = named(&member, &id)?;
    member.acting()?.enable(&person.id).await?;
    member.guest.portal.users().set_disabled(&member.guest.tenant, &person.id, false)?;
    Ok(back(&member, &person))
}

/// Ends every session of the user.
pub async fn end_sessions(
    Administrator(member): Administrator,
    Path((_, id)): Path<(String, String)>,
) -> Result<Response, Failure> {
    let person = named(&member, &id)?;
    member.acting()?.end_sessions(&person.id).await?;
    Ok(back(&member, &person))
}

/// Ends one session of the user.
pub async fn end_session(
    Administrator(member): Administrator,
    Path((_, id, session)): Path<(String, String, String)>,
) -> Result<Response, Failure> {
    let person = named(&member, &id)?;
    let session = SessionId::parse(&session).ok_or(Failure::NotFound)?;
    member.acting()?.end_session(&person.id, session).await?;
    Ok(back(&member, &person))
}
