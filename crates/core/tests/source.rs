//! From which address did it come: every way we know of that a header misleads.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::net::IpAddr;

use proptest::prelude::*;
use vouchsafe_core::{
    Address, Prefix, PrefixError, Source, TrustedProxies,
    Unavailable::{Hidden, TooLong, Unreadable},
};
use vouchsafe_testkit::runs;

/// The proxies that the table trusts.
const OURS: [&str; 5] =
    ["10.0.0.0/24", "192.0.2.1", "2001:db8:ffff::/48", "::ffff:172.16.0.0/108", "fe80::/10"];

fn ours() -> TrustedProxies {
    TrustedProxies::new(OURS.iter().map(|block| block.parse().unwrap()).collect())
}

fn direct(address: &str) -> Source {
    Source::Direct(Address::new(address.parse().unwrap()))
}

fn via(hops: u8, client: &str) -> Source {
    Source::Forwarded { client: Address::new(client.parse().unwrap()), hops }
}

const fn none(why: vouchsafe_core::Unavailable) -> Source {
    Source::Unavailable(why)
}

#[test]
fn the_table_of_sources() {
    let table: &[(&str, &str, &[&str], Source)] = &[
        // Peers that are not ours: nothing they write counts.
        ("no header", "203.0.113.9", &[], direct("203.0.113.9")),
        ("spoofed by a stranger", "203.0.113.9", &["8.8.8.8"], direct("203.0.113.9")),
        ("naming our proxy", "203.0.113.9", &["10.0.0.1"], direct("203.0.113.9")),
        ("naming loopback", "203.0.113.9", &["127.0.0.1, ::1"], direct("203.0.113.9")),
        ("garbage by a stranger", "203.0.113.9", &["\u{1F}%$"], direct("203.0.113.9")),
        ("IPv6 stranger", "2001:db8::9", &["8.8.8.8"], direct("2001:db8::9")),
        ("mapped peer is its IPv4", "::ffff:203.0.113.9", &[], direct("203.0.113.9")),
        ("mapped stranger", "::ffff:203.0.113.9", &["8.8.8.8"], direct("203.0.113.9")),
        ("compatible form is not ours", "::10.0.0.1", &["8.8.8.8"], direct("::10.0.0.1")),
        ("NAT64 form is not ours", "64:ff9b::a00:1", &["8.8.8.8"], direct("64:ff9b::a00:1")),
        ("just outside the block", "10.0.1.0", &["8.8.8.8"], direct("10.0.1.0")),
        ("just below the block", "9.255.255.255", &["8.8.8.8"], direct("9.255.255.255")),
        ("beside a single address", "192.0.2.2", &["8.8.8.8"], direct("192.0.2.2")),
        ("loopback is not trusted by itself", "127.0.0.1", &["8.8.8.8"], direct("127.0.0.1")),
        // One proxy of ours.
        ("one proxy", "10.0.0.1", &["203.0.113.9"], via(1, "203.0.113.9")),
        ("first of the block", "10.0.0.0", &["203.0.113.9"], via(1, "203.0.113.9")),
        ("last of the block", "10.0.0.255", &["203.0.113.9"], via(1, "203.0.113.9")),
        ("mapped proxy", "::ffff:10.0.0.1", &["203.0.113.9"], via(1, "203.0.113.9")),
        ("block given mapped", "172.16.0.1", &["203.0.113.9"], via(1, "203.0.113.9")),
        ("outside the mapped block", "172.32.0.1", &["8.8.8.8"], direct("172.32.0.1")),
        ("IPv6 proxy, IPv4 client", "2001:db8:ffff::1", &["203.0.113.9"], via(1, "203.0.113.9")),
        ("IPv4 proxy, IPv6 client", "10.0.0.1", &["2001:db8::7"], via(1, "2001:db8::7")),
        ("link-local proxy", "fe80::1", &["203.0.113.9"], via(1, "203.0.113.9")),
        ("the proxy's own request", "10.0.0.1", &[], direct("10.0.0.1")),
        ("mapped client", "10.0.0.1", &["::ffff:203.0.113.9"], via(1, "203.0.113.9")),
        ("mapped client in hex", "10.0.0.1", &["::FFFF:CB00:7109"], via(1, "203.0.113.9")),
        ("long form of an address", "10.0.0.1", &["2001:0db8:0:0::0:7"], via(1, "2001:db8::7")),
        ("upper case", "10.0.0.1", &["2001:DB8::7"], via(1, "2001:db8::7")),
        // The left-most is the client's to write.
        ("spoofed left", "10.0.0.1", &["8.8.8.8, 203.0.113.9"], via(1, "203.0.113.9")),
        ("spoofed with our proxy", "10.0.0.1", &["10.0.0.7, 203.0.113.9"], via(1, "203.0.113.9")),
        ("spoofed loopback", "10.0.0.1", &["127.0.0.1, 203.0.113.9"], via(1, "203.0.113.9")),
        ("garbage on the left", "10.0.0.1", &["<x>, 203.0.113.9"], via(1, "203.0.113.9")),
        ("empty on the left", "10.0.0.1", &[", ,203.0.113.9"], via(1, "203.0.113.9")),
        ("unknown on the left", "10.0.0.1", &["unknown, 203.0.113.9"], via(1, "203.0.113.9")),
        (
            "spoofed in an own header",
            "10.0.0.1",
            &["8.8.8.8", "203.0.113.9"],
            via(1, "203.0.113.9"),
        ),
        ("empty first header", "10.0.0.1", &["", "203.0.113.9"], via(1, "203.0.113.9")),
        // Chains of ours.
        ("two proxies", "10.0.0.1", &["203.0.113.9, 192.0.2.1"], via(2, "203.0.113.9")),
        ("two, spoofed", "10.0.0.1", &["1.1.1.1, 203.0.113.9, 192.0.2.1"], via(2, "203.0.113.9")),
        (
            "three, over headers",
            "10.0.0.1",
            &["1.1.1.1,203.0.113.9", "192.0.2.1,2001:db8:ffff::2"],
            via(3, "203.0.113.9"),
        ),
        ("two, mapped", "10.0.0.1", &["203.0.113.9, ::ffff:192.0.2.1"], via(2, "203.0.113.9")),
        ("two, with ports", "10.0.0.1", &["203.0.113.9:1, 10.0.0.2:80"], via(2, "203.0.113.9")),
        (
            "a stranger between ours",
            "10.0.0.1",
            &["10.0.0.3, 8.8.8.8, 10.0.0.2"],
            via(2, "8.8.8.8"),
        ),
        ("only ours: one of ours asked", "10.0.0.1", &["10.0.0.7"], via(1, "10.0.0.7")),
        ("only ours: the left-most", "10.0.0.1", &["10.0.0.7, 10.0.0.8"], via(2, "10.0.0.7")),
        // Ports, brackets and zones.
        ("IPv4 with a port", "10.0.0.1", &["203.0.113.9:49152"], via(1, "203.0.113.9")),
        ("IPv6 in brackets", "10.0.0.1", &["[2001:db8::7]"], via(1, "2001:db8::7")),
        ("IPv6 with a port", "10.0.0.1", &["[2001:db8::7]:443"], via(1, "2001:db8::7")),
        ("mapped with a port", "10.0.0.1", &["[::ffff:203.0.113.9]:1"], via(1, "203.0.113.9")),
        ("digits without brackets", "10.0.0.1", &["2001:db8::7:443"], via(1, "2001:db8::7:443")),
        ("blanks around", "10.0.0.1", &[" \t203.0.113.9 \t"], via(1, "203.0.113.9")),
        ("IPv4 in brackets", "10.0.0.1", &["[203.0.113.9]"], none(Unreadable)),
        ("bracket not closed", "10.0.0.1", &["[2001:db8::7"], none(Unreadable)),
        ("bracket not opened", "10.0.0.1", &["2001:db8::7]"], none(Unreadable)),
        ("port too large", "10.0.0.1", &["203.0.113.9:65536"], none(Unreadable)),
        ("port missing", "10.0.0.1", &["203.0.113.9:"], none(Unreadable)),
        ("a zone", "10.0.0.1", &["fe80::7%3"], none(Unreadable)),
        ("a zone, with a port", "10.0.0.1", &["[fe80::7%3]:80"], none(Unreadable)),
        // What a proxy of ours hides or breaks is not guessed at.
        ("unknown", "10.0.0.1", &["unknown"], none(Hidden)),
        ("Unknown", "10.0.0.1", &["8.8.8.8, Unknown"], none(Hidden)),
        ("obfuscated", "10.0.0.1", &["8.8.8.8, _hidden"], none(Hidden)),
        ("empty", "10.0.0.1", &[""], none(Hidden)),
        ("empty on the right", "10.0.0.1", &["8.8.8.8,"], none(Hidden)),
        ("empty last header", "10.0.0.1", &["8.8.8.8", " "], none(Hidden)),
        ("hidden behind two", "10.0.0.1", &["8.8.8.8, unknown, 192.0.2.1"], none(Hidden)),
        ("a name", "10.0.0.1", &["localhost"], none(Unreadable)),
        ("quotes", "10.0.0.1", &["\"203.0.113.9\""], none(Unreadable)),
        ("RFC 7239's syntax", "10.0.0.1", &["for=203.0.113.9"], none(Unreadable)),
        ("octal", "10.0.0.1", &["010.0.0.1"], none(Unreadable)),
        ("hexadecimal", "10.0.0.1", &["0x7f.0.0.1"], none(Unreadable)),
        ("three parts", "10.0.0.1", &["127.0.1"], none(Unreadable)),
        ("one number", "10.0.0.1", &["2130706433"], none(Unreadable)),
        ("part too large", "10.0.0.1", &["256.0.0.1"], none(Unreadable)),
        ("a block", "10.0.0.1", &["203.0.113.0/24"], none(Unreadable)),
        ("two addresses, one blank", "10.0.0.1", &["1.1.1.1 2.2.2.2"], none(Unreadable)),
        ("semicolons", "10.0.0.1", &["1.1.1.1; 2.2.2.2"], none(Unreadable)),
        ("digits of another script", "10.0.0.1", &["１.1.1.1"], none(Unreadable)),
        ("a control", "10.0.0.1", &["203.0.113.9\u{0}"], none(Unreadable)),
    ];
    assert!(table.len() >= 60, "{}", table.len());
    let ours = ours();
    for (name, peer, headers, expected) in table {
        let values = headers.iter().map(|value| value.as_bytes());
        assert_eq!(ours.source(peer.parse().unwrap(), values), *expected, "{name}");
    }
}

