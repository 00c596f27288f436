//! Session tokens with idle and absolute limits, one-time links, cookies and CSRF tokens.
