//! Every password field of every page: masked, named for password managers, and empty.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::string_slice,
    missing_docs,
    reason = "tests"
)]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{Browser, OTHER, PASSWORD, Site, path_of};

/// Each route that is a page, and the password fields that it has to have.
const PAGES: [(&str, &[&str]); 14] = [
    ("/", &[]),
    ("/{tenant}/sign-in", &["password"]),
    ("/{tenant}/forgotten", &[]),
    ("/{tenant}/locked", &[]),
    ("/{tenant}/unlock/{token}", &[]),
    ("/{tenant}/activate/{token}", &["again", "new"]),
    ("/{tenant}/reset/{token}", &["again", "new"]),
    ("/{tenant}/campaigns", &[]),
    ("/{tenant}/campaigns/new", &[]),
    ("/{tenant}/campaigns/{id}", &[]),
    ("/{tenant}/campaigns/{id}/delete", &[]),
    ("/{tenant}/account", &["again", "new", "present"]),
    ("/{tenant}/users", &[]),
    ("/{tenant}/users/{id}", &[]),
];
/// Pages without forms for people, or with filters only; and what is no page.
const OTHERS: [&str; 5] =
    ["/{tenant}/log", "/{tenant}/policy", "/{tenant}/", "/{tenant}/log/download", "/static/{name}"];

/// An element's attributes; those without a value have an empty one.
fn attributes(element: &str) -> BTreeMap<String, String> {
    let (mut attributes, mut rest) = (BTreeMap::new(), element.trim());
    while !rest.is_empty() {
        let end = rest.find(|c: char| c == '=' || c.is_whitespace()).unwrap_or(rest.len());
        let name = rest[..end].to_owned();
        rest = rest[end..].trim_start();
        let mut value = String::new();
        if let Some(after) = rest.strip_prefix('=') {
            let quote = after.chars().next().filter(|c| "'\"".contains(*c)).expect("quoted");
            let end = after[1..].find(quote).unwrap() + 1;
            value = after[1..end].to_owned();
            rest = after[end + 1..].trim_start();
        }
        assert_eq!(attributes.insert(name, value), None, "twice in {element}");
    }
    attributes
}

/// What is wrong with the password fields of a page, and their names.
fn fields(page: &str) -> Result<Vec<String>, String> {
    let mut names = Vec::new();
    for input in page.split("<input").skip(1) {
        let input = input.split('>').next().unwrap();
        let attributes = attributes(input);
        let get = |name: &str| attributes.get(name).map(String::as_str);
        let wanted = match get("name").unwrap() {
            "password" | "present" => "current-password",
            "new" | "again" => "new-password",
            // Nothing else asks for a password.
            _ if get("type") == Some("password")
                || get("autocomplete").is_some_and(|a| a.contains("password")) =>
            {
                return Err(format!("an unknown password field: {input}"));
            }
            _ => continue,
        };
        for (name, expected) in
            [("type", Some("password")), ("autocomplete", Some(wanted)), ("value", None)]
        {
            if get(name) != expected {
                return Err(format!("{name} of {input}"));
            }
        }
        if attributes.contains_key("maxlength") {
            return Err(format!("a browser cuts off what is pasted: {input}"));
        }
        names.push(get("name").unwrap().to_owned());
    }
    names.sort();
    Ok(names)
}

/// Looks at every page that the visitor can reach, and at the one that is shown.
fn look(browser: &Browser, route: &str, seen: &mut BTreeSet<String>) {
    let expected = PAGES.iter().find(|(page, _)| *page == route).map_or(&[][..], |(_, f)| f);
    assert_eq!(fields(&browser.page).as_deref().unwrap(), expected, "{route}: {}", browser.page);
    seen.insert(route.to_owned());
}

async fn look_at(browser: &mut Browser, path: &str, route: &str, seen: &mut BTreeSet<String>) {
    assert!(browser.get(path).await.is_success(), "{path}: {}", browser.page);
    look(browser, route, seen);
}

