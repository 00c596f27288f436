//! PW-13: what other software wrote is verified, and made a record of our own.
#![cfg(feature = "import")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    clippy::string_slice,
    missing_docs,
    reason = "tests"
)]

mod common;

use std::sync::Arc;

use argon2::{Algorithm, Argon2, Version};
use base64ct::{Base64Bcrypt, Base64Unpadded, Encoding};
use common::{ACCOUNT, charged, cheap, martha, matched, password, unhex, upgrade};
use unicode_normalization::UnicodeNormalization;
use vouchsafe_core::Standing;
use vouchsafe_crypto::RootKey;
use vouchsafe_password::{
    Attributes, BareDigest, Digest, HashPolicy, HashPool, OwnerPresent, Params, PasswordError,
    PasswordPolicy, Peppers, PoolConfig, PoolKeys, Record, RecordError, Stored, Verified,
};

/// Who wrote it, the password, and the text.
struct Row {
    maker: String,
    password: String,
    text: String,
}

fn text_of(hex: &str) -> String {
    String::from_utf8(unhex(hex)).unwrap()
}

/// Made by tests/data/made_by_others.py, and by ASP.NET Core Identity for its own tests (dotnet/aspnetcore,
/// src/Identity/test/Identity.Test/PasswordHasherTest.cs).
fn rows() -> Vec<Row> {
    [include_str!("data/imports.tsv"), include_str!("data/published.tsv")]
        .iter()
        .flat_map(|file| file.lines())
        .map(|line| {
            let [maker, password, text] = line.split('\t').collect::<Vec<_>>()[..] else {
                panic!("{line}")
            };
            Row { maker: maker.to_owned(), password: text_of(password), text: text.to_owned() }
        })
        .collect()
}

/// What bcrypt makes of `text`.
fn bcrypted(text: &str) -> String {
    let mut key = [text.as_bytes(), &[0]].concat();
    key.truncate(72);
    let (salt, hash) = ([7; 16], bcrypt::bcrypt(4, [7; 16], &key));
    let base64 = Base64Bcrypt::encode_string;
    format!("$2b$04${}{}", base64(&salt), base64(&hash[..23]))
}

fn pool() -> HashPool {
    common::pool(PoolConfig::new(cheap()).workers(2))
}

fn verify(pool: &HashPool, typed: &str, stored: impl Into<Stored>) -> Verified {
    pool.verify(charged(1), &password(typed), stored, martha()).wait()
}

#[test]
fn each_is_verified_and_upgraded_once() {
    let (pool, rows) = (pool(), rows());
    assert_eq!(rows.len(), 264);
    for Row { maker, password, text } in &rows {
        let stored = Stored::import(Some(text));
        assert!(matches!(stored, Stored::Record(_)), "{maker}: {stored:?}");
        let wrong = format!("?{password}");
        assert_eq!(matched(verify(&pool, &wrong, stored.clone())), None, "{maker}: {text}");
        let upgrade = common::upgrade(verify(&pool, password, stored));
        // What bcrypt does not look at, and what HMAC takes the digest of: their own tests are below, and
        // in look_alikes.rs.
        let most = match text {
            _ if text.starts_with("$2") || text.starts_with("bcrypt$") => 71,
            _ if text.starts_with("$pbkdf2-sha512") => 128,
            _ if text.contains("pbkdf2") || text.contains("scrypt$") => 64,
            _ => usize::MAX,
        };
        if password.len() > most {
            assert!(upgrade.is_none(), "{maker}: {text}");
            continue;
        }
        let upgrade = upgrade.expect(maker);
        assert_eq!(&upgrade.expected_text(), text);
        let new = upgrade.new_record();
        assert!(new.is_bound() && !new.params().unwrap().is_strictly_weaker_than(cheap().params()));
        let read = Stored::import(Some(&new.to_string()));
        let again = verify(&pool, password, read);
        assert!(common::upgrade(again).is_none(), "{maker}: upgraded twice");
        assert_eq!(matched(verify(&pool, &wrong, new.clone())), None);
    }
}

