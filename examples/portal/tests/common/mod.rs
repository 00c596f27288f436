//! A portal in a folder that goes away, and a browser without a screen.
#![allow(dead_code, reason = "each test uses a part")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::connect_info::ConnectInfo;
use axum::http::{HeaderName, Request, Response, StatusCode, header};
use portal::setup::{Setup, SetupError};
use portal::{Portal, router};
use tempfile::TempDir;
use tower::ServiceExt;
use vouchsafe::access_log::{Filter, Record};
use vouchsafe::core::{TenantId, Timestamp};
use vouchsafe_testkit::ManualClock;
use vouchsafe_tower::Connection;

pub const ADDRESS: &str = "127.0.0.1:8080";
/// Good under both documents.
pub const PASSWORD: &str = "Brass-Lantern7-wall";
pub const OTHER: &str = "Copper-Kettle8-roof";

pub struct Site {
    pub folder: TempDir,
    pub clock: Arc<ManualClock>,
    pub portal: Portal,
    pub router: Router,
    pub first_link: Option<String>,
}

impl Site {
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(Timestamp::from_micros(1_523_232_000_000_000)));
        Self::open(folder, clock).await
    }

    pub async fn open(folder: TempDir, clock: Arc<ManualClock>) -> Self {
        let portal = start(Self::setup(&folder), &clock).await.unwrap();
        let router = router(&portal).unwrap();
        let mut first_link = None;
        portal.print_first_link(|link| first_link = Some(link.to_owned())).unwrap();
        Self { folder, clock, portal, router, first_link }
    }

    pub fn setup(folder: &TempDir) -> Setup {
        Setup {
            data: folder.path().join("data"),
            secret: folder.path().join("config/secret"),
            policy_dir: None,
            listen: ADDRESS.parse().unwrap(),
        }
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Closes, and starts over the same folder.
    pub async fn restart(self) -> Self {
        let Self { folder, clock, portal, router, .. } = self;
        portal.close().await.unwrap();
        drop((portal, router));
        Self::open(folder, clock).await
    }

    pub fn browser(&self) -> Browser {
        let router = self.router.clone();
        let (page, at) = (String::new(), String::new());
        let headers = vec![(header::USER_AGENT, "Test browser")];
        Browser { router, cookies: BTreeMap::new(), page, at, headers }
    }

    pub fn browser_with(&self, cookies: BTreeMap<String, String>) -> Browser {
        Browser { cookies, ..self.browser() }
    }

    /// The links in the outbox, oldest first, as paths.
    pub fn mails(&self) -> Vec<String> {
        self.outbox().iter().map(|mail| link_in(mail)).collect()
    }

    /// The link in the mail to this address. Mails of one moment have no order of their own.
    pub fn mailed(&self, to: &str) -> String {
        let mails = self.outbox();
        link_in(mails.iter().rfind(|mail| mail.contains(to)).unwrap())
    }

    /// The mails in the outbox, oldest first.
    pub fn outbox(&self) -> Vec<String> {
        let folder = std::fs::read_dir(self.data().join("outbox")).unwrap();
        let mut files: Vec<_> = folder.map(|entry| entry.unwrap().path()).collect();
        files.sort_by_key(|file| std::fs::metadata(file).unwrap().modified().unwrap());
        files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect()
    }

    /// A tenant's records, newest first.
    pub fn records(&self, tenant: &str) -> Vec<Record> {
        let filter = Filter::tenant(TenantId::new(tenant).unwrap());
        let page = self.portal.ledger().query(&filter, None, 10_000).unwrap();
        page.found.into_iter().map(|found| found.record).collect()
    }

    pub fn wait(&self, minutes: u64) {
        self.clock.advance(Duration::from_secs(minutes * 60));
    }

    /// The administrator of a tenant, activated and signed in.
    pub async fn administrator(&self, tenant: &str) -> Browser {
        let link = match tenant {
            "amigo" => path_of(self.first_link.as_ref().unwrap()),
            _ => self.mails().into_iter().find(|link| link.contains(tenant)).unwrap(),
        };
        let mut browser = self.browser();
        browser.activate(&link, PASSWORD).await;
        browser.sign_in(tenant, "administrator", PASSWORD).await;
        browser
    }
}

pub async fn start(setup: Setup, clock: &Arc<ManualClock>) -> Result<Portal, SetupError> {
    let clock: Arc<ManualClock> = Arc::clone(clock);
    Portal::open(setup, clock).await
}

pub fn path_of(link: &str) -> String {
    link.strip_prefix(&format!("http://{ADDRESS}")).unwrap().to_owned()
}

fn link_in(mail: &str) -> String {
    path_of(mail.lines().find(|line| line.starts_with("http://")).unwrap().trim())
}

