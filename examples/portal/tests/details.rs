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

use axum::body::Body;
use axum::http::{HeaderName, Request, StatusCode, header};
use common::{ADDRESS, Browser, OTHER, PASSWORD, Site};
use portal::form::Form;
use vouchsafe::access_log::{Operation, Outcome, Record, Target};
use vouchsafe::core::Clock;

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

/// Invites somebody and gives back the path of their page.
async fn invited(admin: &mut Browser, tenant: &str, name: &str, role: &str) -> String {
    let users = format!("/{tenant}/users");
    admin.get(&users).await;
    let email = format!("{}@client.example", name.replace(|c: char| !c.is_alphanumeric(), ""));
    let fields = [("email", email.as_str()), ("name", name), ("class", "client"), ("role", role)];
    assert_eq!(admin.post(&users, &fields).await, StatusCode::OK, "{}", admin.page);
    admin.at.clone()
}

#[tokio::test]
async fn nobody_disables_themself() {
    let site = Site::new().await;
    let mut admin = site.administrator("zoomph").await;
    admin.get("/zoomph/users").await;
    let own = admin.link("/zoomph/users/");
    admin.get(&own).await;
    assert!(admin.shows("Send a link") && !admin.shows("<button>Disable<"), "{}", admin.page);
    let status = admin.post(&format!("{own}/disable"), &[]).await;
    assert_eq!(status, StatusCode::CONFLICT, "{}", admin.page);
    assert!(admin.shows("You cannot disable yourself."), "{}", admin.page);
    let records = site.records("zoomph");
    assert!(records.iter().all(|record| record.operation != Operation::Disabled));
    assert!(records.iter().any(|r| r.operation == Operation::AccessRefused && is_of(r, "user")));
    site.browser().sign_in("zoomph", "administrator", PASSWORD).await;
    let other = invited(&mut admin, "zoomph", "ada", "administrator").await;
    assert!(admin.shows("<button>Disable<"), "{}", admin.page);
    assert_eq!(admin.post(&format!("{other}/disable"), &[]).await, StatusCode::OK);
    assert!(admin.shows("<dd>disabled</dd>"), "{}", admin.page);
}

/// Each window sends the same form to its path, all at once.
async fn all_at_once(
    windows: Vec<(Browser, String)>,
    fields: &'static [(&'static str, &'static str)],
) -> Vec<StatusCode> {
    let sent = windows
        .into_iter()
        .map(|(mut window, path)| async move { window.post(&path, fields).await })
        .collect::<tokio::task::JoinSet<_>>();
    sent.join_all().await
}

/// The same page in so many windows, whose forms go to `path`.
fn windows(site: &Site, of: &Browser, count: usize, path: &str) -> Vec<(Browser, String)> {
    let window = || {
        let mut window = site.browser_with(of.cookies());
        window.page.clone_from(&of.page);
        (window, path.to_owned())
    };
    (0..count).map(|_| window()).collect()
}

#[tokio::test]
async fn two_administrators_do_not_disable_each_other() {
    let site = Site::new().await;
    let mut admin = site.administrator("zoomph").await;
    admin.get("/zoomph/users").await;
    let first = admin.link("/zoomph/users/");
    let second = invited(&mut admin, "zoomph", "ada", "administrator").await;
    let mut ada = site.browser();
    ada.activate(&site.mails().pop().unwrap(), PASSWORD).await;
    ada.sign_in("zoomph", "ada", PASSWORD).await;
    admin.get(&second).await;
    ada.get(&first).await;
    let disable = |person: &str| format!("{person}/disable");
    all_at_once(vec![(admin, disable(&second)), (ada, disable(&first))], &[]).await;
    let mut left = 0;
    for name in ["administrator", "ada"] {
        let status = site.browser().try_sign_in("zoomph", name, PASSWORD).await;
        left += usize::from(status == StatusCode::OK);
    }
    assert_eq!(left, 1);
}

/// Of the records that say `operation` was done, the targets that no later one takes back.
fn stands(site: &Site, operation: Operation, kind: &str) -> Vec<Target> {
    let (mut refused, mut stand) = (Vec::new(), Vec::new());
    for record in site.records("amigo").into_iter().filter(|record| is_of(record, kind)) {
        let took_back = refused.iter().position(|target| *target == record.target);
        if record.operation == operation && record.outcome != Outcome::Succeeded {
            refused.push(record.target);
        } else if record.operation == operation {
            match took_back {
                Some(at) => drop(refused.swap_remove(at)),
                None => stand.push(record.target),
            }
        }
    }
    stand
}

