//! The tenants' campaigns. Titles and notes are sealed fields.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::{OptionalExtension, params};
use vouchsafe::core::{TenantId, Timestamp};
use vouchsafe::envelope::{Envelope, EnvelopeError, Fields, Keyring};

use crate::database::Database;
use crate::users::fresh_text;

/// One campaign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Campaign {
    /// Random.
    pub id: String,
    /// One line.
    pub title: String,
    /// Whatever its people want to remember.
    pub notes: String,
    /// When it was last changed.
    pub changed: Timestamp,
}

/// Why a campaign is not kept, or not found.
#[derive(Debug, thiserror::Error)]
pub enum CampaignError {
    /// No title, or too long a one.
    #[error("a title has 1 to {} characters on one line", Campaign::MAX_TITLE)]
    Title,
    /// Too long.
    #[error("notes have at most {} characters", Campaign::MAX_NOTES)]
    Notes,
    /// The database refused.
    #[error("the portal's database: {0}")]
    Database(#[from] rusqlite::Error),
    /// A field does not open under the tenant's key.
    #[error("a campaign does not read: {0}")]
    Sealed(#[from] EnvelopeError),
    /// A field opens and is no text.
    #[error("a campaign is malformed")]
    Malformed,
    /// The tenant is not served.
    #[error("there is no such tenant")]
    NoTenant,
    /// Nobody has it, or not any more.
    #[error("there is no such campaign")]
    Gone,
}

impl Campaign {
    /// Longest title, in characters.
    pub const MAX_TITLE: usize = 120;
    /// Longest notes, in characters.
    pub const MAX_NOTES: usize = 10_000;

    /// A new campaign, under a fresh id, which is kept nowhere yet.
    ///
    /// # Errors
    /// [`CampaignError::Title`], [`CampaignError::Notes`].
    pub fn new(title: &str, notes: &str, changed: Timestamp) -> Result<Self, CampaignError> {
        let id = fresh_text().map_err(EnvelopeError::from)?;
        Self::of(id, title, notes, changed)
    }

    /// The campaign of this id as it is to be, which is kept nowhere yet.
    ///
    /// # Errors
    /// [`CampaignError::Title`], [`CampaignError::Notes`].
    pub fn of(
        id: String,
        title: &str,
        notes: &str,
        changed: Timestamp,
    ) -> Result<Self, CampaignError> {
        let title = title.trim().to_owned();
        let length = title.chars().count();
        if length == 0 || length > Self::MAX_TITLE || title.chars().any(char::is_control) {
            return Err(CampaignError::Title);
        }
        // Browsers send CR LF for each line.
        let notes = notes.replace("\r\n", "\n");
        if notes.chars().count() > Self::MAX_NOTES {
            return Err(CampaignError::Notes);
        }
        Ok(Self { id, title, notes, changed })
    }
}

/// Every tenant's campaigns. Cloning shares it.
#[derive(Clone)]
pub struct Campaigns(Arc<Inner>);

struct Inner {
    database: Database,
    fields: BTreeMap<TenantId, Columns>,
}

struct Columns {
    title: Fields,
    notes: Fields,
}

impl Campaigns {
    /// The campaigns in `database`.
    ///
    /// # Errors
    /// When the keyring has no key for a tenant.
    pub fn new(
        database: Database,
        keyring: &Arc<Keyring>,
        tenants: &[TenantId],
    ) -> Result<Self, EnvelopeError> {
        let envelope = Envelope::new(Arc::clone(keyring));
        let fields = tenants.iter().map(|tenant| {
            let column = |column| envelope.fields(tenant, "campaign", column, "");
            let columns = Columns { title: column("title")?, notes: column("notes")? };
            Ok::<_, EnvelopeError>((tenant.clone(), columns))
        });
        let fields = fields.collect::<Result<_, _>>()?;
        Ok(Self(Arc::new(Inner { database, fields })))
    }

    /// Keeps a new campaign.
    ///
    /// # Errors
    /// [`CampaignError`].
    pub fn add(&self, tenant: &TenantId, campaign: &Campaign) -> Result<(), CampaignError> {
        const INSERT: &str = "INSERT INTO campaign (tenant, id, changed, title, notes)
             VALUES (?1, ?2, ?3, ?4, ?5)";
        self.write(INSERT, tenant, campaign).map(|_| ())
    }

    /// Keeps what a campaign is now; what it was is not opened.
    ///
    /// # Errors
    /// [`CampaignError::Gone`] when there is none of this id.
    pub fn change(&self, tenant: &TenantId, campaign: &Campaign) -> Result<(), CampaignError> {
        const UPDATE: &str = "UPDATE campaign SET changed = ?3, title = ?4, notes = ?5
             WHERE tenant = ?1 AND id = ?2";
        if self.write(UPDATE, tenant, campaign)? == 0 { Err(CampaignError::Gone) } else { Ok(()) }
    }

    fn write(
        &self,
        sql: &str,
        tenant: &TenantId,
        campaign: &Campaign,
    ) -> Result<usize, CampaignError> {
        let columns = self.columns(tenant)?;
        let row = campaign.id.as_bytes();
        let title = columns.title.seal(row, campaign.title.as_bytes())?;
        let notes = columns.notes.seal(row, campaign.notes.as_bytes())?;
        let values = params![tenant.as_str(), campaign.id, campaign.changed.micros(), title, notes];
        Ok(self.0.database.lock().execute(sql, values)?)
    }

    /// Removes a campaign.
    ///
    /// # Errors
    /// [`CampaignError::Gone`] when there is none of this id.
    pub fn delete(&self, tenant: &TenantId, id: &str) -> Result<(), CampaignError> {
        let deleted = self.0.database.lock().execute(
            "DELETE FROM campaign WHERE tenant = ?1 AND id = ?2",
            params![tenant.as_str(), id],
        )?;
        if deleted == 0 { Err(CampaignError::Gone) } else { Ok(()) }
    }

    /// Whether the tenant has this campaign; opens nothing.
    ///
    /// # Errors
    /// [`CampaignError`].
    pub fn exists(&self, tenant: &TenantId, id: &str) -> Result<bool, CampaignError> {
        Ok(self.0.database.lock().query_row(
            "SELECT EXISTS (SELECT 1 FROM campaign WHERE tenant = ?1 AND id = ?2)",
            params![tenant.as_str(), id],
            |row| row.get(0),
        )?)
    }

    /// The campaign with this id.
    ///
    /// # Errors
    /// [`CampaignError`].
    pub fn find(&self, tenant: &TenantId, id: &str) -> Result<Option<Campaign>, CampaignError> {
        let row = self
            .0
            .database
            .lock()
            .prepare_cached(
                "SELECT id, changed, title, notes FROM campaign WHERE tenant = ?1 AND id = ?2",
            )?
            .query_row(params![tenant.as_str(), id], read)
            .optional()?;
        row.map(|row| self.open(tenant, row)).transpose()
    }

    /// Every campaign of a tenant, the last changed first.
    ///
    /// # Errors
    /// [`CampaignError`].
    pub fn list(&self, tenant: &TenantId) -> Result<Vec<Campaign>, CampaignError> {
        let rows = {
            let connection = self.0.database.lock();
            let mut select = connection.prepare_cached(
                "SELECT id, changed, title, notes FROM campaign WHERE tenant = ?1
                 ORDER BY changed DESC, id",
            )?;
            let rows = select.query_map([tenant.as_str()], read)?;
            rows.collect::<Result<Vec<_>, _>>()?
        };
        rows.into_iter().map(|row| self.open(tenant, row)).collect()
    }

    fn columns(&self, tenant: &TenantId) -> Result<&Columns, CampaignError> {
        self.0.fields.get(tenant).ok_or(CampaignError::NoTenant)
    }

    fn open(&self, tenant: &TenantId, row: Row) -> Result<Campaign, CampaignError> {
        let columns = self.columns(tenant)?;
        let text = |bytes| String::from_utf8(bytes).map_err(|_| CampaignError::Malformed);
        let key = row.id.as_bytes();
        Ok(Campaign {
            title: text(columns.title.open(key, &row.title)?)?,
            notes: text(columns.notes.open(key, &row.notes)?)?,
            changed: Timestamp::from_micros(row.changed),
            id: row.id,
        })
    }
}

struct Row {
    id: String,
    changed: i64,
    title: Vec<u8>,
    notes: Vec<u8>,
}

fn read(row: &rusqlite::Row<'_>) -> Result<Row, rusqlite::Error> {
    Ok(Row { id: row.get(0)?, changed: row.get(1)?, title: row.get(2)?, notes: row.get(3)? })
}