#[test]
fn bytes_that_are_not_text_are_unreadable() {
    let peer = "10.0.0.1".parse().unwrap();
    assert_eq!(ours().source(peer, [b"203.0.113.9\xFF".as_slice()]), none(Unreadable));
    assert_eq!(ours().source(peer, [b"\xFF, 203.0.113.9".as_slice()]), via(1, "203.0.113.9"));
}

#[test]
fn trusting_nobody_is_the_default() {
    let peer = "10.0.0.1".parse().unwrap();
    for nobody in [TrustedProxies::none(), TrustedProxies::default(), TrustedProxies::new(vec![])] {
        assert_eq!(nobody.source(peer, [b"8.8.8.8".as_slice()]), direct("10.0.0.1"));
    }
}

#[test]
fn the_walk_is_bounded_on_both_sides_of_the_bound() {
    let peer = "10.0.0.1".parse().unwrap();
    let chain = |proxies: usize| {
        let mut entries = vec!["203.0.113.9"];
        entries.resize(proxies + 1, "10.0.0.2");
        entries.join(",")
    };
    let max = TrustedProxies::MAX_ENTRIES;
    let (fits, over) = (chain(max - 1), chain(max));
    assert_eq!(ours().source(peer, [fits.as_bytes()]), via(32, "203.0.113.9"));
    assert_eq!(ours().source(peer, [over.as_bytes()]), none(TooLong));
    let values: Vec<&[u8]> = over.split(',').map(str::as_bytes).collect();
    assert_eq!(ours().source(peer, values.iter().copied()), none(TooLong));
    assert_eq!(ours().source(peer, values.into_iter().skip(1)), via(32, "10.0.0.2"));
}

