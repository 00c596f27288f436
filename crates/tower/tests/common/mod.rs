//! A small site over a whole gate, and a browser that keeps its cookies.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::net::SocketAddr;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, Request};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use http_body_util::BodyExt;
use tower::ServiceExt;
use vouchsafe::core::{Identifier, SecretString, TenantId, TrustedProxies};
use vouchsafe::gate::{Attempt, Login};
use vouchsafe::policy::Policy;
use vouchsafe_testkit::TestGate;
use vouchsafe_tower::{
    Call, CsrfToken, OptionalPrincipal, Presented, Principal, Refusal, Source, Tenant, Web,
    WebBuilder, complete, first_segment,
};

pub const PASSWORD: &str = "Brass-Lantern7";
pub const ORIGIN: &str = "https://portal.example";
pub const PROXY: &str = "10.0.0.1:40000";

pub fn policy() -> Policy {
    Policy::preset("zoomph-2018").unwrap()
}

/// The fields of an URL-encoded body whose values need no decoding.
pub fn fields(body: &Bytes) -> Vec<(String, String)> {
    let text = std::str::from_utf8(body).unwrap();
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

async fn login_page(token: CsrfToken) -> Html<String> {
    Html(format!("<form method=post>{}</form>", token.field()))
}

async fn login(
    web: Web,
    Tenant(tenant): Tenant,
    Call(call): Call,
    Presented(old): Presented,
    body: Bytes,
) -> Result<Response, Refusal> {
    let fields = fields(&body);
    let field = |name: &str| fields.iter().find(|(n, _)| n == name).unwrap().1.clone();
    let identifier = Identifier::new(&field("name")).unwrap();
    let attempt = Attempt::new(tenant, identifier, call).replacing(old);
    let password = SecretString::new(field("password"));
    let gate = web.gate().clone();
    match complete(async move { gate.login(&attempt, password).await }).await? {
        Login::SignedIn(issued) => Ok((web.signed_in(&issued), "in").into_response()),
        Login::Next(_) => Ok("next".into_response()),
        Login::Refused(refused) => Err(refused.into()),
    }
}

async fn logout(
    web: Web,
    Call(call): Call,
    Principal(principal): Principal,
) -> Result<Response, Refusal> {
    let tenant = principal.tenant().clone();
    let gate = web.gate().clone();
    complete(async move { gate.sign_out(principal, &call).await }).await??;
    Ok((web.signed_out(&tenant), "out").into_response())
}

async fn me(principal: Principal) -> String {
    principal.user().as_str().to_owned()
}

async fn maybe(OptionalPrincipal(principal): OptionalPrincipal) -> String {
    principal.map_or("nobody".to_owned(), |principal| principal.user().as_str().to_owned())
}

async fn source(Source(source): Source) -> String {
    match source.address() {
        Some(address) => format!("{}", address.ip()),
        None => format!("{source:?}"),
    }
}

async fn tenant(Tenant(tenant): Tenant) -> String {
    tenant.to_string()
}

/// The pages of the site, unprotected.
pub fn pages() -> Router {
    let asset = || async { ([(header::CACHE_CONTROL, "public, max-age=60")], "asset") };
    Router::new()
        .route("/{tenant}/login", get(login_page).post(login))
        .route("/{tenant}/logout", post(logout))
        .route("/{tenant}/me", get(me))
        .route("/{tenant}/maybe", get(maybe))
        .route("/{tenant}/tenant", get(tenant))
        .route("/{tenant}/asset", get(asset))
        .route("/{tenant}/source", get(source))
        .route("/{tenant}/echo", axum::routing::any(|body: Bytes| async move { body }))
}

pub fn proxies() -> TrustedProxies {
    TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()])
}

pub struct Site {
    pub gate: TestGate,
    pub web: Web,
    pub router: Router,
}

impl Site {
    /// One tenant, `acme`, behind a proxy that ends TLS; ada works there.
    pub fn open() -> Self {
        let gate = TestGate::open(policy());
        gate.add("ada@acme.example", "staff", PASSWORD);
        Self::over(gate, |web| web)
    }

    pub fn over(gate: TestGate, more: impl FnOnce(WebBuilder) -> WebBuilder) -> Self {
        let web = Web::builder(gate.gate.clone()).tenant(first_segment).trusting(proxies());
        let web = more(web.clock(gate.clock.clone())).build().unwrap();
        let router = web.protect(pages());
        Self { gate, web, router }
    }

