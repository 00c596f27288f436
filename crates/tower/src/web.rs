//! What is configured, and in which order do the layers stand.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::request::Parts;
use vouchsafe::core::{Clock, Entropy, TenantId, TrustedProxies};
use vouchsafe::gate::{Gate, Issued};
use vouchsafe::os::{SystemClock, SystemEntropy};
use vouchsafe::session::{Binding, Cookie, CsrfKeys, CsrfToken, LinkOrigin, PreLoginId, Token};

use crate::around::Around;
use crate::csrf::CsrfStep;
use crate::headers::{HeadersStep, SecurityHeaders};
use crate::limit::{LimitOf, LimitStep};
use crate::session::{Cookies, Names, SessionStep};
use crate::transport::{Transport, TransportStep};
use crate::{BuildError, Reason, Refusal};

/// Longest body by default: forms are short. 64 KiB.
const BODY_LIMIT: usize = 64 * 1024;

type TenantOf = Arc<dyn Fn(&Parts) -> Option<TenantId> + Send + Sync>;

/// The web side of one gate: layers, cookies and form tokens. Cloning shares it.
#[derive(Clone)]
pub struct Web(Arc<Inner>);

struct Inner {
    gate: Gate,
    tenant_of: TenantOf,
    transport: Transport,
    origins: Vec<LinkOrigin>,
    headers: SecurityHeaders,
    limit: LimitOf,
    keys: CsrfKeys,
    names: BTreeMap<TenantId, Arc<Names>>,
    nameless: Arc<Names>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

/// Puts a [`Web`] together.
#[must_use = "nothing is protected before `build` and `Web::protect`"]
pub struct WebBuilder {
    gate: Gate,
    tenant_of: Option<TenantOf>,
    transport: Transport,
    loopback: Option<SocketAddr>,
    origins: Vec<LinkOrigin>,
    headers: SecurityHeaders,
    limit: LimitOf,
    origin_per_tenant: bool,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

/// The tenant named by the first segment of the path: `acme` in `/acme/login`.
#[must_use]
pub fn first_segment(parts: &Parts) -> Option<TenantId> {
    let segment = parts.uri.path().strip_prefix('/')?.split('/').next()?;
    TenantId::new(segment).ok()
}

impl WebBuilder {
    /// How to find a request's tenant, such as [`first_segment`]. A tenant that the gate does not
    /// serve counts as none.
    pub fn tenant(
        mut self,
        tenant_of: impl Fn(&Parts) -> Option<TenantId> + Send + Sync + 'static,
    ) -> Self {
        self.tenant_of = Some(Arc::new(tenant_of));
        self
    }

    /// The proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed. They have to set
    /// both, and must not hand on what clients write there.
    pub fn trusting(mut self, proxies: TrustedProxies) -> Self {
        self.transport.proxies = proxies;
        self
    }

    /// This process ends TLS itself: every connection to it is one.
    pub fn tls_here(mut self) -> Self {
        self.transport.tls = true;
        self
    }

    /// For development: plain HTTP, from a loopback address to this listener on a loopback
    /// address, under loopback names only, and not through a proxy. The cookies get other names.
    pub fn insecure_loopback(mut self, listener: SocketAddr) -> Self {
        self.loopback = Some(listener);
        self
    }

    /// A further origin that our own pages are served under, beside the gate's.
    pub fn origin(mut self, origin: LinkOrigin) -> Self {
        self.origins.push(origin);
        self
    }

    /// Every tenant has an origin of its own, so all may use the plain cookie names. Otherwise,
    /// with several tenants, each tenant's cookies carry the tenant's name:
    /// `__Host-Http-sid-acme`.
    pub fn origin_per_tenant(mut self) -> Self {
        self.origin_per_tenant = true;
        self
    }

    /// The headers of every response; [`SecurityHeaders::strict`] by default.
    pub fn headers(mut self, headers: SecurityHeaders) -> Self {
        self.headers = headers;
        self
    }

    /// The longest body in bytes, by request; 64 KiB by default. Takes the place of axum's own
    /// limit.
    pub fn body_limit(mut self, limit: impl Fn(&Parts) -> usize + Send + Sync + 'static) -> Self {
        self.limit = Arc::new(limit);
        self
    }

    /// Where the present moment comes from; the operating system by default.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Where fresh bytes come from; the operating system by default.
    pub fn entropy(mut self, entropy: Arc<dyn Entropy>) -> Self {
        self.entropy = entropy;
        self
    }