#[test]
fn a_client_cannot_hide_behind_a_long_header() {
    let peer = "10.0.0.1".parse().unwrap();
    let long = "6.6.6.6,".repeat(10_000) + "203.0.113.9";
    assert_eq!(ours().source(peer, [long.as_bytes()]), via(1, "203.0.113.9"));
    let many = std::iter::repeat_n(b"6.6.6.6".as_slice(), 10_000);
    assert_eq!(ours().source(peer, many.chain([b"203.0.113.9".as_slice()])), via(1, "203.0.113.9"));
}

#[test]
fn the_table_of_prefixes() {
    let good = [
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("203.0.113.9", "203.0.113.9/32"),
        ("203.0.113.9/32", "203.0.113.9/32"),
        ("2001:DB8::/32", "2001:db8::/32"),
        ("::/0", "::/0"),
        ("::1", "::1/128"),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ("::ffff:203.0.113.9", "203.0.113.9/32"),
        ("::ffff:0:0/96", "0.0.0.0/0"),
    ];
    for (text, canonical) in good {
        assert_eq!(text.parse::<Prefix>().map(|p| p.to_string()), Ok(canonical.into()), "{text}");
    }
    let bad = [
        ("", PrefixError::Syntax),
        ("/", PrefixError::Syntax),
        ("10.0.0.0/", PrefixError::Syntax),
        ("10.0.0.0/+8", PrefixError::Syntax),
        ("10.0.0.0/-1", PrefixError::Syntax),
        ("10.0.0.0/08", PrefixError::Syntax),
        ("10.0.0.0/8/8", PrefixError::Syntax),
        ("10.0.0.0/255.0.0.0", PrefixError::Syntax),
        ("10.0.0.0 /8", PrefixError::Syntax),
        (" 10.0.0.0/8", PrefixError::Syntax),
        ("10.0.0/8", PrefixError::Syntax),
        ("010.0.0.0/8", PrefixError::Syntax),
        ("[2001:db8::]/32", PrefixError::Syntax),
        ("fe80::1%3/64", PrefixError::Syntax),
        ("example.com", PrefixError::Syntax),
        ("10.0.0.0/33", PrefixError::Length),
        ("10.0.0.0/256", PrefixError::Length),
        ("10.0.0.0/99999999999", PrefixError::Length),
        ("::/129", PrefixError::Length),
        ("::ffff:10.0.0.0/129", PrefixError::Length),
        ("10.0.0.1/8", PrefixError::HostBits),
        ("2001:db8::1/32", PrefixError::HostBits),
        ("::ffff:10.0.0.1/104", PrefixError::HostBits),
        // An IPv4 length on a mapped address: not the block that was meant.
        ("::ffff:10.0.0.0/8", PrefixError::HostBits),
    ];
    for (text, error) in bad {
        assert_eq!(text.parse::<Prefix>(), Err(error), "{text}");
    }
}

