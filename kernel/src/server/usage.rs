//! What the kernel and its runtime process use, from `/proc` where there is one.

use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Clock ticks a second in `/proc/*/stat`: fixed in Linux' interface to programs.
const TICKS: f64 = 100.0;

/// Bytes of a page in `/proc/*/statm`, where it is not said otherwise.
const PAGE: u64 = 4096;

/// Measures; a rate needs the measurement before.
#[derive(Debug, Default)]
pub struct Usage(Mutex<Option<(Instant, u64)>>);

impl Usage {
    /// The content of `usage_reply`: memory in bytes, processor time in percent of one processor since the last call.
    #[must_use]
    pub fn reply(&self) -> Value {
        let mut fields = Map::new();
        fields.insert("status".to_owned(), json!("ok"));
        fields.insert("pid".to_owned(), json!(std::process::id()));
        let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        fields.insert("hostname".to_owned(), json!(hostname.trim()));
        let count = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        fields.insert("cpu_count".to_owned(), json!(count));
        if let Some((ticks, memory)) = family() {
            fields.insert("kernel_memory".to_owned(), json!(memory));
            fields.insert("kernel_cpu".to_owned(), json!(self.percent(ticks)));
        }
        if let Some(memory) = host_memory() {
            fields.insert("host_virtual_memory".to_owned(), memory);
        }
        Value::Object(fields)
    }

    fn percent(&self, ticks: u64) -> f64 {
        let now = Instant::now();
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((then, before)) = last.replace((now, ticks)) else { return 0.0 };
        let ticks = f64::from(u32::try_from(ticks.saturating_sub(before)).unwrap_or(u32::MAX));
        100.0 * ticks / TICKS / (now - then).as_secs_f64().max(1.0 / TICKS)
    }
}

/// Processor ticks and resident bytes of this process and all that come from it.
fn family() -> Option<(u64, u64)> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    let mut ticks = BTreeMap::new();
    for entry in std::fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|it| it.parse::<u32>().ok()) else { continue };
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        // The name, in parentheses, may hold anything; what follows it does not.
        let Some((_, fields)) = stat.rsplit_once(") ") else { continue };
        let fields: Vec<&str> = fields.split(' ').collect();
        let number = |at: usize| fields.get(at).and_then(|it| it.parse::<u64>().ok()).unwrap_or(0);
        children.entry(u32::try_from(number(1)).unwrap_or(0)).or_default().push(pid);
        ticks.insert(pid, number(11) + number(12));
    }
    let (mut todo, mut seen) = (vec![std::process::id()], BTreeSet::new());
    let mut sum = (0, 0);
    while let Some(pid) = todo.pop() {
        if !seen.insert(pid) {
            continue;
        }
        let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
        let pages: u64 = statm.split(' ').nth(1).and_then(|it| it.parse().ok()).unwrap_or(0);
        sum = (sum.0 + ticks.get(&pid).unwrap_or(&0), sum.1 + pages * PAGE);
        todo.extend(children.get(&pid).into_iter().flatten());
    }
    Some(sum)
}

/// The machine's memory, with the names that ipykernel's reply has.
fn host_memory() -> Option<Value> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let bytes = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim_start_matches(':').split_whitespace().next()?.parse::<u64>().ok().map(|it| it * 1024)
    };
    let (total, available, free) = (bytes("MemTotal")?, bytes("MemAvailable")?, bytes("MemFree")?);
    let percent = (total.saturating_sub(available) * 1000).checked_div(total).unwrap_or(0);
    let percent = f64::from(u32::try_from(percent).unwrap_or(0)) / 10.0;
    let used = total.saturating_sub(available);
    Some(json!({ "total": total, "available": available, "free": free, "used": used, "percent": percent }))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_something() {
        let reply = Usage::default().reply();
        assert!(reply["kernel_memory"].as_u64() > Some(1024 * 1024), "{reply}");
        assert!(reply["host_virtual_memory"]["percent"].as_f64() <= Some(100.0), "{reply}");
        assert_eq!(reply["pid"], json!(std::process::id()));
    }
}
