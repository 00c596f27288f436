//! Why a gate did not open.

use vouchsafe_core::{NoEntropy, TenantId, Timestamp};
use vouchsafe_envelope::EnvelopeError;
use vouchsafe_password::PasswordError;
use vouchsafe_policy::PolicyError;
use vouchsafe_store::StoreError;

use super::Refused;

/// Why a gate did not open. Nothing is served then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Something that has no safe default was not given.
    #[error("a gate needs {0}")]
    Missing(&'static str),
    /// The store may undo what it acknowledged, which would bring revoked credentials and used links
    /// back.
    #[error(
        "the store may roll back: set it up to keep what it acknowledges, have every policy in force \
         name it in lockout.may_roll_back, or open with danger_store_may_roll_back"
    )]
    MayRollBack,
    /// The policy of a tenant refuses breached passwords, and there is no list of them.
    #[error("the policy of tenant {0} refuses breached passwords: a gate needs a list of them")]
    NoBreachList(TenantId),
    /// There is no tenant to serve.
    #[error("a gate needs a policy for at least one tenant")]
    NoTenants,
    /// The tenant's name cannot stand in the path of a link.
    #[error("tenant {0}: an id in links has only letters, digits, `-`, `_`, `.` and `~`")]
    TenantPath(TenantId),
    /// The policy of a tenant is weaker than what the tenant was promised.
    #[error("the policy of tenant {tenant} is below its baseline: {}", findings.join("; "))]
    BelowBaseline {
        /// Which tenant.
        tenant: TenantId,
        /// Section, witness, old and new value, and clause of each weakening.
        findings: Vec<String>,
    },
    /// The contracts of a tenant, written out, are longer than what is kept of a baseline may be.
    #[error(
        "the {contracts} contracts of tenant {tenant} are {bytes} bytes together, more than the {most} \
         that are kept: leave out those that another one covers"
    )]
    ContractsTooLong {
        /// Which tenant.
        tenant: TenantId,
        /// How many contracts were given.
        contracts: usize,
        /// Their length, in bytes.
        bytes: usize,
        /// The bound, in bytes.
        most: usize,
    },
    /// The contracts given now promise less than those that were in force.
    #[error("the contracts of tenant {tenant} are older than its baseline: {}", findings.join("; "))]
    OlderBaseline {
        /// Which tenant.
        tenant: TenantId,
        /// Section, witness, old and new value, and clause of each weakening.
        findings: Vec<String>,
    },
    /// The contracts of a tenant contradict each other.
    #[error("the contracts of tenant {tenant}: {error}")]
    Contracts {
        /// Which tenant.
        tenant: TenantId,
        /// How.
        #[source]
        error: Box<PolicyError>,
    },
    /// The policies of the tenants, taken together, promise less about what all of them share, the
    /// log and the keys, than some tenant was promised, be it one that is not served any more.
    #[error("what the tenants share is below a baseline: {}", findings.join("; "))]
    BelowShared {
        /// Section and witness of each weakening.
        findings: Vec<String>,
    },
    /// What the tenants share cannot be as all of them were promised.
    #[error("what the tenants share cannot be kept for all of them: {reason}")]
    SharedContradiction {
        /// What would have to happen and must not.
        reason: String,
    },
    /// There are no baselines, and still this is no first start: the store or the log is not empty.
    /// It is not this installation's, or part of it was lost. A log from before there was a gate
    /// stays by itself: the gate begins another.
    #[error("the store or the log is not empty, but the baselines in force are missing")]
    MissingBaselines,
    /// A tenant's baseline is missing.
    #[error("the baseline in force of tenant {tenant} is missing from the store")]
    MissingBaseline {
        /// Which tenant.
        tenant: TenantId,
    },
    /// The store is not the latest: the log has seen a later generation of it. It was put back from
    /// a copy, or lost what it had acknowledged; ended sessions, used links and old passwords would
    /// be good again.
    #[error(
        "the store is at generation {store}, and the log has seen {log} at {at}: it was put back \
         from an older copy. Bring back the latest store, or open once with \
         GateBuilder::after_restore, which ends every session, link and device cookie and has \
         whoever changed their password since choose a new one"
    )]
    OlderStore {
        /// The store's generation; 0 for none.
        store: u64,
        /// The latest that the log has seen.
        log: u64,
        /// When it was recorded.
        at: Timestamp,
    },
    /// The log has seen a tenant be promised what neither the copy of the store nor a contract of
    /// this start says. Nothing is void yet.
    #[error(
        "tenant {tenant} was promised documents that the copy of the store does not hold: {}. Give \
         each as a contract; where there was none, it is the policy that the tenant was first \
         served under",
        documents.join(", ")
    )]
    LostBaseline {
        /// Which tenant.
        tenant: TenantId,
        /// The digests of the documents ([`vouchsafe_policy::Policy::digest`]).
        documents: Vec<String>,
    },
    /// A cell of the installation's own does not read: wrong keys, or a damaged store.
    #[error("the store does not read with these keys")]
    Corrupt,
    /// The store did not do its part.
    #[error(transparent)]
    Store(StoreError),
    /// The keyring did not do its part.
    #[error(transparent)]
    Keyring(#[from] EnvelopeError),
    /// The hash pool did not start.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// There are no fresh bytes.
    #[error(transparent)]
    NoEntropy(#[from] NoEntropy),
    /// No thread could be started.
    #[error("no thread could be started: {0}")]
    Thread(#[from] std::io::Error),
    /// The store or the log did not take the generation of this start.
    #[error("the store or the access log does not take the generation of this start")]
    Generation,
    /// The access log did not take the records of the start.
    #[error("the access log does not take records")]
    Log,
}

impl From<StoreError> for OpenError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Corrupt(_) => Self::Corrupt,
            error => Self::Store(error),
        }
    }
}

impl From<Refused> for OpenError {
    fn from(_: Refused) -> Self {
        Self::Log
    }
}
