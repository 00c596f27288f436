//! Cells with compare-and-swap, the one retry loop, and the memory store.
