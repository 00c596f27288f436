//! Verifying one password, 47 104 KiB, one pass, one lane: our pool against what `argon2` offers.

use std::hint::black_box;
use std::sync::Arc;

use argon2::{Algorithm, Argon2, Block, Params, PasswordVerifier, Version};
use vouchsafe::core::{
    AccountDigest, ChangeOnly, ChargeId, Charged, PolicyDigest, Standing, TenantId, Timestamp,
    UserId,
};
use vouchsafe::os::{SystemClock, SystemEntropy};
use vouchsafe::password::{
    Binding, HashPolicy, HashPool, OwnerPresent, Password, PasswordPolicy, PoolConfig, Record,
    Verified,
};

use crate::Result;
use crate::measure::{Batch, Case, Sides, Unit};

const MEMORY_KIB: u32 = 47_104;
const PASSES: u32 = 1;
const TYPED: &str = "7 Kraniche über Bremen!";
const SALT: &[u8; 16] = b"sixteen bytes of";

/// One verification a batch, in turns, so that the pool never idles long enough to wipe its memory.
const PAIRS: usize = 41;

/// The cases.
pub const CASES: &[Case] = &[
    Case {
        name: "password/verify_warm",
        peer: "argon2",
        wanted: 1.5,
        unit: Unit::Nanos,
        pairs: PAIRS,
        prepare: verify_warm,
    },
    Case {
        name: "password/verify_vs_raw",
        peer: "argon2",
        wanted: 0.97,
        unit: Unit::Nanos,
        pairs: PAIRS,
        prepare: verify_vs_raw,
    },
    Case {
        name: "password/verify_vs_password_auth",
        peer: "password-auth",
        wanted: 1.5,
        unit: Unit::Nanos,
        pairs: PAIRS,
        prepare: verify_vs_password_auth,
    },
];

/// A matching verification through the pool against `argon2`'s `verify_password`, which allocates
/// its memory each time.
fn verify_warm() -> Result<Sides> {
    let phc = phc()?;
    let peer = move || {
        Batch::time(1, |_| {
            let argon2 = black_box(Argon2::default());
            Ok(argon2.verify_password(black_box(TYPED.as_bytes()), phc.as_str())?)
        })
    };
    Ok(Sides::new(ours()?, peer))
}

/// The same against the bare hash in memory that is kept from one to the next.
fn verify_vs_raw() -> Result<Sides> {
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params()?);
    let mut memory = vec![Block::new(); usize::try_from(MEMORY_KIB)?];
    let expected = raw(&argon2, &mut memory)?;
    let peer = move || {
        Batch::time(1, |_| {
            let same = raw(&argon2, &mut memory)? == expected;
            if same { Ok(()) } else { Err("the bare hash did not match".into()) }
        })
    };
    Ok(Sides::new(ours()?, peer))
}

/// The same against `password-auth`'s one call.
fn verify_vs_password_auth() -> Result<Sides> {
    let phc = phc()?;
    let peer = move || {
        Batch::time(1, |_| Ok(password_auth::verify_password(black_box(TYPED), phc.as_str())?))
    };
    Ok(Sides::new(ours()?, peer))
}

fn params() -> Result<Params> {
    Ok(Params::new(MEMORY_KIB, PASSES, 1, Some(Record::HASH))?)
}

fn raw(argon2: &Argon2<'_>, memory: &mut [Block]) -> Result<[u8; Record::HASH]> {
    let mut tag = [0; Record::HASH];
    let typed = black_box(TYPED.as_bytes());
    argon2.hash_password_into_with_memory(typed, SALT, &mut tag, memory)?;
    Ok(black_box(tag))
}

/// The hash as other software stores it.
fn phc() -> Result<String> {
    use argon2::password_hash::PasswordHasher;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params()?);
    Ok(argon2.hash_password_with_salt(TYPED.as_bytes(), SALT)?.to_string())
}

/// A matching verification of a record of our own, through a pool of one worker.
fn ours() -> Result<impl FnMut() -> Result<Batch>> {
    let policy = HashPolicy::argon2id(MEMORY_KIB, PASSES)?;
    let config = PoolConfig::new(policy).workers(1);
    let pool = HashPool::new(config, Arc::new(SystemClock), Arc::new(SystemEntropy::new()))?;
    let account = AccountDigest::new([7; 16]);
    let binding = Binding::new(&TenantId::new("acme")?, &UserId::new("martha")?);
    let password = Password::new(TYPED.to_owned())?;
    let Ok(accepted) = PasswordPolicy::vouchsafe().check(&password, &Default::default()) else {
        return Err("the policy refuses the password".into());
    };
    let change = ChangeOnly::assertion(account, PolicyDigest::NONE, Timestamp::EPOCH);
    let record = pool.hash(accepted, OwnerPresent::from(change), binding).wait()?;
    let record = record.as_record().clone();
    Ok(move || {
        Batch::time(1, |number| {
            let id = ChargeId::new(number.into());
            let charged = Charged::assertion(account, id, PolicyDigest::NONE, Timestamp::MAX);
            let typed = black_box(Password::new(TYPED.to_owned())?);
            match pool.verify(charged, &typed, record.clone(), binding).wait() {
                Verified::Match { matched, upgrade: None } => {
                    let chosen = black_box(matched).standing() == Standing::Chosen;
                    if chosen { Ok(()) } else { Err("not chosen by its owner".into()) }
                }
                other => Err(format!("{other:?}").into()),
            }
        })
    })
}
