//! The life of an account, with everything on the way that has to be refused.

use std::sync::Arc;

use vouchsafe::access_log::{Operation, name};
use vouchsafe::core::{CellKey, Clock, Identifier, Space, Timestamp, UserId};
use vouchsafe::gate::{
    Account, Acting, Attempt, Code, Gate, Issued, Login, NotSet, Purpose, Redeemed,
};
use vouchsafe::lockout::{AccountKey, Subject};
use vouchsafe::password::{Attributes, Kind, Password, Unmet};
use vouchsafe::store::{Cells, Put, Swap};

use super::{Bench, Report, Seen, told};
use crate::pages::rules;
use crate::users::{Role, UsersError, fresh_text};
use crate::web::entity;

/// A clock that stands.
struct At(Timestamp);

impl Clock for At {
    fn now(&self) -> Timestamp {
        self.0
    }
}

/// Somebody of the probes' own.
struct Somebody<'a> {
    bench: &'a Bench,
    id: UserId,
    class: String,
    address: String,
    password: String,
}

pub(super) async fn run(bench: &Bench) -> Report {
    let classes: Vec<&str> = bench.document.classes().map(|(name, _)| name).collect();
    let staff = classes.iter().find(|class| **class == "staff").or(classes.first());
    let Some(class) = staff else { return Report::new() };
    let mut report = rules_of(bench, class, &classes).await;
    report.push(("A1.1", one_person_each(bench)));
    report.push(("Z4.3", one_person_each(bench)));
    report.push(("Z7.3", masked(bench, class)));
    report.push(("Z7.6", locks(bench).await));
    let made = bench.users.add_probe(&bench.tenant, class).and_then(|id| {
        let password = password().map_err(|_| UsersError::Malformed)?;
        let address = format!("{}@probe.invalid", id.as_str());
        Ok(Somebody { bench, id, class: (*class).to_owned(), address, password })
    });
    match made {
        Ok(somebody) => {
            if let Err((promise, why)) = somebody.live(&mut report).await {
                report.push((promise, Err(why)));
            }
            let call = Bench::call();
            if let Ok(operator) = bench.operator(&call) {
                // Nothing signs in with it from here on, whether it can be taken away or not.
                let _ = operator.disable(&somebody.id).await;
                if let Err(why) = somebody.take_away(&operator).await {
                    eprintln!("portal: the account of a probe stays, disabled: {why}");
                }
            }
            bench.users.remove_probe(&bench.tenant, &somebody.id);
        }
        Err(error) => report.push(("A1.2", Err(error.to_string()))),
    }
    report
}

/// A password that every rule lets pass.
fn password() -> Result<String, vouchsafe::core::NoEntropy> {
    Ok(format!("Kz7-{}", fresh_text()?))
}

impl Bench {
    async fn login(&self, gate: &Gate, name: &str, password: &str) -> Result<Login, String> {
        let name = Identifier::new(name).map_err(|error| error.to_string())?;
        let attempt = Attempt::new(self.tenant.clone(), name, Self::call());
        Ok(gate.login(&attempt, password.to_owned()).await)
    }
}

/// The code of a refused sign-in.
fn refusal(login: Login, expected: Code) -> Result<(), String> {
    match login {
        Login::Refused(refused) if refused.code() == expected => Ok(()),
        Login::Refused(refused) => Err(told(&refused)),
        Login::SignedIn(_) => Err("the gate let somebody in".to_owned()),
        Login::Next(_) => Err("the gate took the password".to_owned()),
    }
}