/// Made by Keycloak: the first stands in the tests of cerberauth/iamigrate, the others in dumps of
/// demonstration servers.
#[test]
fn keycloaks_two_columns_are_one_record() {
    let pool = pool();
    for line in include_str!("data/keycloak.tsv").lines() {
        let [maker, password, data, secret] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let record = Record::from_keycloak(data, secret, Standing::Chosen).expect(maker);
        assert_eq!(record.to_string().parse::<Record>().unwrap(), record);
        assert_eq!(matched(verify(&pool, "wrong", record.clone())), None, "{maker}");
        let upgrade =
            common::upgrade(verify(&pool, &text_of(password), record.clone())).expect(maker);
        assert_eq!(upgrade.expected(), &record);
    }
    let argon2 = include_str!("data/keycloak.tsv").lines().next().unwrap();
    let [_, _, data, secret] = argon2.split('\t').collect::<Vec<_>>()[..] else { panic!() };
    let of = |data: &str, secret: &str| {
        Record::from_keycloak(data, secret, Standing::Chosen).unwrap_err()
    };
    for (from, to) in [
        ("argon2", "argon3"),
        ("7168", "7168x"),
        ("7168", "4294967295"),
        ("1.3", "1.4"),
        ("\"id\"", "\"x$y\""),
        ("hashIterations\":5", "hashIterations\":0"),
        ("hashIterations\":5", "hashIterations\":-1"),
        ("{\"hash", "[{\"hash"),
    ] {
        let data = data.replace(from, to);
        assert!(matches!(of(&data, secret), RecordError::Field(_) | RecordError::Params), "{data}");
    }
    let old = Record::from_keycloak(&data.replace("1.3", "1.0"), secret, Standing::Chosen);
    assert!(old.unwrap().to_string().contains("$argon2id$v=16$"));
    // By Python's hashlib; the first is RFC 6070's.
    for (algorithm, value) in [
        ("pbkdf2", "DGDID5YfDnHzqbUkr2ASBi/gN6Y="),
        (
            "pbkdf2-sha512",
            "hn9wzxreAs/zdSWZo6U9xK80x6ZpgVrl1RNVThyM8lLA\
             LUcKKFoFAbrZmb/pQ8CPBQI119aLHaVeY/c7YKV/zg==",
        ),
    ] {
        let data = format!(r#"{{"hashIterations":1,"algorithm":"{algorithm}"}}"#);
        let secret = format!(r#"{{"value":"{value}","salt":"c2FsdA=="}}"#);
        let record = Record::from_keycloak(&data, &secret, Standing::Chosen).unwrap();
        assert_eq!(matched(verify(&pool, "password", record)), Some(Standing::Chosen));
    }
    assert_eq!(of(data, "{}"), RecordError::Field("secret data"));
    assert_eq!(of(data, &secret.replace("LRSc", "????")), RecordError::Field("salt"));
    // Blanks at the end are nothing.
    let long = |text: &str, length| format!("{text:length$}");
    let at_most = (long(data, 4096), long(secret, 4096));
    assert!(Record::from_keycloak(&at_most.0, &at_most.1, Standing::Chosen).is_ok());
    let too_long = RecordError::TooLong { max: 4096 };
    assert_eq!([of(&long(data, 4097), secret), of(data, &long(secret, 4097))], [too_long; 2]);
}

/// bcrypt never looked behind 72 bytes: whoever has a longer password signs in with it as before. What
/// was typed behind them nobody has checked, so it is made part of no record.
#[test]
fn bcrypt_keeps_its_seventy_two_bytes() {
    let pool = pool();
    let long = format!("{}{}", "x".repeat(72), " and what bcrypt does not look at");
    let rows: Vec<Row> = rows().into_iter().filter(|row| row.password == long).collect();
    let bcrypt = rows.iter().filter(|row| row.text.starts_with("$2"));
    assert_eq!(bcrypt.clone().count(), 4);
    let peppers = || Arc::new(Peppers::new(&RootKey::new(&[1; 32])));
    let sealing = common::pool_with(cheap(), PoolKeys::new().peppers(peppers()));
    for Row { maker, text, .. } in bcrypt {
        let shorter = verify(&pool, &"x".repeat(71), Stored::import(Some(text)));
        assert_eq!(matched(shorter), None, "{maker}");
        // Mistyped behind the 72 bytes, or just these, by whoever knows them: it would lock the owner out.
        // With 72 the NUL behind them is not hashed any more.
        let slip = long.replace("does", "dose");
        for typed in [&long, &slip, &"x".repeat(73), &"x".repeat(72)] {
            let verified = verify(&pool, typed, Stored::import(Some(text)));
            assert!(upgrade(verified).is_none(), "{maker}");
            let still = verify(&pool, &long, Stored::import(Some(text)));
            assert_eq!(matched(still), Some(Standing::Chosen), "{maker}");
            // It can be sealed as it is.
            let sealed = upgrade(verify(&sealing, typed, Stored::import(Some(text)))).expect(maker);
            let sealed = sealed.new_record().clone();
            assert!(upgrade(verify(&sealing, typed, sealed.clone())).is_none());
            assert_eq!(matched(verify(&sealing, &long, sealed)), Some(Standing::Chosen));
        }
    }
    // Whoever chose all 71 has a record of all of them.
    let most = "x".repeat(71);
    let text = bcrypted(&most);
    let upgraded = upgrade(verify(&pool, &most, Stored::import(Some(&text)))).unwrap();
    let new = || upgraded.new_record().clone();
    assert_eq!(matched(verify(&pool, &most, new())), Some(Standing::Chosen));
    assert_eq!(matched(verify(&pool, &"x".repeat(72), new())), None);
    for Row { maker, text, .. } in rows.iter().filter(|row| row.text.contains("sha256$")) {
        let short = verify(&pool, &"x".repeat(72), Stored::import(Some(text)));
        assert_eq!(matched(short), None, "{maker}");
    }
}

/// With 71 bytes as typed and more composed, or the other way round, there is a tail as well.
#[test]
fn the_tail_is_looked_for_in_both_forms() {
    let pool = pool();
    // Composed 71 bytes, in parts 72; and the other way round, as U+1D160 is never composed.
    for (typed, raw, nfc) in [
        (format!("{}e\u{301}", "x".repeat(70)), 73, 72),
        (format!("{}e\u{301}", "x".repeat(69)), 72, 71),
        (format!("{}\u{1d160}", "x".repeat(67)), 71, 79),
        (format!("{}e\u{301}", "x".repeat(68)), 71, 70),
    ] {
        let (composed, whole) = (typed.nfc().collect::<String>(), raw.max(nfc) <= 71);
        assert_eq!((typed.len(), composed.len()), (raw, nfc));
        let text = bcrypted(&typed);
        let verified = verify(&pool, &typed, Stored::import(Some(&text)));
        assert_eq!(upgrade(verified).is_some(), whole, "{raw} {nfc}");
    }
}

/// A record that was made elsewhere becomes one that costs no less.
#[test]
fn an_upgrade_weakens_nothing() {
    let of = |kib: u32, passes| {
        let policy = HashPolicy::danger_below_floor(kib, passes).unwrap();
        common::pool(PoolConfig::new(policy).workers(1).budget_kib(65_536))
    };
    let upgraded = |pool: &HashPool, text: &str| {
        let Stored::Record(record) = Stored::import(Some(text)) else { panic!("{text}") };
        upgrade(verify(pool, "secret", record)).unwrap().new_record().params().unwrap()
    };
    let params = |memory, passes| Params::new(memory, passes, 1).unwrap();
    let base64 = Base64Unpadded::encode_string;
    let (salt, mut hash) = (b"saltsaltsaltsalt", [0; 32]);
    for (name, algorithm) in [("argon2i", Algorithm::Argon2i), ("argon2d", Algorithm::Argon2d)] {
        for (memory, passes, lanes, policy, expected) in [
            // Stronger in one respect or in both: as it was, in one lane.
            (1024, 8, 2, (64, 2), (1024, 8)),
            (1024, 1, 1, (64, 2), (1024, 1)),
            (64, 8, 1, (128, 2), (64, 8)),
            (47_104, 1, 1, (19_456, 2), (47_104, 1)),
            // Weaker, by the published equivalents, and in more memory.
            (47_104, 1, 1, (12_288, 4), (47_104, 4)),
            // Weaker in every respect.
            (64, 1, 1, (128, 2), (128, 2)),
            (128, 2, 2, (128, 2), (128, 2)),
        ] {
            let made = argon2::Params::new(memory, passes, lanes, None).unwrap();
            let argon2 = Argon2::new(algorithm, Version::V0x13, made);
            argon2.hash_password_into(b"secret", salt, &mut hash).unwrap();
            let text = format!(
                "${name}$v=19$m={memory},t={passes},p={lanes}${}${}",
                base64(salt),
                base64(&hash)
            );
            let after = upgraded(&of(policy.0, policy.1), &text);
            assert_eq!(after, params(expected.0, expected.1), "{text} under {policy:?}");
        }
    }
    // 1 MiB in scrypt, 2 MiB, and none at all.
    for (log_n, r, policy, expected) in
        [(10, 8, (64, 2), (1024, 2)), (10, 16, (64, 2), (2048, 2)), (10, 8, (2048, 1), (2048, 1))]
    {
        let made = scrypt::Params::new(log_n, r, 1).unwrap();
        scrypt::scrypt(b"secret", salt, &made, &mut hash).unwrap();
        let text = format!("$scrypt$ln={log_n},r={r},p=1${}${}", base64(salt), base64(&hash));
        let after = upgraded(&of(policy.0, policy.1), &text);
        assert_eq!(after, params(expected.0, expected.1), "{text} under {policy:?}");
    }
    let text = bcrypted("secret");
    assert_eq!(upgraded(&of(64, 2), &text), params(64, 2));
}

/// Rounds are bounded with the blocks of output that they are made for.
#[test]
fn rounds_are_bounded_for_all_blocks_together() {
    for (name, bytes, most) in [
        ("pbkdf2", 20, 4_000_000),
        ("pbkdf2", 21, 2_000_000),
        ("pbkdf2", 64, 1_000_000),
        ("pbkdf2-sha256", 32, 4_000_000),
        ("pbkdf2-sha256", 64, 2_000_000),
        ("pbkdf2-sha512", 64, 4_000_000),
    ] {
        let of = |rounds: u32| {
            let hash = Base64Unpadded::encode_string(&vec![7; bytes]).replace('+', ".");
            Record::import(&format!("${name}${rounds}$c2FsdA${hash}"), Standing::Chosen)
        };
        assert!(of(most).is_ok(), "{name} {bytes}");
        for over in [most + 1, u32::MAX] {
            assert_eq!(of(over).unwrap_err(), RecordError::Params, "{name} {bytes}");
        }
    }
}

/// Enrolled elsewhere in parts, chosen again composed: the same password.
#[test]
fn the_same_password_in_another_form_is_the_same() {
    let pool = pool();
    let (parts, composed) = ("Cafe\u{301}-Lantern7", "Caf\u{e9}-Lantern7");
    let choose = |text: &str, previous: &Record| {
        let any = PasswordPolicy::builder().min_length(1).refuse_common(false).remember(4);
        let accepted = any.build().unwrap().check(&password(text), &Attributes::none()).unwrap();
        let owner = OwnerPresent::assertion(ACCOUNT);
        pool.replace(accepted, owner, martha(), previous.clone()).wait()
    };
    for enrolled in [parts, composed] {
        let text = bcrypted(enrolled);
        for standing in [Standing::Chosen, Standing::MustChange] {
            let previous = Record::import(&text, standing).unwrap();
            for again in [parts, composed] {
                let error = choose(again, &previous).unwrap_err();
                assert_eq!(error, PasswordError::Reused, "{enrolled:?} {standing:?} {again:?}");
            }
            assert!(choose("Cafe-Lantern7", &previous).is_ok());
        }
    }
}

/// Digests by Python's hashlib.
#[test]
fn a_bare_digest_is_wrapped_without_the_password() {
    let pool = pool();
    let cases = [
        (Digest::Md5, "5ebe2294ecd0e0f08eab7690d2a6ee69", "", ""),
        (Digest::Md5, "d42a0f742ffc1be4e1cc0845c2429c97", "salt", ""),
        (Digest::Sha1, "e5e9fa1ba31ecd1ae84f75caaa474f3a663f05f4", "", ""),
        (Digest::Sha1, "0f8912baf3c8178ad9ce5f9d5bd2a6ff5efcf1f0", "", "pepper"),
        (
            Digest::Sha256,
            "4391ba4acafa33e7af541581ce0e9c48efa66f9425f06fcab18ae4476a920047",
            "a:",
            ":z",
        ),
    ];
    for (digest, hex, before, after) in cases {
        let bare = BareDigest::new(digest, hex).unwrap();
        let bare = bare.salt_before(before.as_bytes()).salt_after(after.as_bytes());
        let record = pool.wrap(bare, Standing::Chosen, martha()).wait().unwrap();
        let text = record.to_string();
        assert!(!text.contains(hex) && record.is_bound(), "{text}");
        assert_eq!(text.parse::<Record>().unwrap(), record);
        assert_eq!(matched(verify(&pool, "Secret", record.clone())), None);
        // The digest itself is no password.
        assert_eq!(matched(verify(&pool, hex, record.clone())), None);
        let upgrade =
            common::upgrade(verify(&pool, "secret", record)).expect("made an ordinary one");
        assert!(upgrade.new_record().to_string().contains(":nfc:-:$argon2id$"));
    }
    let shown = format!("{:?}", BareDigest::new(Digest::Md5, cases[0].1).unwrap());
    assert_eq!(shown, "BareDigest(Md5, ..)");
    let field = |digest, hex: &str| BareDigest::new(digest, hex).unwrap_err();
    assert_eq!(field(Digest::Md5, "5ebe2294ecd0e0f08eab7690d2a6ee6"), RecordError::Field("digest"));
    assert_eq!(field(Digest::Sha1, &"g".repeat(40)), RecordError::Field("digest"));
    let salted = |salt: usize| {
        let bare = BareDigest::new(Digest::Md5, cases[0].1).unwrap();
        pool.wrap(bare.salt_before(&vec![b's'; salt]), Standing::Chosen, martha()).wait()
    };
    assert!(salted(BareDigest::MAX_SALT).is_ok());
    assert!(salted(BareDigest::MAX_SALT + 1).is_err());
}

/// A change of any character is another text, or none that is read: never a panic, never a match.
#[test]
fn a_changed_text_never_matches() {
    let pool = pool();
    let mut makers = std::collections::BTreeSet::new();
    for Row { maker, password, text } in rows() {
        // The quick ones, one of each kind.
        if password != "secret" && !maker.contains("SHA-512, 50") || !makers.insert(maker.clone()) {
            continue;
        }
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] = match changed[at] {
                letter if letter.is_ascii_alphanumeric() && !b"9zZ".contains(&letter) => letter + 1,
                _ => b'.',
            };
            let changed = String::from_utf8(changed).unwrap();
            if changed == text || is_noise(&text, at) || !is_quick(&changed) {
                continue;
            }
            let Stored::Record(record) = Stored::import(Some(&changed)) else { continue };
            assert_eq!(record.to_string(), changed);
            let typed = if password == "secret" { "secret" } else { "my password" };
            assert_eq!(matched(verify(&pool, typed, record)), None, "{changed}");
        }
        for cut in 0..text.len() {
            let _ = Stored::import(Some(&text[..cut]));
        }
    }
    assert!(makers.len() > 24, "{makers:?}");
}

