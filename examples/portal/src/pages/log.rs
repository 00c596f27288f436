//! For administrators: the access log of their tenant.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::RawQuery;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use time::OffsetDateTime;
use vouchsafe::access_log::{Actor, Filter, Operation, Outcome, Record, Target, name};
use vouchsafe::core::{TenantId, Timestamp, UserId};
use vouchsafe::ledger::{AeadSealer, Cursor, LedgerError, Page, verify as verify_log};

use super::{button, done, moment, problem};
use crate::form::Form;
use crate::html;
use crate::html::Html;
use crate::web::{Administrator, Failure, Member, entity};

/// Records on a page.
const PAGE: usize = 50;

/// What is asked for, as it was typed.
struct Question {
    user: String,
    operation: String,
    from: String,
    until: String,
    before: String,
}

impl Question {
    fn read(query: Option<&str>) -> Result<Self, Failure> {
        let form = Form::parse(query.unwrap_or_default().as_bytes());
        let form = form.map_err(Failure::Question)?;
        let text = |field: &str| form.get(field).trim().to_owned();
        Ok(Self {
            user: text("user"),
            operation: text("operation"),
            from: text("from"),
            until: text("until"),
            before: text("before"),
        })
    }

    /// The filter, and before which record, or what does not read.
    fn filter(&self, tenant: &TenantId) -> Result<(Filter, Option<Cursor>), String> {
        let mut filter = Filter::tenant(tenant.clone());
        match self.user.as_str() {
            "" => {}
            "nobody" => filter = filter.unauthenticated(),
            user => {
                let user = UserId::new(user).map_err(|_| "there is no such user".to_owned())?;
                filter = filter.user(user);
            }
        }
        if !self.operation.is_empty() {
            let operation = Operation::from_name(&self.operation);
            filter = filter.operation(operation.ok_or("there is no such operation")?);
        }
        let from = day(&self.from)?.unwrap_or(Timestamp::MIN);
        // The day that is named belongs to what is asked for.
        let until =
            day(&self.until)?.map(|until| until.after(std::time::Duration::from_secs(86_400)));
        let filter = filter.between(from, until.unwrap_or(Timestamp::MAX));
        Ok((filter, self.before()?))
    }

    /// From which record on, or what does not read.
    fn before(&self) -> Result<Option<Cursor>, String> {
        if self.before.is_empty() {
            return Ok(None);
        }
        let number = self.before.parse();
        let number = number.map_err(|_| format!("“{}” is not the number of a record", self.before));
        number.map(|number| Some(Cursor::before(number)))
    }

    fn query(&self, before: Option<Cursor>) -> String {
        let mut query = String::new();
        let before = before.map(|cursor| cursor.index().to_string()).unwrap_or_default();
        for (name, value) in [
            ("user", &self.user),
            ("operation", &self.operation),
            ("from", &self.from),
            ("until", &self.until),
            ("before", &before),
        ] {
            if !value.is_empty() {
                query.push(if query.is_empty() { '?' } else { '&' });
                query.push_str(name);
                query.push('=');
                for byte in value.bytes() {
                    match byte {
                        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
                            query.push(char::from(byte));
                        }
                        other => query.push_str(&format!("%{other:02X}")),
                    }
                }
            }
        }
        query
    }
}

/// The first moment of a day, `2018-04-09`, in UTC.
fn day(text: &str) -> Result<Option<Timestamp>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let iso = &time::format_description::well_known::Iso8601::DATE;
    // ISO 8601 has other ways to write a day; dates show themselves in this one.
    let date = time::Date::parse(text, iso).ok().filter(|date| date.to_string() == text);
    let date = date.ok_or_else(|| format!("“{text}” is not a day, such as 2018-04-09"))?;
    Ok(Some(Timestamp::from_utc(OffsetDateTime::new_utc(date, time::Time::MIDNIGHT))))
}

/// Runs what reads files on a thread that may wait for them.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LedgerError> + Send + 'static,
) -> Result<Result<T, LedgerError>, Failure> {
    Ok(tokio::task::spawn_blocking(work).await?)
}

/// A user's name. Nothing else stands in such marks, so none looks like what is not a name.
fn user(name: &str) -> Html {
    html! { "<q><bdi>" (name) "</bdi></q>" }
}