#[tokio::test]
async fn what_came_too_late_is_not_left_as_done() {
    const ADA: [(&str, &str); 4] =
        [("email", "a@b.example"), ("name", "ada"), ("class", "client"), ("role", "member")];
    let site = Site::new().await;
    let mut admin = site.administrator("amigo").await;
    admin.get("/amigo/users").await;
    let before = stands(&site, Operation::Created, "user").len();
    let sent = all_at_once(windows(&site, &admin, 8, "/amigo/users"), &ADA).await;
    assert_eq!(sent.iter().filter(|status| **status == StatusCode::OK).count(), 1, "{sent:?}");
    let created = site.records("amigo").into_iter();
    let created = created.filter(|r| r.operation == Operation::Created && is_of(r, "user")).count();
    assert!(created > before + 1, "nobody came too late");
    assert_eq!(stands(&site, Operation::Created, "user").len(), before + 1);

    admin.get("/amigo/campaigns/new").await;
    admin.post("/amigo/campaigns", &[("title", "Kept"), ("notes", "plans")]).await;
    let delete = format!("{}/delete", admin.link("/amigo/campaigns/"));
    admin.get(&delete).await;
    let mut sent = all_at_once(windows(&site, &admin, 5, &delete), &[]).await;
    sent.sort();
    assert_eq!(sent, [vec![StatusCode::OK], vec![StatusCode::NOT_FOUND; 4]].concat());
    assert_eq!(stands(&site, Operation::Deleted, "campaign").len(), 1);
}

#[tokio::test]
async fn no_name_looks_like_what_is_none() {
    let site = Site::new().await;
    let mut admin = site.administrator("amigo").await;
    let program = "the program (portal)";
    for name in ["somebody not signed in", "racer, adm2", program] {
        invited(&mut admin, "amigo", name, "member").await;
    }
    let mut member = site.browser();
    member.activate(&site.mailed("theprogramportal@client.example"), PASSWORD).await;
    member.sign_in("amigo", program, PASSWORD).await;
    admin.get("/amigo/users").await;
    admin.get("/amigo/log").await;
    let who = |shown: &str| admin.shows(&format!("<td data-label='Who'>{shown}</td>"));
    assert!(who("<q><bdi>the program (portal)</bdi></q>"), "{}", admin.page);
    assert!(who("<q><bdi>administrator</bdi></q>") && who("somebody not signed in"));
    assert!(!admin.shows(">racer, adm2<") || admin.shows("<q><bdi>racer, adm2</bdi></q>"));
    let list = admin.page.split("<ul class='names'>").nth(1).unwrap().split("</ul>").next();
    let list = list.unwrap();
    assert_eq!(list.matches("<li><q><bdi>").count(), 4, "{list}");
    assert!(list.contains("<li><q><bdi>racer, adm2</bdi></q></li>"), "{list}");
    for option in [">“somebody not signed in”<", ">somebody not signed in<", ">“racer, adm2”<"]
    {
        assert!(admin.shows(option), "{option}");
    }
    assert_eq!(admin.page.matches(">somebody not signed in</option>").count(), 1);
}

#[tokio::test]
async fn a_question_to_the_log_that_does_not_read_is_said_to_be_one() {
    let site = Site::new().await;
    let mut admin = site.administrator("amigo").await;
    let rows = |admin: &Browser| admin.page.matches("<tr><td").count();
    for (query, says) in [
        ("before=-1", "“-1” is not the number of a record"),
        ("before=100000000000000000000000", "is not the number of a record"),
        ("before=x", "“x” is not the number of a record"),
        ("from=2026-W01-1", "“2026-W01-1” is not a day"),
        ("until=2026-001", "“2026-001” is not a day"),
        ("from=20260101", "“20260101” is not a day"),
        ("operation=made", "there is no such operation"),
    ] {
        for page in ["log", "log/download"] {
            let status = admin.get(&format!("/amigo/{page}?{query}")).await;
            assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{page}?{query}");
            assert!(admin.shows(says) && rows(&admin) == 0, "{query}: {}", admin.page);
        }
    }
    assert_eq!(admin.get("/amigo/log?user=%").await, StatusCode::BAD_REQUEST);
    assert!(admin.shows("Nothing was looked for") && !admin.shows("Nothing was changed"));
    assert_eq!(admin.get("/amigo/log?user=zzz").await, StatusCode::OK);
    assert!(admin.shows("<option value='zzz' selected>user zzz</option>"), "{}", admin.page);
    assert_eq!(admin.page.matches(" selected").count(), 2, "who, and anything");
    assert_eq!(admin.get("/amigo/log?before=2&from=2018-04-09").await, StatusCode::OK);
    assert!(rows(&admin) < 3);
}

