//! `machine metrics`: the counters of all machines of this user, for Prometheus.

use super::interrupt::Interrupt;
use super::outcome::{Failed, Outcome};
use machine_remote as remote;
use std::time::Duration;

/// How long is waited between two looks at Ctrl-C.
const SLICE: Duration = Duration::from_millis(200);

/// Answers on this port until Ctrl-C.
pub fn run(port: u16) -> Outcome {
    let interrupt = Interrupt::listen();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|error| Failed::new("no_runtime", error.to_string()))?;
    let refuses = |name: &str, value: &str| remote::web_page::refuses(name, value, true);
    let port = machine_telemetry::serve(runtime.handle(), port, refuses, || machine_telemetry::text(&all(), None))
        .map_err(|error| Failed::new("port", format!("cannot bind port {port}: {error}")))?;
    super::outcome::print(&format!("http://127.0.0.1:{port}/metrics\n"));
    while !interrupt.came() {
        std::thread::sleep(SLICE);
    }
    Ok(String::new())
}

/// The state of all machines, each with the number of its process.
fn all() -> Vec<(String, machine::Status)> {
    let found = remote::processes().found;
    let of = |(process, machines): (remote::Process, Vec<machine::Status>)| {
        let pid = process.pid().to_string();
        machines.into_iter().map(move |status| (pid.clone(), status))
    };
    found.into_iter().flat_map(of).collect()
}