/// Where a text says nothing: the letter of bcrypt's version, and the last characters of what is in
/// base64, which has bits over.
fn is_noise(text: &str, at: usize) -> bool {
    let version = text.find("2a,").or_else(|| text.find("$2").map(|start| start + 1));
    let bcrypt = text.contains("bcrypt") || text.starts_with("$2");
    let last = matches!(text.as_bytes().get(at + 1), None | Some(b'$' | b'='));
    let salt = bcrypt && at == text.len() - 32;
    last || salt || bcrypt && version.is_some_and(|version| version + 1 == at)
}

/// Not so costly that the test would wait for it.
fn is_quick(text: &str) -> bool {
    !["$05$", "$15$", "$14$", "r=14", "r=15", "ln=1"].iter().any(|costly| text.contains(costly))
        && !text.contains("$9")
}

#[test]
fn what_is_not_read_says_why() {
    let of = |text: &str| match Stored::import(Some(text)) {
        Stored::Unusable(error) => error,
        other => panic!("{text}: {other:?}"),
    };
    assert_eq!(of("!unusable"), RecordError::Disabled);
    assert_eq!(of("5ebe2294ecd0e0f08eab7690d2a6ee69"), RecordError::BareDigest);
    let longest = of(&"0".repeat(128));
    assert_eq!(longest, RecordError::BareDigest);
    assert!(longest.to_string().contains("SHA-1, SHA-256 or MD5"), "all that can be wrapped");
    assert_eq!(of("md5$salt$d42a0f742ffc1be4e1cc0845c2429c97"), RecordError::BareDigest);
    assert!(matches!(of("$2x$05$......................"), RecordError::Unsupported(_)));
    for text in ["", "$", "$$", "plain text", "$1$salt$hash", "AA==", "pbkdf2_md5$1$2$3"] {
        assert_eq!(of(text), RecordError::NotARecord, "{text}");
    }
    for cost in ["+4", "-4", " 4", "4 ", "4", "004"] {
        let text = bcrypted("secret").replace("$04$", &format!("${cost}$"));
        assert_eq!(of(&text), RecordError::Field("cost"), "{cost:?}");
    }
    for number in ["+1000", "-1000", "01000", "1000 ", ""] {
        let hash = "8xBlGd3jVgvJ+92hWPxi5ww0uuAuAnKgC45eudxro7c=";
        let text = format!("pbkdf2_sha256${number}$seasalt${hash}");
        assert_eq!(of(&text), RecordError::Field("rounds"), "{number:?}");
        let text = format!("scrypt$16384$seasalt${number}$1${hash}");
        assert_eq!(of(&text), RecordError::Field("parameters"), "{number:?}");
        let text = format!("$argon2id$v=19$m=64,t={number},p=1$c2FsdHNhbHQ$c2FsdHNhbHRzYWx0c2FsdA");
        assert_eq!(of(&text), RecordError::Field("parameters"), "{number:?}");
    }
    // What would read as another record once it is one of ours, or is sealed.
    for salt in ["sea;salt", "seasalt!", "md5!!!"] {
        let text =
            format!("pbkdf2_sha256$1000${salt}$8xBlGd3jVgvJ+92hWPxi5ww0uuAuAnKgC45eudxro7c=");
        assert_eq!(of(&text), RecordError::Field("salt"), "{salt}");
    }
    assert!(matches!(Stored::import(None), Stored::Absent));
    assert!(matches!(Stored::read(Some("$2b$12$x")), Stored::Unusable(RecordError::NotARecord)));
}

