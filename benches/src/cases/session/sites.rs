//! The same little site, signed in to three ways.

use std::collections::HashMap;
use std::convert::Infallible;
use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::http::{HeaderValue, StatusCode, header};
use axum::routing::get;
use axum_login::{AuthManagerLayerBuilder, AuthSession, AuthUser, AuthnBackend, UserId};
use tokio::runtime::Builder;
use tower::ServiceExt;
use tower_sessions::{MemoryStore, Session, SessionManagerLayer};
use vouchsafe::access_log::name;
use vouchsafe::core::{Identifier, SecretString};
use vouchsafe::gate::{Attempt, Login};
use vouchsafe::os::SystemClock;
use vouchsafe::policy::Policy;
use vouchsafe::session::Cookie;
use vouchsafe_testkit::{TestGate, block_on};
use vouchsafe_tower::{Principal, Web};

use crate::Result;

const SESSIONS: u64 = 100_000;
const PASSWORD: &str = "Brass-Lantern7";
/// What the first layer of ours looks for, and a server puts there.
type PeerAddress = ConnectInfo<SocketAddr>;

/// A site, and the cookies of its visitors.
#[derive(Clone)]
pub struct Site {
    /// The site.
    pub router: Router,
    /// The cookies.
    pub cookies: Arc<[HeaderValue]>,
}

/// Where every request comes from.
pub fn peer_address() -> PeerAddress {
    ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 40_000)))
}

/// The route alone.
pub fn bare() -> Router {
    Router::new().route("/", get(|| async { StatusCode::NO_CONTENT }))
}

impl Site {
    /// Ours: a gate over a store in memory, each session of another user. Made once.
    pub fn ours() -> Result<Self> {
        static MADE: Mutex<Option<Site>> = Mutex::new(None);
        let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(site) = &*made {
            return Ok(site.clone());
        }
        let acme = TestGate::tenant();
        let store = vouchsafe::store::MemoryStore::new(1 << 30);
        let policies = (acme.clone(), Policy::preset("zoomph-2018")?);
        let opened = TestGate::over(policies, store, |gate| gate.clock(Arc::new(SystemClock)));
        let test = block_on(opened)?;
        let cookie = Cookie::session();
        let mut cookies = Vec::new();
        for number in 0..SESSIONS {
            let name = format!("user{number}@acme.example");
            // From all over the world: one address may not do this often.
            let spread = u32::try_from(number * u64::from(u32::MAX) / SESSIONS)?;
            let call = TestGate::call_from(&Ipv4Addr::from(spread).to_string());
            let user = test.users.add(&acme, &format!("u{number}"), "consumer", &[&name]);
            block_on(test.gate.operator(&acme, name!("peers"), &call)?.invite(&user))?;
            let mail = test.mail.take().pop().ok_or("no mail")?;
            let token = mail.link.expose().rsplit('/').next().unwrap_or_default();
            let password = PASSWORD.to_owned();
            let _used = block_on(test.gate.redeem(&acme, mail.purpose, token, password, &call))?;
            let attempt = Attempt::new(acme.clone(), Identifier::new(&name)?, call);
            let login = test.gate.login(&attempt, SecretString::new(PASSWORD.to_owned()));
            let Login::SignedIn(issued) = block_on(login) else {
                return Err("not signed in".into());
            };
            let text = format!("{}={}", cookie.name(), issued.token().expose());
            cookies.push(HeaderValue::from_str(&text)?);
            drop(test.recorded());
        }
        let tenant_of = move |_: &axum::http::request::Parts| Some(acme.clone());
        let web = Web::builder(test.gate).tenant(tenant_of).tls_here().build()?;
        let router = Router::new()
            .route("/", get(principal))
            .layer(web.session())
            .layer(web.transport_layer());
        Ok(made.insert(Self { router, cookies: cookies.into() }).clone())
    }

    /// tower-sessions: the session holds the user's number.
    pub fn tower_sessions() -> Result<Self> {
        let router = Router::new()
            .route("/", get(stored))
            .route("/{user}", get(store))
            .layer(SessionManagerLayer::new(MemoryStore::default()));
        Self::signed_in(router)
    }

    /// axum-login: the session holds the user's number, and the user comes from a map.
    pub fn axum_login() -> Result<Self> {
        let users = (0..SESSIONS).map(|id| (id, User { id, hash: vec![7; 32] })).collect();
        let sessions = tower_sessions_memory_store::MemoryStore::default();
        let sessions = axum_login::tower_sessions::SessionManagerLayer::new(sessions);
        let layer = AuthManagerLayerBuilder::new(Directory(Arc::new(users)), sessions).build();
        let router =
            Router::new().route("/", get(loaded)).route("/{user}", get(sign_in)).layer(layer);
        Self::signed_in(router)
    }

    /// Visits the page that signs in, once for each session.
    fn signed_in(router: Router) -> Result<Self> {
        let runtime = Builder::new_current_thread().build()?;
        let cookies = runtime.block_on(async {
            let mut cookies = Vec::new();
            for number in 0..SESSIONS {
                let request = Request::builder().uri(format!("/{number}"));
                let request = request.body(axum::body::Body::empty())?;
                let response = router.clone().oneshot(request).await?;
                let cookie = response.headers().get(header::SET_COOKIE).ok_or("no cookie")?;
                let pair = cookie.to_str()?.split(';').next().unwrap_or_default();
                cookies.push(HeaderValue::from_str(pair)?);
            }
            Ok::<_, crate::Error>(cookies)
        })?;
        Ok(Self { router, cookies: cookies.into() })
    }
}

async fn principal(principal: Principal) -> StatusCode {
    black_box(principal.user());
    StatusCode::NO_CONTENT
}

async fn store(
    axum::extract::Path(user): axum::extract::Path<u64>,
    session: Session,
) -> Result<StatusCode, StatusCode> {
    let stored = session.insert("user", user).await;
    stored.map(|()| StatusCode::NO_CONTENT).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}

async fn stored(session: Session) -> StatusCode {
    match session.get::<u64>("user").await {
        Ok(Some(user)) => {
            black_box(user);
            StatusCode::NO_CONTENT
        }
        _ => StatusCode::UNAUTHORIZED,
    }
}

#[derive(Clone, Debug)]
struct User {
    id: u64,
    hash: Vec<u8>,
}

impl AuthUser for User {
    type Id = u64;

    fn id(&self) -> u64 {
        self.id
    }

    fn session_auth_hash(&self) -> &[u8] {
        &self.hash
    }
}

#[derive(Clone, Debug)]
struct Directory(Arc<HashMap<u64, User>>);

impl AuthnBackend for Directory {
    type User = User;
    type Credentials = u64;
    type Error = Infallible;

    async fn authenticate(&self, user: u64) -> Result<Option<User>, Infallible> {
        self.get_user(&user).await
    }

    async fn get_user(&self, user: &UserId<Self>) -> Result<Option<User>, Infallible> {
        Ok(self.0.get(user).cloned())
    }
}

async fn sign_in(
    axum::extract::Path(user): axum::extract::Path<u64>,
    mut session: AuthSession<Directory>,
) -> Result<StatusCode, StatusCode> {
    let Ok(Some(user)) = session.authenticate(user).await else {
        return Err(StatusCode::UNAUTHORIZED);
    };
    let signed_in = session.login(&user).await;
    signed_in.map(|()| StatusCode::NO_CONTENT).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}

async fn loaded(session: AuthSession<Directory>) -> StatusCode {
    match session.user {
        Some(user) => {
            black_box(user.id);
            StatusCode::NO_CONTENT
        }
        None => StatusCode::UNAUTHORIZED,
    }
}
