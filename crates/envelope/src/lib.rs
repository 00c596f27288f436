//! Encryption at rest: sealed fields and objects under keyrings that rotate.
