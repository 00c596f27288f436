//! From which address, and who says so.

use std::collections::VecDeque;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// An IP address in canonical form: an IPv4-mapped IPv6 address is its IPv4 address.
///
/// Its text does not show in `Debug`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(IpAddr);

impl Address {
    /// The canonical form of `address`. Only `::ffff:a.b.c.d` stands for an IPv4 address; other
    /// ways to write one inside IPv6 (`::a.b.c.d`, `64:ff9b::/96`, `2002::/16`) are addresses of
    /// their own, as the network treats them.
    #[must_use]
    pub fn new(address: IpAddr) -> Self {
        Self(address.to_canonical())
    }

    /// The address itself.
    #[must_use]
    pub const fn ip(self) -> IpAddr {
        self.0
    }

    /// The blocks to count it under, narrowest first: /32 for IPv4; /64, /56 and /48 for IPv6,
    /// where one subscriber holds at least a /64.
    #[must_use]
    pub fn ladder(self) -> Vec<Prefix> {
        let lengths: &[u8] = match self.0 {
            IpAddr::V4(_) => &[32],
            IpAddr::V6(_) => &[64, 56, 48],
        };
        lengths.iter().map(|&length| Prefix::masked(self.0, length)).collect()
    }
}

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        Self::new(address)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Address(..)")
    }
}

/// A block of addresses: `10.0.0.0/8`, `2001:db8::/32`.
///
/// It may be one address, so only its length shows in `Debug`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    network: IpAddr,
    length: u8,
}

/// Not a block of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PrefixError {
    /// Neither `address` nor `address/length`.
    #[error("not an address or `address/length`")]
    Syntax,
    /// More bits than the address has.
    #[error("the prefix has more bits than the address")]
    Length,
    /// Bits are set behind the prefix: probably not the block that was meant.
    #[error("bits are set behind the prefix length")]
    HostBits,
}

impl Prefix {
    /// The block of `length` leading bits of `network`. A block of IPv4-mapped IPv6 addresses is
    /// its IPv4 block.
    ///
    /// # Errors
    /// [`PrefixError`] for too long a prefix, or bits set behind it.
    pub fn new(network: IpAddr, length: u8) -> Result<Self, PrefixError> {
        let (network, length) = match (network, network.to_canonical()) {
            (IpAddr::V6(_), IpAddr::V4(mapped)) if length >= 96 => {
                (IpAddr::V4(mapped), length.saturating_sub(96))
            }
            _ => (network, length),
        };
        if length > width(network) {
            return Err(PrefixError::Length);
        }
        let prefix = Self::masked(network, length);
        if prefix.network == network { Ok(prefix) } else { Err(PrefixError::HostBits) }
    }

    fn masked(address: IpAddr, length: u8) -> Self {
        let network = match address {
            IpAddr::V4(v4) => {
                let mask = u32::MAX.checked_shl(u32::from(32_u8.saturating_sub(length)));
                IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & mask.unwrap_or(0)))
            }
            IpAddr::V6(v6) => {
                let mask = u128::MAX.checked_shl(u32::from(128_u8.saturating_sub(length)));
                IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask.unwrap_or(0)))
            }
        };
        Self { network, length }
    }

    /// Its first address.
    #[must_use]
    pub const fn network(&self) -> IpAddr {
        self.network
    }

    /// How many leading bits it fixes.
    #[must_use]
    pub const fn length(&self) -> u8 {
        self.length
    }

    /// Whether `address` lies in it.
    #[must_use]
    pub fn contains(&self, address: Address) -> bool {
        match (self.network, address.ip()) {
            (IpAddr::V4(_), IpAddr::V4(_)) | (IpAddr::V6(_), IpAddr::V6(_)) => {
                Self::masked(address.ip(), self.length) == *self
            }
            // `::/0` and the like hold the mapped IPv4 addresses too.
            (IpAddr::V6(_), IpAddr::V4(v4)) => {
                Self::masked(IpAddr::V6(v4.to_ipv6_mapped()), self.length) == *self
            }
            (IpAddr::V4(_), IpAddr::V6(_)) => false,
        }
    }
}

const fn width(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| PrefixError::Syntax)?;
        let length = match length {
            None => width(address),
            Some(digits) if is_decimal(digits) => {
                digits.parse().map_err(|_| PrefixError::Length)?
            }
            Some(_) => return Err(PrefixError::Syntax),
        };
        Self::new(address, length)
    }
}

/// Digits without a leading zero, which some readers would take for octal.
fn is_decimal(text: &str) -> bool {
    text == "0"
        || (!text.is_empty() && !text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit()))
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Prefix(../{})", self.length)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.length)
    }
}

