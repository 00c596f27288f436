//! The secret that opens a keyring file, and whether it lies apart from the data.

use std::fmt;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use vouchsafe_core::{Entropy, SecretBytes, SecretString};
use zeroize::Zeroizing;

use crate::EnvelopeError;
use crate::keyring::file::{io, sync_folder};

/// The secret that opens a keyring file.
pub struct Unlock {
    secret: SecretBytes,
    /// The file it was read from, if any.
    file: Option<PathBuf>,
}

impl Unlock {
    /// Fewest bytes: who takes the keyring file guesses offline. SP 800-63B-4 section 3.1.1.2 asks
    /// for 15 characters where a password stands alone.
    pub const MIN_LEN: usize = 15;
    /// Most bytes.
    pub const MAX_LEN: usize = 1024;

    /// A passphrase that somebody typed.
    ///
    /// # Errors
    /// [`EnvelopeError::SecretLength`] outside [`MIN_LEN`](Self::MIN_LEN) to
    /// [`MAX_LEN`](Self::MAX_LEN) bytes.
    pub fn passphrase(text: &SecretString) -> Result<Self, EnvelopeError> {
        Self::new(text.expose().as_bytes(), None)
    }

    /// A secret from an open descriptor, a pipe or a credential: its first line.
    ///
    /// # Errors
    /// [`EnvelopeError::Io`] when it cannot be read, [`EnvelopeError::SecretLength`] as in
    /// [`passphrase`](Self::passphrase).
    pub fn read(from: impl Read) -> Result<Self, EnvelopeError> {
        let line = first_line(from).map_err(io("read", Path::new("the unlock secret")))?;
        Self::new(&line, None)
    }

    /// The first line of a file that nobody else may read. For a restart without anybody there.
    ///
    /// # Errors
    /// [`EnvelopeError::SecretReadable`] when its group or others may read it;
    /// [`EnvelopeError::Io`]; [`EnvelopeError::SecretLength`] as in
    /// [`passphrase`](Self::passphrase).
    pub fn from_file(path: &Path) -> Result<Self, EnvelopeError> {
        let file = File::open(path).map_err(io("open", path))?;
        if others_may_read(&file.metadata().map_err(io("look at", path))?) {
            return Err(EnvelopeError::SecretReadable(path.to_owned()));
        }
        let line = first_line(file).map_err(io("read", path))?;
        let whole = path.canonicalize().map_err(io("find", path))?;
        Self::new(&line, Some(whole))
    }

    /// Writes a file with 256 fresh bits, in hexadecimal, that only its owner may read; it is
    /// durable when this returns. An existing file is never overwritten.
    ///
    /// # Errors
    /// [`EnvelopeError::Exists`], [`EnvelopeError::NoEntropy`], [`EnvelopeError::Io`].
    pub fn create_file(
        path: &Path,
        entropy: &(impl Entropy + ?Sized),
    ) -> Result<Self, EnvelopeError> {
        let mut fresh = Zeroizing::new([0_u8; 32]);
        entropy.fill(fresh.as_mut_slice())?;
        let mut text = Zeroizing::new(Vec::with_capacity(65));
        for byte in fresh.iter() {
            for digit in [byte >> 4, byte & 15] {
                text.push(if digit < 10 {
                    b'0' | digit
                } else {
                    b'a'.wrapping_add(digit).wrapping_sub(10)
                });
            }
        }
        text.push(b'\n');
        let mut file =
            private().create_new(true).open(path).map_err(|error| match error.kind() {
                std::io::ErrorKind::AlreadyExists => EnvelopeError::Exists(path.to_owned()),
                _ => io("create", path)(error),
            })?;
        file.write_all(&text).and_then(|()| file.sync_all()).map_err(io("write", path))?;
        sync_folder(path)?;
        Self::from_file(path)
    }

    fn new(secret: &[u8], file: Option<PathBuf>) -> Result<Self, EnvelopeError> {
        if !(Self::MIN_LEN..=Self::MAX_LEN).contains(&secret.len()) {
            let (min, max) = (Self::MIN_LEN, Self::MAX_LEN);
            return Err(EnvelopeError::SecretLength { min, max });
        }
        Ok(Self { secret: SecretBytes::new(secret.to_vec()), file })
    }

    pub(crate) fn expose(&self) -> &[u8] {
        self.secret.expose()
    }

