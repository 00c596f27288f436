//! The whole story, for both tenants, through the pages.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_docs,
    reason = "tests"
)]

mod common;

use axum::http::StatusCode;
use common::{OTHER, PASSWORD, Site};
use vouchsafe::core::TenantId;
use vouchsafe::ledger::verify_export;

/// What differs between the two documents.
struct Promised {
    tenant: &'static str,
    failures: u32,
    idle_minutes: u64,
    /// A password that fails, and the clauses that it fails by.
    weak: (&'static str, &'static [&'static str]),
}

const AMIGO: Promised = Promised {
    tenant: "amigo",
    failures: 10,
    idle_minutes: 60,
    weak: ("password", &["at least 15 characters", "A2.1-password"]),
};
const ZOOMPH: Promised = Promised {
    tenant: "zoomph",
    failures: 5,
    idle_minutes: 30,
    weak: ("abc", &["at least 8 characters", "Z7.1", "Z7.2"]),
};

#[tokio::test]
async fn amigo_keeps_what_it_promised() {
    story(&AMIGO).await;
}

#[tokio::test]
async fn zoomph_keeps_what_it_promised() {
    story(&ZOOMPH).await;
}

async fn story(promised: &Promised) {
    let tenant = promised.tenant;
    let path = |rest: &str| format!("/{tenant}/{rest}");
    let site = Site::new().await;
    let mut admin = site.administrator(tenant).await;

    // An invitation, whose link is on no page.
    admin.get(&path("users")).await;
    let ada =
        [("email", "ada@client.example"), ("name", "ada"), ("class", "client"), ("role", "member")];
    assert_eq!(admin.post(&path("users"), &ada).await, StatusCode::OK);
    let person = admin.at.clone();
    assert!(admin.shows("invited") && !admin.shows("/activate/"), "{}", admin.page);
    let link = site.mails().pop().unwrap();
    assert!(link.starts_with(&path("activate/")));

    // The rules come back with their clauses; a typing error uses nothing up.
    let mut member = site.browser();
    assert_eq!(member.get(&link).await, StatusCode::OK);
    assert!(member.shows("autocomplete=\"new-password\""));
    let (weak, named) = promised.weak;
    assert_eq!(
        member.post(&link, &[("new", weak), ("again", weak)]).await,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    for text in named {
        assert!(member.shows(text), "{text}: {}", member.page);
    }
    let typo = [("new", PASSWORD), ("again", OTHER)];
    assert_eq!(member.post(&link, &typo).await, StatusCode::UNPROCESSABLE_ENTITY);
    member.activate(&link, PASSWORD).await;
    assert_eq!(member.get(&link).await, StatusCode::NOT_FOUND);
    member.sign_in(tenant, "Ada", PASSWORD).await;

    // Campaigns: created, read, updated, deleted; hostile text stays text.
    let hostile = "<script>alert('x')</script>\"&";
    member.get(&path("campaigns/new")).await;
    member
        .post(&path("campaigns"), &[("title", hostile), ("notes", "secret plans\r\nof two lines")])
        .await;
    assert!(member.shows("&lt;script&gt;") && !member.shows("<script>alert"));
    let campaign = member.link(&path("campaigns/"));
    member.get(&campaign).await;
    assert!(member.shows("secret plans\nof two lines"), "{}", member.page);
    member.post(&campaign, &[("title", "Spring"), ("notes", "other plans")]).await;
    assert!(member.shows(">Spring<"));
    // The other tenant's people do not find it.
    let stranger = if tenant == "amigo" { "zoomph" } else { "amigo" };
    let mut elsewhere = site.administrator(stranger).await;
    let there = campaign.replace(tenant, stranger);
    assert_eq!(elsewhere.get(&there).await, StatusCode::NOT_FOUND);
    assert_eq!(elsewhere.get(&campaign).await, StatusCode::OK);
    assert_eq!(elsewhere.at, path("sign-in"));
    member.get(&format!("{campaign}/delete")).await;
    assert!(member.shows("will be gone"));
    member.post(&format!("{campaign}/delete"), &[]).await;
    assert!(member.shows("There are no campaigns yet."));

    // Members do not get to see what is for administrators.
    for page in ["users", "log", "log/download"] {
        assert_eq!(member.get(&path(page)).await, StatusCode::FORBIDDEN, "{page}");
    }

    // The log, with filters, verified and taken away.
    admin.get(&path("log?operation=deleted")).await;
    assert!(admin.shows("campaign") && admin.shows(">ada<"), "{}", admin.page);
    assert_eq!(admin.page.matches("<tr><td").count(), 1, "{}", admin.page);
    for operation in ["created", "updated", "read", "access_refused", "activated", "invited"] {
        admin
            .get(&path(&format!("log?operation={operation}&from=2018-04-09&until=2018-04-09")))
            .await;
        assert!(admin.page.matches("<tr><td").count() > 0, "{operation}");
    }
    admin.get(&path("log?until=2018-04-08")).await;
    assert_eq!(admin.page.matches("<tr><td").count(), 0);
    admin.post(&path("log/verify"), &[]).await;
    assert!(admin.shows("The log verifies"), "{}", admin.page);
    assert_eq!(admin.get(&path("log/download")).await, StatusCode::OK);
    let identity = site.portal.ledger().identity().clone();
    let (mine, other) = (TenantId::new(tenant).unwrap(), TenantId::new(stranger).unwrap());
    let report = verify_export(&mut admin.page.as_bytes(), &identity, &mine).unwrap();
    assert!(report.records > 10 && !admin.shows("campaign-of"));
    assert!(!admin.shows(&format!("\"tenant\":\"{stranger}\"")));
    assert!(verify_export(&mut admin.page.as_bytes(), &identity, &other).is_err());

    // Failures lock; the page says the same of somebody who is not there.
    let mut thief = site.browser();
    for _ in 0..promised.failures {
        assert_eq!(
            thief.try_sign_in(tenant, "ada", "Wrong-Guess9").await,
            StatusCode::UNAUTHORIZED
        );
        assert!(thief.shows("The name or the password is wrong."));
        site.wait(1);
    }
    let runs = site.portal.gate().work().runs;
    assert_eq!(thief.try_sign_in(tenant, "ada", PASSWORD).await, StatusCode::TOO_MANY_REQUESTS);
    assert!(thief.shows("Too many attempts."), "{}", thief.page);
    assert_eq!(thief.page.matches("lock").count(), 1, "only the link that is always there");
    assert_eq!(site.portal.gate().work().runs, runs, "refused unhashed");
    // A session that is open goes on; the administrator sees the lock, and takes it away.
    assert_eq!(member.get(&path("campaigns")).await, StatusCode::OK);
    assert_eq!(member.at, path("campaigns"));
    admin.get(&person).await;
    assert!(admin.shows("<strong>locked</strong>"), "{}", admin.page);
    admin.post(&format!("{person}/unlock"), &[]).await;
    assert!(admin.shows("active"), "{}", admin.page);
    thief.sign_in(tenant, "ada@client.example", PASSWORD).await;

    // Locked once more: the owner takes the lock away, by a link that looking at does not use up.
    for _ in 0..promised.failures {
        let wrong = thief.try_sign_in(tenant, "ada", OTHER).await;
        assert_eq!(wrong, StatusCode::UNAUTHORIZED);
    }
    assert_ne!(thief.try_sign_in(tenant, "ada", PASSWORD).await, StatusCode::OK);
    thief.get(&path("locked")).await;
    thief.post(&path("locked"), &[("name", "ada")]).await;
    assert!(thief.shows("a mail is on its way"), "{}", thief.page);
    site.portal.upkeep().await.unwrap();
    let unlock = site.mails().pop().unwrap();
    assert!(unlock.starts_with(&path("unlock/")), "{unlock}");
    thief.get(&unlock).await;
    thief.get(&unlock).await;
    assert!(thief.shows("Unlock the account"), "{}", thief.page);
    assert_eq!(thief.post(&unlock, &[]).await, StatusCode::OK);
    assert!(thief.shows("Your account is unlocked"), "{}", thief.page);
    assert_eq!(thief.get(&unlock).await, StatusCode::NOT_FOUND);
    thief.sign_in(tenant, "ada", PASSWORD).await;

    // Two sessions; the administrator ends one, then all.
    admin.get(&person).await;
    assert_eq!(admin.page.matches(">End it<").count(), 2, "{}", admin.page);
    let newest =
        admin.page.split("action='").filter(|rest| rest.contains("/sessions/")).last().unwrap();
    let newest = newest.split('\'').next().unwrap().to_owned();
    admin.post(&newest, &[]).await;
    thief.get(&path("campaigns")).await;
    assert_eq!(thief.at, path("sign-in"));
    member.get(&path("account")).await;
    assert_eq!(member.at, path("account"));

    // A new password ends every other session.
    thief.sign_in(tenant, "ada", PASSWORD).await;
    member.get(&path("account")).await;
    let wrong = [("present", OTHER), ("new", OTHER), ("again", OTHER)];
    assert_eq!(member.post(&path("account/password"), &wrong).await, StatusCode::FORBIDDEN);
    assert!(member.shows("The present password is wrong."));
    let right = [("present", PASSWORD), ("new", OTHER), ("again", OTHER)];
    assert_eq!(member.post(&path("account/password"), &right).await, StatusCode::OK);
    assert!(member.shows("Your password is changed"), "{}", member.page);
    thief.get(&path("account")).await;
    assert_eq!(thief.at, path("sign-in"));
    assert_eq!(thief.try_sign_in(tenant, "ada", PASSWORD).await, StatusCode::UNAUTHORIZED);
    member.get(&path("account")).await;
    assert_eq!(member.at, path("account"));

    // A forgotten one: the answer is the same for somebody who is not there.
    thief.get(&path("forgotten")).await;
    thief.post(&path("forgotten"), &[("name", "nobody-at-all")]).await;
    let said = "a mail is on its way";
    assert!(thief.shows(said));
    let before = site.mails().len();
    thief.get(&path("forgotten")).await;
    thief.post(&path("forgotten"), &[("name", "ada")]).await;
    assert!(thief.shows(said));
    // Sent in the next upkeep: how long it takes is not for a stranger to see.
    site.portal.upkeep().await.unwrap();
    assert_eq!(site.mails().len(), before + 1);
    let reset = site.mails().pop().unwrap();
    assert!(reset.starts_with(&path("reset/")), "{reset}");
    thief.activate(&reset, PASSWORD).await;
    member.get(&path("account")).await;
    assert_eq!(member.at, path("sign-in"));

    // Idle: a minute before the end it is there, at the end it is gone.
    member.sign_in(tenant, "ada", PASSWORD).await;
    site.wait(promised.idle_minutes - 2);
    member.get(&path("campaigns")).await;
    assert_eq!(member.at, path("campaigns"));
    site.wait(promised.idle_minutes);
    member.get(&path("campaigns")).await;
    assert_eq!(member.at, path("sign-in"));

    // Barred: no way in; then back again.
    let mut admin = site.browser();
    admin.sign_in(tenant, "administrator", PASSWORD).await;
    admin.get(&person).await;
    admin.post(&format!("{person}/disable"), &[]).await;
    assert!(admin.shows("disabled"));
    assert_eq!(member.try_sign_in(tenant, "ada", PASSWORD).await, StatusCode::UNAUTHORIZED);
    admin.post(&format!("{person}/enable"), &[]).await;
    member.sign_in(tenant, "ada", PASSWORD).await;

    // Out: the cookie is gone, and with it the way in.
    member.post(&path("sign-out"), &[]).await;
    assert_eq!(member.at, path("sign-in"));
    member.get(&path("campaigns")).await;
    assert_eq!(member.at, path("sign-in"));
}
