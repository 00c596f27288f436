//! The whole story, as people live it: in Chromium, for both tenants.
//!
//! Pictures of every page lie in `target/screens` afterwards.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_docs,
    reason = "tests"
)]

mod trial;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use trial::client::Client;
use trial::house::{House, Running};
use trial::webdriver::Browser;

const PASSWORD: &str = "Sieben!Zwetschgen-7-am-Hang";
const CHANGED: &str = "Acht!Zwetschgen-8-am-Hang";
const WRONG: &str = "Neun!Zwetschgen-9-am-Hang";
/// What would show at once if it were not escaped.
const NOTES: &str = "50 % off & <b>bold</b> \"claims\"";

/// One tenant's story in one browser.
struct Story<'a> {
    browser: &'a Browser,
    portal: &'a Running,
    tenant: &'a str,
    /// How many wrong passwords lock.
    limit: usize,
}

#[test]
fn both_tenants_live_through_the_whole_story() {
    let house = House::new();
    let portal = house.start(true);
    let browser = Browser::start(&house.aside("browser"));
    browser.go(&format!("http://{}/", portal.address));
    // A key that comes before the new window has the focus moves nothing.
    let mut tabs = std::iter::repeat_with(|| browser.tab()).take(3);
    let first = tabs.find(|text| !text.contains("Welcome"));
    assert_eq!(first.as_deref(), Some("Skip to the content"));
    let stories = [("amigo", 10), ("zoomph", 5)].map(|(tenant, limit)| Story {
        browser: &browser,
        portal: &portal,
        tenant,
        limit,
    });
    stories[0].picture("landing");
    let mailed = house.mailed("administrator@zoomph.example").unwrap();
    for (story, link) in stories.iter().zip([portal.link.clone().unwrap(), mailed]) {
        story.activate("administrator", &link, true);
        story.look_at_what_is_typed();
        story.sign_in("administrator", PASSWORD);
        story.cookies();
        story.campaigns();
        story.policy();
        story.invite("mia");
        story.sessions();
        story.sign_out();
        let link = house.mailed(&story.address("mia")).unwrap();
        story.activate("mia", &link, false);
        story.member();
        story.change_password();
        story.lock();
        story.sign_in("administrator", PASSWORD);
        story.unlock();
        story.log();
        story.without_scripts();
        story.sign_out();
    }
}

