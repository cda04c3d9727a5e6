//! Metrics for OpenTelemetry: posted to a collector every minute, or as often as the environment says.
//!
//! The SDKs of OpenTelemetry record each measurement themselves and take no ready-made histogram, so requests are built
//! here, from the types of the protocol. What a collector does not take is counted and reported once, and the next export
//! has it, because counters are cumulative. No message ever waits for any of this.

mod config;
mod encode;
mod send;

use crate::family::{Exports, Family};
use crate::table;
use config::Config;
use encode::Begun;
use hyper::body::Bytes;
use machine_protocol::status::Status;
use prost::Message;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::Mutex;

/// How often the same request is tried.
const TRIES: u32 = 3;
/// How long is waited before the second try; twice as long before each following one.
const BACKOFF: Duration = Duration::from_millis(500);

/// Gives the machines to report, and takes what users should read.
pub trait Process: Send + Sync + 'static {
    /// The machines of this process, now.
    fn machines(&self) -> Vec<Status>;
    /// Reports something to the user, in one line.
    fn notice(&self, text: &str);
}

/// Sends metrics to a collector, as the standard variables of OpenTelemetry say.
pub struct Exporter {
    config: Config,
    process: Box<dyn Process>,
    state: Mutex<State>,
    sent: AtomicU64,
    failed: AtomicU64,
}

impl std::fmt::Debug for Exporter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exporter").field("config", &self.config).finish_non_exhaustive()
    }
}

/// What one export changes.
struct State {
    begun: Begun,
    /// What is wrong, as it was reported; empty if nothing is.
    trouble: String,
}

impl Exporter {
    /// An exporter, if the environment names a collector. What is wrong with the variables is reported.
    #[must_use]
    pub fn from_environment(process: impl Process) -> Option<Self> {
        let config::Read { config, warnings } = config::read(|name| std::env::var(name).ok());
        for warning in &warnings {
            process.notice(warning);
        }
        let mut config = config?;
        config.resource = resource(config.resource);
        Some(Self::new(config, Box::new(process)))
    }

    fn new(config: Config, process: Box<dyn Process>) -> Self {
        let state = Mutex::new(State { begun: Begun::new(now()), trouble: String::new() });
        Self { config, process, state, sent: AtomicU64::new(0), failed: AtomicU64::new(0) }
    }

    /// Exports at each interval from now on, on the threads of `handle`.
    pub fn start(self: &Arc<Self>, handle: &Handle) {
        let exporter = Arc::clone(self);
        let _runs_on = handle.spawn(async move {
            loop {
                tokio::time::sleep(exporter.config.interval).await;
                exporter.export(true).await;
            }
        });
    }

    /// Exports once more, before the process ends; takes no longer than `timeout`.
    pub fn finish(&self, handle: &Handle, timeout: Duration) {
        let last = async { tokio::time::timeout(timeout, self.export(false)).await };
        if handle.block_on(last).is_err() {
            self.failed.fetch_add(1, Relaxed);
            let endpoint = &self.config.endpoint;
            self.process.notice(&format!("the last metrics were not taken by {endpoint} within {timeout:?}"));
        }
    }

    /// How many exports were taken, and how many were not.
    pub fn exports(&self) -> Exports {
        // Relaxed: they carry nothing but themselves.
        Exports { sent: self.sent.load(Relaxed), failed: self.failed.load(Relaxed) }
    }

    async fn export(&self, retry: bool) {
        let mut state = self.state.lock().await;
        let machines: Vec<_> = self.process.machines().into_iter().map(|status| (String::new(), status)).collect();
        let mut families = table::families(&machines);
        families.push(Family::from(self.exports()));
        let request = encode::request(&families, &self.config.resource, &mut state.begun, now());
        let outcome = self.send(request.encode_to_vec().into(), retry).await;
        match &outcome {
            Ok(_) => self.sent.fetch_add(1, Relaxed),
            Err(_) => self.failed.fetch_add(1, Relaxed),
        };
        let endpoint = &self.config.endpoint;
        let trouble = match outcome {
            Ok(complaint) if complaint.is_empty() => String::new(),
            Ok(complaint) => format!("{endpoint} does not take all metrics: {complaint}"),
            Err(why) => format!("metrics cannot be exported to {endpoint}: {why}"),
        };
        // Reported when it begins and when it ends, not each time, even if the reason changes.
        match (state.trouble.is_empty(), trouble.is_empty()) {
            (true, false) => self.process.notice(&trouble),
            (false, true) => self.process.notice(&format!("metrics are exported to {endpoint} again")),
            _ => {}
        }
        state.trouble = trouble;
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
    use super::{Config, Exporter, Process, Status};
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::time::Duration;

    struct Nothing;

    impl Process for Nothing {
        fn machines(&self) -> Vec<Status> {
            Vec::new()
        }

        fn notice(&self, _text: &str) {}
    }

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
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let exporter = Exporter::new(config, Box::new(Nothing));
        let outcome = runtime.block_on(exporter.send("{}".into(), true));
        assert_eq!(outcome, Err("HTTP status 503".to_owned()));
        refuse.join().unwrap_or(Ok(()))
    }
}
