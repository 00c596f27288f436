//! Stored texts that mean harm.

/// Two hundred texts that ask for too much, or are too much.
pub fn corpus() -> Vec<String> {
    let of = |params: String| {
        format!(
            "vouchsafe:1:chosen:bound:nfc:-:$argon2id$v=19${params}$c2FsdHNhbHRzYWx0c2FsdA${}",
            "A".repeat(43)
        )
    };
    let numbers =
        ["1048577", "4194304", "2147483647", "4294967295", "4294967296", "99999999999999999999"];
    let mut corpus = Vec::new();
    for m in numbers {
        for t in ["1", "2", "64", "65", "4294967295"] {
            corpus.push(of(format!("m={m},t={t},p=1")));
            corpus.push(of(format!("m=64,t={t},p={m}")));
        }
    }
    for t in 65..125_u32 {
        corpus.push(of(format!("m=64,t={},p=1", t * t)));
    }
    for p in 17..57 {
        corpus.push(of(format!("m=1048576,t=1,p={p}")));
    }
    for length in 10..50_usize {
        corpus.push(format!(
            "vouchsafe:1:chosen:bound:nfc:-:{}",
            "$argon2id".repeat(length * length)
        ));
    }
    assert_eq!(corpus.len(), 200);
    corpus
}

/// Two hundred texts in the formats of other software that ask for too much, or are too much.
pub fn foreign() -> Vec<String> {
    let numbers = ["4000001", "2147483648", "4294967295", "4294967296", "99999999999999999999"];
    let (salt, hash) = ("c2FsdHNhbHRzYWx0c2FsdA", "A".repeat(43));
    let mut corpus = Vec::new();
    for number in numbers {
        for name in ["pbkdf2", "pbkdf2-sha256", "pbkdf2-sha512"] {
            corpus.push(format!("${name}${number}${salt}${hash}"));
        }
        for name in ["pbkdf2_sha256", "pbkdf2_sha1"] {
            corpus.push(format!("{name}${number}$seasalt${hash}="));
        }
        for cost in [
            format!("ln={number},r=8,p=1"),
            format!("ln=4,r={number},p=1"),
            format!("ln=4,r=8,p={number}"),
        ] {
            corpus.push(format!("$scrypt${cost}${salt}${hash}"));
        }
        for cost in [
            format!("{number}$seasalt$8$1"),
            format!("16$seasalt${number}$1"),
            format!("16$seasalt$8${number}"),
        ] {
            corpus.push(format!("scrypt${cost}${hash}="));
        }
        corpus.push(format!("$argon2i$m={number},t=1,p=1${salt}${hash}"));
        corpus.push(format!("argon2$argon2d$v=19$m=64,t={number},p=1${salt}${hash}"));
        corpus.push(format!(
            "$bcrypt-sha256$v=2,t=2b,r={number}$abcdefghijklmnopqrstuu${}",
            "A".repeat(31)
        ));
    }
    for cost in (0..4).chain(17..100) {
        corpus.push(format!("$2b${cost:02}$abcdefghijklmnopqrstuu{}", "A".repeat(31)));
    }
    for ln in 21..32 {
        corpus.push(format!("$scrypt$ln={ln},r=8,p=1${salt}${hash}"));
    }
    // ASP.NET's numbers are bytes: rounds and the length of the salt.
    for (rounds, salt) in
        [(u32::MAX, 16), (4_000_001, 16), (0, 16), (10, u32::MAX), (10, 0), (10, 48), (10, 33)]
    {
        let mut bytes = vec![1, 0, 0, 0, 1];
        bytes.extend(rounds.to_be_bytes());
        bytes.extend(salt.to_be_bytes());
        bytes.extend([7; 48]);
        corpus.push(<base64ct::Base64 as base64ct::Encoding>::encode_string(&bytes));
    }
    while corpus.len() < 200 {
        corpus.push(format!("$2b$04${}", "$".repeat(corpus.len() * corpus.len())));
    }
    assert_eq!(corpus.len(), 200);
    corpus
}