/// Each number in what other software wrote, at both sides of its bound.
#[test]
fn bounds_are_where_they_are_said_to_be() {
    let of = |text: &str| Record::import(text, Standing::Chosen).err();
    assert_eq!(of(&"x".repeat(512)), Some(RecordError::NotARecord));
    assert_eq!(of(&"x".repeat(513)), Some(RecordError::TooLong { max: 512 }));
    let ours = |length| "x".repeat(length).parse::<Record>().unwrap_err();
    assert_eq!(ours(1024), RecordError::NotARecord);
    assert_eq!(ours(1025), RecordError::TooLong { max: 1024 });
    let bytes = |length| Base64Unpadded::encode_string(&vec![7; length]);
    let pbkdf2 = |rounds, salt, hash| {
        of(&format!("$pbkdf2-sha256${rounds}${}${}", bytes(salt), bytes(hash)))
    };
    for (rounds, salt, hash) in [(1, 1, 16), (4_000_000, 128, 32), (2_000_000, 128, 64)] {
        assert_eq!(pbkdf2(rounds, salt, hash), None, "{rounds} {salt} {hash}");
    }
    for digits in ["+1", "01", "", "1 "] {
        let text = format!("$pbkdf2-sha256${digits}${}${}", bytes(16), bytes(32));
        assert_eq!(of(&text), Some(RecordError::Field("rounds")), "{digits}");
    }
    assert_eq!(pbkdf2(0, 16, 32), Some(RecordError::Params));
    assert_eq!(pbkdf2(4_000_001, 16, 32), Some(RecordError::Params));
    for salt in [0, 129] {
        assert_eq!(pbkdf2(1, salt, 32), Some(RecordError::Field("salt")), "{salt}");
    }
    for hash in [15, 65] {
        assert_eq!(pbkdf2(1, 16, hash), Some(RecordError::Field("hash")), "{hash}");
    }
    // Django's salt is text.
    let django = |salt| of(&format!("pbkdf2_sha1$1${}${}=", "s".repeat(salt), bytes(20)));
    assert_eq!([django(0), django(129)], [Some(RecordError::Field("salt")); 2]);
    assert_eq!([django(1), django(128)], [None; 2]);
}

