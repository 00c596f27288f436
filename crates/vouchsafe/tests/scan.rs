//! LK-11: who came, from where, and with which password, is looked for in everything that a gate leaves
//! behind: the cells and files of every store, the log's folder, and what its types show in `Debug`.
#![cfg(feature = "gate")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_docs,
    reason = "tests"
)]

use std::fmt::Debug;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64ct::{Base64, Base64UrlUnpadded, Encoding};
use vouchsafe::access_log::{VecSink, name};
use vouchsafe::core::{CellKey, Clock, Identifier, SecretString, Space, TenantId, Timestamp};
use vouchsafe::envelope::Keyring;
use vouchsafe::gate::{Attempt, Call, Checked, Login};
use vouchsafe::os::{SystemClock, SystemEntropy};
use vouchsafe::policy::Policy;
use vouchsafe::store::{Cells, MemoryStore, Put, Swap, Version};
use vouchsafe_ledger::{AeadSealer, Ledger, LedgerOptions, Origin};
use vouchsafe_store_postgres::PostgresStore;
use vouchsafe_store_redis::RedisStore;
use vouchsafe_store_sqlite::SqliteStore;
use vouchsafe_testkit::{PostgresServer, RedisServer, TestGate, block_on};

/// As typed, and as they are counted.
const KNOWN: &str = "Needle.Known@Marks.example";
const ALIAS: &str = "needle-alias";
const NOBODY: &str = "Needle.Nobody@Marks.example";
const RIGHT: &str = "Brass-Needle7-Lantern";
const NEXT: &str = "Copper-Needle8-Kettle";
const WRONG: &str = "Wrong-Needle9-Anvil";
const FROM: [&str; 2] = ["203.0.113.209", "2001:db8:5ca1:ab1e:77:88:99:aa"];
/// What is there, so that the search is seen to find.
const PLAIN: &str = "needle-in-plain-sight";

/// What a text may look like.
struct Needle(Vec<Vec<u8>>);

impl Needle {
    fn new(text: &'static str) -> Self {
        let mut raw = vec![text.as_bytes().to_vec(), text.to_lowercase().into_bytes()];
        match text.parse() {
            // Four bytes turn up by chance.
            Ok(IpAddr::V6(address)) => {
                raw.push(address.octets().to_vec());
                // Nor the block that it is counted in.
                raw.push(address.octets()[..8].to_vec());
            }
            _ => raw.push(text.encode_utf16().flat_map(u16::to_le_bytes).collect()),
        }
        let mut forms = raw.clone();
        for bytes in &raw {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            forms.extend([hex.to_uppercase().into_bytes(), hex.into_bytes()]);
            // At any place of a longer text: less what its neighbours have a part in.
            for shift in 0..3 {
                let mut shifted = vec![0; shift];
                shifted.extend(bytes);
                let (from, len) = ([0, 2, 3][shift], shifted.len() * 8 / 6);
                forms.push(Base64::encode_string(&shifted).as_bytes()[from..len].to_vec());
                let url = Base64UrlUnpadded::encode_string(&shifted);
                forms.push(url.as_bytes()[from..len].to_vec());
            }
        }
        forms.sort();
        forms.dedup();
        Self(forms)
    }

    fn is_in(&self, hay: &[u8]) -> bool {
        self.0.iter().any(|form| is_inside(hay, form))
    }
}

fn is_inside(hay: &[u8], needle: &[u8]) -> bool {
    let Some(first) = needle.first() else { return false };
    let mut rest = hay;
    while let Some(at) = rest.iter().position(|byte| byte == first) {
        if rest[at..].starts_with(needle) {
            return true;
        }
        rest = &rest[at + 1..];
    }
    false
}

fn nothing_shows(place: &str, hay: &[u8]) {
    for text in [KNOWN, ALIAS, NOBODY, RIGHT, NEXT, WRONG, FROM[0], FROM[1]] {
        assert!(!Needle::new(text).is_in(hay), "{text} shows in {place}");
    }
}

