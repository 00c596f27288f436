//! What is sealed: nothing opens that we did not seal.

use std::sync::{Arc, OnceLock};

use vouchsafe_core::{PolicyDigest, TenantId, Timestamp};
use vouchsafe_crypto::RootKey;
use vouchsafe_envelope::{About, Context, Envelope, Keyring, cobblestone, header_len};
use vouchsafe_session::{Binding, CsrfKeys, Purpose, SessionId, TokenKeys};
use vouchsafe_testkit::SeededEntropy;

/// The tenant that everything belongs to.
pub fn tenant() -> TenantId {
    TenantId::new("acme").expect("a tenant")
}

/// A keyring that is the same in every run.
pub fn keyring() -> Arc<Keyring> {
    let entropy = SeededEntropy::new(1);
    let keyring = Keyring::ephemeral(&entropy).expect("a keyring");
    keyring.add_tenant(&tenant(), Timestamp::EPOCH, &entropy).expect("a key");
    Arc::new(keyring)
}

/// An envelope and an object that it sealed.
fn sealed() -> &'static (Envelope, Vec<u8>) {
    static SEALED: OnceLock<(Envelope, Vec<u8>)> = OnceLock::new();
    SEALED.get_or_init(|| {
        let entropy = Arc::new(SeededEntropy::new(2));
        let envelope = Envelope::with_entropy(keyring(), entropy);
        let about = About {
            generation: 1,
            created: Timestamp::EPOCH,
            retention: 0,
            policy: PolicyDigest::NONE,
        };
        let object = with_context(|context| envelope.seal(context, &about, &[3; 40]));
        (envelope, object.expect("sealed"))
    })
}

fn with_context<T>(what: impl FnOnce(&Context<'_>) -> T) -> T {
    let tenant = tenant();
    what(&Context { tenant: &tenant, table: "t", column: "c", row: b"1", purpose: "" })
}

/// Objects, headers, fields and chunks out of nowhere.
pub fn envelope_object(data: &[u8]) {
    let (envelope, object) = sealed();
    let _ = header_len(data);
    if data != object {
        assert!(with_context(|context| envelope.open(context, data)).is_err());
    }
    assert!(cobblestone::open_all(&[9; 32], b"", data).is_err());
    let _ = envelope.rewrap(data);
    let fields = envelope.fields(&tenant(), "t", "c", "").expect("a column");
    assert!(fields.open(b"1", data).is_err());
}

/// Each three bytes change one byte of a sealed object; then it does not open.
pub fn envelope_edits(data: &[u8]) {
    let (envelope, object) = sealed();
    let mut edited = object.clone();
    for edit in data.chunks_exact(3) {
        let at = usize::from(u16::from_be_bytes([edit[0], edit[1]])) % edited.len();
        edited[at] ^= edit[2];
    }
    let opened = with_context(|context| envelope.open(context, &edited));
    assert_eq!(opened.is_ok(), edited == *object);
}

/// Session tokens, links, form tokens and the cookie before sign-in.
pub fn session_token(data: &[u8]) {
    let root = RootKey::new(&[4; 32]);
    let (tokens, csrf) = (TokenKeys::new(&root), CsrfKeys::new(&root));
    assert!(tokens.open(&tenant(), data).is_err());
    for purpose in Purpose::ALL {
        assert!(tokens.open_link(&tenant(), purpose, data).is_err());
    }
    assert!(!csrf.verify(&Binding::Session(SessionId::new([5; 16])), data));
    assert!(csrf.read_pre_login(data, Timestamp::EPOCH).is_err());
    let _ = SessionId::parse(&String::from_utf8_lossy(data));
}
