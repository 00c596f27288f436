//! Chromium, driven by chromedriver: <https://www.w3.org/TR/webdriver2/>, as far as it is needed.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use serde_json::{Value, json};

use super::client::{connect, read};
use super::house::lines;
use super::{between, wait_for};

/// The key under which WebDriver hands out elements.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// The backspace key, in WebDriver's private alphabet.
const BACKSPACE: &str = "\u{e003}";
/// The tabulator key.
const TAB: &str = "\u{e004}";

/// One window of one fresh browser; the browser ends with it.
pub struct Browser {
    driver: Child,
    port: u16,
    session: String,
    /// Where downloads go.
    pub downloads: PathBuf,
}

/// An element of the page that is shown.
#[derive(Clone, Debug)]
pub struct Element(String);

/// A driver and its port; none where it ends at once, as it does now and then when the port that it was
/// given for one of its two addresses is taken at the other.
fn chromedriver() -> Option<(Child, u16)> {
    let mut driver = Command::new("chromedriver")
        .arg("--port=0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("chromedriver: apt-get install chromium-driver");
    let said = lines(driver.stdout.take().unwrap());
    loop {
        match said.recv_timeout(Duration::from_secs(60)) {
            Ok(line) => {
                if let Some(port) = between(&line, "started successfully on port ", ".") {
                    return Some((driver, port.parse().unwrap()));
                }
            }
            Err(RecvTimeoutError::Disconnected) => {
                driver.wait().unwrap();
                return None;
            }
            Err(RecvTimeoutError::Timeout) => panic!("chromedriver is not ready"),
        }
    }
}

impl Browser {
    /// Starts a browser with nothing in it; `folder` takes its profile and its downloads.
    pub fn start(folder: &Path) -> Self {
        let downloads = folder.join("downloads");
        fs::create_dir_all(&downloads).unwrap();
        let (driver, port) = (0..5).find_map(|_| chromedriver()).expect("a port for chromedriver");
        let mut browser = Self { driver, port, session: String::new(), downloads };
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--window-size=1100,800",
            &format!("--user-data-dir={}", folder.join("profile").display()),
        ];
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
            "timeouts": { "implicit": 0, "pageLoad": 60_000, "script": 10_000 },
        } } });
        let session = browser.send("POST", "/session", Some(&wanted)).unwrap();
        browser.session = format!("/session/{}", session["sessionId"].as_str().unwrap());
        let folder = browser.downloads.display().to_string();
        browser.devtools(
            "Browser.setDownloadBehavior",
            json!({ "behavior": "allow", "downloadPath": folder }),
        );
        browser
    }

    /// One command of the protocol; the error is WebDriver's word for it.
    fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, String> {
        let address = format!("127.0.0.1:{}", self.port);
        let stream = connect("127.0.0.1", address.parse().unwrap()).unwrap();
        let body = body.map(Value::to_string).unwrap_or_default();
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        (&stream).write_all(request.as_bytes()).unwrap();
        let answer = read(&mut std::io::BufReader::new(stream)).unwrap();
        let mut value: Value = serde_json::from_str(&answer.body).unwrap();
        let value = value["value"].take();
        match value["error"].as_str() {
            Some(error) => Err(format!("{error}: {}", value["message"])),
            None => Ok(value),
        }
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value, String> {
        self.send("POST", &format!("{}{path}", self.session), Some(body))
    }

    fn ask(&self, path: &str) -> Result<Value, String> {
        self.send("GET", &format!("{}{path}", self.session), None)
    }

    /// A command of Chromium's own protocol.
    pub fn devtools(&self, command: &str, parameters: Value) -> Value {
        let body = json!({ "cmd": command, "params": parameters });
        self.post("/goog/cdp/execute", &body).unwrap()
    }

    pub fn go(&self, url: &str) {
        self.post("/url", &json!({ "url": url })).unwrap();
    }

    /// The path of the page that is shown.
    pub fn path(&self) -> String {
        let url = self.ask("/url").unwrap();
        let rest = url.as_str().unwrap().split_once("://").unwrap().1;
        rest.split_once('/').map(|(_, path)| format!("/{path}")).unwrap()
    }

    /// What a script answers.
    pub fn script(&self, text: &str) -> Value {
        self.post("/execute/sync", &json!({ "script": text, "args": [] })).unwrap()
    }

    fn found(&self, using: &str, value: &str) -> Result<Element, String> {
        let found = self.post("/element", &json!({ "using": using, "value": value }))?;
        Ok(Element(found[ELEMENT].as_str().unwrap().to_owned()))
    }

    /// The element of a CSS selector.
    #[track_caller]
    pub fn element(&self, css: &str) -> Element {
        self.found("css selector", css).unwrap_or_else(|why| panic!("{why}\n{}", self.text()))
    }

    /// How many elements a CSS selector has.
    pub fn count(&self, css: &str) -> usize {
        let query = json!({ "using": "css selector", "value": css });
        self.post("/elements", &query).unwrap().as_array().unwrap().len()
    }

    /// The text of the page, as people see it.
    pub fn text(&self) -> String {
        let body = self.found("css selector", "body").unwrap();
        self.read(&body)
    }

    pub fn read(&self, element: &Element) -> String {
        let text = self.ask(&format!("/element/{}/text", element.0)).unwrap();
        text.as_str().unwrap().to_owned()
    }

    #[track_caller]
    pub fn shows(&self, text: &str) {
        let page = self.text();
        assert!(page.contains(text), "no “{text}” at {} in:\n{page}", self.path());
    }

    /// Types into a field, which is emptied first.
    #[track_caller]
    pub fn fill(&self, css: &str, text: &str) {
        let element = self.element(css);
        self.post(&format!("/element/{}/clear", element.0), &json!({})).unwrap();
        self.keys(&element, text);
    }

    /// Types on, where the field is.
    #[track_caller]
    pub fn type_on(&self, css: &str, text: &str) {
        self.keys(&self.element(css), text);
    }

    fn keys(&self, element: &Element, text: &str) {
        let keys = json!({ "text": text });
        self.post(&format!("/element/{}/value", element.0), &keys).unwrap();
    }

    /// Takes back the last `count` characters.
    pub fn backspace(&self, css: &str, count: usize) {
        self.type_on(css, &BACKSPACE.repeat(count));
    }

    /// Presses the tabulator key wherever the focus is, and names what has it then.
    pub fn tab(&self) -> String {
        let press = json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": [
            { "type": "keyDown", "value": TAB }, { "type": "keyUp", "value": TAB },
        ] }] });
        self.post("/actions", &press).unwrap();
        let focused = self.script("return document.activeElement.textContent.trim()");
        focused.as_str().unwrap().to_owned()
    }

    #[track_caller]
    pub fn click(&self, css: &str) {
        let element = self.element(css);
        self.click_on(&element);
    }

    /// A click is refused while a change of the window's size is still on its way to the page.
    fn click_on(&self, element: &Element) {
        let show = json!({
            "script": "arguments[0].scrollIntoView({ block: 'center', behavior: 'instant' })",
            "args": [{ ELEMENT: element.0 }],
        });
        wait_for("a click", Duration::from_secs(10), || {
            self.post("/execute/sync", &show).unwrap();
            match self.post(&format!("/element/{}/click", element.0), &json!({})) {
                Ok(_) => Some(()),
                Err(why) if why.starts_with("element click intercepted") => None,
                Err(why) => panic!("{why}"),
            }
        });
    }

    /// Presses the button, or follows the link, with this text in it, and waits for its page.
    #[track_caller]
    pub fn press(&self, text: &str) {
        self.leave(|| self.tap(text));
    }

    /// The same where no page follows.
    #[track_caller]
    pub fn tap(&self, text: &str) {
        let has = format!("[contains(normalize-space(.), \"{text}\")]");
        let path = format!("(//main//button{has} | //a{has} | //button{has})[1]");
        let found = self.found("xpath", &path);
        let element = found.unwrap_or_else(|why| panic!("{why}\n{}", self.text()));
        self.click_on(&element);
    }

    /// Does something, and waits until another page is there.
    pub fn leave(&self, act: impl FnOnce()) {
        let page = self.element("html");
        act();
        wait_for("the next page", Duration::from_secs(30), || {
            self.ask(&format!("/element/{}/name", page.0)).is_err().then_some(())
        });
        wait_for("the whole page", Duration::from_secs(30), || {
            let state = json!({ "script": "return document.readyState", "args": [] });
            let state = self.post("/execute/sync", &state).ok()?;
            (state == json!("complete")).then_some(())
        });
    }

    /// Chooses an option of a list.
    pub fn choose(&self, css: &str, text: &str) {
        let id = css.trim_start_matches('#');
        let path = format!("//select[@id='{id}']/option[normalize-space(.)='{text}']");
        let option = self.found("xpath", &path).unwrap();
        self.click_on(&option);
    }

    /// The cookies as the browser keeps them.
    pub fn cookies(&self) -> Vec<Value> {
        self.ask("/cookie").unwrap().as_array().unwrap().clone()
    }

    /// What the browser itself called an error since it was asked last.
    pub fn complaints(&self) -> Vec<String> {
        let log = self.post("/se/log", &json!({ "type": "browser" })).unwrap();
        let text = |entry: &Value| entry["message"].as_str().unwrap().to_owned();
        let severe = |entry: &&Value| entry["level"] == json!("SEVERE");
        log.as_array().unwrap().iter().filter(severe).map(text).collect()
    }

    /// `dark` or `light`.
    pub fn scheme(&self, scheme: &str) {
        let feature = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.devtools("Emulation.setEmulatedMedia", json!({ "features": feature }));
    }

    /// The width of the window in CSS pixels, as of a telephone when it is small.
    pub fn width(&self, width: u32) {
        let metrics = json!({
            "width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 600,
        });
        self.devtools("Emulation.setDeviceMetricsOverride", metrics);
    }

    /// The window as it was started.
    pub fn real_size(&self) {
        self.devtools("Emulation.clearDeviceMetricsOverride", json!({}));
    }

    /// Whether pages may run scripts.
    pub fn scripts(&self, allowed: bool) {
        self.devtools("Emulation.setScriptExecutionDisabled", json!({ "value": !allowed }));
    }

    /// The whole page, as a PNG.
    pub fn picture(&self) -> Vec<u8> {
        // A scroll bar would take its width away from the page, and not be in the picture.
        self.devtools("Emulation.setScrollbarsHidden", json!({ "hidden": true }));
        let size = &self.devtools("Page.getLayoutMetrics", json!({}))["cssContentSize"];
        let clip = json!({
            "x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1,
        });
        let wanted = json!({ "format": "png", "captureBeyondViewport": true, "clip": clip });
        let picture = self.devtools("Page.captureScreenshot", wanted);
        let png = base64(picture["data"].as_str().unwrap());
        assert!(png.starts_with(b"\x89PNG"), "no picture");
        png
    }

    /// The text of a download, once it is complete.
    pub fn downloaded(&self, name: &str) -> String {
        let path = self.downloads.join(name);
        // Chromium writes under another name and renames at the end.
        wait_for(name, Duration::from_secs(30), || fs::read_to_string(&path).ok())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // chromedriver ends its browser on this; nothing here may panic while a test does.
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        if let Ok(stream) = connect("127.0.0.1", address) {
            let path = &self.session;
            let head =
                format!("DELETE {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
            let _ = (&stream).write_all(head.as_bytes());
            let _ = read(&mut std::io::BufReader::new(stream));
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// Base64 as chromedriver writes it: RFC 4648, section 4, padded.
fn base64(text: &str) -> Vec<u8> {
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => u32::from(byte - b'A'),
        b'a'..=b'z' => u32::from(byte - b'a') + 26,
        b'0'..=b'9' => u32::from(byte - b'0') + 52,
        b'+' => 62,
        b'/' => 63,
        other => panic!("{other} in base64"),
    };
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    for group in text.trim_end_matches('=').as_bytes().chunks(4) {
        let bits = group.iter().fold(0, |bits, byte| bits << 6 | value(*byte));
        let bits = bits << (6 * (4 - group.len()));
        bytes.extend_from_slice(&bits.to_be_bytes()[1..group.len()]);
    }
    bytes
}
