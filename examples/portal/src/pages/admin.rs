//! For administrators: who is here, who is invited, and what the gate has done.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use vouchsafe::access_log::{Operation, name};
use vouchsafe::gate::{Gate, Refused, UserState};
use vouchsafe::password::Work;

use super::{moment, problem, token};
use crate::html;
use crate::html::Html;
use crate::users::{Person, Role, UsersError};
use crate::web::{Administrator, Failure, Member, Submitted, entity};

/// How these people stand with the gate, in their order.
pub async fn standings(member: &Member, people: &[Person]) -> Result<Vec<UserState>, Failure> {
    let ids: Vec<_> = people.iter().map(|person| person.id.clone()).collect();
    Ok(member.acting()?.states(&ids).await?)
}

/// The same for people to read.
#[must_use]
pub fn standing(person: &Person, state: &UserState) -> Html {
    let lock = state.lock.map(|lock| {
        let until = lock.until.map(|until| html! { " until " (moment(until)) });
        html! { "<strong>locked</strong>" (until) }
    });
    match (person.disabled, state.active, lock) {
        (true, ..) => html! { "disabled" },
        // Whoever guesses at the name of somebody invited locks it, too.
        (false, false, Some(lock)) => html! { "invited, " (lock) },
        (false, false, None) => html! { "invited" },
        (false, true, Some(lock)) => lock,
        (false, true, None) => html! { "active" },
    }
}

fn counters(gate: &Gate) -> Html {
    let Work { runs, refused, queued, held_kib, .. } = gate.work();
    let late = gate.upkeep_overdue().as_secs();
    let doubt = gate.clock_doubt().map(|doubt| {
        html! {
            "<dt>Clock ahead of what is certain by</dt><dd>" (doubt.ahead.as_secs() / 60) " minutes: "
            "what looks expired is kept for now</dd>"
        }
    });
    html! {
        "<h2>What the gate has done since it was opened</h2><dl>"
        "<dt>Passwords hashed</dt><dd id='hashes-run'>" (runs) "</dd>"
        "<dt>Refused unhashed by the hash pool</dt><dd id='hashes-refused'>" (refused) "</dd>"
        "<dt>Waiting now</dt><dd>" (queued) "</dd>"
        "<dt>Memory held for hashing</dt><dd>" (held_kib) " KiB</dd>"
        "<dt>Upkeep late by</dt><dd id='upkeep-late'>" (late) " s</dd>" (doubt) "</dl>"
    }
}

async fn page(member: &Member, typed: (&str, &str), word: Option<Html>) -> Result<Html, Failure> {
    let guest = &member.guest;
    member.acting()?.access(Operation::Read, entity(name!("users"), "list")).await?;
    let people = guest.portal.users().list(&guest.tenant)?;
    let standings = standings(member, &people).await?;
    let rows = people.iter().zip(&standings).map(|(person, state)| {
        html! {
            "<tr><th scope='row'><a href='" (guest.path("users/")) (person.id.as_str()) "'>"
            (person.name.as_str()) "</a></th><td data-label='Mail address'>" (person.email.as_str()) "</td>"
            "<td data-label='Class'>" (person.class.as_str()) "</td>"
            "<td data-label='Role'>" (person.role.as_str()) "</td>"
            "<td data-label='State'>" (standing(person, state)) "</td></tr>"
        }
    });
    let policy = guest.policy()?;
    let classes: Html = policy
        .classes()
        .map(|(class, _)| html! { "<option value='" (class) "'>" (class) "</option>" })
        .collect();
    let roles: Html = [Role::Member, Role::Administrator]
        .into_iter()
        .map(|role| html! { "<option value='" (role.as_str()) "'>" (role.as_str()) "</option>" })
        .collect();
    let main = html! {
        (word)
        "<div class='table'><table class='stack'><caption>Everybody at " (guest.tenant.as_str()) "</caption>"
        "<thead><tr><th scope='col'>User name</th><th scope='col'>Mail address</th>"
        "<th scope='col'>Class</th><th scope='col'>Role</th><th scope='col'>State</th></tr></thead>"
        "<tbody>" (rows.collect::<Html>()) "</tbody></table></div>"
        "<h2>Invite somebody</h2>"
        "<form class='card' method='post' action='" (guest.path("users")) "'>" (token(&guest.csrf))
        "<label for='email'>Mail address</label>"
        "<input id='email' name='email' type='email' value='" (typed.0) "' autocomplete='off' maxlength='254' required>"
        "<label for='name'>User name</label>"
        "<input id='name' name='name' value='" (typed.1) "' autocomplete='off' autocapitalize='none' "
        "spellcheck='false' maxlength='100' required>"
        "<label for='class'>Class: which rules hold</label><select id='class' name='class'>" (classes) "</select>"
        "<label for='role'>Role: what may be done here</label><select id='role' name='role'>" (roles) "</select>"
        "<button>Send an invitation</button></form>"
        (counters(guest.portal.gate()))
    };
    Ok(member.frame("People").page(main))
}

/// The page.
pub async fn list(Administrator(member): Administrator) -> Result<Html, Failure> {
    page(&member, ("", ""), None).await
}

/// Makes a user, and sends the invitation.
pub async fn invite(
    Administrator(member): Administrator,
    Submitted(form): Submitted,
) -> Result<Response, Failure> {
    let guest = &member.guest;
    let typed = (form.get("email"), form.get("name"));
    let class = form.get("class");
    let role = Role::from_name(form.get("role"));
    let (Some(role), Ok(_)) = (role, guest.policy()?.class(class)) else {
        let page = page(&member, typed, Some(problem("Please choose a class and a role."))).await?;
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
    };
    let users = guest.portal.users();
    let added = async {
        let person = users.draft(typed.0, typed.1, class, role)?;
        // Looked for first: what is refused is not recorded as done.
        users.is_free(&guest.tenant, &person)?;
        let target = entity(name!("user"), person.id.as_str());
        let keep = async { users.keep(&guest.tenant, &person) };
        member.acting()?.perform(Operation::Created, target, keep).await??;
        Ok::<_, Rejected>(person)
    };
    let added = added.await;
    if let Err(Rejected::User(UsersError::Taken)) = &added {
        let target = entity(name!("users"), "list");
        member.acting()?.denied(target, name!("name.taken")).await?;
    }
    match added {
        Ok(person) => {
            member.acting()?.invite(&person.id).await?;
            Ok(guest.go(&format!("users/{}", person.id.as_str())))
        }
        Err(Rejected::User(
            error @ (UsersError::Taken | UsersError::Address | UsersError::Name(_)),
        )) => {
            let word = format!("Nobody was invited: {error}.");
            let page = page(&member, typed, Some(problem(&word))).await?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
        Err(Rejected::User(error)) => Err(error.into()),
        Err(Rejected::Other(failure)) => Err(failure),
    }
}

enum Rejected {
    User(UsersError),
    Other(Failure),
}

impl From<UsersError> for Rejected {
    fn from(error: UsersError) -> Self {
        Self::User(error)
    }
}

impl From<Failure> for Rejected {
    fn from(failure: Failure) -> Self {
        Self::Other(failure)
    }
}

impl From<Refused> for Rejected {
    fn from(refused: Refused) -> Self {
        Self::Other(refused.into())
    }
}
