//! Bad input: a clear message, and nothing is lost.
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

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use axum::http::StatusCode;
use common::{PASSWORD, Site, encode};
use portal::form::Form;
use portal::setup::Setup;

/// Every file of the data folder, but for SQLite's own bookkeeping.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.to_string_lossy().ends_with("-shm") {
                all.insert(path.display().to_string(), fs::read(&path).unwrap());
            }
        }
    }
    all
}

struct Closed {
    folder: tempfile::TempDir,
    clock: Arc<vouchsafe_testkit::ManualClock>,
}

impl Closed {
    /// A portal with something in it, closed.
    async fn new() -> Self {
        let site = Site::new().await;
        let mut admin = site.administrator("amigo").await;
        admin.get("/amigo/campaigns/new").await;
        admin.post("/amigo/campaigns", &[("title", "Kept"), ("notes", "plans")]).await;
        site.portal.close().await.unwrap();
        let Site { folder, clock, portal, router, .. } = site;
        drop((portal, router, admin));
        Self { folder, clock }
    }

    /// What starting says.
    async fn refusal(&self, setup: Setup) -> String {
        match common::start(setup, &self.clock).await {
            Err(error) => error.to_string(),
            Ok(_) => panic!("it started"),
        }
    }

    /// It starts again, and everything is there.
    async fn still_whole(self) {
        let site = Site::open(self.folder, self.clock).await;
        assert_eq!(site.first_link, None);
        let mut admin = site.browser();
        admin.sign_in("amigo", "administrator", PASSWORD).await;
        assert!(admin.shows(">Kept<"), "{}", admin.page);
    }
}

