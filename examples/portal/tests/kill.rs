//! `kill -9` in the middle of the story: what was acknowledged is there, and nothing comes back.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_docs,
    reason = "tests"
)]

mod trial;

use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::Scope;
use std::time::Duration;

use trial::client::{Answer, Client};
use trial::house::{House, Running};
use trial::{between, wait_for};
use vouchsafe::core::Entropy;
use vouchsafe::os::SystemEntropy;
use vouchsafe_testkit::runs;

const PASSWORD: &str = "Sieben!Zwetschgen-7-am-Hang";
const CHANGED: &str = "Acht!Zwetschgen-8-am-Hang";
const WRONG: &str = "Neun!Zwetschgen-9-am-Hang";

/// Something that was asked for: whether its answer arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// No: it may have happened or not.
    Asked,
    /// Yes: it has happened.
    Done,
}

/// A campaign as its editor knows it: each state it was asked to take, in order; `None` is deleted.
#[derive(Debug)]
struct Edited {
    title: String,
    /// Its number in the portal, once its creation was acknowledged.
    id: Option<String>,
    /// Notes; the last entry alone may be unanswered.
    states: Vec<(Option<String>, Told)>,
}

/// One person, from invitation to sign-out.
#[derive(Default)]
struct Lived {
    name: String,
    invited: Option<Told>,
    activated: Option<Told>,
    changed: Option<Told>,
    /// The session that is left, and whether its end was asked for.
    session: Option<Client>,
    signed_out: Option<Told>,
}

/// One tenant, and how its document locks.
struct Tenant {
    name: &'static str,
    failures: usize,
}

const TENANTS: [Tenant; 2] =
    [Tenant { name: "amigo", failures: 10 }, Tenant { name: "zoomph", failures: 5 }];

/// What the clients of one tenant remember of one run.
#[derive(Default)]
struct Memory {
    campaigns: Mutex<Vec<Edited>>,
    people: Mutex<Vec<Lived>>,
    /// Wrong passwords for the run's victim: asked, and answered.
    wrong: (AtomicUsize, AtomicUsize),
    acknowledged: AtomicUsize,
}

impl Memory {
    fn acknowledge(&self) {
        self.acknowledged.fetch_add(1, Ordering::SeqCst);
    }
}

fn random(below: u64) -> u64 {
    let bytes: [u8; 8] = SystemEntropy::new().bytes().unwrap();
    u64::from_le_bytes(bytes) % below
}

fn done(answer: &Answer) {
    assert_eq!(answer.status, 303, "{}", answer.body);
}

fn invite(client: &mut Client, tenant: &str, name: &str) -> io::Result<Answer> {
    client.get(&format!("/{tenant}/users"))?;
    let email = format!("{name}@{tenant}.example");
    let fields =
        [("email", email.as_str()), ("name", name), ("class", "staff"), ("role", "member")];
    client.post(&format!("/{tenant}/users"), &fields)
}

/// Makes, changes and deletes campaigns until the portal is gone.
fn edit(memory: &Memory, mut client: Client, tenant: &str, run: usize) -> io::Result<()> {
    let list = format!("/{tenant}/campaigns");
    for number in 0.. {
        let title = format!("Campaign {run} {number}");
        let told = |memory: &Memory, state: Option<Option<String>>| {
            let mut campaigns = memory.campaigns.lock().unwrap();
            match state {
                Some(state) => campaigns.last_mut().unwrap().states.push((state, Told::Asked)),
                None => {
                    campaigns.last_mut().unwrap().states.last_mut().unwrap().1 = Told::Done;
                    memory.acknowledge();
                }
            }
        };
        memory.campaigns.lock().unwrap().push(Edited {
            title: title.clone(),
            id: None,
            states: Vec::new(),
        });
        client.get(&format!("{list}/new"))?;
        told(memory, Some(Some("first".into())));
        done(&client.post(&list, &[("title", &title), ("notes", "first")])?);
        told(memory, None);
        let page = client.get(&list)?;
        let id = id_of(&page.body, &title, tenant).expect("an acknowledged campaign is listed");
        memory.campaigns.lock().unwrap().last_mut().unwrap().id = Some(id.to_owned());
        let path = format!("{list}/{id}");
        client.get(&path)?;
        told(memory, Some(Some("second".into())));
        done(&client.post(&path, &[("title", &title), ("notes", "second")])?);
        told(memory, None);
        if number % 2 == 0 {
            client.get(&format!("{path}/delete"))?;
            told(memory, Some(None));
            done(&client.post(&format!("{path}/delete"), &[])?);
            told(memory, None);
        }
    }
    Ok(())
}