impl Somebody<'_> {
    /// From the invitation to the end; what fails stops it, and is said of the promise.
    async fn live(&self, report: &mut Report) -> Result<(), (&'static str, String)> {
        let Self { bench, address, .. } = self;
        let (gate, tenant, call) = (&bench.gate, &bench.tenant, Bench::call());
        let at = |promise: &'static str| move |why: String| (promise, why);
        let operator = bench.operator(&call).map_err(at("A1.2"))?;
        let link = operator.first_link(&self.id).await.map_err(|e| ("A1.2", told(&e)))?;
        let link = link.expose().rsplit('/').next().unwrap_or_default().to_owned();
        let before = bench.login(gate, address, &self.password).await.map_err(at("A1.3"))?;
        refusal(before, Code::WrongCredentials).map_err(at("A1.3"))?;
        match self.redeem(&link, "short").await {
            Err(NotSet::Unmet(_)) => {}
            Err(NotSet::Refused(refused)) => return Err(("A1.3", told(&refused))),
            Ok(_) => return Err(("A1.3", "the password “short” was taken".to_owned())),
        }
        match self.redeem(&link, &self.password).await {
            Ok(_) => {}
            Err(error) => return Err(("A1.3", error.to_string())),
        }
        report.push(("A1.3", Ok("signing in before a password was chosen was refused".into())));
        match self.redeem(&link, &self.password).await {
            Err(NotSet::Refused(refused)) if refused.code() == Code::NoLink => {}
            Err(error) => return Err(("A1.2", error.to_string())),
            Ok(_) => return Err(("A1.2", "a used link worked again".to_owned())),
        }
        report.push(("A1.2", Ok("a used link was refused".into())));
        report.push(("A2.1", self.both_needed().await));
        let first = self.session().await.map_err(at("A2.3"))?;
        let second = self.session().await.map_err(at("A2.3"))?;
        report.push(("A2.3", fresh_tokens(&first, &second)));
        report.push(("Z7.7", self.goes_idle(&second).await));
        if let Some(stranger) = &bench.stranger {
            let seen = match gate.check(stranger, first.token().expose(), &call).await {
                Err(refused) if refused.code() == Code::NoSession => {
                    Ok(format!("a session of {tenant} was refused at {stranger}"))
                }
                Err(refused) => Err(told(&refused)),
                Ok(_) => Err(format!("a session of {tenant} was taken at {stranger}")),
            };
            report.push(("Z1.4", seen));
        }
        report.push((
            "Z7.4",
            super::data::absent(bench, &[self.password.as_bytes()])
                .await
                .map(|files| format!("the password of an account is in none of {files} files")),
        ));
        super::record::of(bench, &self.id, report).await;
        Ok(())
    }

    async fn redeem(&self, link: &str, password: &str) -> Result<Redeemed, NotSet> {
        let (bench, call) = (self.bench, Bench::call());
        let purpose = Purpose::Activation;
        bench.gate.redeem(&bench.tenant, purpose, link, password.to_owned(), &call).await
    }

    async fn session(&self) -> Result<Issued, String> {
        match self.bench.login(&self.bench.gate, &self.address, &self.password).await? {
            Login::SignedIn(issued) => Ok(issued),
            Login::Refused(refused) => Err(told(&refused)),
            Login::Next(_) => Err("a fresh password has to be changed".to_owned()),
        }
    }

    /// Takes the account's cell out of the store: probes would fill it otherwise.
    async fn take_away(&self, operator: &Acting<'_>) -> Result<(), String> {
        let Self { bench, id, .. } = self;
        let target = entity(name!("user"), id.as_str());
        operator.access(Operation::Deleted, target).await.map_err(|error| told(&error))?;
        let digests = bench.keyring.digest_key();
        let account = AccountKey::new(&digests, &bench.tenant).digest(Subject::User(id));
        let key = CellKey::new(Space::Account, *account.as_bytes());
        let loaded = bench.store.load(key).await.map_err(|error| error.to_string())?;
        let Some(cell) = loaded.cell else { return Ok(()) };
        match bench.store.swap(key, Some(cell.version), Put::Erase).await {
            Ok(Swap::Done) => Ok(()),
            Ok(_) => Err("something else changes it".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// A right name with a wrong password, and a name that nobody has: both refused, both hashed.
    async fn both_needed(&self) -> Seen {
        let bench = self.bench;
        let wrong = password().map_err(|error| error.to_string())?;
        let nobody = fresh_text().map_err(|error| error.to_string())?;
        for name in [self.address.as_str(), nobody.as_str()] {
            let before = bench.gate.work().runs;
            refusal(bench.login(&bench.gate, name, &wrong).await?, Code::WrongCredentials)?;
            if bench.gate.work().runs == before {
                return Err("a name was refused without the work of a hash".to_owned());
            }
        }
        Ok(format!(
            "a wrong password of {} and a name that nobody has were refused alike",
            self.class
        ))
    }

    /// The session is refused once the promised time has passed without use.
    async fn goes_idle(&self, issued: &Issued) -> Seen {
        let bench = self.bench;
        let class = bench.document.class(&self.class).map_err(|error| error.to_string())?;
        let idle = class.session().idle();
        let later = issued.principal().session().last_seen.after(idle);
        let gate = bench.gate.at_clock(Arc::new(At(later)));
        match gate.check(&bench.tenant, issued.token().expose(), &Bench::call()).await {
            Err(refused) if refused.code() == Code::NoSession => {
                let minutes = idle.as_secs() / 60;
                Ok(format!("a session was refused after {minutes} minutes without use"))
            }
            Err(refused) => Err(told(&refused)),
            Ok(_) => Err("an idle session was taken".to_owned()),
        }
    }
}

/// Random, long, and never the same.
fn fresh_tokens(first: &Issued, second: &Issued) -> Seen {
    let (one, other) = (first.token().expose(), second.token().expose());
    // 22 letters of base64 hold 128 bits.
    if one == other || one.len() < 22 {
        return Err("two sessions have one token, or short ones".to_owned());
    }
    Ok("two sign-ins gave two tokens".to_owned())
}

/// As many wrong passwords as are promised are looked at, and no more.
async fn locks(bench: &Bench) -> Seen {
    let limits = bench.document.lockout().limits();
    let most = limits.iter().map(|limit| limit.failures()).min().ok_or("there is no limit")?;
    let nobody = fresh_text().map_err(|error| error.to_string())?;
    let wrong = password().map_err(|error| error.to_string())?;
    for attempt in 1..=most {
        let login = bench.login(&bench.gate, &nobody, &wrong).await?;
        refusal(login, Code::WrongCredentials)
            .map_err(|why| format!("attempt {attempt}: {why}"))?;
    }
    refusal(bench.login(&bench.gate, &nobody, &wrong).await?, Code::Locked)
        .map_err(|why| format!("after {most} failures, {why}"))?;
    Ok(format!("after {most} failures, the next attempt was refused unhashed"))
}

/// Nobody gets a name that somebody has, however it is written; nobody is called nothing.
fn one_person_each(bench: &Bench) -> Seen {
    if UserId::new("-").is_ok() {
        return Err("“-” was taken for a user".to_owned());
    }
    let people = bench.users.list(&bench.tenant).map_err(|error| error.to_string())?;
    let somebody = people.first().ok_or("there is nobody whose name could be taken")?;
    let twin = fresh_text().map_err(|error| error.to_string())?;
    let class = &somebody.class;
    let twin = bench.users.draft(&somebody.email.to_uppercase(), &twin, class, Role::Member);
    match twin.and_then(|twin| bench.users.keep(&bench.tenant, &twin)) {
        Err(UsersError::Taken) => Ok("an address that somebody has was refused".to_owned()),
        Err(error) => Err(error.to_string()),
        Ok(()) => Err("two people have one address".to_owned()),
    }
}

/// The page for a new password masks it.
fn masked(bench: &Bench, class: &str) -> Seen {
    let page = rules::fields_after(&bench.document, class, "", "").into_string();
    let inputs = page.split("<input ").skip(1);
    let fields: Vec<&str> = inputs.filter_map(|input| input.split('>').next()).collect();
    let hidden = |field: &str| field.contains("type='hidden'") || field.ends_with(" hidden");
    let typed = || fields.iter().copied().filter(|field| !hidden(field));
    let masked = |field: &str| field.starts_with("type=\"password\" ");
    if typed().count() != 3 || !typed().all(masked) {
        return Err("a password field shows what is typed".to_owned());
    }
    Ok("every password field of the page is masked".to_owned())
}

async fn rules_of(bench: &Bench, class: &str, classes: &[&str]) -> Report {
    let mut report = Report::new();
    let unmet = async |class: &str, text: &str| -> Result<Vec<Unmet>, String> {
        let id = UserId::new("probe").map_err(|error| error.to_string())?;
        let account = Account::new(id, class, "probe@probe.invalid");
        let password = Password::new(text.to_owned()).map_err(|error| error.to_string())?;
        let unmet = bench.gate.unmet(&bench.tenant, &account, &password).await;
        unmet.map_err(|refused| told(&refused))
    };
    let lacks = async |class: &str, text: &str, kind: Kind| match unmet(class, text).await {
        Ok(rules) if rules.contains(&Unmet::Missing(kind)) => Ok(()),
        Ok(_) => Err(format!("{kind:?} was not asked for")),
        Err(why) => Err(why),
    };
    let length = async || -> Seen {
        let Ok(document) = bench.document.class(class) else { return Err("no such class".into()) };
        let min = usize::try_from(document.password().min_length()).unwrap_or(usize::MAX);
        let text: String = "Kz7-wq5+Xv9/Rb3-".chars().cycle().take(min).collect();
        let short: String = text.chars().take(min.saturating_sub(1)).collect();
        let is_short = |rule: &Unmet| matches!(rule, Unmet::TooShort(_));
        if !unmet(class, &short).await?.iter().any(is_short) {
            return Err(format!("a password of {} characters was not refused", short.len()));
        }
        if unmet(class, &text).await?.iter().any(is_short) {
            return Err(format!("a password of {min} characters was refused as too short"));
        }
        Ok(format!("a password of {} characters was refused, one of {min} not", short.len()))
    };
    report.push(("Z7.1", length().await));
    let kinds = async || -> Seen {
        lacks(class, "kz7-wq5+xv9/", Kind::Upper).await?;
        lacks(class, "Kz-wq+Xv/Rb=", Kind::Number).await?;
        lacks(class, "Kz7wq5Xv9Rb3", Kind::Special).await?;
        Ok("passwords without capital, number and special character were refused".to_owned())
    };
    report.push(("Z7.2", kinds().await));
    let digits = "49-27-58-31+60";
    report.push((
        "Z7.5",
        lacks(class, digits, Kind::Letter)
            .await
            .map(|()| format!("a password without letters was refused for {class}")),
    ));
    let by_class = async || -> Seen {
        if unmet("of no class", digits).await.is_ok() {
            return Err("somebody of no class was measured by some rule".to_owned());
        }
        for class in classes {
            let rules = bench.document.class(class).map_err(|error| error.to_string())?;
            for text in [digits, "kz7-wq5+xv9/", "Kz7wq5Xv9Rb3", "Kz7-"] {
                let password = Password::new(text.to_owned()).map_err(|e| e.to_string())?;
                let promised = rules.password().check(&password, &Attributes::none());
                if unmet(class, text).await? != promised.err().unwrap_or_default() {
                    return Err(format!("{class} does not stand under the rules for {class}"));
                }
            }
        }
        let count = classes.len();
        Ok(format!("somebody of no class was refused; {count} classes have their own rules"))
    };
    report.push(("Z7.11", by_class().await));
    report
}
