//! Checks, compares and lists policy documents.
//!
//! ```text
//! cargo run -p vouchsafe-policy --example policy -- check policy.toml --baseline zoomph-2018
//! ```

use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value as Json, json};
use vouchsafe_policy::{
    Finding, Policy, PolicyError, Promise, Report, Substance, Support, Verdict, compare,
};

const HELP: &str = "\
Policy documents: whether they stand, what they promise, which is weaker.

  check FILE [--baseline FILE]   every problem of a document; or how it stands to a baseline
  compare A B                    whether A may stand in for B, and what shows it
  promises [FILE]...             what is promised, and what it rests on (default: both sources)

FILE is a document, or the name of one that comes with the crate: amigo, zoomph-2018, vouchsafe.

  --json       for programs
  --markdown   with `promises`: the table of docs/promises.md

Exit status: 0 it stands, and is no weaker; 1 it is weaker or incomparable; 2 bad input.
";

const WEAKER: u8 = 1;
const BAD: u8 = 2;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match run(&args) {
        Ok((text, status)) => {
            print!("{text}");
            ExitCode::from(status)
        }
        Err(problem) => {
            if args.iter().any(|arg| arg == "--json") {
                println!("{}", problem.json());
            } else {
                eprintln!("{}", problem.text());
            }
            ExitCode::from(BAD)
        }
    }
}

/// What cannot be done.
enum Bad {
    Usage(String),
    Policy(PolicyError),
}

impl Bad {
    fn text(&self) -> String {
        match self {
            Self::Usage(problem) => format!("{problem}\n\n{HELP}"),
            Self::Policy(error) => error.to_string(),
        }
    }

    fn json(&self) -> Json {
        let problems = match self {
            Self::Policy(PolicyError::Invalid(problems)) => {
                let each = problems.list().iter().map(|problem| {
                    json!({
                        "file": problems.file(),
                        "line": problem.line(),
                        "column": problem.column(),
                        "path": problem.path(),
                        "message": problem.message(),
                    })
                });
                each.collect()
            }
            Self::Policy(error) => vec![json!({ "message": error.to_string() })],
            Self::Usage(problem) => vec![json!({ "message": problem })],
        };
        json!({ "problems": problems })
    }
}

/// The options, and what is left.
struct Args<'a> {
    json: bool,
    markdown: bool,
    baseline: Option<&'a str>,
    rest: Vec<&'a str>,
}

fn parse(args: &[String]) -> Result<Args<'_>, Bad> {
    let mut parsed = Args { json: false, markdown: false, baseline: None, rest: Vec::new() };
    let mut args = args.iter().map(String::as_str);
    while let Some(arg) = args.next() {
        match arg {
            "--json" => parsed.json = true,
            "--markdown" => parsed.markdown = true,
            "--baseline" => {
                let file = args.next();
                parsed.baseline =
                    Some(file.ok_or_else(|| Bad::Usage("--baseline needs a file".to_owned()))?);
            }
            _ if arg.starts_with('-') && !matches!(arg, "-h" | "--help") => {
                return Err(Bad::Usage(format!("unknown option {arg}")));
            }
            _ => parsed.rest.push(arg),
        }
    }
    Ok(parsed)
}

fn run(args: &[String]) -> Result<(String, u8), Bad> {
    let args = parse(args)?;
    match args.rest.as_slice() {
        ["check", file] => match args.baseline {
            None => Ok((checked(&policy(file)?, args.json), 0)),
            Some(baseline) => Ok(compared(&policy(file)?, &policy(baseline)?, args.json)),
        },
        ["compare", one, other] => Ok(compared(&policy(one)?, &policy(other)?, args.json)),
        ["promises", files @ ..] => {
            let files = if files.is_empty() { &["amigo", "zoomph-2018"] } else { files };
            let policies = files.iter().map(|f| policy(f)).collect::<Result<Vec<_>, _>>()?;
            let text = match (args.json, args.markdown) {
                (true, _) => pretty(&policies.iter().map(promises_json).collect()),
                (false, true) => markdown(&policies),
                (false, false) => policies.iter().map(promises).collect(),
            };
            Ok((text, 0))
        }
        ["-h" | "--help"] => Ok((HELP.to_owned(), 0)),
        _ => Err(Bad::Usage("expected check, compare or promises".to_owned())),
    }
}