fn id_of<'a>(list: &'a str, title: &str, tenant: &str) -> Option<&'a str> {
    let before = list.split_once(&format!("'>{title}</a>"))?.0;
    before.rsplit_once(&format!("/{tenant}/campaigns/")).map(|(_, id)| id)
}

/// Invites people who activate, sign in, change their password and sign out.
fn live(
    memory: &Memory,
    mut administrator: Client,
    house: &House,
    portal: (&str, &str),
    run: usize,
) -> io::Result<()> {
    let (address, tenant) = portal;
    for number in 0.. {
        let name = format!("person-{run}-{number}");
        memory.people.lock().unwrap().push(Lived { name: name.clone(), ..Lived::default() });
        let note =
            |set: &dyn Fn(&mut Lived)| set(memory.people.lock().unwrap().last_mut().unwrap());
        note(&|person| person.invited = Some(Told::Asked));
        done(&invite(&mut administrator, tenant, &name)?);
        note(&|person| person.invited = Some(Told::Done));
        memory.acknowledge();
        let link = house.mailed(&format!("{name}@{tenant}.example"));
        let link = link.expect("an acknowledged invitation is in the outbox");
        // Whose source nobody else shares, so that no throttle for sources is in the way.
        let source = format!("127.{}.{}.2", run % 250 + 1, number % 250 + 1);
        let mut client = Client::new(address, &source);
        note(&|person| person.activated = Some(Told::Asked));
        client.redeem(&Running::path(&link), PASSWORD)?.shows("is set");
        note(&|person| person.activated = Some(Told::Done));
        memory.acknowledge();
        done(&client.sign_in(tenant, &name, PASSWORD)?);
        memory.acknowledge();
        note(&|person| person.session = Some(client.moved(address)));
        client.get(&format!("/{tenant}/account"))?;
        note(&|person| {
            // The old session ends with the change, whenever that is.
            person.session = None;
            person.changed = Some(Told::Asked);
        });
        let fields = [("present", PASSWORD), ("new", CHANGED), ("again", CHANGED)];
        let path = format!("/{tenant}/account/password");
        client.post(&path, &fields)?.shows("Your password is changed");
        note(&|person| {
            person.changed = Some(Told::Done);
            person.session = Some(client.moved(address));
        });
        memory.acknowledge();
        if number % 2 == 0 {
            client.get(&format!("/{tenant}/account"))?;
            note(&|person| person.signed_out = Some(Told::Asked));
            done(&client.post(&format!("/{tenant}/sign-out"), &[])?);
            note(&|person| person.signed_out = Some(Told::Done));
            memory.acknowledge();
        }
    }
    Ok(())
}

/// Guesses a victim's password until it is locked, slowly enough to be killed in between.
fn guess(memory: &Memory, mut client: Client, tenant: &Tenant, victim: &str) -> io::Result<()> {
    let path = format!("/{}/sign-in", tenant.name);
    client.get(&path)?;
    while memory.wrong.1.load(Ordering::SeqCst) < tenant.failures {
        memory.wrong.0.fetch_add(1, Ordering::SeqCst);
        let answer = client.post(&path, &[("name", victim), ("password", WRONG)])?;
        assert_eq!(answer.status, 401, "{}", answer.body);
        memory.wrong.1.fetch_add(1, Ordering::SeqCst);
        memory.acknowledge();
    }
    Ok(())
}

/// The end of a client is the portal's end, and nothing else.
fn until_killed(ended: io::Result<()>) {
    if let Err(error) = ended {
        use io::ErrorKind::{BrokenPipe, ConnectionRefused, ConnectionReset, UnexpectedEof};
        let expected = [BrokenPipe, ConnectionRefused, ConnectionReset, UnexpectedEof];
        assert!(expected.contains(&error.kind()), "{error}");
    }
}

/// Somebody at an address that was hardly used before.
fn stranger(address: &str) -> Client {
    let source = format!("127.251.{}.{}", random(250) + 1, random(250) + 1);
    Client::new(address, &source)
}

fn signed_in(address: &str, tenant: &str, name: &str, password: &str) -> bool {
    stranger(address).sign_in(tenant, name, password).unwrap().status == 303
}

fn state(list: &str, name: &str) -> Option<String> {
    let row = list.split_once(&format!("'>{name}</a>"))?.1;
    Some(between(row, "data-label='State'>", "</td>")?.to_owned())
}

