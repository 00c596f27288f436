//! Which server is asked: the only one, or that of a cluster which has the cells.
//!
//! Who has them the servers tell when another is asked. So the first call in each group may take one
//! round trip more, and no more do until the group moves.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::Value;
use tokio::time::{Instant, sleep, timeout};
use vouchsafe_core::Space;
use vouchsafe_store::StoreError;

use crate::RedisError;
use crate::dial::{Address, Dialer};
use crate::link::{Call, Failure, MANY, Node, Shared};
use crate::server::{OnDegraded, Servers};

/// How long the first connections may take, which the host waits for.
const OPENING: Duration = Duration::from_secs(5);
/// How often a call is sent on at once. Beyond, it is sent in circles, or what it needs is being moved.
const AT_ONCE: u32 = 3;
/// Before it is tried again then, until its deadline.
const AGAIN: Duration = Duration::from_millis(5);

/// Everything behind the store, on its own thread.
pub(crate) struct Core {
    shared: Arc<Shared>,
    first: Address,
    /// With the first.
    given: Vec<Address>,
    routes: Mutex<Routes>,
    turn: AtomicUsize,
}

#[derive(Default)]
struct Routes {
    nodes: HashMap<Address, Arc<Node>>,
    owners: HashMap<(Space, u8), Arc<Node>>,
}

/// Where a server sends us instead of answering.
enum Elsewhere {
    /// There, from now on.
    Moved(Address),
    /// There, this once.
    Ask(Address),
    /// Here, a little later.
    Later,
}

impl Core {
    pub(crate) fn new(
        dialer: Dialer,
        first: Address,
        others: Vec<Address>,
        deadline: Duration,
        on_degraded: Option<OnDegraded>,
    ) -> Self {
        let (servers, several) = (Servers::new(on_degraded), !others.is_empty());
        let given = std::iter::once(first.clone()).chain(others).collect();
        let shared = Shared { dialer, deadline, servers, several, cluster: Mutex::default() };
        let (routes, turn) = (Mutex::default(), AtomicUsize::new(0));
        Self { shared: Arc::new(shared), first, given, routes, turn }
    }

    pub(crate) fn servers(&self) -> &Servers {
        &self.shared.servers
    }

    /// Connects for the first time: to a server that was given, and to all primaries of its cluster.
    pub(crate) async fn open(&self) -> Result<(), RedisError> {
        let within = OPENING.max(self.shared.deadline);
        let late = |_| RedisError::Unreachable("no answer while connecting".to_owned());
        timeout(within, self.open_all(within)).await.map_err(late)?
    }

    async fn open_all(&self, within: Duration) -> Result<(), RedisError> {
        let each = u32::try_from(self.given.len()).ok().and_then(|len| within.checked_div(len));
        let each = each.unwrap_or(within);
        let mut opened = Err(RedisError::Unreachable("no address".to_owned()));
        for address in &self.given {
            opened = self.node(address).open(each).await;
            if opened.is_ok() {
                break;
            }
        }
        opened?;
        for (address, primary) in self.cluster() {
            if primary {
                self.node(&address).open(within).await?;
            }
        }
        Ok(())
    }

    /// Sends one request to whoever has the cells, and waits for the answer, until `deadline`.
    pub(crate) async fn ask(&self, call: Call, deadline: Instant) -> Result<Value, Failure> {
        let (mut node, mut asking) = (self.owner(call.group), false);
        let mut sent = 0_u32;
        loop {
            let error = match node.ask(&call, asking, deadline).await {
                Ok(answer) => {
                    self.routes().owners.entry(call.group).or_insert(node);
                    return Ok(answer);
                }
                Err(Failure::Server(error)) => error,
                Err(failure) => {
                    self.forget(&node);
                    return Err(failure);
                }
            };
            // A server of no cluster has nobody to send us to.
            let elsewhere = elsewhere(&error, &node.address);
            let elsewhere = match elsewhere.filter(|_| !self.cluster().is_empty()) {
                Some(elsewhere) => elsewhere,
                None => {
                    if node.has_failed() {
                        self.forget(&node);
                    }
                    return Err(Failure::Server(error));
                }
            };
            sent = sent.saturating_add(1);
            if sent > AT_ONCE || matches!(elsewhere, Elsewhere::Later) {
                // Too late is for servers that do not answer; these do.
                if deadline.saturating_duration_since(Instant::now()) <= AGAIN {
                    return Err(Failure::Store(StoreError::unavailable(error.to_string())));
                }
                sleep(AGAIN).await;
            }
            (node, asking) = match elsewhere {
                Elsewhere::Moved(to) => {
                    let node = self.node(&to);
                    self.routes().owners.insert(call.group, Arc::clone(&node));
                    (node, false)
                }
                Elsewhere::Ask(to) => (self.node(&to), true),
                Elsewhere::Later => (self.owner(call.group), false),
            };
        }
    }