/// A file, or else a preset.
fn policy(name: &str) -> Result<Policy, Bad> {
    let is_preset = Policy::PRESETS.contains(&name) && !Path::new(name).exists();
    let policy = if is_preset { Policy::preset(name) } else { Policy::load(name) };
    policy.map_err(Bad::Policy)
}

fn pretty(json: &Json) -> String {
    format!("{json:#}\n")
}

/// Columns as wide as their widest cell, the last one ragged.
fn table(rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = Vec::new();
    for row in rows {
        widths.resize(widths.len().max(row.len()), 0);
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (width, cell) in widths.iter().zip(row) {
            let _ = write!(line, "{cell:width$}  ");
        }
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out
}

fn checked(policy: &Policy, json: bool) -> String {
    let clause = |path: &str| policy.clause_for(path).map(ToString::to_string);
    let values = policy.values();
    if json {
        let values: serde_json::Map<_, _> = values
            .iter()
            .map(|(path, value)| {
                (path.clone(), json!({ "value": value.to_string(), "clause": clause(path) }))
            })
            .collect();
        return pretty(&json!({
            "name": policy.name(),
            "digest": policy.digest().to_string(),
            "promises": policy.promises().len(),
            "values": values,
            "unclaimed": policy.unclaimed(),
        }));
    }
    let mut out = format!("{}: {}\ndigest {}\n", policy.name(), policy.title(), policy.digest());
    let _ = writeln!(out, "{} statements\n", policy.promises().len());
    let row = |(path, value): (&String, &vouchsafe_policy::Value)| {
        vec![path.clone(), clause(path).unwrap_or_else(|| "-".to_owned()), value.to_string()]
    };
    out + &table(&values.iter().map(row).collect::<Vec<_>>())
}

fn compared(candidate: &Policy, baseline: &Policy, json: bool) -> (String, u8) {
    let report = compare(candidate, baseline);
    let status = if report.verdict() == Verdict::NoWeaker { 0 } else { WEAKER };
    let text = if json {
        pretty(&json!({
            "candidate": candidate.name(),
            "baseline": baseline.name(),
            "verdict": report.verdict().to_string(),
            "weaker": findings_json(report.weaker()),
            "stronger": findings_json(report.stronger()),
        }))
    } else {
        comparison(candidate, baseline, &report)
    };
    (text, status)
}

fn findings_json(findings: &[Finding]) -> Json {
    let finding = |finding: &Finding| {
        let changed = finding.changed().iter().map(|changed| {
            json!({
                "path": changed.path,
                "clause": changed.clause.as_ref().map(ToString::to_string),
                "from": changed.from.as_ref().map(ToString::to_string),
                "to": changed.to.as_ref().map(ToString::to_string),
            })
        });
        json!({
            "section": finding.section(),
            "witness": finding.witness().to_string(),
            "changed": changed.collect::<Json>(),
        })
    };
    findings.iter().map(finding).collect()
}

fn comparison(candidate: &Policy, baseline: &Policy, report: &Report) -> String {
    let (one, other) = (candidate.name(), baseline.name());
    let mut out = format!("{one} against {other}: {}\n", report.verdict());
    let mut list = |title: &str, findings: &[Finding]| {
        if findings.is_empty() {
            return;
        }
        let _ = writeln!(out, "\n{title}");
        for finding in findings {
            let _ = writeln!(out, "\n  {}: {}", finding.section(), finding.witness());
            let show = |value: &Option<vouchsafe_policy::Value>| {
                value.as_ref().map_or("-".to_owned(), ToString::to_string)
            };
            let row = |changed: &vouchsafe_policy::Changed| {
                let field = changed.path.rsplit('.').next().unwrap_or_default();
                let clause = changed.clause.as_ref().map_or("-".to_owned(), ToString::to_string);
                let change = format!("{} -> {}", show(&changed.from), show(&changed.to));
                vec![format!("    {field}"), clause, change]
            };
            out.push_str(&table(&finding.changed().iter().map(row).collect::<Vec<_>>()));
        }
    };
    list(&format!("What {other} stops or assures, and {one} does not:"), report.weaker());
    list(&format!("What {one} stops or assures, and {other} does not:"), report.stronger());
    out
}

fn kinds(promise: &Promise) -> String {
    match promise.substance() {
        Substance::NoPromise { .. } => "none".to_owned(),
        Substance::Promise { kinds, .. } => {
            kinds.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        }
    }
}

/// A field with its value, or what else the promise rests on.
fn support(policy: &Policy, support: &Support) -> String {
    let Support::Field(path) = support else { return support.to_string() };
    let values = policy.values();
    let value = values.get(path).or_else(|| {
        let suffix = format!(".{path}");
        values.iter().find(|(full, _)| full.ends_with(&suffix)).map(|(_, value)| value)
    });
    match value {
        // A long list says less than its name.
        Some(value) if value.to_string().len() <= 80 => format!("{path} = {value}"),
        _ => path.clone(),
    }
}

fn promises(policy: &Policy) -> String {
    let mut rows = vec![["id", "kinds", "claim", "rests on"].map(str::to_owned).to_vec()];
    for promise in policy.promises() {
        let claim = promise.claim().map_or_else(|| "-".to_owned(), ToString::to_string);
        let rests_on: Vec<_> = promise.rests_on().iter().map(|s| support(policy, s)).collect();
        rows.push(vec![promise.id().to_string(), kinds(promise), claim, rests_on.join("; ")]);
    }
    let mut out = format!("{}: {}\n\n{}\n", policy.name(), policy.title(), table(&rows));
    for reading in policy.interpretations() {
        let of: Vec<_> = reading.of().iter().map(ToString::to_string).collect();
        let _ = writeln!(out, "{} (of {})", reading.id(), of.join(", "));
        let _ = writeln!(out, "  {}\n  {}\n", reading.question(), reading.answer());
    }
    out
}

fn promises_json(policy: &Policy) -> Json {
    let promise = |promise: &Promise| {
        json!({
            "id": promise.id().to_string(),
            "text": promise.text(),
            "kinds": promise.kinds().map(|kind| kind.to_string()).collect::<Vec<_>>(),
            "claim": promise.claim().map(ToString::to_string),
            "rests_on": promise.rests_on().iter().map(ToString::to_string).collect::<Vec<_>>(),
        })
    };
    json!({
        "name": policy.name(),
        "digest": policy.digest().to_string(),
        "promises": policy.promises().iter().map(promise).collect::<Vec<_>>(),
    })
}

fn markdown(policies: &[Policy]) -> String {
    let mut out = "# What the two sources promise\n\n\
        Written by `cargo run -p vouchsafe-policy --example policy -- promises --markdown`, and \
        checked by a test. A promise of several kinds is kept by all of them together; what rests \
        on evidence alone, or on people, is never reported as enforced. The tests of a guarantee \
        are in [tests.md](tests.md).\n"
        .to_owned();
    for policy in policies {
        let _ = writeln!(out, "\n## {}\n", policy.title());
        let _ = writeln!(out, "| id | promise | kinds | field | guarantee | evidence |");
        let _ = writeln!(out, "|---|---|---|---|---|---|");
        for promise in policy.promises() {
            let mut cells = [Vec::new(), Vec::new(), Vec::new()];
            for on in promise.rests_on() {
                let [fields, guarantees, evidence] = &mut cells;
                match on {
                    Support::Field(_) => fields.push(format!("`{}`", support(policy, on))),
                    Support::Guarantee(id) => guarantees.push(id.clone()),
                    Support::Evidence(name) => evidence.push(name.clone()),
                    _ => evidence.push(on.to_string()),
                }
            }
            let [fields, guarantees, evidence] = cells.map(|cell| cell.join(", "));
            let (id, text, kinds) = (promise.id(), promise.text(), kinds(promise));
            let _ =
                writeln!(out, "| {id} | {text} | {kinds} | {fields} | {guarantees} | {evidence} |");
        }
        let _ = writeln!(out, "\nHow it is read where it is silent or contradicts itself:\n");
        for reading in policy.interpretations() {
            let of: Vec<_> = reading.of().iter().map(ToString::to_string).collect();
            let (id, of) = (reading.id(), of.join(", "));
            let _ = writeln!(out, "- **{id}** ({of}): {} {}", reading.question(), reading.answer());
        }
    }
    out
}
