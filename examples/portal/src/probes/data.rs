//! What lies on the disk, and what a gate refuses to start with.

use std::fs::{self, DirBuilder, File};
use std::io::Read;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;

use vouchsafe::access_log::name;
use vouchsafe::envelope::{AtRest, Envelope, EnvelopeError};
use vouchsafe::gate::{Gate, OpenError, Outbox};
use vouchsafe::policy::Policy;

use super::{Bench, Report, Seen};
use crate::users::fresh_text;

/// Bytes that are looked at at once.
const CHUNK: usize = 1 << 20;

pub(super) async fn run(bench: &Bench) -> Report {
    vec![
        ("Z2.5", at_rest(bench).await),
        ("A1.8", not_started(bench, "keep_at_least", "\"29d\"").await),
        ("A7.2", not_started(bench, "idle", "\"2h\"").await),
    ]
}

/// The secret lies elsewhere, a canary and people's addresses are in no file, and a sealed value
/// opens nowhere but in its place.
async fn at_rest(bench: &Bench) -> Seen {
    if let AtRest::NotSatisfied(why) = bench.keyring.at_rest(&[&bench.folders.data]) {
        return Err(why.to_string());
    }
    let told = |error: EnvelopeError| error.to_string();
    let canary = fresh_text().map_err(|error| error.to_string())?;
    let envelope = Envelope::new(Arc::clone(&bench.keyring));
    let fields = envelope.fields(&bench.tenant, "probe", "canary", "").map_err(told)?;
    let sealed = fields.seal(b"here", canary.as_bytes()).map_err(told)?;
    let shown: String = sealed.iter().map(|byte| format!("{byte:02x}")).collect();
    bench.database.note("canary", &shown).map_err(|error| error.to_string())?;
    match fields.open(b"there", &sealed) {
        Err(EnvelopeError::Refused) => {}
        Err(error) => return Err(error.to_string()),
        Ok(_) => return Err("a sealed value opened in another place".to_owned()),
    }
    // What is sealed has to be found: a search that finds nothing shows nothing.
    if absent(bench, &[shown.as_bytes()]).await.is_ok() {
        return Err("the search does not find what is there".to_owned());
    }
    let people = bench.users.list(&bench.tenant).map_err(|error| error.to_string())?;
    let mut wanted = vec![canary.as_bytes()];
    wanted.extend(people.iter().map(|person| person.email.as_bytes()));
    let files = absent(bench, &wanted).await?;
    Ok(format!(
        "a canary and {} addresses are in none of {files} files; the unlock secret lies elsewhere; \
         outside of this promise: {}",
        people.len(),
        bench.folders.outbox.display()
    ))
}

/// How many files there are, when none holds any of these.
pub(super) async fn absent(bench: &Bench, wanted: &[&[u8]]) -> Result<usize, String> {
    let files = bench.files()?;
    let wanted: Vec<Vec<u8>> = wanted.iter().map(|bytes| bytes.to_vec()).collect();
    let searched = tokio::task::spawn_blocking(move || {
        for path in &files {
            match holds_any(path, &wanted) {
                Ok(true) => return Err(format!("{} holds it in the clear", path.display())),
                // Files of SQLite come and go.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(format!("{}: {error}", path.display())),
                Ok(false) => {}
            }
        }
        Ok(files.len())
    });
    searched.await.map_err(|error| error.to_string())?
}

fn holds_any(path: &Path, wanted: &[Vec<u8>]) -> std::io::Result<bool> {
    let overlap = wanted.iter().map(Vec::len).max().unwrap_or_default();
    let mut file = File::open(path)?;
    let mut window = Vec::new();
    loop {
        let read = file.by_ref().take(CHUNK as u64).read_to_end(&mut window)?;
        let found = wanted
            .iter()
            .filter(|bytes| !bytes.is_empty())
            .any(|bytes| window.windows(bytes.len()).any(|piece| piece == bytes.as_slice()));
        if found || read == 0 {
            return Ok(found);
        }
        window.drain(..window.len().saturating_sub(overlap));
    }
}

/// A gate over the same store, under the document with one weaker value, does not open.
async fn not_started(bench: &Bench, field: &str, weaker: &str) -> Seen {
    let start = format!("{field} = ");
    let weakened: Vec<String> = bench
        .document
        .to_toml()
        .lines()
        .map(|line| if line.starts_with(&start) { format!("{start}{weaker}") } else { line.into() })
        .collect();
    let weakened = Policy::parse(&weakened.join("\n"), "weakened").map_err(|e| e.to_string())?;
    let outbox =
        Outbox::open(&bench.folders.outbox, "portal@localhost").map_err(|e| e.to_string())?;
    let opened = Gate::builder((bench.tenant.clone(), weakened))
        .store(Arc::clone(&bench.store))
        .keys(Arc::clone(&bench.keyring))
        .records(Arc::clone(&bench.ledger))
        .accounts(bench.users.clone())
        .notify(outbox)
        .origin(bench.gate.origin().clone())
        .application(name!("probe"))
        .open()
        .await;
    match opened {
        Err(OpenError::BelowBaseline { .. }) => {
            Ok(format!("a gate with {field} = {weaker} refused to open"))
        }
        Err(error) => Err(error.to_string()),
        Ok(_) => Err(format!("a gate with {field} = {weaker} opened")),
    }
}

/// Copies the files of a folder into a new one that nobody else may read.
pub(super) fn copy_private(from: &Path, to: &Path) -> std::io::Result<()> {
    DirBuilder::new().mode(0o700).create(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}
