//! FA-6, ST-11: a host's own column beside a store that was put back from a copy.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_docs,
    dead_code,
    reason = "tests"
)]

#[path = "column/memory.rs"]
mod column;
#[path = "restored/installation.rs"]
mod installation;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use column::{Column, foreign};
use installation::{Cut, Installation};
use vouchsafe::access_log::name;
use vouchsafe::core::UserId;
use vouchsafe::gate::{Acting, Code, Issued, Login, OpenError, Purpose};
use vouchsafe_testkit::{ManualClock, TestGate, Users, block_on, runs};

const PASSWORDS: [&str; 6] = [
    "Brass-Lantern7",
    "Copper-Kettle8",
    "Silver-Sextant9",
    "Walnut-Cabinet6",
    "Marble-Fountain5",
    "Velvet-Curtain4",
];
const NEXT: &str = "Granite-Harbour3";
/// Longer than a record may be older than what it is a record of, shorter than a session nobody uses.
const A_WHILE: Duration = Duration::from_secs(65);

/// What happens to Ada's password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    /// By the host's own SQL.
    HostSets(&'static str),
    /// The first after the host has set one notices it, and upgrades its hash.
    SignIn,
    Change(&'static str),
    Reset(&'static str),
}

const LIFE: [Event; 8] = [
    Event::HostSets(PASSWORDS[0]),
    Event::SignIn,
    Event::Change(PASSWORDS[1]),
    Event::Reset(PASSWORDS[2]),
    Event::HostSets(PASSWORDS[3]),
    Event::SignIn,
    Event::Change(PASSWORDS[4]),
    Event::HostSets(PASSWORDS[5]),
];
/// After which of them the log says that Ada's password changed. The first look is no change.
const LOGGED: [bool; 8] = [false, false, true, true, false, true, true, false];
/// Which password was in force after each, and which of them the gate had seen.
const IN_FORCE: [usize; 8] = [0, 0, 1, 2, 3, 3, 4, 5];
const SEEN: [Option<usize>; 8] =
    [None, Some(0), Some(1), Some(2), Some(2), Some(3), Some(4), Some(4)];

/// An installation whose passwords are in the host's column, or in the store.
struct House {
    at: Installation,
    column: Option<Arc<Column>>,
    users: Users,
    ada: UserId,
}

impl House {
    fn new(folder: &Path, with_column: bool) -> Self {
        Self::of(folder, with_column, "u-ada")
    }

    fn of(folder: &Path, with_column: bool, ada: &str) -> Self {
        let users = Users::default();
        let ada = users.add(&TestGate::tenant(), ada, "staff", &["ada@acme.example", "ada"]);
        let column = with_column.then(Arc::default);
        Self { at: Installation::at(folder), column, users, ada }
    }

    /// The same, over other folders and with a column of its own.
    fn in_folder(&self, folder: &Path, text: Option<&str>) -> Self {
        let clock = Arc::<ManualClock>::clone(&self.at.clock);
        let at = Installation { folder: folder.to_owned(), clock };
        let this = Self {
            at,
            column: Some(Arc::default()),
            users: self.users.clone(),
            ada: self.ada.clone(),
        };
        this.holds(text);
        this
    }

    fn open(&self, restored: bool) -> Result<TestGate, OpenError> {
        self.at.open_over(self.at.store(), &Cut::never(), |gate| {
            let gate = gate.accounts(self.users.clone());
            let gate = match &self.column {
                Some(column) => gate.credentials(Arc::clone(column)),
                None => gate,
            };
            if restored { gate.after_restore() } else { gate }
        })
    }

    /// Ada signs in for the first time, with a password from elsewhere or by a link.
    fn first(&self, gate: &TestGate, password: &str) -> Issued {
        match &self.column {
            Some(_) => self.holds(Some(&foreign(password))),
            None => gate.activate(&TestGate::tenant(), &self.ada, password),
        }
        gate.sign_in("ada", password)
    }

    fn holds(&self, text: Option<&str>) {
        *self.column.as_ref().unwrap().text.lock().unwrap() = text.map(str::to_owned);
    }

    fn text(&self) -> Option<String> {
        self.column.as_ref().unwrap().text.lock().unwrap().clone()
    }

    /// Which passwords get in, however many wrong ones were tried, and what the others are told.
    fn entering(&self, gate: &TestGate) -> (Vec<&'static str>, Vec<Code>) {
        let (mut let_in, mut codes) = (Vec::new(), Vec::new());
        for password in PASSWORDS.into_iter().chain([NEXT]) {
            operator(gate, |operator| block_on(operator.unlock(&self.ada)).unwrap());
            match block_on(gate.login("ada", password)) {
                Login::SignedIn(_) => let_in.push(password),
                Login::Refused(refused) => codes.push(refused.code()),
                other => panic!("{other:?}"),
            }
        }
        (let_in, codes)
    }

    fn is_older(&self) -> bool {
        matches!(self.open(false), Err(OpenError::OlderStore { .. }))
    }
}

fn operator<T>(gate: &TestGate, act: impl FnOnce(Acting<'_>) -> T) -> T {
    let call = TestGate::call();
    act(gate.gate.operator(&TestGate::tenant(), name!("test"), &call).unwrap())
}

/// Asks for a link and follows it; whether one came and set the password.
fn reset(gate: &TestGate, password: &str) -> bool {
    block_on(gate.gate.request_reset(&TestGate::attempt("ada"))).unwrap();
    block_on(gate.gate.upkeep());
    let Some(token) = gate.mail.token() else { return false };
    let (tenant, call) = (TestGate::tenant(), TestGate::call());
    let set = gate.gate.redeem(&tenant, Purpose::Reset, &token, password.to_owned(), &call);
    block_on(set).is_ok()
}

fn copy_folder(from: &Path, to: &Path) {
    let made = std::process::Command::new("cp").arg("-a").arg(from).arg(to).status();
    assert!(made.unwrap().success());
}

/// After each event: the column's text; a copy of the store, `copy-n.db`; everything else in a folder
/// `moment-n`.
struct Life {
    scratch: tempfile::TempDir,
    house: House,
    texts: Vec<Option<String>>,
    /// Sessions, with the number of the event that opened them.
    sessions: Vec<(usize, String)>,
}

impl Life {
    fn lived() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let folder = scratch.path().join("at");
        std::fs::create_dir(&folder).unwrap();
        let house = House::new(&folder, true);
        let (mut texts, mut sessions) = (Vec::new(), Vec::new());
        for (number, event) in LIFE.into_iter().enumerate() {
            let gate = house.open(false).unwrap();
            let password = PASSWORDS[IN_FORCE[number.saturating_sub(1)]];
            match event {
                Event::HostSets(password) => house.holds(Some(&foreign(password))),
                Event::SignIn => {
                    let opened = gate.sign_in("ada", password);
                    sessions.push((number, opened.token().expose().to_owned()));
                }
                Event::Change(new) => {
                    let (session, call) = (gate.sign_in("ada", password), TestGate::call());
                    let acting = gate.gate.by(session.principal(), &call).unwrap();
                    let changed = acting.change_password(password.to_owned(), new.to_owned());
                    let changed = block_on(changed).unwrap();
                    sessions.push((number, changed.token().expose().to_owned()));
                }
                Event::Reset(new) => assert!(reset(&gate, new)),
            }
            drop(gate);
            house.at.clock.advance(A_WHILE);
            // What a copy is the latest of is said when a gate opens.
            drop(house.open(false).unwrap());
            house.at.back_up(&format!("copy-{number}.db"));
            copy_folder(&folder, &scratch.path().join(format!("moment-{number}")));
            texts.push(house.text());
        }
        Self { scratch, house, texts, sessions }
    }

    /// As it was after event `moment`, with the column of event `text`.
    fn again(&self, moment: usize, text: usize) -> (tempfile::TempDir, House) {
        let scratch = tempfile::tempdir().unwrap();
        let folder = scratch.path().join("at");
        copy_folder(&self.scratch.path().join(format!("moment-{moment}")), &folder);
        let house = self.house.in_folder(&folder, self.texts[text].as_deref());
        (scratch, house)
    }

    fn is_open(&self, gate: &TestGate, session: &str) -> bool {
        let (tenant, call) = (TestGate::tenant(), TestGate::call());
        block_on(gate.gate.check(&tenant, session, &call)).is_ok()
    }
}

/// The store goes back from each moment to each one before, and the column stays, or goes back to any.
/// Where the log says that the password changed since, none gets in until a link sets one. Else it is
/// the column's that does, unless it was replaced already when the copy was made.
#[test]
fn whatever_is_put_back_no_replaced_password_gets_in() {
    let life = Life::lived();
    let (mut tried, mut changes) = (0, 0);
    let stride = runs(4, 1);
    for moment in 1..LIFE.len() {
        for copy in 0..moment {
            for text in (0..=moment).filter(|text| (moment + copy + text).is_multiple_of(stride)) {
                let what = format!("from {moment} to {copy}, the column to {text}");
                let (_scratch, house) = life.again(moment, text);
                house.at.put_back(&format!("copy-{copy}.db"));
                assert!(house.is_older(), "{what}");
                let gate = house.open(true).unwrap();
                let changed = LOGGED[copy + 1..=moment].contains(&true);
                let listed = gate.gate.restored().unwrap().users.len();
                assert_eq!(listed, usize::from(changed), "{what}");
                tried += 1;
                for (_, session) in &life.sessions {
                    assert!(!life.is_open(&gate, session), "{what}");
                }
                let (let_in, codes) = house.entering(&gate);
                let replaced = changed || text < copy;
                let expected = if replaced { vec![] } else { vec![PASSWORDS[IN_FORCE[text]]] };
                assert_eq!(let_in, expected, "{what}");
                if replaced {
                    assert!(codes.iter().all(|code| *code == Code::ResetRequired), "{what}");
                    assert!(reset(&gate, NEXT), "{what}");
                    assert_eq!(house.entering(&gate).0, [NEXT], "{what}");
                    changes += 1;
                }
                let rewritten = replaced || matches!(LIFE[text], Event::HostSets(_));
                assert_eq!(house.text() != life.texts[text], rewritten, "{what}");
                // The column goes back once more.
                house.holds(life.texts[text].as_deref());
                let again = if replaced { vec![] } else { expected };
                assert_eq!(house.entering(&gate).0, again, "{what}");
            }
        }
    }
    assert!(tried > 30 && changes > 20 && tried > changes, "{tried} {changes}");
}

/// The store stays, and the column goes back to each moment.
#[test]
fn a_column_that_goes_back_alone_lets_no_replaced_password_in() {
    let life = Life::lived();
    let mut kept = 0;
    for (moment, seen) in SEEN.into_iter().enumerate().skip(1) {
        for text in 0..=moment {
            let what = format!("at {moment}, the column to {text}");
            let (_scratch, house) = life.again(moment, text);
            let gate = house.open(false).unwrap();
            let open = |session: &&(usize, String)| life.is_open(&gate, &session.1);
            // Those of the password that the gate has seen last.
            let before: Vec<_> = life.sessions.iter().filter(open).collect();
            let (let_in, _) = house.entering(&gate);
            let known = seen == Some(IN_FORCE[text]);
            let expected = match text == moment || known {
                true => vec![PASSWORDS[IN_FORCE[text]]],
                false => vec![],
            };
            assert_eq!(let_in, expected, "{what}");
            // What the host has set ends them; what is the past or the present does not.
            let after: Vec<_> = life.sessions.iter().filter(open).collect();
            let noticed = text == moment && !known;
            assert_eq!(after.is_empty(), noticed || before.is_empty(), "{what}");
            kept += after.len();
        }
    }
    assert!(kept > 10, "{kept} sessions");
}

/// What the copy knows of somebody who was disabled since.
#[derive(Clone, Copy, Debug)]
enum Knows {
    Nothing,
    Invited,
    Password,
}

#[test]
fn who_was_disabled_since_is_disabled_again_whatever_the_copy_knew() {
    let password = PASSWORDS[0];
    for with_column in [true, false] {
        for knows in [Knows::Nothing, Knows::Invited, Knows::Password] {
            let what = format!("{with_column} {knows:?}");
            let folder = tempfile::tempdir().unwrap();
            let house = House::new(folder.path(), with_column);
            let text = foreign(password);
            let held = || {
                if with_column {
                    house.holds(Some(&text))
                }
            };
            if !matches!(knows, Knows::Invited) {
                held();
            }
            // Ada comes, by whatever she has.
            let comes = |gate: &TestGate| {
                if !with_column {
                    gate.activate(&TestGate::tenant(), &house.ada, password);
                }
                gate.sign_in("ada", password)
            };
            let gate = house.open(false).unwrap();
            match knows {
                Knows::Nothing => {}
                Knows::Invited => drop(gate.invite(&house.ada)),
                Knows::Password => drop(comes(&gate)),
            }
            drop(gate);
            house.at.clock.advance(A_WHILE);
            let gate = house.open(false).unwrap();
            house.at.back_up("copy.db");
            house.at.clock.advance(A_WHILE);
            held();
            let _session = match knows {
                Knows::Password => gate.sign_in("ada", password),
                _ => comes(&gate),
            };
            operator(&gate, |operator| block_on(operator.disable(&house.ada)).unwrap());
            drop(gate);
            house.at.put_back("copy.db");
            assert!(house.is_older(), "{what}");
            let gate = house.open(true).unwrap();
            let users = [(TestGate::tenant(), house.ada.clone())];
            assert_eq!(gate.gate.restored().unwrap().users, users, "{what}");
            assert_eq!(house.entering(&gate).0, [""; 0], "{what}");
            assert!(!reset(&gate, NEXT), "{what}");
            assert_eq!(house.entering(&gate).0, [""; 0], "{what}");
            operator(&gate, |operator| {
                let invited = block_on(operator.invite(&house.ada)).unwrap_err();
                assert_eq!(invited.code(), Code::Disabled, "{what}");
                block_on(operator.enable(&house.ada)).unwrap();
            });
            // As whoever's password changed: a link sets the next one.
            assert_eq!(house.entering(&gate).0, [""; 0], "{what}");
            gate.activate(&TestGate::tenant(), &house.ada, NEXT);
            assert_eq!(house.entering(&gate).0, [NEXT], "{what}");
        }
    }
}

/// As directories have it: a backslash stands escaped in the log.
#[test]
fn whose_id_is_escaped_in_the_log_is_not_missed() {
    for with_column in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let house = House::of(folder.path(), with_column, r"ACME\ada");
        let gate = house.open(false).unwrap();
        drop(house.first(&gate, PASSWORDS[0]));
        drop(gate);
        house.at.clock.advance(A_WHILE);
        let gate = house.open(false).unwrap();
        house.at.back_up("copy.db");
        house.at.clock.advance(A_WHILE);
        assert!(reset(&gate, PASSWORDS[1]));
        drop(gate);
        house.at.put_back("copy.db");
        assert!(house.is_older());
        let gate = house.open(true).unwrap();
        let users = [(TestGate::tenant(), house.ada.clone())];
        assert_eq!(gate.gate.restored().unwrap().users, users, "{with_column}");
        assert_eq!(house.entering(&gate).0, [""; 0], "{with_column}");
        assert!(reset(&gate, NEXT));
        assert_eq!(house.entering(&gate).0, [NEXT], "{with_column}");
    }
}

/// What the host sets, and that it takes a password away, makes a copy older once it is noticed: the
/// copy would bring back what it ended.
#[test]
fn a_copy_is_older_as_soon_as_the_host_has_changed_a_password() {
    for text in [None, Some(foreign(PASSWORDS[1]))] {
        let folder = tempfile::tempdir().unwrap();
        let house = House::new(folder.path(), true);
        let gate = house.open(false).unwrap();
        let session = house.first(&gate, PASSWORDS[0]);
        let is_open = |gate: &TestGate| {
            let (tenant, call) = (TestGate::tenant(), TestGate::call());
            block_on(gate.gate.check(&tenant, session.token().expose(), &call)).is_ok()
        };
        house.at.back_up("copy.db");
        assert!(is_open(&gate));
        house.holds(text.as_deref());
        assert!(matches!(block_on(gate.login("ada", PASSWORDS[0])), Login::Refused(_)));
        assert!(!is_open(&gate));
        house.at.back_up("latest.db");
        drop(gate);
        house.at.put_back("copy.db");
        assert!(house.is_older(), "{}", text.is_some());
        house.at.put_back("latest.db");
        assert!(!is_open(&house.open(false).unwrap()));
    }
}

/// The host's table of users was put back, too, or does not answer when the gate opens.
#[test]
fn whom_nobody_knows_at_the_restore_is_let_in_again_later() {
    for with_column in [true, false] {
        for disabled in [true, false] {
            let what = format!("{with_column} {disabled}");
            let folder = tempfile::tempdir().unwrap();
            let mut house = House::new(folder.path(), with_column);
            drop(house.open(false).unwrap());
            house.at.clock.advance(A_WHILE);
            let gate = house.open(false).unwrap();
            house.at.back_up("copy.db");
            house.at.clock.advance(A_WHILE);
            drop(house.first(&gate, PASSWORDS[0]));
            assert!(reset(&gate, PASSWORDS[1]), "{what}");
            if disabled {
                operator(&gate, |operator| block_on(operator.disable(&house.ada)).unwrap());
            }
            drop(gate);
            house.at.put_back("copy.db");
            house.users = Users::default();
            let gate = house.open(true).unwrap();
            let names = ["ada@acme.example", "ada"];
            assert_eq!(house.users.add(&TestGate::tenant(), "u-ada", "staff", &names), house.ada);
            assert_eq!(house.entering(&gate).0, [""; 0], "{what}");
            if disabled {
                assert!(!reset(&gate, NEXT), "{what}");
                operator(&gate, |operator| block_on(operator.enable(&house.ada)).unwrap());
                assert_eq!(house.entering(&gate).0, [""; 0], "{what}");
                // Whoever asks again at once is not mailed twice.
                house.at.clock.advance(Duration::from_secs(3_600));
            }
            // Who has a password in the column asks for a link; who has none is invited anew.
            if with_column {
                assert!(reset(&gate, NEXT), "{what}");
            } else {
                gate.activate(&TestGate::tenant(), &house.ada, NEXT);
            }
            assert_eq!(house.entering(&gate).0, [NEXT], "{what}");
        }
    }
}