fn who(record: &Record, people: &BTreeMap<UserId, String>) -> Html {
    match &record.actor {
        Actor::User(id) => match people.get(id) {
            Some(name) => user(name),
            None => html! { "user " (id.as_str()) },
        },
        Actor::Service(service) => html! { "the program (" (service.as_str()) ")" },
        Actor::Unauthenticated { .. } => html! { "somebody not signed in" },
    }
}

fn what(record: &Record, people: &BTreeMap<UserId, String>) -> Html {
    match &record.target {
        Target::Url(url) => html! { (url.template().as_str()) },
        Target::Entity { kind, id } => {
            // A record of several users names them all.
            let named = |id: &str| {
                let name = UserId::new(id).ok().and_then(|user| people.get(&user));
                name.map_or_else(|| html! { (id) }, |name| user(name))
            };
            let names: Vec<Html> = id.as_str().split("  ").map(named).collect();
            match names.as_slice() {
                [name] => html! { (kind.as_str()) " " (name) },
                names => {
                    let items = names.iter().map(|name| html! { "<li>" (name) "</li>" });
                    html! { (kind.as_str()) "<ul class='names'>" (items.collect::<Html>()) "</ul>" }
                }
            }
        }
    }
}

fn row(index: u64, record: &Record, people: &BTreeMap<UserId, String>) -> Html {
    let outcome = match &record.outcome {
        Outcome::Succeeded => html! { "done" },
        Outcome::Refused(why) => html! { "refused: " (why.as_str()) },
        Outcome::Failed(why) => html! { "failed: " (why.as_str()) },
    };
    let repeats = (record.repeats.get() > 1).then(|| html! { " × " (record.repeats.get()) });
    let clause = record.clause.as_ref().map(ToString::to_string);
    let clause = clause.map(|clause| html! { " <span class='clause'>" (clause) "</span>" });
    let source = record.source.address().map(|address| address.ip().to_string());
    html! {
        "<tr><td data-label='Number'>" (index) "</td><td data-label='Time'>" (moment(record.time)) "</td>"
        "<td data-label='Who'>" (who(record, people)) "</td>"
        "<td data-label='Did'>" (record.operation.as_str()) (repeats) "</td>"
        "<td data-label='To'>" (what(record, people)) "</td>"
        "<td data-label='Outcome'>" (outcome) (clause) "</td>"
        "<td data-label='From'>" (source.as_deref().unwrap_or("no address")) "</td></tr>"
    }
}

fn filters(member: &Member, question: &Question, people: &BTreeMap<UserId, String>) -> Html {
    let option = |value: &str, text: &str, chosen: &str| {
        let chosen = (value == chosen).then(|| html! { " selected" });
        html! { "<option value='" (value) "'" (chosen) ">" (text) "</option>" }
    };
    // As in the table: marked as names.
    let users = people.iter().map(|(id, name)| (id.as_str(), format!("“{name}”")));
    let users: Html = users.map(|(id, name)| option(id, &name, &question.user)).collect();
    let known =
        people.keys().map(UserId::as_str).chain(["", "nobody"]).any(|id| id == question.user);
    let other = (!known)
        .then(|| option(&question.user, &format!("user {}", question.user), &question.user));
    let operations: Html = Operation::ALL
        .iter()
        .map(|operation| option(operation.as_str(), operation.as_str(), &question.operation))
        .collect();
    html! {
        "<form method='get' action='" (member.guest.path("log")) "' class='filters' role='search'>"
        "<div><label for='user'>Who</label><select id='user' name='user'>"
        (option("", "everybody", &question.user)) (users) (other)
        (option("nobody", "somebody not signed in", &question.user)) "</select></div>"
        "<div><label for='operation'>Did what</label><select id='operation' name='operation'>"
        (option("", "anything", &question.operation)) (operations) "</select></div>"
        "<div><label for='from'>From the day</label><input id='from' name='from' type='date' value='"
        (question.from) "'></div>"
        "<div><label for='until'>To the day</label><input id='until' name='until' type='date' value='"
        (question.until) "'></div><div><button>Show</button></div></form>"
    }
}

