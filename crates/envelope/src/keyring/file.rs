//! A keyring in a file, sealed under a secret with Argon2id.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::RwLock;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use vouchsafe_core::Entropy;
use zeroize::{Zeroize, Zeroizing};

use super::body::{Body, Change, MAX_BODY};
use super::{Held, Keyring, Secret, secret_from};
use crate::unlock::{AtRest, Unlock, at_rest, private};
use crate::wire::Reader;
use crate::{EnvelopeError, cobblestone};

const MAGIC: [u8; 8] = *b"VCHSKEYS";
const VERSION: u8 = 1;
/// Argon2id, version 0x13 (RFC 9106).
const KDF: u8 = 1;
const HEAD: usize = 8 + 1 + 1 + 4 + 4 + 4 + 16 + 4;

/// What opening a keyring costs: Argon2id's memory, passes and lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl Cost {
    /// 64 MiB, 3 passes, 4 lanes: the second recommended option of RFC 9106 section 4.
    pub const RECOMMENDED: Self = Self { memory_kib: 64 * 1024, passes: 3, lanes: 4 };
    /// 19 MiB, 2 passes, 1 lane: the least that OWASP's password storage cheat sheet accepts.
    pub const MINIMUM: Self = Self { memory_kib: 19 * 1024, passes: 2, lanes: 1 };

    /// Most memory, in KiB. A file that asks for more is refused before any is taken.
    const MAX_MEMORY_KIB: u32 = 512 * 1024;
    /// Most memory times passes, in KiB: some ten seconds.
    const MAX_WORK_KIB: u64 = 4 * 1024 * 1024;

    /// This cost, if it is neither below [`MINIMUM`](Self::MINIMUM) nor above 512 MiB, 16 lanes,
    /// or 4 GiB of memory times passes.
    #[must_use]
    pub const fn new(memory_kib: u32, passes: u32, lanes: u32) -> Option<Self> {
        let work = (memory_kib as u64).saturating_mul(passes as u64);
        let accepted = memory_kib >= Self::MINIMUM.memory_kib
            && memory_kib <= Self::MAX_MEMORY_KIB
            && passes >= Self::MINIMUM.passes
            && work <= Self::MAX_WORK_KIB
            && lanes >= 1
            && lanes <= 16;
        if accepted { Some(Self { memory_kib, passes, lanes }) } else { None }
    }

    fn key(self, secret: &[u8], salt: &[u8]) -> Result<Secret, argon2::Error> {
        let params = Params::new(self.memory_kib, self.passes, self.lanes, Some(32))?;
        let mut memory = vec![Block::default(); params.block_count()];
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let key = secret_from(|out| {
            argon2.hash_password_into_with_memory(secret, salt, out, memory.as_mut_slice())
        });
        memory.iter_mut().for_each(Zeroize::zeroize);
        key
    }
}

/// Where a keyring is written, and what it is sealed under.
pub(crate) struct KeyFile {
    path: PathBuf,
    cost: Cost,
    salt: [u8; 16],
    key: Secret,
    /// The file that the unlock secret came from.
    unlock: Option<PathBuf>,
}

impl Keyring {
    /// Makes a fresh keyring in a file that only its owner may read; it is durable when this
    /// returns. An existing file is never overwritten. Beside it stands an empty `.lock` file.
    ///
    /// # Errors
    /// [`EnvelopeError::Exists`], [`EnvelopeError::NoEntropy`], [`EnvelopeError::Io`].
    pub fn create(
        path: &Path,
        unlock: &Unlock,
        cost: Cost,
        entropy: &(impl Entropy + ?Sized),
    ) -> Result<Self, EnvelopeError> {
        let mut salt = [0; 16];
        entropy.fill(&mut salt)?;
        let key = derive(path, cost, unlock, &salt)?;
        let unlock = unlock.file().map(Path::to_owned);
        let file = KeyFile { path: path.to_owned(), cost, salt, key, unlock };
        let body = Body::fresh(entropy)?;
        let lock = file.lock()?;
        if path.try_exists().map_err(io("look at", path))? {
            return Err(EnvelopeError::Exists(path.to_owned()));
        }
        file.store(&body, entropy)?;
        drop(lock);
        Ok(Self { held: RwLock::new(Held::new(body)), file: Some(file) })
    }

