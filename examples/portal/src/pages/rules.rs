//! The rules for a new password: listed, ticked off, and named when they are not met.

use vouchsafe::password::{Kind, Unmet};
use vouchsafe::policy::Policy;
use vouchsafe_tower::PasswordField;

use crate::html;
use crate::html::Html;
use crate::pages::{SHOW, token};

/// One rule of a class.
struct Rule {
    /// What the script goes by; empty where only the portal can tell.
    script: &'static str,
    /// The bound, where there is one.
    bound: u32,
    text: String,
    clause: Option<String>,
}

fn rules(policy: &Policy, class: &str) -> Vec<Rule> {
    let Ok(rules) = policy.class(class).map(|class| class.password()) else { return Vec::new() };
    let mut list = Vec::new();
    let mut add = |script, bound, unmet: Unmet| {
        let clause = clause(policy, class, unmet);
        list.push(Rule { script, bound, text: unmet.to_string(), clause });
    };
    add("min", rules.min_length(), Unmet::TooShort(rules.min_length()));
    add("max", rules.max_length(), Unmet::TooLong(rules.max_length()));
    for (kind, script) in [
        (Kind::Letter, "letter"),
        (Kind::Upper, "upper"),
        (Kind::Number, "number"),
        (Kind::Special, "special"),
    ] {
        if rules.requires(kind) {
            add(script, 0, Unmet::Missing(kind));
        }
    }
    if rules.refuses_common() {
        let text = "not a common password, nor one made of a common password".to_owned();
        let clause = policy.clause_for(&format!("class.{class}.password.refuse_common"));
        list.push(Rule { script: "", bound: 0, text, clause: clause.map(ToString::to_string) });
    }
    if rules.refuses_personal() {
        let text = "not made of your name, address or organisation".to_owned();
        let clause = policy.clause_for(&format!("class.{class}.password.refuse_personal"));
        list.push(Rule { script: "", bound: 0, text, clause: clause.map(ToString::to_string) });
    }
    if rules.refuses_breached() {
        let clause = clause(policy, class, Unmet::Breached);
        list.push(Rule { script: "", bound: 0, text: Unmet::Breached.to_string(), clause });
    }
    list
}

/// The clause behind a rule.
fn clause(policy: &Policy, class: &str, unmet: Unmet) -> Option<String> {
    let field = match unmet {
        Unmet::TooShort(_) => "min_length",
        Unmet::TooLong(_) => "max_length",
        Unmet::Missing(Kind::Letter) => "require_letter",
        Unmet::Missing(Kind::Upper) => "require_upper",
        Unmet::Missing(Kind::Number) => "require_number",
        Unmet::Missing(Kind::Special) => "require_special",
        Unmet::Common(_) => "refuse_common",
        Unmet::Personal => "refuse_personal",
        Unmet::Reused => "remember",
        Unmet::Breached | Unmet::NotScreened => "refuse_breached",
        _ => return None,
    };
    let clause = policy.clause_for(&format!("class.{class}.password.{field}"));
    clause.map(ToString::to_string)
}

fn cite(clause: Option<&String>) -> Option<Html> {
    clause.map(|clause| html! { " <span class='clause'>" (clause) "</span>" })
}

/// The list of rules, for somebody of this class.
#[must_use]
pub fn list(policy: &Policy, class: &str) -> Html {
    let items: Html = rules(policy, class)
        .iter()
        .map(|rule| {
            let text = html! { "<span class='rule'>" (rule.text) "</span>" (cite(rule.clause.as_ref())) };
            match rule.script {
                "" => html! { "<li>" (text) " <span class='hint'>(checked when you send it)</span></li>" },
                script => html! {
                    "<li data-rule='" (script) "' data-bound='" (rule.bound) "'>" (text) "</li>"
                },
            }
        })
        .collect();
    html! {
        "<div id='rules' class='rules'><p>Rules for the password:</p><ul>" (items) "</ul>"
        "<p id='rules-met' class='hint' aria-live='polite'></p></div>"
    }
}

/// What the last try lacked, each rule with its clause.
#[must_use]
pub fn unmet(policy: &Policy, class: &str, unmet: &[Unmet]) -> Html {
    let items: Html = unmet
        .iter()
        .map(|rule| {
            let cited = clause(policy, class, *rule);
            html! { "<li>" (rule.to_string()) (cite(cited.as_ref())) "</li>" }
        })
        .collect();
    html! {
        "<div class='problem' role='alert'><p>The password was not accepted. These rules are not met:</p><ul>"
        (items) "</ul></div>"
    }
}

/// The fields for a new password of somebody, with the rules.
#[must_use]
pub fn fields(policy: &Policy, class: &str, address: &str, csrf: &str) -> Html {
    html! { (token(csrf)) (username(address)) (new_twice(policy, class)) }
}

/// The same for somebody who has a password to show first.
#[must_use]
pub fn fields_after(policy: &Policy, class: &str, address: &str, csrf: &str) -> Html {
    html! {
        (token(csrf)) (username(address))
        "<label for='present'>Present password</label>"
        (PasswordField::current("present").show_button(SHOW))
        (new_twice(policy, class))
    }
}

/// Tells password managers whose password it is; nobody sees it, and the portal does not read it.
fn username(address: &str) -> Html {
    html! {
        "<input name='username' type='text' value='" (address) "' autocomplete='username' "
        "readonly hidden>"
    }
}

fn new_twice(policy: &Policy, class: &str) -> Html {
    html! {
        "<label for='new'>New password</label>"
        (PasswordField::chosen("new").described_by("rules").show_button(SHOW))
        (list(policy, class))
        "<label for='again'>The same once more</label>"
        (PasswordField::chosen("again").show_button(SHOW))
    }
}
