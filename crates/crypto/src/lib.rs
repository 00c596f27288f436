//! ring behind small types: keyed digests, AES-256-GCM and Ed25519 keys that wipe themselves.