#[tokio::test]
async fn every_response_has_the_security_headers() {
    let site = Site::new().await;
    let mut admin = site.administrator("amigo").await;
    admin.get("/amigo/account").await;
    let token = admin.token();
    let mut statuses = std::collections::BTreeSet::new();
    let mut paths = vec!["/", "/nowhere", "/static/style.css", "/static/none", "/none/campaigns"];
    paths.extend(["/amigo/", "/amigo/none", "/amigo/sign-in", "/amigo/forgotten"]);
    paths.extend([
        "/amigo/activate/x",
        "/amigo/reset/x",
        "/amigo/locked",
        "/amigo/unlock/x",
        "/amigo/campaigns",
        "/amigo/campaigns/new",
    ]);
    paths.extend(["/amigo/campaigns/x", "/amigo/campaigns/x/delete", "/amigo/account"]);
    paths.extend(["/amigo/account/password", "/amigo/account/end-others", "/amigo/users"]);
    paths.extend(["/amigo/users/x", "/amigo/users/x/invite", "/amigo/users/x/unlock"]);
    paths.extend([
        "/amigo/users/x/disable",
        "/amigo/users/x/enable",
        "/amigo/users/x/end-sessions",
    ]);
    paths.extend(["/amigo/users/x/sessions/x/end", "/amigo/log", "/amigo/log/verify"]);
    paths.extend([
        "/amigo/log/download",
        "/amigo/log?before=x",
        "/amigo/log?user=%",
        "/amigo/policy",
        // Last: it ends the session.
        "/amigo/sign-out",
    ]);
    let bodies = [Some(format!("csrf_token={token}")), Some(String::new()), None];
    let huge = Some(format!("csrf_token={token}&a={}", "a".repeat(Form::MAX_BYTES)));
    let dead = [("insecure-loopback-sid-amigo".to_owned(), "dead".to_owned())].into();
    for jar in [admin.cookies(), dead, [].into()] {
        for path in &paths {
            for (host, body) in bodies
                .iter()
                .map(|body| (None, body))
                .chain([(None, &huge), (Some("evil.example"), &None)])
            {
                let request = match body {
                    None => Request::get(*path).body(Body::empty()),
                    Some(body) => Request::post(*path)
                        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                        .header("sec-fetch-site", "same-origin")
                        .body(Body::from(body.clone())),
                };
                let mut browser = site.browser_with(jar.clone());
                browser.headers.extend(host.map(|host| (header::HOST, host)));
                let response = browser.send(request.unwrap()).await;
                let headers = response.headers();
                let shown = format!("{path} {body:.40?}: {} {headers:?}", response.status());
                for (name, value) in [
                    ("x-content-type-options", "nosniff"),
                    ("x-frame-options", "DENY"),
                    ("referrer-policy", "no-referrer"),
                    ("cross-origin-opener-policy", "same-origin"),
                ] {
                    assert_eq!(
                        headers.get(name).map(|v| v.as_bytes()),
                        Some(value.as_bytes()),
                        "{shown}"
                    );
                }
                assert!(headers.contains_key("content-security-policy"), "{shown}");
                assert!(headers.contains_key("permissions-policy"), "{shown}");
                if headers.contains_key(header::SET_COOKIE) {
                    assert_eq!(headers[header::CACHE_CONTROL], "no-store", "{shown}");
                }
                statuses.insert(response.status().as_u16());
            }
        }
    }
    let expected = [200, 303, 400, 403, 404, 405, 413, 422];
    assert!(expected.iter().all(|status| statuses.contains(status)), "{statuses:?}");
}

#[tokio::test]
async fn an_administrator_sees_that_the_upkeep_is_late() {
    let site = Site::new().await;
    let mut admin = site.administrator("amigo").await;
    let mut late = async || {
        admin.get("/amigo/users").await;
        let (_, after) = admin.page.split_once("id='upkeep-late'>").unwrap();
        (after.split_once(" s<").unwrap().0.parse::<u64>().unwrap(), admin.shows("ahead of what"))
    };
    site.portal.upkeep().await.unwrap();
    assert_eq!(late().await, (0, false));
    site.wait(15);
    // A minute after the last sweep it was due.
    assert_eq!(late().await.0, 14 * 60);
    site.portal.upkeep().await.unwrap();
    assert_eq!(late().await, (0, false));
    let leapt = site.clock.now().after(std::time::Duration::from_secs(20 * 60));
    site.clock.set(leapt);
    site.portal.upkeep().await.unwrap();
    assert_eq!(late().await, (0, true));
}
