//! Metrics for OpenTelemetry: posted to a collector every minute, or as often as the environment says.
//!
//! The libraries of OpenTelemetry record each measurement themselves, and take no histogram that is there already, so
//! the requests are made here. What a collector does not take is counted and told once, and the next export has it, for
//! counters are told since their beginning. No message ever waits for any of this.

mod config;
mod encode;
mod send;

use super::family::{Family, Kind, Sample};
use super::table;
use crate::{registry, runtime};
use config::Config;
use encode::Begun;
use hyper::body::Bytes;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// How often the same request is tried.
const TRIES: u32 = 3;
/// How long is waited before the second try; twice as long before each following one.
const BACKOFF: Duration = Duration::from_millis(500);

static EXPORTER: OnceLock<Exporter> = OnceLock::new();

/// What sends metrics; lives as long as the process.
struct Exporter {
    config: Config,
    state: Mutex<State>,
    sent: AtomicU64,
    failed: AtomicU64,
}

/// One export at a time has it.
struct State {
    begun: Begun,
    /// What is wrong, as it was told; empty if nothing is.
    trouble: String,
}

/// Exports from now on, if the environment says where to.
pub(crate) fn start() {
    let config::Read { config, warnings } = config::read(|name| std::env::var(name).ok());
    for warning in &warnings {
        registry::notice(warning);
    }
    let Some(mut config) = config else { return };
    config.resource = resource(config.resource);
    let handle = match runtime::handle() {
        Ok(handle) => handle,
        Err(failure) => return registry::notice(&format!("no metrics are exported: {failure}")),
    };
    let state = Mutex::new(State { begun: Begun::new(now()), trouble: String::new() });
    let exporter = Exporter { config, state, sent: AtomicU64::new(0), failed: AtomicU64::new(0) };
    // The engine starts once.
    let exporter = EXPORTER.get_or_init(|| exporter);
    let _runs_on = handle.spawn(async move {
        loop {
            tokio::time::sleep(exporter.config.interval).await;
            exporter.export(true).await;
        }
    });
}

/// Exports once more, before the process ends; takes no longer than this.
pub(crate) fn finish(most: Duration) {
    let (Some(exporter), Ok(handle)) = (EXPORTER.get(), runtime::handle()) else { return };
    let last = async { tokio::time::timeout(most, exporter.export(false)).await };
    if handle.block_on(last).is_err() {
        exporter.failed.fetch_add(1, Relaxed);
        registry::notice(&format!("the last metrics were not taken by {} within {most:?}", exporter.config.endpoint));
    }
}

/// How many exports were taken, and how many were not; nothing in a process that does not export.
pub(super) fn exports() -> Option<Family> {
    let exporter = EXPORTER.get()?;
    // Relaxed: they carry nothing but themselves.
    let of = |outcome: &str, count: &AtomicU64| Sample::new(count.load(Relaxed).into()).of("outcome", outcome);
    Some(Family {
        name: "machine_exports_total",
        kind: Kind::Counter,
        unit: "{export}",
        help: "Times that the metrics were sent to a collector of OpenTelemetry.",
        samples: vec![of("sent", &exporter.sent), of("failed", &exporter.failed)],
    })
}

impl Exporter {
    async fn export(&self, retry: bool) {
        let mut state = self.state.lock().await;
        let machines: Vec<_> = registry::statuses().into_iter().map(|status| (String::new(), status)).collect();
        let mut families = table::families(&machines);
        families.extend(exports());
        let request = encode::request(&families, &self.config.resource, &mut state.begun, now());
        let outcome = self.send(request.into(), retry).await;
        match &outcome {
            Ok(_) => self.sent.fetch_add(1, Relaxed),
            Err(_) => self.failed.fetch_add(1, Relaxed),
        };
        let endpoint = &self.config.endpoint;
        let told = match outcome {
            Ok(complaint) if complaint.is_empty() => String::new(),
            Ok(complaint) => format!("{endpoint} does not take all metrics: {complaint}"),
            Err(why) => format!("metrics cannot be exported to {endpoint}: {why}"),
        };
        // Told when it begins and when it ends, not each time, even if the reason changes.
        match (state.trouble.is_empty(), told.is_empty()) {
            (true, false) => registry::notice(&told),
            (false, true) => registry::notice(&format!("metrics are exported to {endpoint} again")),
            _ => {}
        }
        state.trouble = told;
    }

    /// Sends a request, a few times if that may help, but not longer than until the next export is due.
    async fn send(&self, request: Bytes, retry: bool) -> Result<String, String> {
        let begin = Instant::now();
        let mut pause = BACKOFF;
        let mut tries = 1;
        loop {
            let refusal = match send::post(&self.config, request.clone()).await {
                Ok(complaint) => return Ok(complaint),
                Err(refusal) => refusal,
            };
            let wait = refusal.again.map(|asked| asked.max(pause));
            match wait {
                Some(wait) if retry && tries < TRIES && begin.elapsed().saturating_add(wait) < self.config.interval => {
                    tokio::time::sleep(wait).await;
                }
                _ => return Err(refusal.why),
            }
            pause *= 2;
            tries += 1;
        }
    }
}

/// The attributes that were given, and those that tell this process from others.
fn resource(given: Vec<(String, String)>) -> Vec<(String, String)> {
    use std::hash::{BuildHasher, RandomState};
    let mut all = given;
    let pid = std::process::id();
    let mut add = |name: &str, value: String| {
        if !value.is_empty() && all.iter().all(|(attribute, _)| attribute != name) {
            all.push((name.to_owned(), value));
        }
    };
    add("service.name", "machine".to_owned());
    // Several processes have a machine of the same name; their counters must not be taken for one.
    add("service.instance.id", format!("{pid}-{:016x}", RandomState::new().hash_one(pid)));
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    add("host.name", host.trim().to_owned());
    all
}

/// Nanoseconds since 1970.
fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{Begun, Config, Exporter, Mutex, State, runtime};
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::sync::atomic::AtomicU64;
    use std::time::Duration;

    #[test]
    fn a_collector_that_asks_for_eternity_is_not_waited_for() -> std::io::Result<()> {
        let collector = TcpListener::bind("127.0.0.1:0")?;
        let config = Config {
            endpoint: format!("http://{}/v1/metrics", collector.local_addr()?).parse().unwrap_or_default(),
            headers: Vec::new(),
            interval: Duration::from_mins(1),
            timeout: Duration::from_mins(1),
            resource: Vec::new(),
        };
        let refuse = std::thread::spawn(move || -> std::io::Result<()> {
            let (mut stream, _) = collector.accept()?;
            stream.read_exact(&mut [0; 16])?;
            // Slowly: what it asks for and what has gone by are more than there is.
            std::thread::sleep(Duration::from_millis(1_100));
            stream.write_all(b"HTTP/1.1 503 Busy\r\nRetry-After: 18446744073709551615\r\nContent-Length: 0\r\n\r\n")?;
            stream.read_to_end(&mut Vec::new()).map(drop)
        });
        let state = Mutex::new(State { begun: Begun::new(0), trouble: String::new() });
        let exporter = Exporter { config, state, sent: AtomicU64::new(0), failed: AtomicU64::new(0) };
        let outcome = runtime::handle().map(|handle| handle.block_on(exporter.send("{}".into(), true)));
        assert_eq!(outcome, Ok(Err("HTTP status 503".to_owned())));
        refuse.join().unwrap_or(Ok(()))
    }
}