    /// Checks that the parts agree.
    ///
    /// # Errors
    /// [`BuildError`] says which do not.
    pub fn build(self) -> Result<Web, BuildError> {
        let Self { gate, mut transport, mut origins, .. } = self;
        let tenant_of = self.tenant_of.ok_or(BuildError::NoTenantFunction)?;
        if let Some(listener) = self.loopback {
            if !listener.ip().to_canonical().is_loopback() {
                return Err(BuildError::NotLoopback);
            }
            transport.insecure_loopback = true;
        }
        if !transport.insecure_loopback
            && !transport.tls
            && transport.proxies == TrustedProxies::none()
        {
            return Err(BuildError::NoTransport);
        }
        origins.push(gate.origin().clone());
        if origins.iter().any(|o| o.is_insecure_loopback() != transport.insecure_loopback) {
            return Err(BuildError::OriginScheme);
        }
        let plain = |cookie: Cookie| {
            if transport.insecure_loopback { cookie.insecure_loopback() } else { cookie }
        };
        let nameless = Names {
            session: plain(Cookie::session()),
            pre_login: plain(Cookie::pre_login()),
            device: plain(Cookie::device()),
        };
        let suffixed = !self.origin_per_tenant && gate.tenants().nth(1).is_some();
        let mut names = BTreeMap::new();
        for tenant in gate.tenants() {
            let named = |cookie: &Cookie| {
                let cookie = cookie.clone();
                let named = if suffixed { cookie.suffixed(tenant.as_str()) } else { Ok(cookie) };
                named.map_err(|_| BuildError::TenantCookie(tenant.clone()))
            };
            let session = named(&nameless.session)?;
            let pre_login = named(&nameless.pre_login)?;
            let device = named(&nameless.device)?;
            names.insert(tenant.clone(), Arc::new(Names { session, pre_login, device }));
        }
        let keys = CsrfKeys::new(&gate.keyring().token_root());
        Ok(Web(Arc::new(Inner {
            gate,
            tenant_of,
            transport,
            origins,
            headers: self.headers,
            limit: self.limit,
            keys,
            names,
            nameless: Arc::new(nameless),
            clock: self.clock,
            entropy: self.entropy,
        })))
    }
}

impl Web {
    /// The web side of `gate`.
    pub fn builder(gate: Gate) -> WebBuilder {
        WebBuilder {
            gate,
            tenant_of: None,
            transport: Transport::default(),
            loopback: None,
            origins: Vec::new(),
            headers: SecurityHeaders::strict(),
            limit: Arc::new(|_| BODY_LIMIT),
            origin_per_tenant: false,
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy::new()),
        }
    }

    /// The gate.
    #[must_use]
    pub fn gate(&self) -> &Gate {
        &self.0.gate
    }

    /// Puts every layer around `router`, in the right order. Serve it with
    /// `into_make_service_with_connect_info::<Connection>()`.
    pub fn protect<S: Clone + Send + Sync + 'static>(&self, router: Router<S>) -> Router<S> {
        router
            .layer(DefaultBodyLimit::disable())
            .layer(self.csrf())
            .layer(self.session())
            .layer(self.limit())
            .layer(self.transport_layer())
            .layer(self.security_headers())
    }

    /// The layer that adds the security headers. Outermost.
    #[must_use]
    pub fn security_headers(&self) -> Around<HeadersStep> {
        Around(HeadersStep(self.clone()))
    }

    /// The layer that refuses plain HTTP and notes where a request comes from.
    #[must_use]
    pub fn transport_layer(&self) -> Around<TransportStep> {
        Around(TransportStep(self.clone()))
    }

    /// The layer that limits bodies.
    #[must_use]
    pub fn limit(&self) -> Around<LimitStep> {
        Around(LimitStep { limit: Arc::clone(&self.0.limit) })
    }

    /// The layer that reads the cookies. Inside [`transport_layer`](Self::transport_layer).
    #[must_use]
    pub fn session(&self) -> Around<SessionStep> {
        Around(SessionStep(self.clone()))
    }

    /// The layer against requests of other sites' pages. Inside [`session`](Self::session).
    #[must_use]
    pub fn csrf(&self) -> Around<CsrfStep> {
        Around(CsrfStep(self.clone()))
    }

    /// The cookies of a response that signs somebody in: the session's, the device's where the policy
    /// has device counters, and the one before sign-in taken away. The device's stays when the
    /// session ends, and comes back with every [`Call`](crate::Call).
    pub fn signed_in(&self, issued: &Issued) -> Cookies {
        let names = self.names(Some(issued.principal().tenant()));
        // Without an age there is nothing that `set` could refuse.
        let session = names.session.set(issued.token(), None).ok();
        // A device is known for no longer than a cookie may be kept.
        let device = issued.device().and_then(|device| {
            names.device.set_text(device.expose(), Some(device.valid_for())).ok()
        });
        Cookies(session.into_iter().chain(device).chain([names.pre_login.clear()]).collect())
    }

    /// The cookies of a response that signs somebody out.
    pub fn signed_out(&self, tenant: &TenantId) -> Cookies {
        Cookies(vec![self.names(Some(tenant)).session.clear()])
    }

    pub(crate) fn tenant_of(&self, parts: &Parts) -> Option<TenantId> {
        (self.0.tenant_of)(parts).filter(|tenant| self.0.names.contains_key(tenant))
    }

    pub(crate) fn names(&self, tenant: Option<&TenantId>) -> &Arc<Names> {
        tenant.and_then(|tenant| self.0.names.get(tenant)).unwrap_or(&self.0.nameless)
    }

    pub(crate) fn transport(&self) -> &Transport {
        &self.0.transport
    }

    pub(crate) fn headers_config(&self) -> &SecurityHeaders {
        &self.0.headers
    }

    pub(crate) fn origins(&self) -> &[LinkOrigin] {
        &self.0.origins
    }

    pub(crate) fn new_pre_login(&self) -> Result<(Token, PreLoginId), Refusal> {
        let made = self.0.keys.pre_login(self.0.clock.now(), &self.0.entropy);
        made.map_err(|_| Reason::NoEntropy.into())
    }

    pub(crate) fn read_pre_login(&self, text: &[u8]) -> Option<PreLoginId> {
        self.0.keys.read_pre_login(text, self.0.clock.now()).ok()
    }

    pub(crate) fn form_token(&self, binding: &Binding) -> Result<CsrfToken, Refusal> {
        self.0.keys.token(binding, &self.0.entropy).map_err(|_| Reason::NoEntropy.into())
    }

    pub(crate) fn is_form_token(&self, binding: &Binding, text: &[u8]) -> bool {
        self.0.keys.verify(binding, text)
    }
}

impl fmt::Debug for Web {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Web").field("gate", &self.0.gate).finish_non_exhaustive()
    }
}