#[tokio::test]
async fn a_second_start_finds_everything_and_prints_no_link() {
    let site = Site::new().await;
    assert!(site.first_link.is_some());
    let mut admin = site.administrator("amigo").await;
    admin.get("/amigo/campaigns/new").await;
    admin.post("/amigo/campaigns", &[("title", "Kept"), ("notes", "plans")]).await;
    let mut out = site.browser();
    out.sign_in("amigo", "administrator", PASSWORD).await;
    out.post("/amigo/sign-out", &[]).await;
    let mut thief = site.browser();
    for _ in 0..5 {
        thief.try_sign_in("zoomph", "administrator", "Wrong-Guess9").await;
    }
    let mails = site.mails().len();
    let cookies = admin.cookies();
    let signed_out = out.cookies();
    drop((admin, out, thief));
    let site = site.restart().await;
    assert_eq!((site.first_link.as_ref(), site.mails().len()), (None, mails));
    // Who was signed in still is; who had signed out is not; who was locked still is.
    let mut admin = site.browser_with(cookies);
    admin.get("/amigo/campaigns").await;
    assert!(admin.shows(">Kept<"), "{}", admin.page);
    admin.post("/amigo/log/verify", &[]).await;
    assert!(admin.at.starts_with("/amigo/log") || admin.shows("token"));
    let mut out = site.browser_with(signed_out);
    out.get("/amigo/campaigns").await;
    assert_eq!(out.at, "/amigo/sign-in");
    let status = site.browser().try_sign_in("zoomph", "administrator", PASSWORD).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn a_policy_that_does_not_read_or_is_weaker_is_not_started_with() {
    let closed = Closed::new().await;
    let before = contents(&closed.folder.path().join("data"));
    let policies = closed.folder.path().join("policies");
    fs::create_dir(&policies).unwrap();
    let mut setup = Site::setup(&closed.folder);
    setup.policy_dir = Some(policies.clone());
    let file = policies.join("zoomph.toml");
    fs::write(&file, "schema = 1\nname = \"x\"\n[lockout]\nlimits = 5\n").unwrap();
    let said = closed.refusal(setup.clone()).await;
    assert!(said.contains("policy of tenant zoomph") && said.contains("zoomph.toml:4"), "{said}");
    let source = vouchsafe::policy::Policy::preset("zoomph-2018").unwrap().to_toml();
    fs::write(&file, source.replace("failures = 5", "failures = 6")).unwrap();
    let said = closed.refusal(setup.clone()).await;
    assert!(said.contains("below its baseline") && said.contains("Z7.6"), "{said}");
    setup.policy_dir = Some(closed.folder.path().join("nowhere"));
    assert!(closed.refusal(setup).await.contains("nowhere: No such file"));
    let after = contents(&closed.folder.path().join("data"));
    assert_eq!(before.get("keys"), after.get("keys"));
    closed.still_whole().await;
}

#[tokio::test]
async fn a_stricter_policy_from_the_folder_is_in_force() {
    let folder = tempfile::tempdir().unwrap();
    let policies = folder.path().join("policies");
    fs::create_dir(&policies).unwrap();
    let source = vouchsafe::policy::Policy::preset("zoomph-2018").unwrap().to_toml();
    let stricter = source.replace("failures = 5", "failures = 4");
    fs::write(policies.join("zoomph.toml"), stricter).unwrap();
    let mut setup = Site::setup(&folder);
    setup.policy_dir = Some(policies);
    let clock = Arc::new(vouchsafe_testkit::ManualClock::default());
    let portal = common::start(setup, &clock).await.unwrap();
    let zoomph = vouchsafe::core::TenantId::new("zoomph").unwrap();
    assert_eq!(portal.gate().policy(&zoomph).unwrap().lockout().limits()[0].failures(), 4);
}

#[tokio::test]
async fn the_secret_has_to_be_the_right_one_and_private() {
    use std::os::unix::fs::PermissionsExt;
    let closed = Closed::new().await;
    let setup = Site::setup(&closed.folder);
    let secret = fs::read(&setup.secret).unwrap();
    fs::write(&setup.secret, "0123456789abcdef0123456789abcdef\n").unwrap();
    assert!(closed.refusal(setup.clone()).await.contains("the secret does not open the keyring"));
    fs::write(&setup.secret, "short\n").unwrap();
    assert!(closed.refusal(setup.clone()).await.contains("an unlock secret has"));
    fs::remove_file(&setup.secret).unwrap();
    let said = closed.refusal(setup.clone()).await;
    assert!(said.contains("config/secret"), "{said}");
    assert!(!setup.secret.exists(), "no new secret for old keys");
    fs::write(&setup.secret, &secret).unwrap();
    fs::set_permissions(&setup.secret, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(closed.refusal(setup.clone()).await.contains("can be read by others"));
    fs::set_permissions(&setup.secret, fs::Permissions::from_mode(0o600)).unwrap();
    closed.still_whole().await;
}

/// Spoils a file, sees that the start is refused with these words, and mends it.
async fn spoilt(closed: &Closed, file: &str, spoil: impl Fn(&mut Vec<u8>), says: &[&str]) {
    let setup = Site::setup(&closed.folder);
    let path = setup.data.join(file);
    let good = fs::read(&path).unwrap();
    let mut bad = good.clone();
    spoil(&mut bad);
    fs::write(&path, &bad).unwrap();
    let said = closed.refusal(setup).await;
    assert!(says.iter().any(|words| said.contains(words)), "{file}: {said}");
    assert_eq!(fs::read(&path).unwrap(), bad, "{file} is left as it is");
    fs::write(&path, good).unwrap();
}

#[tokio::test]
async fn spoilt_files_are_named_and_left_as_they_are() {
    let closed = Closed::new().await;
    spoilt(&closed, "keys", |bytes| bytes.truncate(100), &["is cut off"]).await;
    spoilt(&closed, "keys", |bytes| *bytes.last_mut().unwrap() ^= 1, &["is damaged"]).await;
    for file in ["portal.db", "gate.db"] {
        let noise = |bytes: &mut Vec<u8>| bytes.fill(b'x');
        spoilt(&closed, file, noise, &["database", "damaged"]).await;
    }
    let log = Site::setup(&closed.folder).data.join("log");
    let name = |entry: fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
    let names = fs::read_dir(log).unwrap().map(|entry| name(entry.unwrap()));
    let segment = names.max_by_key(|name| {
        fs::metadata(Site::setup(&closed.folder).data.join("log").join(name)).unwrap().len()
    });
    let segment = format!("log/{}", segment.unwrap());
    let cut = |bytes: &mut Vec<u8>| bytes.truncate(600);
    spoilt(&closed, &segment, cut, &["the access log"]).await;
    let flip = |bytes: &mut Vec<u8>| bytes[700] ^= 1;
    spoilt(&closed, &segment, flip, &["the access log: the log is corrupt at record"]).await;
    let keys = Site::setup(&closed.folder).data.join("keys");
    let good = fs::read(&keys).unwrap();
    fs::remove_file(&keys).unwrap();
    let said = closed.refusal(Site::setup(&closed.folder)).await;
    assert!(said.contains("without its keys nothing in it opens"), "{said}");
    assert!(!keys.exists());
    fs::write(&keys, good).unwrap();
    closed.still_whole().await;
}

#[tokio::test]
async fn databases_that_are_cut_foreign_or_newer_are_named_and_left_as_they_are() {
    let closed = Closed::new().await;
    for file in ["portal.db", "gate.db"] {
        let cut = |bytes: &mut Vec<u8>| bytes.truncate(bytes.len() / 2);
        spoilt(&closed, file, cut, &["is damaged"]).await;
        // SQLite's header: the version of the tables, and whose they are.
        let newer = |bytes: &mut Vec<u8>| bytes[60..64].fill(9);
        spoilt(&closed, file, newer, &["version"]).await;
        let foreign = |bytes: &mut Vec<u8>| bytes[68..72].fill(9);
        spoilt(
            &closed,
            file,
            foreign,
            &["is not the portal's database", "is a database of something else"],
        )
        .await;
    }
    closed.still_whole().await;
}

#[tokio::test]
async fn a_log_that_is_gone_is_missed() {
    let closed = Closed::new().await;
    let setup = Site::setup(&closed.folder);
    let (log, aside) = (setup.data.join("log"), closed.folder.path().join("aside"));
    fs::rename(&log, &aside).unwrap();
    let said = closed.refusal(setup).await;
    assert!(said.contains("the access log"), "{said}");
    let _ = fs::remove_dir_all(&log);
    fs::rename(&aside, &log).unwrap();
    closed.still_whole().await;
}

#[tokio::test]
async fn the_keys_of_another_installation_open_nothing() {
    let closed = Closed::new().await;
    let other = Closed::new().await;
    let (ours, theirs) = (Site::setup(&closed.folder), Site::setup(&other.folder));
    let files = [ours.data.join("keys"), ours.secret.clone()];
    let good = files.each_ref().map(|file| fs::read(file).unwrap());
    fs::copy(theirs.data.join("keys"), &files[0]).unwrap();
    let said = closed.refusal(ours.clone()).await;
    assert!(said.contains("the secret does not open the keyring"), "{said}");
    // Even with the secret that belongs to them.
    fs::copy(&theirs.secret, &files[1]).unwrap();
    let said = closed.refusal(ours).await;
    assert!(said.contains("signed by another key"), "{said}");
    for (file, good) in files.iter().zip(good) {
        fs::write(file, good).unwrap();
    }
    closed.still_whole().await;
    other.still_whole().await;
}

#[tokio::test]
async fn places_that_cannot_be_used_are_named() {
    let closed = Closed::new().await;
    let mut setup = Site::setup(&closed.folder);
    setup.data = setup.secret.clone();
    let said = closed.refusal(setup).await;
    assert!(said.starts_with("make ") && said.contains("config/secret: "), "{said}");
    // Two processes over one folder would each overwrite what the other keeps.
    let site = Site::open(closed.folder, Arc::clone(&closed.clock)).await;
    let Err(said) = common::start(Site::setup(&site.folder), &site.clock).await else {
        panic!("it started twice");
    };
    assert!(said.to_string().contains("is open in another process"), "{said}");
    let Site { folder, clock, portal, router, .. } = site;
    drop((portal, router));
    Closed { folder, clock }.still_whole().await;
}

/// A first start that was cut off between making the file of the secret and writing it.
#[tokio::test]
async fn an_empty_secret_is_made_anew_when_there_are_no_keys_yet() {
    use std::os::unix::fs::OpenOptionsExt;
    let folder = tempfile::tempdir().unwrap();
    let setup = Site::setup(&folder);
    fs::create_dir(setup.secret.parent().unwrap()).unwrap();
    let mut empty = fs::OpenOptions::new();
    empty.write(true).create_new(true).mode(0o600).open(&setup.secret).unwrap();
    let clock = Arc::new(vouchsafe_testkit::ManualClock::default());
    drop(common::start(setup.clone(), &clock).await.unwrap());
    // And never when there are.
    let secret = fs::read(&setup.secret).unwrap();
    fs::write(&setup.secret, "").unwrap();
    let closed = Closed { folder, clock };
    assert!(closed.refusal(setup.clone()).await.contains("an unlock secret has"));
    assert!(fs::read(&setup.secret).unwrap().is_empty());
    fs::write(&setup.secret, &secret).unwrap();
    drop(common::start(setup, &closed.clock).await.unwrap());
}

#[tokio::test]
async fn hostile_forms_are_refused_and_change_nothing() {
    let site = Site::new().await;
    let mut admin = site.administrator("amigo").await;
    let title = encode("New");
    let token = admin.token();
    let tail = format!("title={title}&notes=x");
    for (body, status) in [
        (tail.clone(), StatusCode::FORBIDDEN),
        (format!("{tail}&csrf_token={token}"), StatusCode::FORBIDDEN),
        (format!("csrf_token=x{token}&{tail}"), StatusCode::FORBIDDEN),
        (format!("csrf_token={token}&{tail}&title=b"), StatusCode::BAD_REQUEST),
        (format!("csrf_token={token}&{tail}&a=%zz"), StatusCode::BAD_REQUEST),
        (format!("csrf_token={token}&{tail}&a=%ff"), StatusCode::BAD_REQUEST),
        (format!("csrf_token={token}&notes=x"), StatusCode::UNPROCESSABLE_ENTITY),
        (format!("csrf_token={token}&title=%00a"), StatusCode::UNPROCESSABLE_ENTITY),
        (format!("csrf_token={token}&title=a%0ab"), StatusCode::UNPROCESSABLE_ENTITY),
        (
            format!("csrf_token={token}&title=a&notes={}", "n".repeat(10_001)),
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
        (
            format!("csrf_token={token}&title=a&notes={}", "n".repeat(Form::MAX_BYTES)),
            StatusCode::PAYLOAD_TOO_LARGE,
        ),
    ] {
        let shown: String = body.chars().take(150).collect();
        assert_eq!(admin.post_raw("/amigo/campaigns", body.into_bytes()).await, status, "{shown}");
        assert!(admin.shows("role='alert'"), "{shown}: {}", admin.page);
    }
    // What was typed comes back when it can be mended.
    admin.get("/amigo/campaigns").await;
    assert!(admin.shows("There are no campaigns yet."));
    let long = "t".repeat(121);
    admin.post("/amigo/campaigns", &[("title", &long), ("notes", "kept <typing>")]).await;
    assert!(admin.shows("Nothing was saved") && admin.shows("kept &lt;typing&gt;"));
    admin.get("/amigo/users").await;
    for (email, name, class, role) in [
        ("not-an-address", "bob", "client", "member"),
        ("bob@client.example\r\nBcc: x@y.example", "bob", "client", "member"),
        ("bob@client.example", "", "client", "member"),
        ("bob@client.example", "b\u{202e}ob", "client", "member"),
        ("bob@client.example", "administrator", "client", "member"),
        ("ADMINISTRATOR@amigo.example", "bob", "client", "member"),
        ("bob@client.example", "bob", "royalty", "member"),
        ("bob@client.example", "bob", "client", "owner"),
    ] {
        let fields = [("email", email), ("name", name), ("class", class), ("role", role)];
        let status = admin.post("/amigo/users", &fields).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{email:?} {name:?}");
    }
    assert_eq!(admin.page.matches("/amigo/users/").count(), 1);
    for path in [
        "/amigo/nothing",
        "/nobody/sign-in",
        "/amigo/campaigns/0",
        "/amigo/users/-",
        "/static/",
        "/static/..%2fCargo.toml",
        "/amigo/activate/x",
        "/amigo/log%00",
    ] {
        assert_eq!(admin.get(path).await, StatusCode::NOT_FOUND, "{path}");
    }
    let unread = StatusCode::UNPROCESSABLE_ENTITY;
    for (query, status, says) in [
        ("from=yesterday", unread, "is not a day"),
        ("until=2018-02-30", unread, "is not a day"),
        ("operation=hacked", unread, "there is no such operation"),
        ("user=%00", unread, "there is no such user"),
        ("before=-1", unread, "Access records"),
        ("user=somebody-else", StatusCode::OK, "Access records"),
    ] {
        assert_eq!(admin.get(&format!("/amigo/log?{query}")).await, status, "{query}");
        assert!(admin.shows(says), "{query}: {}", admin.page);
    }
    for query in ["from=%zz", "from=%ff", "from=2018-04-09&from=2018-04-10"] {
        let status = admin.get(&format!("/amigo/log?{query}")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{query}");
    }
}