pub struct Browser {
    router: Router,
    cookies: BTreeMap<String, String>,
    /// The page that is shown.
    pub page: String,
    /// Its path.
    pub at: String,
    /// What it sends with each request, beside its cookies.
    pub headers: Vec<(HeaderName, &'static str)>,
}

impl Browser {
    pub async fn send(&mut self, request: Request<Body>) -> Response<Body> {
        let mut request = request;
        let peer: SocketAddr = "127.0.0.1:50000".parse().unwrap();
        let connection = Connection::new(peer, Some(ADDRESS.parse().unwrap()));
        request.extensions_mut().insert(ConnectInfo(connection));
        let headers = request.headers_mut();
        headers.insert(header::HOST, ADDRESS.parse().unwrap());
        for (name, value) in &self.headers {
            headers.insert(name, value.parse().unwrap());
        }
        let jar: Vec<_> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if !jar.is_empty() {
            headers.insert(header::COOKIE, jar.join("; ").parse().unwrap());
        }
        let response = self.router.clone().oneshot(request).await.unwrap();
        for cookie in response.headers().get_all(header::SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            match value {
                "" => drop(self.cookies.remove(name)),
                value => drop(self.cookies.insert(name.to_owned(), value.to_owned())),
            }
        }
        response
    }

    /// Sends, follows redirects and keeps the page.
    async fn load(&mut self, request: Request<Body>) -> StatusCode {
        let mut path = request.uri().path().to_owned();
        let mut response = self.send(request).await;
        while let Some(to) = response.headers().get(header::LOCATION) {
            assert_eq!(response.status(), StatusCode::SEE_OTHER);
            path = to.to_str().unwrap().to_owned();
            response = self.send(Request::get(&path).body(Body::empty()).unwrap()).await;
        }
        let headers = response.headers();
        let policy = headers.get("content-security-policy").unwrap().to_str().unwrap();
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), 8 << 20).await.unwrap();
        self.page = String::from_utf8(body.to_vec()).unwrap();
        self.at = path;
        status
    }

    pub async fn get(&mut self, path: &str) -> StatusCode {
        self.load(Request::get(path).body(Body::empty()).unwrap()).await
    }

    /// Posts fields with the token of the page that is shown.
    pub async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> StatusCode {
        let mut body = format!("csrf_token={}", self.token());
        for (name, value) in fields {
            body.push_str(&format!("&{name}={}", encode(value)));
        }
        self.post_raw(path, body.into()).await
    }

    pub async fn post_raw(&mut self, path: &str, body: Vec<u8>) -> StatusCode {
        let request = Request::post(path)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header("sec-fetch-site", "same-origin")
            .header(header::ORIGIN, format!("http://{ADDRESS}"))
            .body(Body::from(body))
            .unwrap();
        self.load(request).await
    }

    /// What it would still have after the portal's restart, or send from another window.
    pub fn cookies(&self) -> BTreeMap<String, String> {
        self.cookies.clone()
    }

    pub fn token(&self) -> String {
        let after = self.page.split("name='csrf_token' value='").nth(1).unwrap_or_default();
        after.split('\'').next().unwrap_or_default().to_owned()
    }

    pub fn shows(&self, text: &str) -> bool {
        self.page.contains(text)
    }

    /// The first link of the page that begins so.
    pub fn link(&self, start: &str) -> String {
        let links = self.page.split("href='").skip(1).map(|rest| rest.split('\'').next().unwrap());
        let wanted = |link: &&str| link.starts_with(start) && link.len() > start.len();
        links.into_iter().filter(|link| !link.ends_with("/new")).find(wanted).unwrap().to_owned()
    }

    pub async fn activate(&mut self, link: &str, password: &str) {
        assert_eq!(self.get(link).await, StatusCode::OK);
        let status = self.post(link, &[("new", password), ("again", password)]).await;
        assert_eq!(status, StatusCode::OK, "{}", self.page);
        assert!(self.shows("Your password is set."), "{}", self.page);
    }

    pub async fn try_sign_in(&mut self, tenant: &str, name: &str, password: &str) -> StatusCode {
        let path = format!("/{tenant}/sign-in");
        assert_eq!(self.get(&path).await, StatusCode::OK);
        self.post(&path, &[("name", name), ("password", password)]).await
    }

    pub async fn sign_in(&mut self, tenant: &str, name: &str, password: &str) {
        assert_eq!(self.try_sign_in(tenant, name, password).await, StatusCode::OK, "{}", self.page);
        assert_eq!(self.at, format!("/{tenant}/campaigns"));
    }
}

pub fn encode(value: &str) -> String {
    value.bytes().map(|byte| format!("%{byte:02x}")).collect()
}
