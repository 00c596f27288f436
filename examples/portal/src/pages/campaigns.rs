//! Campaigns: every look and every change is recorded before it happens.

use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use vouchsafe::access_log::{Operation, name};

use super::{moment, problem, token};
use crate::campaigns::{Campaign, CampaignError};
use crate::html;
use crate::html::Html;
use crate::web::{Failure, Member, Submitted, entity};

/// A tenant's start page.
pub async fn home(member: Member) -> Response {
    member.guest.go("campaigns")
}

/// Every campaign.
pub async fn list(member: Member) -> Result<Html, Failure> {
    let guest = &member.guest;
    member.acting()?.access(Operation::Read, entity(name!("campaigns"), "list")).await?;
    let campaigns = guest.portal.0.campaigns.list(&guest.tenant)?;
    let rows: Html = campaigns
        .iter()
        .map(|campaign| {
            html! {
                "<tr><th scope='row'><a href='" (guest.path("campaigns/")) (campaign.id) "'>"
                (campaign.title) "</a></th>"
                "<td data-label='Last changed'>" (moment(campaign.changed)) "</td></tr>"
            }
        })
        .collect();
    let table = if campaigns.is_empty() {
        html! { "<p>There are no campaigns yet.</p>" }
    } else {
        html! {
            "<div class='table'><table class='stack'><caption>Campaigns, the last changed first</caption>"
            "<thead><tr><th scope='col'>Title</th><th scope='col'>Last changed</th></tr></thead>"
            "<tbody>" (rows) "</tbody></table></div>"
        }
    };
    let main = html! {
        (table)
        "<p class='spaced'><a class='button' href='" (guest.path("campaigns/new")) "'>New campaign</a></p>"
    };
    Ok(member.frame("Campaigns").page(main))
}

fn editor(
    member: &Member,
    title: &str,
    campaign: Option<&Campaign>,
    typed: (&str, &str),
    word: Option<Html>,
) -> Html {
    let guest = &member.guest;
    let action = match campaign {
        Some(campaign) => guest.path(&format!("campaigns/{}", campaign.id)),
        None => guest.path("campaigns"),
    };
    let existing = campaign.map(|campaign| {
        html! {
            "<p class='hint'>Last changed " (moment(campaign.changed)) ".</p>"
            "<p><a href='" (guest.path("campaigns/")) (campaign.id) "/delete'>Delete this campaign</a></p>"
        }
    });
    let main = html! {
        (word)
        "<form class='card wide' method='post' action='" (action) "'>" (token(&guest.csrf))
        "<label for='title'>Title</label>"
        "<input id='title' name='title' value='" (typed.0) "' maxlength='" (Campaign::MAX_TITLE) "' required>"
        "<label for='notes'>Notes</label>"
        "<textarea id='notes' name='notes' aria-describedby='sealed'>\n" (typed.1) "</textarea>"
        "<p id='sealed' class='hint'>Titles and notes are encrypted before they are stored.</p>"
        "<button>Save</button></form>" (existing)
        "<p><a href='" (guest.path("campaigns")) "'>All campaigns</a></p>"
    };
    member.frame(title).page(main)
}

/// The form for a new campaign.
pub async fn blank(member: Member) -> Html {
    editor(&member, "New campaign", None, ("", ""), None)
}

/// Keeps a new campaign.
pub async fn create(member: Member, Submitted(form): Submitted) -> Result<Response, Failure> {
    let guest = &member.guest;
    let (title, notes) = (form.get("title"), form.get("notes"));
    let campaign = match Campaign::new(title, notes, guest.portal.0.clock.now()) {
        Ok(campaign) => campaign,
        Err(error) => return rejected(&member, "New campaign", None, (title, notes), error),
    };
    let target = entity(name!("campaign"), &campaign.id);
    let add = async { guest.portal.0.campaigns.add(&guest.tenant, &campaign) };
    member.acting()?.perform(Operation::Created, target, add).await??;
    Ok(guest.go("campaigns"))
}

/// The form again, with what was typed, when that can be mended there.
fn rejected(
    member: &Member,
    title: &str,
    campaign: Option<&Campaign>,
    typed: (&str, &str),
    error: CampaignError,
) -> Result<Response, Failure> {
    match error {
        CampaignError::Title | CampaignError::Notes => {
            let word = format!("Nothing was saved: {error}.");
            let page = editor(member, title, campaign, typed, Some(problem(&word)));
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
        other => Err(other.into()),
    }
}

/// Opens a campaign that is there; the record comes first.
async fn opened(member: &Member, id: &str) -> Result<Campaign, Failure> {
    let guest = &member.guest;
    let campaigns = &guest.portal.0.campaigns;
    if !campaigns.exists(&guest.tenant, id)? {
        return Err(Failure::NotFound);
    }
    member.acting()?.access(Operation::Read, entity(name!("campaign"), id)).await?;
    campaigns.find(&guest.tenant, id)?.ok_or(Failure::NotFound)
}

/// One campaign.
pub async fn show(member: Member, Path((_, id)): Path<(String, String)>) -> Result<Html, Failure> {
    let campaign = opened(&member, &id).await?;
    let typed = (campaign.title.as_str(), campaign.notes.as_str());
    Ok(editor(&member, &campaign.title, Some(&campaign), typed, None))
}

/// Changes a campaign.
pub async fn update(
    member: Member,
    Path((_, id)): Path<(String, String)>,
    Submitted(form): Submitted,
) -> Result<Response, Failure> {
    let guest = &member.guest;
    let campaigns = &guest.portal.0.campaigns;
    if !campaigns.exists(&guest.tenant, &id)? {
        return Err(Failure::NotFound);
    }
    let (title, notes) = (form.get("title"), form.get("notes"));
    let campaign = match Campaign::of(id.clone(), title, notes, guest.portal.0.clock.now()) {
        Ok(campaign) => campaign,
        Err(error) => {
            let before = opened(&member, &id).await?;
            return rejected(&member, &before.title, Some(&before), (title, notes), error);
        }
    };
    let change = async { campaigns.change(&guest.tenant, &campaign) };
    let target = entity(name!("campaign"), &id);
    member.acting()?.perform(Operation::Updated, target, change).await??;
    Ok(guest.go("campaigns"))
}

/// Asks whether a campaign is to be deleted.
pub async fn confirm(
    member: Member,
    Path((_, id)): Path<(String, String)>,
) -> Result<Html, Failure> {
    let campaign = opened(&member, &id).await?;
    let guest = &member.guest;
    let main = html! {
        "<p>“" (campaign.title) "” and its notes will be gone.</p>"
        "<form method='post'>" (token(&guest.csrf)) "<button>Delete it</button></form>"
        "<p><a href='" (guest.path("campaigns")) "'>Keep it</a></p>"
    };
    Ok(member.frame("Delete this campaign?").page(main))
}

/// Deletes a campaign.
pub async fn delete(
    member: Member,
    Path((_, id)): Path<(String, String)>,
) -> Result<Response, Failure> {
    let guest = &member.guest;
    let campaigns = &guest.portal.0.campaigns;
    if !campaigns.exists(&guest.tenant, &id)? {
        return Err(Failure::NotFound);
    }
    let delete = async { campaigns.delete(&guest.tenant, &id) };
    let target = entity(name!("campaign"), &id);
    member.acting()?.perform(Operation::Deleted, target, delete).await??;
    Ok(guest.go("campaigns"))
}