/// Where a request came from, and on whose word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// The peer of the connection.
    Direct(Address),
    /// The address that the outermost trusted proxy named.
    Forwarded {
        /// The client's address.
        client: Address,
        /// How many trusted proxies stand between, the peer included.
        hops: u8,
    },
    /// There is none, for a reason.
    Unavailable(Unavailable),
}

impl Source {
    /// The client's address, where there is one.
    #[must_use]
    pub const fn address(&self) -> Option<Address> {
        match self {
            Self::Direct(address) | Self::Forwarded { client: address, .. } => Some(*address),
            Self::Unavailable(_) => None,
        }
    }
}

/// Why there is no source address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Unavailable {
    /// Nothing crossed a network: a job, a console, a Unix socket.
    Local,
    /// A trusted proxy named no address, or hid it (`unknown`, an obfuscated name).
    Hidden,
    /// What a trusted proxy sent is not an address.
    Unreadable,
    /// More of our own proxies in a row than anybody has.
    TooLong,
}

/// The proxies whose word about the client's address is taken.
///
/// The walk goes from the right, where our own proxies append, and stops at the first address that
/// is not one of them: what a client writes on the left is never reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<Prefix>);

impl TrustedProxies {
    /// The walk reads no more entries than this: chains of real proxies are a few long.
    pub const MAX_ENTRIES: usize = 32;

    /// No proxy is trusted: the peer is the client.
    #[must_use]
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// These blocks are our proxies.
    #[must_use]
    pub const fn new(blocks: Vec<Prefix>) -> Self {
        Self(blocks)
    }

    /// Whether `address` is one of our proxies.
    #[must_use]
    pub fn trusts(&self, address: Address) -> bool {
        self.0.iter().any(|block| block.contains(address))
    }

    /// The source of a request from `peer` with these `X-Forwarded-For` header values, in the
    /// order they were received.
    ///
    /// A request of a proxy's own, without the header, is the proxy's. When every entry is a proxy
    /// of ours, the left-most is where the chain began: clients inside the trusted blocks are
    /// believed, so trust the proxies' own addresses and not the network they stand in.
    pub fn source<'a>(
        &self,
        peer: IpAddr,
        forwarded_for: impl IntoIterator<Item = &'a [u8]>,
    ) -> Source {
        let peer = Address::new(peer);
        if !self.trusts(peer) {
            return Source::Direct(peer);
        }
        let mut hops = 1_u8;
        let mut outermost = None;
        for (read, entry) in entries_from_the_right(forwarded_for).enumerate() {
            // What is left of the first stranger is the client's to write: its length too must
            // not matter, or a client could hide behind a long header.
            if read == Self::MAX_ENTRIES {
                return Source::Unavailable(Unavailable::TooLong);
            }
            match entry_address(entry) {
                Err(reason) => return Source::Unavailable(reason),
                Ok(client) if !self.trusts(client) => return Source::Forwarded { client, hops },
                Ok(proxy) => outermost = Some((proxy, hops)),
            }
            hops = hops.saturating_add(1);
        }
        match outermost {
            Some((client, hops)) => Source::Forwarded { client, hops },
            None => Source::Direct(peer),
        }
    }
}

/// The entries of all values, last first; of more values than are ever read, the last ones.
fn entries_from_the_right<'a>(
    values: impl IntoIterator<Item = &'a [u8]>,
) -> impl Iterator<Item = &'a [u8]> {
    const MOST: usize = TrustedProxies::MAX_ENTRIES + 1;
    let mut last = VecDeque::with_capacity(MOST);
    for value in values {
        if last.len() == MOST {
            last.pop_front();
        }
        last.push_back(value);
    }
    last.into_iter()
        .rev()
        .flat_map(|value| value.rsplit(|byte| *byte == b',').map(<[u8]>::trim_ascii))
}

/// One entry: an address, with a port or in brackets or both. A zone (`%eth0`) means something to
/// one host only and is no address.
fn entry_address(entry: &[u8]) -> Result<Address, Unavailable> {
    if entry.is_empty() || entry.eq_ignore_ascii_case(b"unknown") || entry.starts_with(b"_") {
        return Err(Unavailable::Hidden);
    }
    let text = std::str::from_utf8(entry).map_err(|_| Unavailable::Unreadable)?;
    let no_zone = |_: &SocketAddr| !text.contains('%');
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok();
    text.parse::<IpAddr>()
        .ok()
        .or_else(|| text.parse::<SocketAddr>().ok().filter(no_zone).map(|socket| socket.ip()))
        .or_else(|| bracketed().map(IpAddr::V6))
        .map(Address::new)
        .ok_or(Unavailable::Unreadable)
}
