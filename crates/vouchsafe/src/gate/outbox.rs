//! Mail as files: each message an `.eml` in a folder, for development and for hosts whose mailer
//! picks files up.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use vouchsafe_core::{Clock, Entropy};

use super::host::{HostError, Mail, Notify, Purpose};
use crate::os::{SystemClock, SystemEntropy};

/// Writes each mail into a folder as an RFC 5322 message.
///
/// The folder is 0700 and the files 0600, and still: whoever reads them can use the links. It lies
/// outside what "encrypted at rest" covers.
#[derive(Clone)]
pub struct Outbox {
    folder: PathBuf,
    from: String,
    clock: Arc<dyn Clock>,
}

impl Outbox {
    /// An outbox in `folder`, which is made when it is missing. `from` is the sender's address.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn open(folder: impl AsRef<Path>, from: impl Into<String>) -> io::Result<Self> {
        let folder = folder.as_ref().to_path_buf();
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        Ok(Self { folder, from: header_text(&from.into()), clock: Arc::new(SystemClock) })
    }

    /// With another clock, for dates and file names.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    fn write(&self, mail: &Mail) -> io::Result<()> {
        let now = self.clock.now();
        let suffix: [u8; 8] = SystemEntropy::new().bytes().map_err(io::Error::other)?;
        let name = format!("{}-{:016x}.eml", now.micros(), u64::from_be_bytes(suffix));
        let path = self.folder.join(&name);
        let unfinished = self.folder.join(format!(".{name}"));
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
        file.write_all(self.message(mail, now).as_bytes())?;
        file.sync_all()?;
        fs::rename(&unfinished, &path)?;
        File::open(&self.folder)?.sync_all()
    }

    fn message(&self, mail: &Mail, now: vouchsafe_core::Timestamp) -> String {
        let (subject, opening) = wording(mail.purpose);
        // `time`'s RFC 2822 date of a moment between the years 1 and 9999 is always there.
        let date =
            now.to_utc().format(&time::format_description::well_known::Rfc2822).unwrap_or_default();
        format!(
            "From: {from}\r\nTo: {to}\r\nSubject: {subject}\r\nDate: {date}\r\n\
             MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Transfer-Encoding: 8bit\r\n\r\n\
             {opening}\r\n\r\n{link}\r\n\r\n\
             The link works once, until {expires}.\r\n",
            from = self.from,
            to = header_text(&mail.to),
            link = mail.link.expose(),
            expires = mail.expires,
        )
    }
}

impl Notify for Outbox {
    async fn send(&self, mail: Mail) -> Result<(), HostError> {
        self.write(&mail).map_err(HostError::new)
    }
}

/// A header's text on one line: an address cannot add headers of its own.
fn header_text(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(320).collect()
}

const fn wording(purpose: Purpose) -> (&'static str, &'static str) {
    match purpose {
        Purpose::Activation => {
            ("Activate your account", "You are invited. Choose your password here:")
        }
        Purpose::Reset => ("Set a new password", "Choose a new password here:"),
        Purpose::Unlock => ("Unlock your account", "Unlock your account here:"),
        Purpose::EmailChange => ("Confirm your address", "Confirm your new address here:"),
    }
}