    /// Opens the keyring in a file.
    ///
    /// # Errors
    /// [`EnvelopeError::WrongSecret`]; [`EnvelopeError::Truncated`]; [`EnvelopeError::Damaged`];
    /// [`EnvelopeError::Malformed`] for another kind of file; [`EnvelopeError::Cost`] for a file
    /// that asks for too little or too much work, of which nothing is then done;
    /// [`EnvelopeError::Io`].
    pub fn open(path: &Path, unlock: &Unlock) -> Result<Self, EnvelopeError> {
        let bytes = read(path)?;
        let sealed = SealedFile::parse(path, &bytes)?;
        let key = derive(path, sealed.cost, unlock, &sealed.salt)?;
        let body = sealed.open(path, &key)?;
        let unlock = unlock.file().map(Path::to_owned);
        let file =
            KeyFile { path: path.to_owned(), cost: sealed.cost, salt: sealed.salt, key, unlock };
        Ok(Self { held: RwLock::new(Held::new(body)), file: Some(file) })
    }

    /// Whether data in these folders counts as encrypted at rest: not when the file of the unlock
    /// secret lies in one of them or in the keyring's own folder, since who takes the folder then
    /// takes the secret with it. It is looked at anew each time.
    #[must_use]
    pub fn at_rest(&self, folders: &[&Path]) -> AtRest {
        let Some(file) = &self.file else {
            return AtRest::Satisfied;
        };
        let own = folder_of(&file.path);
        at_rest(file.unlock.as_deref(), folders.iter().copied().chain([own]))
    }
}

/// A keyring file's parts, as they stand.
struct SealedFile<'a> {
    cost: Cost,
    salt: [u8; 16],
    head: &'a [u8],
    body: &'a [u8],
}

impl<'a> SealedFile<'a> {
    fn parse(path: &Path, bytes: &'a [u8]) -> Result<Self, EnvelopeError> {
        let cut = |_| EnvelopeError::Truncated(path.to_owned());
        let mut reader = Reader::new(bytes);
        if !bytes.is_empty() && !bytes.starts_with(bytes_up_to(&MAGIC, bytes.len())) {
            return Err(EnvelopeError::Malformed { what: "magic", at: 0 });
        }
        reader.bytes(MAGIC.len(), "magic").map_err(cut)?;
        if reader.u8("version").map_err(cut)? != VERSION {
            return Err(EnvelopeError::Malformed { what: "version", at: 8 });
        }
        if reader.u8("kdf").map_err(cut)? != KDF {
            return Err(EnvelopeError::Malformed { what: "kdf", at: 9 });
        }
        let mut number = || reader.u32("cost").map_err(cut);
        let cost = Cost::new(number()?, number()?, number()?);
        let cost = cost.ok_or_else(|| EnvelopeError::Cost(path.to_owned()))?;
        let salt = reader.array("salt").map_err(cut)?;
        let len = reader.u32("length").map_err(cut)? as usize;
        let at = reader.at();
        let (head, rest) = bytes.split_at_checked(at).unwrap_or((bytes, &[]));
        if rest.len() < len {
            return Err(EnvelopeError::Truncated(path.to_owned()));
        }
        if rest.len() > len {
            return Err(EnvelopeError::Malformed { what: "end", at: at.saturating_add(len) });
        }
        Ok(Self { cost, salt, head, body: rest })
    }

    fn open(&self, path: &Path, key: &[u8; 32]) -> Result<Body, EnvelopeError> {
        let mut opener = cobblestone::Opener::new(key, self.head);
        let mut plain = Zeroizing::new(Vec::with_capacity(self.body.len()));
        // The commitment is to the secret and the head; what follows it is the keys.
        let (commitment, chunks) =
            self.body.split_at_checked(cobblestone::HEADER).unwrap_or((self.body, &[]));
        opener
            .update(commitment, &mut plain)
            .map_err(|_| EnvelopeError::WrongSecret(path.to_owned()))?;
        opener
            .update(chunks, &mut plain)
            .and_then(|()| opener.finish(&mut plain))
            .map_err(|_| EnvelopeError::Damaged(path.to_owned()))?;
        Body::from_bytes(&plain)
    }
}