fn check_campaigns(client: &mut Client, tenant: &str, campaigns: &[Edited]) {
    let list = client.get(&format!("/{tenant}/campaigns")).unwrap().body;
    for Edited { title, states, .. } in campaigns {
        let notes = id_of(&list, title, tenant).map(|id| {
            let page = client.get(&format!("/{tenant}/campaigns/{id}")).unwrap().body;
            between(&page, "aria-describedby='sealed'>\n", "</textarea>").unwrap().to_owned()
        });
        let done = states.iter().rev().find(|(_, told)| *told == Told::Done);
        let pending = states.last().filter(|(_, told)| *told == Told::Asked);
        let allowed =
            [Some(done.map_or(&None, |(state, _)| state)), pending.map(|(state, _)| state)];
        assert!(allowed.contains(&Some(&notes)), "{title}: {notes:?} after {states:?}");
    }
}

fn check_people(client: &mut Client, address: &str, tenant: &str, people: &mut [Lived]) {
    let list = client.get(&format!("/{tenant}/users")).unwrap().body;
    for person in people {
        let name = person.name.clone();
        let state = state(&list, &name);
        if person.invited == Some(Told::Done) {
            let state = state.as_deref().unwrap_or_else(|| panic!("{name} is gone"));
            match person.activated {
                None => assert_eq!(state, "invited", "{name}"),
                Some(Told::Done) => assert_eq!(state, "active", "{name}"),
                Some(Told::Asked) => {}
            }
        }
        if person.activated == Some(Told::Done) {
            let (old, new) = (
                signed_in(address, tenant, &name, PASSWORD),
                signed_in(address, tenant, &name, CHANGED),
            );
            match person.changed {
                None => assert!(old && !new, "{name}"),
                Some(Told::Done) => assert!(!old && new, "{name}"),
                Some(Told::Asked) => assert!(old != new, "{name}"),
            }
        }
        if let Some(session) = &person.session {
            let mut session = session.moved(address);
            let status = session.get(&format!("/{tenant}/campaigns")).unwrap().status;
            match person.signed_out {
                None => assert_eq!(status, 200, "{name} was signed in"),
                Some(Told::Done) => assert_eq!(status, 303, "{name} had signed out"),
                Some(Told::Asked) => {}
            }
        }
    }
}

fn is_locked(client: &mut Client, tenant: &str, victim: &str) -> bool {
    let list = client.get(&format!("/{tenant}/users")).unwrap().body;
    state(&list, victim).unwrap().starts_with("<strong>locked</strong>")
}

/// What was counted is still counted: as many more as are left to the limit are looked at, and
/// then it is locked. An attempt that the kill cut off, which is what it answers, may have been
/// charged or not, and a charge takes its time to count: the last one is then left to
/// [`check_locked`].
fn check_count(
    client: &mut Client,
    address: &str,
    tenant: &Tenant,
    victim: &str,
    memory: &Memory,
) -> bool {
    let (asked, answered) =
        (memory.wrong.0.load(Ordering::SeqCst), memory.wrong.1.load(Ordering::SeqCst));
    let Tenant { name: tenant, failures } = *tenant;
    let cut_off = asked > answered;
    let locked = is_locked(client, tenant, victim);
    assert!(!locked || asked >= failures, "{victim} of {tenant} is locked after {asked}");
    for attempt in answered + 1..=failures - usize::from(cut_off) {
        let status = stranger(address).sign_in(tenant, victim, WRONG).unwrap().status;
        assert_eq!(status, 401, "{victim} of {tenant}, {attempt} after {answered} of {asked}");
    }
    if !cut_off {
        assert!(is_locked(client, tenant, victim), "{victim} of {tenant} is not locked");
    }
    cut_off
}

/// A victim that has been tried as often as the limit says is locked, and stays so.
fn check_locked(client: &mut Client, address: &str, tenant: &str, victim: &str, cut_off: bool) {
    if cut_off {
        let status = stranger(address).sign_in(tenant, victim, WRONG).unwrap().status;
        // Free, locked, or waiting for a charge that is still to be settled.
        assert!([401, 429, 503].contains(&status), "{victim} of {tenant}: {status}");
        let patience = Duration::from_secs(30);
        wait_for("the lock", patience, || is_locked(client, tenant, victim).then_some(()));
    }
    assert!(is_locked(client, tenant, victim), "{victim} of {tenant} is not locked any more");
    assert!(!signed_in(address, tenant, victim, PASSWORD), "{victim} gets past the lock");
}

/// Everything that a tenant's people were told, looked for after a restart; whether a guess was
/// cut off.
fn check(
    mut client: Client,
    address: &str,
    tenant: &Tenant,
    victim: &str,
    memory: &Memory,
) -> bool {
    let name = tenant.name;
    check_campaigns(&mut client, name, &memory.campaigns.lock().unwrap());
    check_people(&mut client, address, name, &mut memory.people.lock().unwrap());
    let cut_off = check_count(&mut client, address, tenant, victim, memory);
    client.get(&format!("/{name}/log")).unwrap();
    client.post(&format!("/{name}/log/verify"), &[]).unwrap().shows("The log verifies");
    check_records(&mut client, name, memory);
    cut_off
}

