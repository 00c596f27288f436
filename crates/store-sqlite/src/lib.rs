//! Vouchsafe cells in one SQLite file: the embedded default.
