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

use common::{charged, cheap, martha, matched, password, unhex, upgrade};
use vouchsafe_core::Standing;
use vouchsafe_password::{
    BareDigest, Digest, HashPool, PoolConfig, Record, RecordError, Stored, Verified,
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
        let upgrade = common::upgrade(verify(&pool, password, stored)).expect(maker);
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

/// bcrypt never looked behind 72 bytes: whoever has a longer password signs in with it as before, and
/// from then on all of it counts.
#[test]
fn bcrypt_keeps_its_seventy_two_bytes_until_upgraded() {
    let pool = pool();
    let long = format!("{}{}", "x".repeat(72), " and what bcrypt does not look at");
    let rows: Vec<Row> = rows().into_iter().filter(|row| row.password == long).collect();
    let bcrypt = rows.iter().filter(|row| row.text.starts_with("$2"));
    assert_eq!(bcrypt.clone().count(), 4);
    for Row { maker, text, .. } in bcrypt {
        let short = verify(&pool, &"x".repeat(72), Stored::import(Some(text)));
        assert_eq!(matched(short), Some(Standing::Chosen), "{maker}");
        let shorter = verify(&pool, &"x".repeat(71), Stored::import(Some(text)));
        assert_eq!(matched(shorter), None, "{maker}");
        let upgraded = upgrade(verify(&pool, &long, Stored::import(Some(text)))).unwrap();
        let new = upgraded.new_record();
        assert_eq!(matched(verify(&pool, &"x".repeat(72), new.clone())), None);
        assert_eq!(matched(verify(&pool, &long, new.clone())), Some(Standing::Chosen));
    }
    for Row { maker, text, .. } in rows.iter().filter(|row| row.text.contains("sha256$")) {
        let short = verify(&pool, &"x".repeat(72), Stored::import(Some(text)));
        assert_eq!(matched(short), None, "{maker}");
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
    assert_eq!(of("md5$salt$d42a0f742ffc1be4e1cc0845c2429c97"), RecordError::BareDigest);
    assert!(matches!(of("$2x$05$......................"), RecordError::Unsupported(_)));
    for text in ["", "$", "$$", "plain text", "$1$salt$hash", "AA==", "pbkdf2_md5$1$2$3"] {
        assert_eq!(of(text), RecordError::NotARecord, "{text}");
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
    use base64ct::{Base64Unpadded, Encoding};
    let of = |text: &str| Record::import(text, Standing::Chosen).err();
    assert_eq!(of(&"x".repeat(512)), Some(RecordError::NotARecord));
    assert_eq!(of(&"x".repeat(513)), Some(RecordError::TooLong { max: 512 }));
    let bytes = |length| Base64Unpadded::encode_string(&vec![7; length]);
    let pbkdf2 = |rounds, salt, hash| {
        of(&format!("$pbkdf2-sha256${rounds}${}${}", bytes(salt), bytes(hash)))
    };
    for (rounds, salt, hash) in [(1, 1, 16), (4_000_000, 128, 64)] {
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
        assert_eq!(Record::import(&text, Standing::Chosen).unwrap().scheme(), *expected, "{text}");
    }
}
