//! A private server obeys its test, and does not outlive it.
#![cfg(feature = "servers")]
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;

use vouchsafe_testkit::server::eventually;
use vouchsafe_testkit::{ChildTest, RedisServer};

#[test]
fn it_is_killed_and_comes_back_with_its_data_on_its_port() {
    let server = RedisServer::with(&["appendonly yes", "appendfsync always"]);
    assert_eq!(server.ask(&["SET", "a", "kept"]), "OK");
    let (first, port) = (server.id(), server.port());
    server.kill();
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err());
    server.restart();
    assert_ne!(server.id(), first);
    assert_eq!(server.port(), port);
    assert_eq!(server.ask(&["GET", "a"]), "kept");
}

#[test]
fn a_paused_server_accepts_and_does_not_answer() {
    let server = RedisServer::start();
    server.pause();
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port())).unwrap();
    stream.write_all(b"PING\r\n").unwrap();
    stream.set_nonblocking(true).unwrap();
    let nothing = stream.read(&mut [0; 16]).unwrap_err();
    assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock);
    stream.set_nonblocking(false).unwrap();
    server.resume();
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).unwrap();
    assert_eq!(answer, "+PONG\r\n");
}

#[test]
fn a_replica_has_what_its_primary_has() {
    let primary = RedisServer::start();
    primary.ask(&["SET", "a", "copied"]);
    let replica = primary.replica();
    assert_eq!(replica.ask(&["GET", "a"]), "copied");
    assert!(replica.ask(&["SET", "a", "b"]).starts_with("-READONLY"));
}

#[test]
fn a_dropped_server_leaves_nothing() {
    let server = RedisServer::start();
    let (id, folder) = (server.id().unwrap(), server.folder().to_owned());
    assert!(Path::new(&format!("/proc/{id}")).exists());
    drop(server);
    assert!(!Path::new(&format!("/proc/{id}")).exists());
    assert!(!folder.exists());
}

/// Started again by the next test, as a child that is killed.
#[test]
fn a_server_does_not_outlive_a_killed_test() {
    const CHILD: &str = "VOUCHSAFE_SERVER_CHILD";
    if std::env::var_os(CHILD).is_some() {
        let server = RedisServer::start();
        let id = server.id().unwrap();
        ChildTest::say(&format!("serves {id} {}", server.folder().display()));
        ChildTest::wait();
        return;
    }
    let mut child = ChildTest::start("a_server_does_not_outlive_a_killed_test", &[(CHILD, &"1")]);
    let said = child.line("serves ");
    let (id, folder) = said.split_once(' ').unwrap();
    let ended =
        || fs::read_to_string(format!("/proc/{id}/stat")).map_or(true, |s| s.contains(") Z "));
    assert!(!ended());
    child.kill();
    assert!(eventually(|| ended() && !Path::new(folder).exists()));
}

#[test]
#[should_panic = "apt-get update && apt-get install -y some-package"]
fn a_missing_program_says_what_to_type() {
    vouchsafe_testkit::server::find_program("no-such-server", "some-package", &[]);
}