    fn routes(&self) -> MutexGuard<'_, Routes> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cluster(&self) -> Vec<(Address, bool)> {
        self.shared.cluster.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn node(&self, address: &Address) -> Arc<Node> {
        let make = || Arc::new(Node::new(address.clone(), Arc::clone(&self.shared)));
        let mut routes = self.routes();
        if routes.nodes.len() >= MANY {
            routes.nodes.clear();
        }
        Arc::clone(routes.nodes.entry(address.clone()).or_insert_with(make))
    }

    /// Who had the group last; or somebody who knows.
    fn owner(&self, group: (Space, u8)) -> Arc<Node> {
        let owner = self.routes().owners.get(&group).cloned();
        owner.unwrap_or_else(|| self.somebody())
    }

    /// The first that serves, primaries first; if none does, each in turn.
    fn somebody(&self) -> Arc<Node> {
        let mut cluster = self.cluster();
        cluster.sort_by_key(|(_, primary)| !primary);
        let known = cluster.iter().map(|(address, _)| address).chain(&self.given);
        let nodes: Vec<Arc<Node>> = known.map(|address| self.node(address)).collect();
        let serves = nodes.iter().position(|node| !node.has_failed());
        let turn = self.turn.fetch_add(1, Ordering::Relaxed).checked_rem(nodes.len());
        let chosen = serves.or(turn).and_then(|at| nodes.into_iter().nth(at));
        chosen.unwrap_or_else(|| self.node(&self.first))
    }

    /// It does not serve: whoever has taken over is found anew.
    fn forget(&self, node: &Arc<Node>) {
        self.routes().owners.retain(|_, owner| !Arc::ptr_eq(owner, node));
    }
}

fn elsewhere(error: &redis::RedisError, by: &Address) -> Option<Elsewhere> {
    let there = || by.said_by(error.redirect_node()?.0);
    match error.code()? {
        "MOVED" => there().map(Elsewhere::Moved),
        "ASK" => there().map(Elsewhere::Ask),
        "TRYAGAIN" => Some(Elsewhere::Later),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripts::Script;
    use crate::tls::Given;

    /// Where nobody listens.
    fn at(port: u16) -> Address {
        Address { host: "127.0.0.1".to_owned(), port }
    }

    fn core(first: u16, others: &[u16]) -> Core {
        let (dialer, _) = Dialer::new("redis://127.0.0.1", &Given::default()).unwrap();
        let others = others.iter().map(|port| at(*port)).collect();
        Core::new(dialer, at(first), others, Duration::from_secs(60), None)
    }

    /// Whoever is asked next, which does not serve.
    fn ask_somebody(core: &Core) -> u16 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (node, group) = (core.somebody(), (Space::Account, 0));
            let call = Call { script: Script::Load, group, keys: vec![], arguments: vec![] };
            let deadline = Instant::now().checked_add(Duration::from_secs(60)).unwrap();
            let asked = node.ask(&call, false, deadline).await;
            assert!(matches!(asked, Err(Failure::Store(_))));
            node.address.port
        })
    }

    #[test]
    fn primaries_are_asked_first_then_replicas_and_then_who_was_given() {
        let core = core(1, &[2]);
        let cluster = vec![(at(3), false), (at(4), true), (at(5), true), (at(1), false)];
        *core.shared.cluster.lock().unwrap() = cluster;
        let asked: Vec<u16> = (0..5).map(|_| ask_somebody(&core)).collect();
        assert_eq!(asked, [4, 5, 3, 1, 2]);
        // None of them serves: each in turn, those that are known twice as often.
        let mut asked: Vec<u16> = (0..12).map(|_| ask_somebody(&core)).collect();
        asked.sort_unstable();
        assert_eq!(asked, [1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]);
    }

    #[test]
    fn a_node_is_one_however_often_it_is_asked_for_and_they_are_not_kept_without_end() {
        let core = core(1, &[]);
        let first = core.node(&at(7));
        assert!(Arc::ptr_eq(&first, &core.node(&at(7))));
        let more = |from: u16, count: usize| {
            for port in (from..).take(count) {
                core.node(&at(port));
            }
        };
        more(1000, MANY - 2);
        assert!(Arc::ptr_eq(&first, &core.node(&at(7))));
        more(9000, 1);
        assert_eq!(core.routes().nodes.len(), MANY);
        more(9001, 1);
        assert_eq!(core.routes().nodes.len(), 1);
    }
}
