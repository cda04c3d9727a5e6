//! The machines of all processes of this user.

use super::outcome::Outcome;
use crate::display::{Align, grouped, one_line, rate, table};
use machine::status::Status;
use machine_engine::remote::{self, Hello, Machines};
use serde_json::json;

/// One row, or one object, a machine.
///
/// The document is `{"machines": [{"pid", "title", "directory", "status": Status}, …], "silent": [{"socket", "error"}, …]}`.
#[expect(clippy::unnecessary_wraps, reason = "what every command gives")]
pub fn list(as_json: bool) -> Outcome {
    let Machines { found, silent } = remote::processes();
    let all: Vec<(&Hello, &Status)> = found
        .iter()
        .flat_map(|(process, machines)| machines.iter().map(move |status| (process.hello(), status)))
        .collect();
    if as_json {
        let machines: Vec<_> = all
            .iter()
            .map(|(hello, status)| {
                json!({ "pid": hello.pid, "title": hello.title, "directory": hello.directory, "status": status })
            })
            .collect();
        let silent: Vec<_> = silent.iter().map(|(socket, error)| json!({ "socket": socket, "error": error })).collect();
        return Ok(format!("{}\n", json!({ "machines": machines, "silent": silent })));
    }
    for (socket, error) in &silent {
        crate::server::log(&format!("{}: {error}", socket.display()));
    }
    if all.is_empty() {
        return Ok("no machines\n".to_owned());
    }
    let header = [
        ("machine", Align::Left),
        ("pid", Align::Right),
        ("state", Align::Left),
        ("processed", Align::Right),
        ("rate", Align::Right),
        ("errored", Align::Right),
        ("waiting", Align::Right),
        ("source", Align::Left),
        ("runs in", Align::Left),
    ];
    let rows: Vec<Vec<String>> = all
        .iter()
        .map(|(hello, status)| {
            vec![
                one_line(&status.machine),
                hello.pid.to_string(),
                status.state.to_string(),
                grouped(status.processed),
                rate(status.rate),
                grouped(status.errored),
                grouped(status.queue_size),
                status.source.state.clone(),
                format!("{} in {}", one_line(&hello.title), one_line(&hello.directory)),
            ]
        })
        .collect();
    Ok(table(&header, &rows))
}