#[test]
fn counting_blocks_of_an_address() {
    let ladder = |text: &str| -> Vec<String> {
        let address = Address::new(text.parse().unwrap());
        address.ladder().iter().map(Prefix::to_string).collect()
    };
    assert_eq!(ladder("203.0.113.9"), ["203.0.113.9/32"]);
    assert_eq!(ladder("::ffff:203.0.113.9"), ["203.0.113.9/32"]);
    assert_eq!(
        ladder("2001:db8:1:2ff:4::5"),
        ["2001:db8:1:2ff::/64", "2001:db8:1:200::/56", "2001:db8:1::/48"]
    );
}

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<[u8; 4]>().prop_map(IpAddr::from),
        any::<[u8; 16]>().prop_map(IpAddr::from),
        // mapped
        any::<[u8; 4]>().prop_map(|v4| match IpAddr::from(v4) {
            IpAddr::V4(v4) => IpAddr::V6(v4.to_ipv6_mapped()),
            v6 @ IpAddr::V6(_) => v6,
        }),
    ]
}

/// The address as 128 bits, IPv4 mapped: the oracle's way to compare.
fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

fn cases(ci: usize, long: usize) -> ProptestConfig {
    let cases = u32::try_from(runs(ci, long)).unwrap();
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(2_000, 100_000))]

    /// A block holds an address exactly when their leading bits agree.
    #[test]
    fn contains_agrees_with_leading_bits(
        network in address(),
        other in address(),
        length in 0_u8..=128,
        near in any::<bool>(),
        flip in 0_u32..128,
    ) {
        let v4 = network.to_canonical().is_ipv4();
        let length = if v4 { 96 + length % 33 } else { length };
        let keep = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
        let network = IpAddr::V6((bits(network) & keep).into());
        // A neighbour that differs in one bit bites more than a random address.
        let other = if near { IpAddr::V6((bits(network) ^ (1 << flip)).into()) } else { other };
        let block = Prefix::new(network, length).unwrap();
        let expected = bits(other) & keep == bits(network);
        prop_assert_eq!(block.contains(Address::new(other)), expected);
        prop_assert_eq!(block.to_string().parse::<Prefix>(), Ok(block));
    }

    /// Whatever a client writes to the left of its own address changes nothing.
    #[test]
    fn what_the_client_writes_changes_nothing(
        written in proptest::collection::vec(any::<Vec<u8>>(), 0..4),
        client in address(),
        proxies in 0_usize..6,
    ) {
        let ours = TrustedProxies::new(vec!["10.0.0.0/24".parse().unwrap()]);
        prop_assume!(!ours.trusts(Address::new(client)));
        let mut headers: Vec<Vec<u8>> = written;
        headers.push(client.to_string().into_bytes());
        headers.extend((0..proxies).map(|i| format!("10.0.0.{i}").into_bytes()));
        let one_line = headers.join(b",".as_slice());
        let expected = Source::Forwarded {
            client: Address::new(client),
            hops: u8::try_from(proxies + 1).unwrap(),
        };
        let peer = "10.0.0.99".parse().unwrap();
        prop_assert_eq!(ours.source(peer, headers.iter().map(Vec::as_slice)), expected);
        prop_assert_eq!(ours.source(peer, [one_line.as_slice()]), expected);
    }

    /// No input panics, and a stranger's header is never believed.
    #[test]
    fn any_bytes(peer in address(), values in proptest::collection::vec(any::<Vec<u8>>(), 0..5)) {
        let source = ours().source(peer, values.iter().map(Vec::as_slice));
        if !ours().trusts(Address::new(peer)) {
            prop_assert_eq!(source, Source::Direct(Address::new(peer)));
        }
    }
}