fn files(folder: &Path) -> Vec<u8> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        found.extend(path.file_name().unwrap().as_encoded_bytes());
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.is_file() {
            // A server may take a file away meanwhile.
            found.extend(std::fs::read(&path).unwrap_or_default());
        }
    }
    found
}

/// Every key and value.
fn cells(store: &impl Cells) -> Vec<u8> {
    let mut found = Vec::new();
    for space in Space::ALL {
        for key in block_on(store.scan(space, None, 10_000)).unwrap() {
            found.extend(key.digest);
            let cell = block_on(store.load(key)).unwrap().cell.unwrap();
            found.extend(cell.bytes);
        }
    }
    found
}

fn from(address: &str) -> Call {
    TestGate::call_from(address).labelled("Some Browser")
}

/// What people do, and what is seen of it in `Debug`.
fn journey(house: &TestGate) -> String {
    let mut seen = String::new();
    let mut see = |thing: &dyn Debug| seen.push_str(&format!("{thing:?} {thing:#?}\n"));
    let (tenant, gate) = (TestGate::tenant(), &house.gate);
    let user = house.users.add(&tenant, "u-needle", "staff", &[KNOWN, ALIAS]);
    house.activate(&tenant, &user, RIGHT);
    let attempt = |name: &str, address: &str| {
        Attempt::new(tenant.clone(), Identifier::new(name).unwrap(), from(address))
    };
    let secret = |text: &str| SecretString::new(text.to_owned());
    let known = attempt(KNOWN, FROM[0]);
    see(&(&known, secret(RIGHT), from(FROM[1]), &user));
    let admitted = block_on(gate.admit(&known)).unwrap();
    see(&admitted);
    let Checked::Authenticated(authenticated) = block_on(admitted.password(secret(RIGHT))) else {
        panic!("the right password is refused");
    };
    see(&authenticated);
    let issued = block_on(authenticated.open()).unwrap();
    see(&issued);
    let call = from(FROM[0]);
    let principal = block_on(gate.check(&tenant, issued.token().expose(), &call)).unwrap();
    see(&principal);
    let own = gate.by(&principal, &call).unwrap();
    see(&own);
    see(&block_on(own.change_password(secret(RIGHT), secret(NEXT))));
    for guess in 0..7 {
        for name in [ALIAS, KNOWN, NOBODY] {
            let login = block_on(gate.login(&attempt(name, FROM[guess % 2]), secret(WRONG)));
            assert!(matches!(login, Login::Refused(_)));
            see(&login);
        }
    }
    for name in [ALIAS, NOBODY] {
        see(&block_on(gate.request_reset(&attempt(name, FROM[1]))));
        see(&block_on(gate.request_unlock(&attempt(name, FROM[1]))));
    }
    see(&block_on(gate.upkeep()));
    let mails = house.mail.take();
    assert!(!mails.is_empty());
    see(&mails);
    let operator = gate.operator(&tenant, name!("test"), &call).unwrap();
    see(&(&operator, block_on(operator.states(std::slice::from_ref(&user))).unwrap()));
    see(&(block_on(operator.lock(&user)), block_on(operator.sessions(&user))));
    see(&block_on(operator.unlock(&user)));
    see(&(gate, gate.work(), gate.policy(&tenant).unwrap(), gate.origin(), gate.keyring()));
    see(&house.recorded());
    seen
}

