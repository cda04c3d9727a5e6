//! `machine metrics`: the counters of all machines of this user, for Prometheus.

use super::interrupt::Interrupt;
use super::outcome::{Failed, Outcome};
use machine_engine::metrics;
use machine_remote as remote;
use std::time::Duration;

/// How long is waited between two looks at Ctrl-C.
const SLICE: Duration = Duration::from_millis(200);

/// Answers on this port until Ctrl-C.
pub fn run(port: u16) -> Outcome {
    let interrupt = Interrupt::listen();
    let port = metrics::serve(port, || metrics::text(&all()))
        .map_err(|error| Failed::new("port", format!("port {port} cannot be had: {error}")))?;
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