/// A tenant's administrator, signed in.
fn administrator(portal: &Running, tenant: &Tenant, link: &str) -> Client {
    let mut client = portal.client();
    client.redeem(&Running::path(link), PASSWORD).unwrap().shows("is set");
    done(&client.sign_in(tenant.name, "administrator", PASSWORD).unwrap());
    client
}

/// One tenant's part of the story, in threads of `scope`, until the portal is gone.
fn begin<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    house: &'env House,
    (client, tenant): &'env (Client, &Tenant),
    (memory, victim): (&'env Memory, &'env str),
    (address, run): (&'env str, usize),
) {
    let (editor, inviter) = (client.moved(address), client.moved(address));
    let stranger = Client::new(address, &format!("127.252.{}.1", run % 250 + 1));
    scope.spawn(move || until_killed(edit(memory, editor, tenant.name, run)));
    scope.spawn(move || until_killed(live(memory, inviter, house, (address, tenant.name), run)));
    scope.spawn(move || until_killed(guess(memory, stranger, tenant, victim)));
}

#[test]
fn what_was_acknowledged_outlives_kill_nine() {
    let house = House::new();
    let mut portal = house.start(true);
    let links =
        [portal.link.clone().unwrap(), house.mailed("administrator@zoomph.example").unwrap()];
    // The administrators' sessions last through every kill.
    let sides: Vec<(Client, &Tenant)> = TENANTS
        .iter()
        .zip(&links)
        .map(|(tenant, link)| (administrator(&portal, tenant, link), tenant))
        .collect();
    let (mut acknowledged, mut victims) = (0, Vec::new());
    for run in 0..runs(5, 50) {
        let victim = format!("victim-{run}");
        for (client, Tenant { name, .. }) in &sides {
            done(&invite(&mut client.moved(&portal.address), name, &victim).unwrap());
            let link = house.mailed(&format!("{victim}@{name}.example")).unwrap();
            portal.client().redeem(&Running::path(&link), PASSWORD).unwrap().shows("is set");
        }
        let memories = [Memory::default(), Memory::default()];
        let told =
            || -> usize { memories.iter().map(|m| m.acknowledged.load(Ordering::SeqCst)).sum() };
        let address = portal.address.clone();
        let enough = 1 + usize::try_from(random(60)).unwrap();
        std::thread::scope(|scope| {
            for (side, memory) in sides.iter().zip(&memories) {
                begin(scope, &house, side, (memory, &victim), (&address, run));
            }
            wait_for("acknowledged changes", Duration::from_secs(60), || {
                (told() >= enough).then_some(())
            });
            // Somewhere between two acknowledgements: this is the random moment itself.
            std::thread::sleep(Duration::from_micros(random(30_000)));
            portal.kill();
        });
        acknowledged += told();

        portal = house.start(false);
        for ((client, tenant), memory) in sides.iter().zip(&memories) {
            let administrator = client.moved(&portal.address);
            let cut_off = check(administrator, &portal.address, tenant, &victim, memory);
            victims.push((client, tenant.name, victim.clone(), cut_off));
        }
    }
    // Every kill since then changed nothing about it.
    for (client, tenant, victim, cut_off) in victims {
        let mut client = client.moved(&portal.address);
        check_locked(&mut client, &portal.address, tenant, &victim, cut_off);
    }
    println!("{acknowledged} changes were acknowledged");
    assert_eq!(portal.stop(), Some(0));
}

/// Each acknowledged change of a campaign is in the log, under the campaign's own id.
fn check_records(client: &mut Client, tenant: &str, memory: &Memory) {
    let lines = client.get(&format!("/{tenant}/log/download")).unwrap();
    assert_eq!(lines.status, 200);
    let recorded = |operation: &str, id: &str| {
        let operation = format!("\"operation\":\"{operation}\"");
        let id = format!("\"{id}\"");
        lines.body.lines().any(|line| {
            line.contains(&operation) && line.contains(&id) && line.contains("\"campaign\"")
        })
    };
    let mut checked = 0;
    for campaign in &*memory.campaigns.lock().unwrap() {
        let Some(id) = &campaign.id else { continue };
        let operations = ["created", "updated", "deleted"];
        for ((_, told), operation) in campaign.states.iter().zip(operations) {
            if *told == Told::Done {
                assert!(recorded(operation, id), "campaign {id} was {operation} unrecorded");
                checked += 1;
            }
        }
    }
    assert!(checked > 0 || memory.acknowledged.load(Ordering::SeqCst) == 0);
}
