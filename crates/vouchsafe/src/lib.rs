//! A published security policy as data that running code enforces, explains and proves.
