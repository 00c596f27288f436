//! Password rules, blocklist, Argon2id hashing in bounded memory, verification and upgrade.
