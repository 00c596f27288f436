//! Identifiers, addresses, blocks, clauses, cookies.

use std::net::IpAddr;

use vouchsafe_core::{Address, Case, ClauseId, Identifier, Prefix, Source, TrustedProxies};
use vouchsafe_session::Cookie;

/// An id's text is its own id.
pub fn core_ids(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for case in [Case::Fold, Case::Exact] {
        if let Ok(id) = Identifier::with_case(&text, case) {
            assert_eq!(Identifier::with_case(id.as_str(), case).as_ref(), Ok(&id));
            assert!(id.as_str().len() <= Identifier::MAX_LEN);
        }
    }
}

/// Header values, one a line: a stranger is not believed, and the client's own words change nothing.
pub fn core_source(data: &[u8]) {
    let proxies = TrustedProxies::new(vec!["10.0.0.0/24".parse().expect("a block")]);
    let values = || data.split(|byte| *byte == b'\n');
    let [stranger, ours]: [IpAddr; 2] = [[203, 0, 113, 9].into(), [10, 0, 0, 1].into()];
    assert_eq!(proxies.source(stranger, values()), Source::Direct(Address::new(stranger)));
    let _ = proxies.source(ours, values());
    let through = values().chain([b"203.0.113.9".as_slice()]);
    let client = Address::new(stranger);
    assert_eq!(proxies.source(ours, through), Source::Forwarded { client, hops: 1 });
}

/// A block reads back as it prints.
pub fn core_prefix(data: &[u8]) {
    if let Ok(block) = String::from_utf8_lossy(data).parse::<Prefix>() {
        assert_eq!(block.to_string().parse(), Ok(block));
        assert!(block.contains(Address::new(block.network())));
    }
}

/// A clause is as it was written.
pub fn core_clause(data: &[u8]) {
    let text = String::from_utf8_lossy(data).into_owned();
    if let Ok(clause) = ClauseId::new(text.clone()) {
        assert_eq!(clause.as_str(), text);
        assert!(clause.as_str().is_ascii());
    }
}

/// Cookie headers, one a line.
pub fn session_cookie(data: &[u8]) {
    let _ = Cookie::session().read(data.split(|byte| *byte == b'\n'));
    let _ = Cookie::pre_login().insecure_loopback().read([data]);
}
