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
