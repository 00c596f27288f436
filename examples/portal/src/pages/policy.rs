//! The policy in force: each promise, what it rests on, and whether it was seen to hold.

use axum::response::Response;
use vouchsafe::access_log::{Operation, name};
use vouchsafe::policy::{Kind, Policy, Promise, Substance, Support};

use super::{button, moment};
use crate::html;
use crate::html::Html;
use crate::probes::{Finding, PROBED};
use crate::users::Role;
use crate::web::{Administrator, Failure, Member, entity};

/// How a promise stands.
fn state(promise: &Promise, finding: Option<&Finding>) -> Html {
    let said = |class: &'static str, state: &str, more: Html| {
        html! { "<span class='state state-" (class) "'>" (state) "</span>" (more) }
    };
    if let Some(Finding { at, seen }) = finding {
        return match seen {
            Ok(what) => said("in-force", "in force", html! { ": " (what) ", " (moment(*at)) }),
            Err(what) => said("broken", "NOT in force", html! { ": " (what) ", " (moment(*at)) }),
        };
    }
    if PROBED.contains(&promise.id().as_str()) {
        return said("not-probed", "not probed yet", html! {});
    }
    if let Substance::NoPromise { reason } = promise.substance() {
        return said("none", "promises nothing", html! { ": " (reason) });
    }
    let kinds: Vec<Kind> = promise.kinds().collect();
    let has = |kind| kinds.contains(&kind);
    let (state, why) = if has(Kind::Enforced) && rests_on_ours(promise) {
        ("no probe", "claimed by the libraries' tests; nothing here provokes it")
    } else if has(Kind::Evidence) {
        ("no evidence", "nothing was shown from outside")
    } else if has(Kind::Organisational) {
        ("kept by people", "registered, and never reported as enforced")
    } else if has(Kind::Enforced) {
        ("not enforced", "this application has nothing that it would apply to")
    } else {
        (
            "not wired",
            "this application does not do it: it serves plain HTTP on a loopback address and keeps campaigns",
        )
    };
    said("other", state, html! { ": " (why) })
}

/// The path of a field, which may be broken at its dots.
fn path(path: &str) -> Html {
    path.split_inclusive('.').map(|part| html! { (part) "<wbr>" }).collect()
}

fn rests_on_ours(promise: &Promise) -> bool {
    promise.rests_on().iter().any(|support| !matches!(support, Support::Evidence(_)))
}

/// Which library a guarantee is of.
fn library(guarantee: &str) -> &'static str {
    match guarantee.split('-').next() {
        Some("PW") => "vouchsafe-password",
        Some("LK") => "vouchsafe-lockout",
        Some("SE") => "vouchsafe-session",
        Some("AL") => "vouchsafe-access-log",
        Some("LG") => "vouchsafe-ledger",
        Some("EN") => "vouchsafe-envelope",
        Some("PO") => "vouchsafe-policy",
        Some("ST") => "vouchsafe-store",
        Some("CO") => "vouchsafe-core",
        _ => "vouchsafe",
    }
}

/// The value in force of a field, for each class where they differ.
fn value(policy: &Policy, path: &str) -> Html {
    let values = policy.values();
    if let Some(value) = values.get(path) {
        return html! { (value.to_string()) };
    }
    let by_class: Vec<(String, String)> = policy
        .classes()
        .filter_map(|(class, _)| {
            let value = values.get(&format!("class.{class}.{path}"))?;
            Some((class.to_owned(), value.to_string()))
        })
        .collect();
    match by_class.split_first() {
        Some(((_, first), rest)) if rest.iter().all(|(_, value)| value == first) => {
            html! { (first) }
        }
        _ => by_class.iter().map(|(class, value)| html! { (class) ": " (value) " " }).collect(),
    }
}

fn support(policy: &Policy, support: &Support) -> Html {
    match support {
        Support::Field(field) => {
            let value = value(policy, field);
            html! { "<li><code>" (path(field)) "</code> = <strong>" (value) "</strong></li>" }
        }
        Support::Guarantee(id) => html! { "<li>" (id) " of " (library(id)) "</li>" },
        Support::Evidence(name) => html! { "<li>evidence: " (name) "</li>" },
        _ => html! {},
    }
}

fn row(policy: &Policy, promise: &Promise, finding: Option<&Finding>) -> Html {
    let id = promise.id().as_str();
    let kinds: Vec<String> = promise.kinds().map(|kind| kind.to_string()).collect();
    let supports: Html = promise.rests_on().iter().map(|s| support(policy, s)).collect();
    html! {
        "<tr id='" (id) "'><th scope='row'>" (id) "</th><td>" (promise.text()) "</td>"
        "<td data-label='Kinds'>" (kinds.join(", ")) "</td>"
        "<td data-label='Value, and where it is enforced'><ul>" (supports) "</ul></td>"
        "<td data-label='State'>" (state(promise, finding)) "</td></tr>"
    }
}

/// The page.
pub async fn show(member: Member) -> Result<Html, Failure> {
    let guest = &member.guest;
    let policy = guest.policy()?;
    let target = entity(name!("policy"), &policy.digest().to_string());
    member.acting()?.access(Operation::Read, target).await?;
    let finding =
        |promise: &Promise| guest.portal.0.findings.get(&guest.tenant, promise.id().as_str());
    let rows: Html = policy
        .promises()
        .iter()
        .map(|promise| row(&policy, promise, finding(promise).as_ref()))
        .collect();
    let readings: Html = policy
        .interpretations()
        .iter()
        .map(|reading| {
            let of: Vec<&str> = reading.of().iter().map(|id| id.as_str()).collect();
            html! {
                "<dt id='" (reading.id().as_str()) "'>" (reading.id().as_str()) "</dt><dd>"
                (reading.question()) " (" (of.join(", ")) ") <strong>" (reading.answer()) "</strong></dd>"
            }
        })
        .collect();
    let probe = (member.person.role == Role::Administrator)
        .then(|| button(&guest.path("policy/probe"), &guest.csrf, "Probe every promise now"));
    let main = html! {
        "<p>“" (policy.title()) "”: " (policy.promises().len()) " statements. Policy "
        "<code>" (policy.digest().to_string()) "</code>.</p>"
        "<p>“In force” is said only when a probe has just provoked what the promise forbids, at the "
        "live gate, and was refused.</p>"
        "<p class='notice'>Mails, with their links, lie unencrypted in <code>"
        (guest.portal.folders().outbox.display().to_string())
        "</code>: that folder is outside of “encrypted at rest” (Z2.5).</p>"
        (probe)
        "<div class='table'><table class='stack promises'><caption>What was promised</caption><thead><tr>"
        "<th scope='col'>Number</th><th scope='col'>Promise</th><th scope='col'>Kinds</th>"
        "<th scope='col'>Value, and where it is enforced</th><th scope='col'>State</th></tr></thead>"
        "<tbody>" (rows) "</tbody></table></div>"
        "<h2>How the document is read</h2><dl>" (readings) "</dl>"
    };
    Ok(member.frame("Policy").page(main))
}

/// Runs the probes.
pub async fn probe(Administrator(member): Administrator) -> Result<Response, Failure> {
    let guest = &member.guest;
    member.acting()?.access(Operation::Read, entity(name!("policy"), "probes")).await?;
    let (portal, tenant) = (guest.portal.clone(), guest.tenant.clone());
    vouchsafe_tower::complete(async move { portal.probe(&tenant).await }).await?;
    Ok(guest.go("policy"))
}
