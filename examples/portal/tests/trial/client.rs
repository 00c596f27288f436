//! HTTP/1.1 as a browser without scripts uses it: one kept connection, cookies, and the token of
//! the page that was loaded last.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::between;

/// One browser.
pub struct Client {
    address: String,
    source: String,
    connection: Option<BufReader<TcpStream>>,
    pub cookies: BTreeMap<String, String>,
    token: String,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(header, _)| header == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Where a redirect leads; panics with the page when it is none.
    #[track_caller]
    pub fn leads_to(&self) -> &str {
        assert_eq!(self.status, 303, "no redirect: {}", self.body);
        self.header("location").unwrap()
    }

    #[track_caller]
    pub fn shows(&self, text: &str) {
        assert!(self.body.contains(text), "{}: no “{text}” in: {}", self.status, self.body);
    }
}

impl Client {
    /// A browser at `source`, some address of `127.0.0.0/8`.
    pub fn new(address: &str, source: &str) -> Self {
        Self {
            address: address.to_owned(),
            source: source.to_owned(),
            connection: None,
            cookies: BTreeMap::new(),
            token: String::new(),
        }
    }

    /// The same cookies at another address of the portal.
    pub fn moved(&self, address: &str) -> Self {
        let fresh = Self::new(address, &self.source);
        Self { cookies: self.cookies.clone(), token: self.token.clone(), ..fresh }
    }

    /// Opens the connection that the next requests share.
    pub fn connect(&mut self) -> io::Result<()> {
        let stream = connect(&self.source, self.address.parse().unwrap())?;
        self.connection = Some(BufReader::new(stream));
        Ok(())
    }

    pub fn get(&mut self, path: &str) -> io::Result<Answer> {
        self.ask("GET", path, None)
    }

    /// Sends a form with the token of the page before.
    pub fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> io::Result<Answer> {
        let form = self.form(fields);
        self.ask("POST", path, Some(&form))
    }

    fn form(&self, fields: &[(&str, &str)]) -> String {
        let mut body = format!("csrf_token={}", encoded(&self.token));
        for (name, value) in fields {
            body.push_str(&format!("&{name}={}", encoded(value)));
        }
        body
    }

    /// What [`get`](Self::get), or with fields [`post`](Self::post), writes, and to which
    /// connection; what comes back is for [`answered`](Self::answered).
    pub fn prepare(
        &mut self,
        path: &str,
        fields: Option<&[(&str, &str)]>,
    ) -> io::Result<(TcpStream, String)> {
        if self.connection.is_none() {
            self.connect()?;
        }
        let form = fields.map(|fields| self.form(fields));
        let method = if form.is_some() { "POST" } else { "GET" };
        let connection = self.connection.as_ref().unwrap().get_ref().try_clone()?;
        Ok((connection, self.request(method, path, form.as_deref())))
    }

    /// The answer in these bytes.
    pub fn answered(&mut self, mut bytes: &[u8]) -> io::Result<Answer> {
        let answer = read(&mut bytes);
        self.received(answer)
    }

    fn request(&self, method: &str, path: &str, form: Option<&str>) -> String {
        let cookies: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.address);
        if !cookies.is_empty() {
            head.push_str(&format!("Cookie: {}\r\n", cookies.join("; ")));
        }
        if let Some(form) = form {
            head.push_str(&format!("Origin: http://{}\r\n", self.address));
            head.push_str("Sec-Fetch-Site: same-origin\r\n");
            head.push_str("Content-Type: application/x-www-form-urlencoded\r\n");
            head.push_str(&format!("Content-Length: {}\r\n", form.len()));
        }
        head.push_str("\r\n");
        head.push_str(form.unwrap_or_default());
        head
    }

    fn ask(&mut self, method: &str, path: &str, form: Option<&str>) -> io::Result<Answer> {
        if self.connection.is_none() {
            self.connect()?;
        }
        let request = self.request(method, path, form);
        let kept = self.connection.as_mut().unwrap();
        let answer = kept.get_mut().write_all(request.as_bytes()).and_then(|()| read(kept));
        self.received(answer)
    }

    fn received(&mut self, answer: io::Result<Answer>) -> io::Result<Answer> {
        let close = answer.as_ref().map_or(true, |answer| {
            answer.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
        });
        if close {
            self.connection = None;
        }
        let answer = answer?;
        self.keep(&answer);
        Ok(answer)
    }

    fn keep(&mut self, answer: &Answer) {
        for (_, value) in answer.headers.iter().filter(|(name, _)| name == "set-cookie") {
            let (pair, attributes) = value.split_once(';').unwrap_or((value, ""));
            let (name, value) = pair.split_once('=').unwrap();
            if value.is_empty() || attributes.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        if let Some(token) = between(&answer.body, "name='csrf_token' value='", "'") {
            self.token = token.to_owned();
        }
    }

    /// Signs in; the answer is a redirect when it worked.
    pub fn sign_in(&mut self, tenant: &str, name: &str, password: &str) -> io::Result<Answer> {
        let path = format!("/{tenant}/sign-in");
        self.get(&path)?;
        self.post(&path, &[("name", name), ("password", password)])
    }

    /// Sets the password that a link is for.
    pub fn redeem(&mut self, path: &str, password: &str) -> io::Result<Answer> {
        self.get(path)?;
        self.post(path, &[("new", password), ("again", password)])
    }
}

/// A connection from an address of ours, which only tokio's sockets let us choose without unsafe.
pub fn connect(source: &str, to: SocketAddr) -> io::Result<TcpStream> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let stream = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(source.parse().unwrap(), 0))?;
        socket.connect(to).await?.into_std()
    })?;
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    Ok(stream)
}

/// Reads one response.
pub fn read(from: &mut impl BufRead) -> io::Result<Answer> {
    let mut line = String::new();
    let mut next = |from: &mut dyn BufRead| {
        line.clear();
        match from.read_line(&mut line)? {
            0 => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
            _ => Ok(line.trim_end().to_owned()),
        }
    };
    let status = next(from)?;
    let status = status.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.ok_or_else(|| io::Error::other("no status line"))?;
    let mut headers = Vec::new();
    loop {
        let line = next(from)?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut answer = Answer { status, headers, body: String::new() };
    let mut body = Vec::new();
    if let Some(length) = answer.header("content-length") {
        body.resize(length.parse().map_err(io::Error::other)?, 0);
        from.read_exact(&mut body)?;
    } else if answer.header("transfer-encoding") == Some("chunked") {
        loop {
            let size = usize::from_str_radix(&next(from)?, 16).map_err(io::Error::other)?;
            from.take(size as u64).read_to_end(&mut body)?;
            next(from)?;
            if size == 0 {
                break;
            }
        }
    }
    answer.body = String::from_utf8(body).map_err(io::Error::other)?;
    Ok(answer)
}

/// A form's value.
pub fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let encode = |byte: u8| match byte {
        byte if plain(byte) => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}
