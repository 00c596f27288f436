//! A Redis server of one test's own.

#![expect(clippy::expect_used, clippy::panic, reason = "a server that fails fails the test")]

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::ops::Deref;
use std::time::Duration;

use crate::server::{PrivateServer, find_program};

/// Debian's packages with the server and with `redis-benchmark`.
const PACKAGES: &str = "redis-server redis-tools";
/// A bound against a test that hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// A `redis-server` on a free port, in a folder that goes away: see [`PrivateServer`], which it
/// dereferences to.
///
/// Without options it evicts nothing and writes nothing to its folder.
#[derive(Debug)]
pub struct RedisServer(PrivateServer);

impl RedisServer {
    /// A server that keeps its cells in memory only.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// A server with these options of its configuration file, as `["appendonly yes"]`.
    pub fn with(options: &[&str]) -> Self {
        let program = find_program("redis-server", PACKAGES, &[]);
        let server = PrivateServer::new(|port| {
            // While it reads its data back, it answers LOADING.
            ask(port, &["PING"]).is_ok_and(|answer| answer == [b"PONG"])
        });
        let port = format!("port {}", server.port());
        let ours = ["bind 127.0.0.1", &port, "save \"\"", "maxmemory-policy noeviction"];
        let words = ours.iter().chain(options).flat_map(|option| {
            let (name, value) = option.split_once(' ').expect("a name and its value");
            let values = value.split(' ').map(|value| value.trim_matches('"').to_owned());
            std::iter::once(format!("--{name}")).chain(values)
        });
        let words: Vec<String> = words.collect();
        server.start(&program, &words);
        Self(server)
    }

    /// A replica of this server that has caught up with it.
    pub fn replica(&self) -> Self {
        let of = format!("replicaof 127.0.0.1 {}", self.port());
        let replica = Self::with(&[&of, "repl-diskless-sync-delay 0"]);
        let synced = crate::server::eventually(|| {
            // The replica has read everything, and the primary knows: only then does it send more.
            replica.ask(&["INFO", "replication"]).contains("master_link_status:up")
                && self.ask(&["INFO", "replication"]).contains("state=online")
        });
        assert!(synced, "the replica does not reach its primary");
        replica
    }

    /// Where a client finds it.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port())
    }

    /// What it answers to one command, as text: items of an array stand on lines of their own, an
    /// absent value is empty, and an error begins with `-`.
    pub fn ask(&self, words: &[&str]) -> String {
        String::from_utf8_lossy(&self.ask_bytes(words).join(&b'\n')).into_owned()
    }

    /// The same in bytes, item by item.
    pub fn ask_bytes(&self, words: &[impl AsRef<[u8]>]) -> Vec<Vec<u8>> {
        ask(self.port(), words).unwrap_or_else(|error| panic!("{error}"))
    }
}

impl Deref for RedisServer {
    type Target = PrivateServer;

    fn deref(&self) -> &PrivateServer {
        &self.0
    }
}

fn ask(port: u16, words: &[impl AsRef<[u8]>]) -> io::Result<Vec<Vec<u8>>> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut sent = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        let word = word.as_ref();
        sent.extend(format!("${}\r\n", word.len()).bytes());
        sent.extend([word, b"\r\n"].concat());
    }
    stream.write_all(&sent)?;
    answer(&mut BufReader::new(stream))
}

fn answer(from: &mut impl BufRead) -> io::Result<Vec<Vec<u8>>> {
    let mut line = String::new();
    from.read_line(&mut line)?;
    let line = line.trim_end();
    let unclear = || io::Error::new(io::ErrorKind::InvalidData, line);
    let (kind, rest) = line.split_at_checked(1).ok_or_else(unclear)?;
    let count = || rest.parse::<i64>().map(|count| usize::try_from(count).ok());
    match kind {
        "+" | ":" => Ok(vec![rest.as_bytes().to_vec()]),
        "-" => Ok(vec![line.as_bytes().to_vec()]),
        "$" => {
            let Some(len) = count().map_err(|_| unclear())? else { return Ok(vec![Vec::new()]) };
            let mut bytes = vec![0; len.saturating_add(2)];
            from.read_exact(&mut bytes)?;
            bytes.truncate(len);
            Ok(vec![bytes])
        }
        "*" => {
            let items = count().map_err(|_| unclear())?.unwrap_or(0);
            let items: io::Result<Vec<Vec<Vec<u8>>>> = (0..items).map(|_| answer(from)).collect();
            Ok(items?.concat())
        }
        _ => Err(unclear()),
    }
}