impl KeyFile {
    /// Changes the file: reads it anew, so that another process's change is not lost.
    pub(crate) fn change<T>(
        &self,
        seen: u64,
        entropy: &(impl Entropy + ?Sized),
        change: impl FnOnce(&mut Body) -> Result<Change<T>, EnvelopeError>,
    ) -> Result<(Body, T), EnvelopeError> {
        let lock = self.lock()?;
        let bytes = read(&self.path)?;
        let sealed = SealedFile::parse(&self.path, &bytes)?;
        let mut body = sealed.open(&self.path, &self.key)?;
        if body.revision < seen {
            return Err(EnvelopeError::RolledBack(self.path.clone()));
        }
        let outcome = match change(&mut body)? {
            Change::Nothing(outcome) => outcome,
            Change::Made(outcome) => {
                self.store(&body, entropy)?;
                outcome
            }
        };
        drop(lock);
        Ok((body, outcome))
    }

    /// Replaces the file: there is the old one or the new one, whole, at every moment.
    fn store(&self, body: &Body, entropy: &(impl Entropy + ?Sized)) -> Result<(), EnvelopeError> {
        let plain = body.to_bytes()?;
        let len = cobblestone::sealed_len(plain.len());
        let mut bytes = Vec::with_capacity(HEAD.saturating_add(len));
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&[VERSION, KDF]);
        bytes.extend_from_slice(&self.cost.memory_kib.to_be_bytes());
        bytes.extend_from_slice(&self.cost.passes.to_be_bytes());
        bytes.extend_from_slice(&self.cost.lanes.to_be_bytes());
        bytes.extend_from_slice(&self.salt);
        bytes.extend_from_slice(&u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes());
        let sealed = cobblestone::seal_all(&self.key, &bytes, &plain, entropy)?;
        bytes.extend_from_slice(&sealed);
        let new = beside(&self.path, "new");
        let written = write_new(&new, &bytes)
            .and_then(|()| std::fs::rename(&new, &self.path).map_err(io("replace", &self.path)));
        if written.is_err() {
            // It holds sealed bytes only; the next change replaces it.
            let _ = std::fs::remove_file(&new);
        }
        written?;
        sync_folder(&self.path)
    }

    /// Waits until no other process changes the file; held until the lock is dropped.
    fn lock(&self) -> Result<File, EnvelopeError> {
        let path = beside(&self.path, "lock");
        let file = private().create(true).open(&path).map_err(io("open", &path))?;
        file.lock().map_err(io("lock", &path))?;
        Ok(file)
    }
}

/// Whether bytes that are no keyring file are refused, and an opened body is written back as it was.
pub(crate) fn reads(bytes: &[u8]) -> bool {
    let _ = SealedFile::parse(Path::new(""), bytes);
    Body::from_bytes(bytes).map_or(true, |body| {
        body.to_bytes().is_ok_and(|written| {
            // Tenants may stand in any order; they are written in theirs.
            written.len() == bytes.len()
        })
    })
}

fn derive(
    path: &Path,
    cost: Cost,
    unlock: &Unlock,
    salt: &[u8; 16],
) -> Result<Secret, EnvelopeError> {
    cost.key(unlock.expose(), salt).map_err(|_| EnvelopeError::Cost(path.to_owned()))
}

fn read(path: &Path) -> Result<Vec<u8>, EnvelopeError> {
    const LIMIT: usize = MAX_BODY + (MAX_BODY / 512) + 4096;
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(io("open", path))?;
    file.take(LIMIT as u64).read_to_end(&mut bytes).map_err(io("read", path))?;
    Ok(bytes)
}

fn write_new(path: &Path, bytes: &[u8]) -> Result<(), EnvelopeError> {
    // A file left by a process that was killed is ours to replace: we hold the lock.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(io("remove", path)(error));
        }
        _ => {}
    }
    let mut file = private().create_new(true).open(path).map_err(io("create", path))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(io("write", path))
}

/// Makes a file's name durable.
pub(crate) fn sync_folder(path: &Path) -> Result<(), EnvelopeError> {
    #[cfg(unix)]
    {
        let folder = folder_of(path);
        let open = OpenOptions::new().read(true).open(folder);
        open.and_then(|folder| folder.sync_all()).map_err(io("sync", folder))?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    PathBuf::from(name)
}

fn bytes_up_to(bytes: &[u8], len: usize) -> &[u8] {
    bytes.get(..len).unwrap_or(bytes)
}

/// An error of the operating system, with what was tried and where.
pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> EnvelopeError {
    move |source| EnvelopeError::Io { doing, path: path.to_owned(), source }
}