async fn page(
    member: &Member,
    question: Question,
    word: Option<Html>,
) -> Result<Response, Failure> {
    let guest = &member.guest;
    member
        .acting()?
        .access(Operation::LogRead, entity(name!("log"), guest.tenant.as_str()))
        .await?;
    let people = guest.portal.users().list(&guest.tenant)?;
    let people: BTreeMap<_, _> = people.into_iter().map(|p| (p.id, p.name)).collect();
    let (status, word, found) = match question.filter(&guest.tenant) {
        Ok((filter, before)) => {
            let ledger = Arc::clone(guest.portal.ledger());
            let found = blocking(move || ledger.query(&filter, before, PAGE)).await??;
            (StatusCode::OK, word, found)
        }
        Err(why) => {
            let why = problem(&format!("Nothing was looked for: {why}."));
            let none = Page { found: Vec::new(), next: None };
            (StatusCode::UNPROCESSABLE_ENTITY, Some(why), none)
        }
    };
    let rows: Html =
        found.found.iter().map(|found| row(found.index, &found.record, &people)).collect();
    let older = found.next.map(|next| {
        html! { "<p><a rel='next' href='" (guest.path("log")) (question.query(Some(next))) "'>Older records</a></p>" }
    });
    let main = html! {
        (word) (filters(member, &question, &people))
        "<p>" (button(&guest.path("log/verify"), &guest.csrf, "Verify the whole log"))
        "<a href='" (guest.path("log/download")) (question.query(None)) "' download>"
        "Download these records, with their proofs</a></p>"
        "<div class='table'><table class='stack'><caption>Access records, newest first</caption><thead><tr>"
        "<th scope='col'>Number</th><th scope='col'>Time</th><th scope='col'>Who</th>"
        "<th scope='col'>Did</th><th scope='col'>To</th><th scope='col'>Outcome</th>"
        "<th scope='col'>From</th></tr></thead><tbody>" (rows) "</tbody></table></div>" (older)
        "<p class='hint'>Whoever is given a download can check it with this key:<br><code>"
        (guest.portal.ledger().identity().to_string()) "</code></p>"
    };
    Ok((status, member.frame("Access log").page(main)).into_response())
}

/// The page.
pub async fn show(
    Administrator(member): Administrator,
    RawQuery(query): RawQuery,
) -> Result<Response, Failure> {
    page(&member, Question::read(query.as_deref())?, None).await
}

/// Runs the verifier over the whole log, as it lies on disk.
pub async fn verify(Administrator(member): Administrator) -> Result<Response, Failure> {
    let target = entity(name!("log"), "whole");
    member.acting()?.access(Operation::Verified, target).await?;
    let portal = &member.guest.portal;
    let (ledger, folder) = (Arc::clone(portal.ledger()), portal.folders().log.clone());
    let sealer = AeadSealer::new(portal.0.keyring.ledger_root());
    let known = ledger.head();
    let checked = blocking(move || {
        verify_log(&folder, ledger.identity(), &sealer, known.as_ref(), &mut |_| ())
    });
    let word = match checked.await? {
        Ok(verified) => done(&format!(
            "The log verifies: {} checkpoints in {} files, each record in its place.",
            verified.checkpoints, verified.segments
        )),
        Err(error) => problem(&format!("The log does not verify: {error}")),
    };
    page(&member, Question::read(None)?, Some(word)).await
}

/// The tenant's records as JSON lines, each with the proof that the log holds it.
pub async fn download(
    Administrator(member): Administrator,
    RawQuery(query): RawQuery,
) -> Result<Response, Failure> {
    let guest = &member.guest;
    let question = Question::read(query.as_deref())?;
    let Ok((filter, _)) = question.filter(&guest.tenant) else {
        return page(&member, question, None).await;
    };
    let target = entity(name!("log"), guest.tenant.as_str());
    member.acting()?.access(Operation::Exported, target).await?;
    let ledger = Arc::clone(guest.portal.ledger());
    let lines = blocking(move || {
        let mut lines = Vec::new();
        ledger.export(&filter, &mut lines).map(|_| lines)
    });
    let disposition = format!("attachment; filename=\"{}-access-log.jsonl\"", guest.tenant);
    let headers = [
        (header::CONTENT_TYPE, "application/x-ndjson".to_owned()),
        (header::CONTENT_DISPOSITION, disposition),
    ];
    Ok((headers, lines.await??).into_response())
}