#[tokio::test]
async fn every_password_field_of_every_page() {
    let site = Site::new().await;
    let mut seen = BTreeSet::new();
    let mut visitor = site.browser();
    let activation = path_of(site.first_link.as_ref().unwrap());
    look_at(&mut visitor, "/", "/", &mut seen).await;
    for page in ["sign-in", "forgotten", "locked"] {
        let route = format!("/{{tenant}}/{page}");
        look_at(&mut visitor, &format!("/amigo/{page}"), &route, &mut seen).await;
    }
    // Also where what was typed comes back with a problem: it must not stand in the page.
    let activate = "/{tenant}/activate/{token}";
    look_at(&mut visitor, &activation, activate, &mut seen).await;
    for (new, again) in [("short", "short"), (PASSWORD, OTHER)] {
        let status = visitor.post(&activation, &[("new", new), ("again", again)]).await;
        assert!(status.is_client_error(), "{}", visitor.page);
        assert!(!visitor.shows(new) || new == "short", "{}", visitor.page);
        look(&visitor, activate, &mut seen);
    }
    let mut admin = site.administrator("amigo").await;
    assert!(visitor.try_sign_in("amigo", "administrator", OTHER).await.is_client_error());
    assert!(!visitor.shows(OTHER));
    look(&visitor, "/{tenant}/sign-in", &mut seen);

    visitor.get("/amigo/forgotten").await;
    visitor.post("/amigo/forgotten", &[("name", "administrator")]).await;
    site.portal.upkeep().await.unwrap();
    let reset = site.mails().into_iter().find(|link| link.contains("/reset/")).unwrap();
    look_at(&mut visitor, &reset, "/{tenant}/reset/{token}", &mut seen).await;

    admin.get("/amigo/campaigns/new").await;
    admin.post("/amigo/campaigns", &[("title", "One"), ("notes", "plans")]).await;
    admin.get("/amigo/campaigns").await;
    let campaign = admin.link("/amigo/campaigns/");
    admin.get("/amigo/users").await;
    let person = admin.link("/amigo/users/");
    for (path, route) in [
        ("/amigo/campaigns", "/{tenant}/campaigns"),
        ("/amigo/campaigns/new", "/{tenant}/campaigns/new"),
        (&campaign, "/{tenant}/campaigns/{id}"),
        (&format!("{campaign}/delete"), "/{tenant}/campaigns/{id}/delete"),
        ("/amigo/account", "/{tenant}/account"),
        ("/amigo/users", "/{tenant}/users"),
        (&person, "/{tenant}/users/{id}"),
        ("/amigo/log", "/{tenant}/log"),
        ("/amigo/policy", "/{tenant}/policy"),
    ] {
        look_at(&mut admin, path, route, &mut seen).await;
    }
    admin.get("/amigo/account").await;
    let typed = [("present", OTHER), ("new", "short"), ("again", "short")];
    assert!(admin.post("/amigo/account/password", &typed).await.is_client_error());
    assert!(!admin.shows(OTHER));
    look(&admin, "/{tenant}/account", &mut seen);

    for _ in 0..10 {
        visitor.try_sign_in("amigo", "administrator", OTHER).await;
    }
    visitor.get("/amigo/locked").await;
    visitor.post("/amigo/locked", &[("name", "administrator")]).await;
    site.portal.upkeep().await.unwrap();
    let unlock = site.mails().into_iter().find(|link| link.contains("/unlock/")).unwrap();
    look_at(&mut visitor, &unlock, "/{tenant}/unlock/{token}", &mut seen).await;

    let missed: Vec<_> = PAGES.iter().filter(|(page, _)| !seen.contains(*page)).collect();
    assert!(missed.is_empty(), "{missed:?}");
    for route in routes() {
        let known = PAGES.iter().any(|(page, _)| *page == route) || OTHERS.contains(&&*route);
        assert!(known, "a page that this test does not know: {route}");
    }
}

/// The routes that answer to GET, as the router is written.
fn routes() -> Vec<String> {
    let text = include_str!("../src/web.rs");
    let of_get = |line: &&str| line.contains(", get(");
    let path = |line: &str| line.split('"').nth(1).unwrap().to_owned();
    let routes = text.lines().filter(|line| line.trim().starts_with(".route(")).filter(of_get);
    let routes: Vec<_> = routes
        .map(|line| match path(line) {
            path if path == "/" && line.contains("landing") => path,
            path if path.starts_with("/static/") => path,
            path => format!("/{{tenant}}{path}"),
        })
        .collect();
    assert!(routes.len() >= 15, "{routes:?}");
    routes
}

/// The same look at fields as they should not be.
#[test]
fn fields_that_show_or_keep_a_password_are_caught() {
    let good = "<input type=\"password\" name=\"new\" autocomplete=\"new-password\" required>";
    assert_eq!(fields(good).unwrap(), ["new"]);
    for (was, is) in [
        ("type=\"password\"", "type=\"text\""),
        ("type=\"password\" ", ""),
        ("new-password", "current-password"),
        ("new-password", "off"),
        (" autocomplete=\"new-password\"", ""),
        ("required", "value=\"hunter2\""),
        ("required", "value=''"),
        ("required", "maxlength='64'"),
        ("\"new\"", "\"token\""),
    ] {
        assert!(fields(&good.replace(was, is)).is_err(), "{was} -> {is}");
    }
}
