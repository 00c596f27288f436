//! A published security policy as data: load, compare, join, explain.
