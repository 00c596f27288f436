//! Access records as types: who did what to which thing from where, in one canonical form.