#[test]
fn each_says_of_which_scheme_it_is() {
    // The first that the maker's name has in it.
    let schemes = [
        ("bcrypt", "bcrypt"),
        ("scrypt", "scrypt"),
        ("sha-1,", "pbkdf2-sha1"),
        ("sha1", "pbkdf2-sha1"),
        ("sha-256", "pbkdf2-sha256"),
        ("sha256", "pbkdf2-sha256"),
        ("default", "pbkdf2-sha256"),
        ("sha-512", "pbkdf2-sha512"),
        ("sha512", "pbkdf2-sha512"),
        (" d", "argon2d"),
        (" id", "argon2id"),
        (" i", "argon2i"),
        ("argon2", "argon2id"),
    ];
    for Row { maker, text, .. } in rows() {
        let maker = maker.to_lowercase();
        let (_, expected) = schemes.iter().find(|(part, _)| maker.contains(part)).unwrap();
        let record = Record::import(&text, Standing::Chosen).unwrap();
        assert_eq!((record.scheme(), record.is_bound()), (*expected, false), "{text}");
        // The text of other software could not say that it must be changed.
        let Stored::Record(bare) = Stored::import(Some(&text)) else { panic!("{text}") };
        assert_eq!(bare.to_string(), text);
        let told: Record = bare.must_change().to_string().parse().unwrap();
        assert_eq!(told, record.must_change());
    }
}
