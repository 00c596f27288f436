//! Invites a user, who sets a password, signs in, is locked out after five failures and let in
//! again, over an embedded store and a tamper-evident log.

use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use vouchsafe::Gate;
use vouchsafe::access_log::name;
use vouchsafe::core::{Identifier, SecretString, Source, TenantId, Timestamp, Unavailable, UserId};
use vouchsafe::crypto::SystemEntropy;
use vouchsafe::envelope::{Cost, Keyring, Unlock};
use vouchsafe::gate::{Account, Accounts, Attempt, Call, Code, HostError, Login, Mail, Notify};
use vouchsafe::ledger::{AeadSealer, Ledger, LedgerOptions, Origin};
use vouchsafe::policy::Policy;
use vouchsafe::session::LinkOrigin;
use vouchsafe::store_sqlite::SqliteStore;

type Failure = Box<dyn std::error::Error>;

/// One user, who answers to one name.
struct OnlyZoe;

fn zoe() -> Result<Account, HostError> {
    let user = UserId::new("u-17").map_err(HostError::new)?;
    Ok(Account::new(user, "staff", "zoe@example.com"))
}

impl Accounts for OnlyZoe {
    async fn resolve(
        &self,
        _: &TenantId,
        identifier: &Identifier,
    ) -> Result<Option<Account>, HostError> {
        Ok(if identifier.as_str() == "zoe@example.com" { Some(zoe()?) } else { None })
    }

    async fn find(&self, _: &TenantId, user: &UserId) -> Result<Option<Account>, HostError> {
        Ok(Some(zoe()?).filter(|zoe| zoe.user == *user))
    }
}

/// The last mail.
#[derive(Clone, Default)]
struct Postbox(Arc<Mutex<Option<Mail>>>);

impl Notify for Postbox {
    async fn send(&self, mail: Mail) -> Result<(), HostError> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(mail);
        Ok(())
    }
}

/// A runtime in a few lines.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

fn main() -> Result<(), Failure> {
    let folder = std::env::temp_dir().join(format!("consumer-facade-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let done = block_on(live_through(&folder));
    std::fs::remove_dir_all(&folder)?;
    done
}

async fn open(folder: &Path, mail: Postbox) -> Result<Gate, Failure> {
    let (entropy, file) = (SystemEntropy::new(), folder.join("keys"));
    let unlock = Unlock::passphrase(&SecretString::new("a long and secret sentence".into()))?;
    let keyring = if file.exists() {
        Keyring::open(&file, &unlock)?
    } else {
        Keyring::create(&file, &unlock, Cost::MINIMUM, &entropy)?
    };
    let options = LedgerOptions::new(Origin::new("example.com/log")?, TenantId::new("operator")?);
    let now = Timestamp::from_micros(1_523_232_000_000_000);
    let (signing, sealer) = (keyring.ledger_signing(1), AeadSealer::new(keyring.ledger_root()));
    let ledger = Ledger::open(folder.join("log"), options, signing, sealer, entropy, now)?;
    let policy = (TenantId::new("acme")?, Policy::preset("zoomph-2018")?);
    let gate = Gate::builder(policy)
        .store(SqliteStore::open(folder.join("store.db"))?)
        .keys(keyring)
        .records(ledger)
        .accounts(OnlyZoe)
        .notify(mail)
        .origin(LinkOrigin::new("https://example.com")?)
        .open()
        .await?;
    Ok(gate)
}

async fn live_through(folder: &Path) -> Result<(), Failure> {
    let (mail, acme) = (Postbox::default(), TenantId::new("acme")?);
    let zoe = UserId::new("u-17")?;
    let gate = open(folder, mail.clone()).await?;
    let call = || Call::from(Source::Unavailable(Unavailable::Local));
    let attempt = || -> Result<Attempt, Failure> {
        Ok(Attempt::new(acme.clone(), Identifier::new("Zoe@Example.com")?, call()))
    };
    let refusal = |login| match login {
        Login::Refused(refused) => Some(refused.code()),
        _ => None,
    };

    gate.operator(&acme, name!("consumer"), &call())?.invite(&zoe).await?;
    let invitation = mail.0.lock().map_err(|_| "poisoned")?.take().ok_or("no mail")?;
    let token = invitation.link.expose().rsplit('/').next().ok_or("no token")?.to_owned();
    let (weak, good) = ("zoe1234".to_owned(), "7 Kraniche über Bremen!");
    assert!(gate.redeem(&acme, invitation.purpose, &token, weak, &call()).await.is_err());
    let set = gate.redeem(&acme, invitation.purpose, &token, good.to_owned(), &call()).await;
    assert!(set.is_ok(), "{set:?}");

    let Login::SignedIn(issued) = gate.login(&attempt()?, good.to_owned()).await else {
        return Err("not signed in".into());
    };
    let session = issued.token().expose().to_owned();
    let principal = gate.check(&acme, &session, &call()).await?;
    gate.sign_out(principal, &call()).await?;
    let ended = gate.check(&acme, &session, &call()).await.err().map(|refused| refused.code());
    assert_eq!(ended, Some(Code::NoSession));

    for _ in 0..5 {
        let wrong = gate.login(&attempt()?, "wrong".to_owned()).await;
        assert_eq!(refusal(wrong), Some(Code::WrongCredentials));
    }
    assert_eq!(refusal(gate.login(&attempt()?, good.to_owned()).await), Some(Code::Locked));

    // The lock outlives the program; an administrator lifts it.
    drop(gate);
    let gate = open(folder, mail).await?;
    assert_eq!(refusal(gate.login(&attempt()?, good.to_owned()).await), Some(Code::Locked));
    gate.operator(&acme, name!("consumer"), &call())?.unlock(&zoe).await?;
    let again = gate.login(&attempt()?, good.to_owned()).await;
    assert!(matches!(again, Login::SignedIn(_)), "{again:?}");
    Ok(())
}