    pub(crate) fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }
}

impl fmt::Debug for Unlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unlock").field("file", &self.file).finish_non_exhaustive()
    }
}

/// Whether what is stored counts as encrypted at rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AtRest {
    /// The secret that opens it lies elsewhere.
    Satisfied,
    /// Who takes the data takes the secret with it.
    NotSatisfied(Exposure),
}

impl AtRest {
    /// Whether it does.
    #[must_use]
    pub const fn is_satisfied(&self) -> bool {
        matches!(self, Self::Satisfied)
    }
}

/// Why what is stored does not count as encrypted at rest.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Exposure {
    /// The secret's file lies in a folder of the data, or in the keyring's.
    Beside {
        /// The secret's file.
        secret: PathBuf,
        /// The folder that holds both.
        folder: PathBuf,
    },
    /// The secret's file has other names, which may lie anywhere.
    OtherNames {
        /// The secret's file.
        secret: PathBuf,
    },
    /// A file or folder could not be looked at, so nothing is claimed.
    Unknown {
        /// Which one.
        path: PathBuf,
    },
}

impl fmt::Display for Exposure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Beside { secret, folder } => {
                write!(f, "the unlock secret {} lies in {}", secret.display(), folder.display())
            }
            Self::OtherNames { secret } => {
                write!(f, "the unlock secret {} has other names", secret.display())
            }
            Self::Unknown { path } => write!(f, "{} cannot be looked at", path.display()),
        }
    }
}

/// Whether a secret read from `secret` lies apart from all of `folders`.
pub(crate) fn at_rest<'a>(
    secret: Option<&Path>,
    folders: impl IntoIterator<Item = &'a Path>,
) -> AtRest {
    let Some(secret) = secret else {
        return AtRest::Satisfied;
    };
    let unknown = |path: &Path| AtRest::NotSatisfied(Exposure::Unknown { path: path.to_owned() });
    match secret.metadata() {
        Ok(metadata) if has_other_names(&metadata) => {
            return AtRest::NotSatisfied(Exposure::OtherNames { secret: secret.to_owned() });
        }
        Ok(_) => {}
        Err(_) => return unknown(secret),
    }
    for folder in folders {
        match holds(folder, secret) {
            Ok(false) => {}
            Ok(true) => {
                let (secret, folder) = (secret.to_owned(), folder.to_owned());
                return AtRest::NotSatisfied(Exposure::Beside { secret, folder });
            }
            Err(_) => return unknown(folder),
        }
    }
    AtRest::Satisfied
}

/// Whether `folder` is one of the folders above `file`, by whatever name.
fn holds(folder: &Path, file: &Path) -> std::io::Result<bool> {
    let folder = folder.canonicalize()?;
    let identity = identity(&folder.metadata()?);
    for above in file.canonicalize()?.ancestors().skip(1) {
        if above == folder || (identity.is_some() && identity == self::identity(&above.metadata()?))
        {
            return Ok(true);
        }
    }
    Ok(false)
}

fn first_line(from: impl Read) -> std::io::Result<Zeroizing<Vec<u8>>> {
    // One more than is accepted, and room for the line's end, so that too long shows.
    let limit = Unlock::MAX_LEN.saturating_add(3);
    let mut text = Zeroizing::new(Vec::with_capacity(limit));
    let mut byte = Zeroizing::new([0]);
    let mut from = from.take(limit as u64);
    while from.read(byte.as_mut_slice())? == 1 {
        match *byte {
            [b'\n'] => break,
            [other] => text.push(other),
        }
    }
    if text.last() == Some(&b'\r') {
        text.pop();
    }
    Ok(text)
}

/// Options for a file that only its owner may read and write.
pub(crate) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

#[cfg(unix)]
fn others_may_read(metadata: &Metadata) -> bool {
    std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o077 != 0
}

#[cfg(unix)]
fn has_other_names(metadata: &Metadata) -> bool {
    std::os::unix::fs::MetadataExt::nlink(metadata) > 1
}

#[cfg(unix)]
fn identity(metadata: &Metadata) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn others_may_read(_: &Metadata) -> bool {
    false
}

#[cfg(not(unix))]
fn has_other_names(_: &Metadata) -> bool {
    false
}

#[cfg(not(unix))]
fn identity(_: &Metadata) -> Option<(u64, u64)> {
    None
}
