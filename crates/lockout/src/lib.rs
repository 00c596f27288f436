//! Exact failure counting: at most N failures in any window, under any concurrency.
