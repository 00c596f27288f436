//! What pages do besides the story: each small thing that was once wrong, or could be.
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

use axum::http::{HeaderName, StatusCode, header};
use common::{ADDRESS, OTHER, PASSWORD, Site};
use vouchsafe::access_log::{Operation, Outcome, Record, Target};

/// Whether a record is of such a thing.
fn is_of(record: &Record, wanted: &str) -> bool {
    matches!(&record.target, Target::Entity { kind, .. } if kind.as_str() == wanted)
}

fn operations(records: &[Record], of: &str) -> Vec<Operation> {
    let mut operations: Vec<_> =
        records.iter().filter(|r| is_of(r, of)).map(|record| record.operation).collect();
    operations.reverse();
    operations
}

#[tokio::test]
async fn nothing_is_opened_before_its_record() {
    let site = Site::new().await;
    let mut admin = site.administrator("amigo").await;
    admin.get("/amigo/campaigns/new").await;
    admin.post("/amigo/campaigns", &[("title", "Kept"), ("notes", "plans")]).await;
    let campaign = admin.link("/amigo/campaigns/");
    admin.get(&campaign).await;
    // What was there does not open any more: a look at it fails, after its record.
    let database = rusqlite::Connection::open(site.data().join("portal.db")).unwrap();
    assert_eq!(database.execute("UPDATE campaign SET notes = title", []).unwrap(), 1);
    let mut expected = vec![Operation::Created, Operation::Read, Operation::Read];
    let mut looking = site.browser_with(admin.cookies());
    assert_eq!(looking.get(&campaign).await, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(operations(&site.records("amigo"), "campaign"), expected);
    // What does not fit is answered with a page that shows the old title: a look, too.
    let status = admin.post(&campaign, &[("title", ""), ("notes", "")]).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    expected.push(Operation::Read);
    assert_eq!(operations(&site.records("amigo"), "campaign"), expected);
    // A change opens nothing, so it mends what is broken; its record is one, and not of a look.
    looking.get("/amigo/campaigns/new").await;
    looking.post(&campaign, &[("title", "Kept"), ("notes", "new plans")]).await;
    expected.push(Operation::Updated);
    assert_eq!(operations(&site.records("amigo"), "campaign"), expected);
    looking.get(&campaign).await;
    assert!(looking.shows("new plans"), "{}", looking.page);
}

#[tokio::test]
async fn a_name_that_is_taken_is_recorded_as_refused_and_nothing_as_done() {
    let site = Site::new().await;
    let mut admin = site.administrator("amigo").await;
    admin.get("/amigo/users").await;
    let created = |site: &Site| {
        let of_users = |r: &Record| is_of(r, "user") && r.operation == Operation::Created;
        site.records("amigo").iter().filter(|r| of_users(r)).count()
    };
    let before = created(&site);
    let fields = [
        ("email", "ADMINISTRATOR@amigo.example"),
        ("name", "somebody"),
        ("class", "client"),
        ("role", "member"),
    ];
    assert_eq!(admin.post("/amigo/users", &fields).await, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(admin.shows("somebody already has this mail address"), "{}", admin.page);
    assert_eq!(created(&site), before);
    let refused = |r: &&Record| r.operation == Operation::AccessRefused && is_of(r, "users");
    let records = site.records("amigo");
    let refused: Vec<_> = records.iter().filter(refused).collect();
    assert_eq!(refused.len(), 1);
    assert!(matches!(&refused[0].outcome, Outcome::Refused(why) if why.as_str() == "name.taken"));
}

#[tokio::test]
async fn only_what_can_be_done_is_offered() {
    let site = Site::new().await;
    let mut admin = site.administrator("zoomph").await;
    admin.get("/zoomph/users").await;
    let ada =
        [("email", "ada@client.example"), ("name", "ada"), ("class", "client"), ("role", "member")];
    admin.post("/zoomph/users", &ada).await;
    let person = admin.at.clone();
    let offers = |page: &str| {
        ["Unlock", "Send a link for a password", "End all sessions", "Disable", "Enable"]
            .map(|act| page.contains(&format!("<button>{act}</button>")))
    };
    assert!(admin.shows("<dd>invited</dd>"), "{}", admin.page);
    assert_eq!(offers(&admin.page), [false, true, false, true, false]);
    // Guesses lock the name of somebody invited, too, which says so and can be undone.
    let mut thief = site.browser();
    for _ in 0..5 {
        thief.try_sign_in("zoomph", "ada", OTHER).await;
    }
    admin.get(&person).await;
    assert!(admin.shows("<dd>invited, <strong>locked</strong> until "), "{}", admin.page);
    assert_eq!(offers(&admin.page), [true, true, false, true, false]);
    admin.post(&format!("{person}/unlock"), &[]).await;
    assert!(admin.shows("<dd>invited</dd>"), "{}", admin.page);
    let mut ada = site.browser();
    ada.headers.clear();
    ada.activate(&site.mails().pop().unwrap(), PASSWORD).await;
    ada.sign_in("zoomph", "ada", PASSWORD).await;
    admin.get(&person).await;
    assert_eq!(offers(&admin.page), [false, true, true, true, false]);
    // A browser that does not say what it is has a name all the same.
    assert!(admin.shows("<th scope='row' data-label='Browser'>unknown</th>"), "{}", admin.page);
    admin.post(&format!("{person}/disable"), &[]).await;
    assert!(admin.shows("<dd>disabled</dd>"), "{}", admin.page);
    assert_eq!(offers(&admin.page), [false, false, false, false, true]);
}

#[tokio::test]
async fn password_managers_are_told_whose_password_it_is() {
    let site = Site::new().await;
    let field = |address: &str| {
        format!(
            "<input name='username' type='text' value='{address}' autocomplete='username' \
             readonly hidden>"
        )
    };
    let address = "administrator@zoomph.example";
    let mut admin = site.browser();
    let link = site.mails().pop().unwrap();
    admin.get(&link).await;
    assert!(admin.shows(&field(address)), "{}", admin.page);
    admin.activate(&link, PASSWORD).await;
    admin.sign_in("zoomph", address, PASSWORD).await;
    admin.get("/zoomph/account").await;
    assert!(admin.shows(&field(address)), "{}", admin.page);
    // What comes back in it does not matter.
    let fields = [("username", "mallory"), ("present", PASSWORD), ("new", OTHER), ("again", OTHER)];
    assert_eq!(admin.post("/zoomph/account/password", &fields).await, StatusCode::OK);
    site.browser().sign_in("zoomph", address, OTHER).await;
}

#[tokio::test]
async fn a_name_that_nobody_can_have_is_answered_like_one_that_nobody_has() {
    let site = Site::new().await;
    let page = async |name: &str| {
        let mut browser = site.browser();
        let status = browser.try_sign_in("zoomph", name, OTHER).await;
        let token = browser.token();
        (status, browser.page.replace(&token, "").replace(&format!("value='{name}'"), ""))
    };
    let unknown = page("somebody-else").await;
    assert_eq!(unknown.0, StatusCode::UNAUTHORIZED);
    for name in ["nobody", "n\u{200b}obody", "-", &"n".repeat(255)] {
        assert_eq!(page(name).await, unknown, "{name:?}");
    }
    let (status, page) = page("  ").await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(page.contains("Please give a user name"), "{page}");
}

/// SE-13: links lead to the configured origin, whatever a request says that it was sent to.
#[tokio::test]
async fn no_header_reaches_a_mail() {
    let site = Site::new().await;
    let mut admin = site.administrator("zoomph").await;
    let name = HeaderName::from_static;
    let lies = [
        // Refused before anything else: not the name of a loopback address.
        (header::HOST, "evil.example", false),
        (header::HOST, "evil.localhost:6666", true),
        (name("x-forwarded-host"), "evil.example", false),
        (header::FORWARDED, "host=evil.example;proto=https", false),
        (name("x-original-host"), "evil.example", true),
        (header::REFERER, "http://evil.example/", true),
    ];
    let mut expected = site.outbox().len();
    for (at, (header, value, taken)) in lies.into_iter().enumerate() {
        // Another resend would be too early.
        site.wait(6);
        admin.get("/zoomph/users").await;
        admin.headers.push((header.clone(), value));
        let (name, email) = (format!("guest-{at}"), format!("guest-{at}@client.example"));
        let fields = [
            ("email", email.as_str()),
            ("name", name.as_str()),
            ("class", "client"),
            ("role", "member"),
        ];
        let invited = admin.post("/zoomph/users", &fields).await;
        admin.headers.pop();
        let mut stranger = site.browser();
        stranger.get("/zoomph/forgotten").await;
        stranger.headers.push((header.clone(), value));
        let asked = stranger.post("/zoomph/forgotten", &[("name", "administrator")]).await;
        site.portal.upkeep().await.unwrap();
        let answers = (invited == StatusCode::OK, asked == StatusCode::OK);
        assert_eq!(answers, (taken, taken), "{header}: {value}: {invited}, {asked}");
        expected += if taken { 2 } else { 0 };
        assert_eq!(site.outbox().len(), expected, "{header}: {value}");
    }
    for mail in site.outbox() {
        assert!(!mail.contains("evil"), "{mail}");
        let origins = mail.matches("://").count();
        assert_eq!((origins, mail.matches(&format!("http://{ADDRESS}/")).count()), (1, 1));
    }
}

#[tokio::test]
async fn a_first_link_that_ran_out_is_not_the_end() {
    let site = Site::new().await;
    let link = common::path_of(site.first_link.as_ref().unwrap());
    site.wait(24 * 60);
    assert_eq!(site.browser().get(&link).await, StatusCode::NOT_FOUND);
    let site = site.restart().await;
    assert_eq!(site.first_link, None, "printed once");
    let mut admin = site.browser();
    admin.get("/amigo/forgotten").await;
    admin.post("/amigo/forgotten", &[("name", "administrator")]).await;
    site.portal.upkeep().await.unwrap();
    let link = site.mails().pop().unwrap();
    assert!(link.starts_with("/amigo/reset/"), "{link}");
    admin.activate(&link, PASSWORD).await;
    admin.sign_in("amigo", "administrator", PASSWORD).await;
}