impl Story<'_> {
    fn address(&self, name: &str) -> String {
        format!("{name}@{}.example", self.tenant)
    }

    fn go(&self, path: &str) {
        self.browser.go(&format!("http://{}/{}/{path}", self.portal.address, self.tenant));
    }

    fn at(&self, path: &str) {
        assert_eq!(
            self.browser.path(),
            format!("/{}/{path}", self.tenant),
            "{}",
            self.browser.text()
        );
    }

    /// The page in both colour schemes, wide and on a telephone, and what must hold of each page.
    fn picture(&self, name: &str) {
        let browser = self.browser;
        let mut grounds = Vec::new();
        for (size, width) in [("wide", 1100), ("phone", 390)] {
            browser.width(width);
            for scheme in ["light", "dark"] {
                browser.scheme(scheme);
                let file = screens().join(format!("{}-{name}-{size}-{scheme}.png", self.tenant));
                fs::write(file, browser.picture()).unwrap();
                grounds
                    .push(browser.script("return getComputedStyle(document.body).backgroundColor"));
            }
            let over = "return document.documentElement.scrollWidth - window.innerWidth";
            assert!(browser.script(over).as_i64().unwrap() <= 0, "{name} is wider than {width}");
        }
        browser.real_size();
        assert_ne!(grounds[0], grounds[1], "{name} is as bright in the dark");
        assert_eq!(browser.count("h1"), 1, "{name}");
        let unnamed =
            "return [...document.querySelectorAll('input:not([type=hidden]):not([hidden]),select,textarea')]
             .filter(field => field.labels.length === 0).length";
        assert_eq!(browser.script(unnamed), json!(0), "fields without a label: {name}");
        // Refusals are statuses, which the browser notes, and no browser knows every feature that
        // the headers switch off; anything else is a fault of the page.
        let mut faults = browser.complaints();
        faults.retain(|fault| !fault.contains("Permissions-Policy header: Unrecognized feature"));
        faults.retain(|fault| !fault.contains("Failed to load resource: the server responded"));
        assert_eq!(faults, Vec::<String>::new(), "{name}");
    }

    /// From a link to a password; the rules are ticked off on the way.
    fn activate(&self, name: &str, link: &str, pictures: bool) {
        let browser = self.browser;
        browser.go(link);
        browser.shows(&self.address(name));
        assert_eq!(browser.script("return document.getElementById('new').type"), json!("password"));
        let rules = browser.count("[data-rule]");
        let met = || browser.count("[data-rule].met");
        assert!(rules >= 2);
        assert_eq!(met(), 0, "nothing is typed");
        browser.type_on("#new", "z");
        let few = met();
        assert!(few > 0 && few < rules, "{few} of {rules} at one letter");
        if pictures {
            self.picture("activate");
        }
        browser.fill("#new", PASSWORD);
        assert_eq!(met(), rules, "a good password is typed");
        browser.backspace("#new", PASSWORD.chars().count() - 3);
        assert!(met() < rules, "all but three letters are taken back");
        browser.fill("#new", "abc");
        browser.fill("#again", "abc");
        browser.press("Set the password");
        browser.shows("The password was not accepted. These rules are not met:");
        assert!(browser.count(".problem li") >= 1);
        if pictures {
            self.picture("activate-unmet");
        }
        browser.fill("#new", PASSWORD);
        browser.fill("#again", WRONG);
        browser.press("Set the password");
        browser.shows("The two passwords are not the same.");
        browser.fill("#new", PASSWORD);
        browser.fill("#again", PASSWORD);
        browser.press("Set the password");
        browser.shows("Your password is set.");
        browser.go(link);
        browser.shows("This link cannot be used.");
        if pictures {
            self.picture("used-link");
        }
    }

    fn try_sign_in(&self, name: &str, password: &str) {
        self.go("sign-in");
        self.browser.fill("#name", name);
        self.browser.fill("#password", password);
        self.browser.press("Sign in");
    }

    /// What is typed shows while a button is pressed in, and never without the person's doing.
    fn look_at_what_is_typed(&self) {
        let browser = self.browser;
        let kind = || browser.script("return document.getElementById('password').type");
        let button = "button[data-shows=password]";
        let pressed = format!("return document.querySelector('{button}').ariaPressed");
        self.go("sign-in");
        browser.fill("#name", "mia");
        browser.fill("#password", WRONG);
        for (shown, kind_shown) in [("false", "password"), ("true", "text"), ("false", "password")]
        {
            assert_eq!((browser.script(&pressed), kind()), (json!(shown), json!(kind_shown)));
            browser.click(button);
        }
        assert_eq!(kind(), json!("text"));
        self.picture("sign-in-shown");
        // The form leaves with a masked field; it stays here to be looked at.
        browser.script(
            "const form = document.querySelector('form[action$=sign-in]');
             form.addEventListener('submit', event => event.preventDefault());
             form.requestSubmit();",
        );
        assert_eq!(kind(), json!("password"));
        browser.scripts(false);
        self.go("sign-in");
        assert_eq!(kind(), json!("password"));
        assert_eq!(browser.count(&format!("{button}[hidden]")), 1, "a button that does nothing");
        browser.scripts(true);
    }

    fn sign_in(&self, name: &str, password: &str) {
        self.try_sign_in(name, password);
        self.at("campaigns");
    }

    fn sign_out(&self) {
        self.browser.press("Sign out");
        self.at("sign-in");
        self.go("campaigns");
        self.at("sign-in");
    }

    /// Signs in over HTTP, as on another device.
    fn elsewhere(&self, name: &str, password: &str) -> Client {
        let mut client = self.portal.client();
        client.sign_in(self.tenant, name, password).unwrap().leads_to();
        assert!(self.is_in(&mut client));
        client
    }

    fn is_in(&self, client: &mut Client) -> bool {
        client.get(&format!("/{}/account", self.tenant)).unwrap().status == 200
    }

    /// The session's cookie, as the browser keeps it.
    fn cookies(&self) {
        let name = format!("insecure-loopback-sid-{}", self.tenant);
        let cookies = self.browser.cookies();
        let session: Vec<&Value> = cookies.iter().filter(|c| c["name"] == json!(name)).collect();
        assert_eq!(session.len(), 1, "{cookies:?}");
        assert!(session[0]["value"].as_str().unwrap().len() >= 22, "128 bits and more");
        assert_eq!(session[0]["expiry"], Value::Null, "it ends with the browser");
        for cookie in &cookies {
            assert_eq!(cookie["httpOnly"], json!(true), "{cookie}");
            assert_eq!(cookie["sameSite"], json!("Lax"), "{cookie}");
            assert_eq!(cookie["path"], json!("/"), "{cookie}");
            assert_eq!(cookie["domain"], json!("127.0.0.1"), "{cookie}");
            // Plain HTTP on a loopback address: the name says so, and claims no prefix.
            assert_eq!(cookie["secure"], json!(false), "{cookie}");
            assert!(cookie["name"].as_str().unwrap().starts_with("insecure-loopback-"), "{cookie}");
        }
        assert_eq!(self.browser.script("return document.cookie"), json!(""), "a script reads it");
    }

    /// Create, read, update, delete.
    fn campaigns(&self) {
        let browser = self.browser;
        browser.shows("There are no campaigns yet.");
        self.picture("campaigns-none");
        browser.press("New campaign");
        self.picture("campaign-new");
        browser.fill("#title", "Spring <i>sale</i>");
        browser.fill("#notes", NOTES);
        browser.press("Save");
        self.at("campaigns");
        browser.press("Spring <i>sale</i>");
        let notes = "return document.getElementById('notes').value";
        assert_eq!(browser.script(notes), json!(NOTES));
        browser.fill("#notes", "second thoughts");
        self.picture("campaign");
        browser.press("Save");
        browser.press("Spring <i>sale</i>");
        assert_eq!(browser.script(notes), json!("second thoughts"));
        browser.press("All campaigns");
        self.picture("campaigns");
        browser.press("Spring <i>sale</i>");
        browser.press("Delete this campaign");
        self.picture("campaign-delete");
        browser.press("Delete it");
        self.at("campaigns");
        browser.shows("There are no campaigns yet.");
    }

    /// What is promised, and what was just seen to hold.
    fn policy(&self) {
        let browser = self.browser;
        browser.press("Policy");
        self.at("policy");
        browser.press("Probe every promise now");
        self.at("policy");
        assert!(browser.count(".state-in-force") >= 5, "{}", browser.text());
        assert_eq!(browser.count(".state-broken"), 0, "{}", browser.text());
        browser.shows("in force");
        self.picture("policy");
    }

    fn invite(&self, name: &str) {
        let browser = self.browser;
        browser.press("People");
        browser.fill("#email", &self.address(name));
        browser.fill("#name", name);
        browser.choose("#class", "staff");
        browser.choose("#role", "member");
        self.picture("people");
        browser.press("Send an invitation");
        browser.shows("invited");
        let page = browser.script("return document.documentElement.outerHTML");
        assert!(!page.as_str().unwrap().contains("/activate/"), "a page shows the link");
        self.picture("person");
    }

    /// Sees and ends sessions of one's own, and of others.
    fn sessions(&self) {
        let browser = self.browser;
        let mut other = self.elsewhere("administrator", PASSWORD);
        browser.press("Your account");
        browser.shows("this one");
        assert_eq!(browser.count("table tbody tr"), 2);
        self.picture("account");
        browser.press("End all other sessions");
        assert_eq!(browser.count("table tbody tr"), 1);
        assert!(!self.is_in(&mut other));
        let mut other = self.elsewhere("administrator", PASSWORD);
        browser.press("People");
        browser.press("administrator");
        assert_eq!(browser.count("table tbody tr"), 2);
        // The last opened is not ours; whichever is ended, the other one stays.
        let opened = "return [...document.querySelectorAll('table tbody tr')]
             .findIndex(row => !row.textContent.includes('Chrome on Linux'))";
        let row = browser.script(opened).as_i64().unwrap() + 1;
        assert!(row > 0, "{}", browser.text());
        browser.leave(|| browser.click(&format!("table tbody tr:nth-child({row}) button")));
        assert_eq!(browser.count("table tbody tr"), 1);
        assert!(!self.is_in(&mut other));
    }

    /// What somebody without an administrator's rights sees.
    fn member(&self) {
        let browser = self.browser;
        self.sign_in("mia", PASSWORD);
        assert!(!browser.text().contains("Access log"));
        for page in ["users", "log"] {
            self.go(page);
            browser.shows("This page is for administrators.");
        }
        self.picture("forbidden");
        self.go("policy");
        browser.shows("What was promised");
    }

    fn change_password(&self) {
        let browser = self.browser;
        let mut other = self.elsewhere("mia", PASSWORD);
        self.go("account");
        let change = |present: &str, new: &str| {
            browser.fill("#present", present);
            browser.fill("#new", new);
            browser.fill("#again", new);
            browser.press("Change the password");
        };
        change(WRONG, CHANGED);
        browser.shows("The present password is wrong.");
        assert!(self.is_in(&mut other));
        change(PASSWORD, CHANGED);
        browser.shows("Your password is changed");
        assert!(!self.is_in(&mut other));
        self.picture("password-changed");
        self.go("account");
        self.at("account");
        self.sign_out();
    }

    /// The limit's wrong passwords lock, and the page does not say which of the two it was.
    fn lock(&self) {
        let browser = self.browser;
        // One was given for the change of the password, and the limit is the account's.
        let mut refused = 1;
        loop {
            self.try_sign_in("mia", WRONG);
            let said = browser.read(&browser.element(".problem"));
            if said == "Too many attempts. Please try again later." {
                break;
            }
            assert_eq!(said, "The name or the password is wrong.");
            refused += 1;
            assert!(refused <= self.limit, "{refused} wrong passwords");
        }
        assert_eq!(refused, self.limit);
        self.picture("locked");
        self.try_sign_in("mia", CHANGED);
        browser.shows("Too many attempts. Please try again later.");
        // Only the link that is always there.
        let text = browser.text().to_lowercase();
        assert_eq!(text.matches("lock").count(), 1, "{text}");
        assert!(text.contains("locked out?"), "{text}");
        self.try_sign_in("stranger", WRONG);
        browser.shows("The name or the password is wrong.");
        self.picture("sign-in-wrong");
        for page in ["locked", "forgotten"] {
            self.go(page);
            browser.shows("to the mail address of your account");
            self.picture(&format!("{page}-ask"));
        }
    }

    fn unlock(&self) {
        let browser = self.browser;
        browser.press("People");
        browser.shows("locked");
        self.picture("people-locked");
        browser.press("mia");
        browser.press("Unlock");
        assert!(!browser.text().contains("locked"), "{}", browser.text());
        let mut mia = self.elsewhere("mia", CHANGED);
        self.go("users");
        browser.press("mia");
        browser.press("End all sessions");
        assert!(!self.is_in(&mut mia));
    }

    /// Filter, verify, download.
    fn log(&self) {
        let browser = self.browser;
        browser.press("Access log");
        self.picture("log");
        browser.choose("#operation", "locked");
        browser.press("Show");
        let did =
            "return [...document.querySelectorAll('td[data-label=Did]')].map(d => d.textContent)";
        // The probes' account was locked, too.
        assert_eq!(browser.script(did), json!(["locked", "locked"]));
        self.picture("log-filtered");
        self.go("log");
        browser.press("Verify the whole log");
        browser.shows("The log verifies");
        self.picture("log-verified");
        browser.tap("Download these records");
        let text = browser.downloaded(&format!("{}-access-log.jsonl", self.tenant));
        let lines: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert!(lines.len() > 40, "{} records", lines.len());
        let other = ["amigo", "zoomph"].into_iter().find(|other| *other != self.tenant).unwrap();
        assert!(!text.contains(&format!("\"{other}\"")), "a record of {other}");
        for secret in [PASSWORD, CHANGED, WRONG, NOTES, "second thoughts"] {
            assert!(!text.contains(secret), "{secret} is in the log");
        }
        for operation in ["created", "updated", "deleted", "locked", "unlocked", "signed_out"] {
            assert!(text.contains(&format!("\"{operation}\"")), "no record that says {operation}");
        }
    }

    /// The same without scripts: the unmet rules come back after sending.
    fn without_scripts(&self) {
        let browser = self.browser;
        browser.scripts(false);
        self.go("account");
        browser.fill("#present", PASSWORD);
        browser.fill("#new", "abc");
        browser.fill("#again", "abc");
        assert_eq!(browser.count("[data-rule].met"), 0, "a script ran");
        browser.press("Change the password");
        browser.shows("The password was not accepted. These rules are not met:");
        browser.scripts(true);
        self.picture("account-unmet");
    }
}

/// The folder of the pictures.
fn screens() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("screens");
    fs::create_dir_all(&folder).unwrap();
    folder
}