/// Walks a gate over `store` through it all, and gives what else it left behind to be looked at.
fn walked<C: Cells + 'static>(store: C, left: impl FnOnce(&C) -> Vec<(&'static str, Vec<u8>)>) {
    let store = Arc::new(store);
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let keyring = Arc::new(Keyring::ephemeral(&SystemEntropy::new()).unwrap());
    let origin = Origin::new("test.example/log").unwrap();
    let options = LedgerOptions::new(origin, TenantId::new("portal").unwrap());
    let sealer = AeadSealer::new(keyring.ledger_root());
    let signing = keyring.ledger_signing(0);
    let now = SystemClock.now();
    let ledger = Ledger::open(&log, options, signing, sealer, SystemEntropy::new(), now).unwrap();
    let policies = (TestGate::tenant(), Policy::preset("zoomph-2018").unwrap());
    let house =
        TestGate::recording(policies, Arc::clone(&store), ledger, VecSink::new(1), |gate| {
            gate.danger_store_may_roll_back().keys(keyring).clock(Arc::new(SystemClock))
        });
    let house = block_on(house).unwrap();
    nothing_shows("Debug", journey(&house).as_bytes());
    nothing_shows("Debug of the store", format!("{:?}", house.gate).as_bytes());
    let kept = cells(&store);
    assert!(kept.len() > 1_000, "{} bytes in cells", kept.len());
    nothing_shows("the cells", &kept);
    let control = CellKey::new(Space::System, [7; 16]);
    let put = Put::save(PLAIN.into(), Timestamp::MAX, Version::new([7; 16]));
    assert_eq!(block_on(store.swap(control, None, put)).unwrap(), Swap::Done);
    drop(house);
    for (place, hay) in left(&store) {
        assert!(Needle::new(PLAIN).is_in(&hay), "the search does not see into {place}");
        nothing_shows(place, &hay);
    }
    let written = files(&log);
    assert!(is_inside(&written, b"test.example/log") && written.len() > 5_000);
    nothing_shows("the log's folder", &written);
}

#[test]
fn the_search_finds_every_form() {
    for text in [KNOWN, FROM[0], FROM[1]] {
        let needle = Needle::new(text);
        let bytes = text.as_bytes();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let shown = [text.to_owned(), text.to_lowercase(), hex.to_uppercase(), hex];
        for shown in shown {
            assert!(needle.is_in(format!("a {shown} z").as_bytes()), "{shown}");
        }
        for before in 0..6 {
            let mut longer = vec![b'.'; before];
            longer.extend(bytes);
            longer.extend(b"after");
            for shown in [Base64::encode_string(&longer), Base64UrlUnpadded::encode_string(&longer)]
            {
                assert!(needle.is_in(shown.as_bytes()), "{text} after {before}");
            }
        }
        assert!(!needle.is_in(b"needle, Marks, 203.0.113.20"));
    }
}

#[test]
fn nobody_shows_in_memory() {
    walked(MemoryStore::new(1 << 24), |store| {
        nothing_shows("Debug of the store", format!("{store:?}").as_bytes());
        vec![("the cells", cells(store))]
    });
}

#[test]
fn nobody_shows_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let patient = Duration::from_secs(60);
    let store =
        SqliteStore::builder(folder.path().join("cells.db")).deadline(patient).open().unwrap();
    walked(store, |_| vec![("the file", files(folder.path()))]);
}

#[test]
fn nobody_shows_in_redis() {
    let server = RedisServer::with(&["rdbcompression no"]);
    let patient = Duration::from_secs(30);
    let store = RedisStore::builder(server.url()).deadline(patient).open().unwrap();
    walked(store, |_| {
        assert_eq!(server.ask(&["SAVE"]), "OK");
        vec![("the server's folder", files(server.folder()))]
    });
}

#[test]
fn nobody_shows_in_postgres() {
    let server = PostgresServer::start();
    let patient = Duration::from_secs(60);
    let options = PostgresStore::builder(server.url().parse().unwrap());
    let options = options.deadline(patient).connect_timeout(patient).danger_accept_unsynced();
    walked(block_on(options.open()).unwrap(), |_| {
        let table = server.psql("SELECT * FROM public.vouchsafe_cells");
        server.psql("CHECKPOINT");
        // Tables, their log, and what the server says.
        vec![("the table", table.into()), ("the server's folder", files(server.folder()))]
    });
}
