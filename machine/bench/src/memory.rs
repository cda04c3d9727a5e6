//! What the process holds in memory.

/// Resident memory, bytes; 0 where the system does not tell.
#[must_use]
pub fn resident() -> u64 {
    // The second field of `statm` is the number of resident pages (proc(5)); Linux alone has it.
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    let pages = pages.and_then(|text| text.split_whitespace().nth(1)?.parse::<u64>().ok()).unwrap_or_default();
    pages * 4096
}

/// In MiB, for people.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "to be read")]
pub fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
