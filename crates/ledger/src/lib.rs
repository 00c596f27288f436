//! A tamper-evident store for access records: an RFC 6962 tree in durable segment files.