    pub async fn send(&self, request: Request) -> Answer {
        answer(self.router.clone().oneshot(request).await.unwrap()).await
    }

    pub fn browser(&self) -> Browser<'_> {
        Browser { site: self, cookies: Vec::new(), address: "203.0.113.7".to_owned() }
    }
}

pub fn two_tenants() -> Site {
    let tenants = ["acme", "zoom"].map(|tenant| (TenantId::new(tenant).unwrap(), policy()));
    let policies: vouchsafe::gate::Policies = tenants.into_iter().collect();
    let store = vouchsafe::store::MemoryStore::new(1 << 24);
    let gate = TestGate::over(policies, store, |gate| gate);
    let gate = vouchsafe_testkit::block_on(gate).unwrap();
    for tenant in ["acme", "zoom"] {
        let tenant_id = TenantId::new(tenant).unwrap();
        let (user, name) = (format!("u-{tenant}"), format!("ada@{tenant}.example"));
        let user = gate.users.add(&tenant_id, &user, "staff", &[&name]);
        gate.activate(&tenant_id, &user, PASSWORD);
    }
    Site::over(gate, |web| web)
}

/// A response with its body.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
    pub refusal: Option<Refusal>,
}

pub async fn answer(response: Response) -> Answer {
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    Answer {
        status: parts.status,
        headers: parts.headers,
        body: String::from_utf8(bytes.to_vec()).unwrap(),
        refusal: parts.extensions.get::<Refusal>().cloned(),
    }
}

impl Answer {
    pub fn set_cookies(&self) -> Vec<&str> {
        let all = self.headers.get_all(header::SET_COOKIE).iter();
        all.map(|value| value.to_str().unwrap()).collect()
    }

    pub fn code(&self) -> &str {
        self.body.lines().nth(1).unwrap_or_default()
    }

    /// The form token of a page.
    pub fn token(&self) -> &str {
        let rest = self.body.split_once("value=\"").unwrap().1;
        rest.split_once('"').unwrap().0
    }
}

/// A request as it comes from the proxy.
pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: Body) -> Request {
    let method: Method = method.parse().unwrap();
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(body).unwrap();
    let proxy: SocketAddr = PROXY.parse().unwrap();
    request.extensions_mut().insert(ConnectInfo(proxy));
    request
}

/// The headers that a browser and the proxy add to a request of our own page.
pub const OWN: [(&str, &str); 3] =
    [("x-forwarded-proto", "https"), ("sec-fetch-site", "same-origin"), ("origin", ORIGIN)];

pub const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

pub struct Browser<'a> {
    pub site: &'a Site,
    pub cookies: Vec<(String, String)>,
    pub address: String,
}

impl Browser<'_> {
    pub fn cookie_header(&self) -> String {
        let pairs: Vec<_> = self.cookies.iter().map(|(n, v)| format!("{n}={v}")).collect();
        pairs.join("; ")
    }

    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    pub async fn send(
        &mut self,
        method: &str,
        path: &str,
        more: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let cookie = self.cookie_header();
        let mut headers = OWN.to_vec();
        headers.push(("x-forwarded-for", &self.address));
        if !cookie.is_empty() {
            headers.push(("cookie", &cookie));
        }
        headers.extend_from_slice(more);
        let answer =
            self.site.send(request(method, path, &headers, Body::from(body.to_owned()))).await;
        for cookie in answer.set_cookies() {
            let (pair, attributes) = cookie.split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            self.cookies.retain(|(n, _)| n != name);
            if !attributes.contains("Max-Age=0") {
                self.cookies.push((name.to_owned(), value.to_owned()));
            }
        }
        answer
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        self.send("GET", path, &[], "").await
    }

    /// Loads the sign-in page for its token, and posts the form.
    pub async fn post(&mut self, path: &str, fields: &str) -> Answer {
        let tenant = path.split('/').nth(1).unwrap();
        let page = self.get(&format!("/{tenant}/login")).await;
        let body = format!("csrf_token={}&{fields}", page.token());
        self.send("POST", path, &[FORM], &body).await
    }

    pub async fn sign_in(&mut self) -> Answer {
        let fields = format!("name=ada@acme.example&password={PASSWORD}");
        let answer = self.post("/acme/login", &fields).await;
        assert_eq!(answer.body, "in", "{answer:?}");
        answer
    }
}
