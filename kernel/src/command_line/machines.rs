//! The machines of all processes of this user.

use super::outcome::Outcome;
use crate::display::{Kind, Table, grouped, one_line, rate};
use machine_protocol::status::Status;
use machine_remote::{self as remote, Hello, Machines};
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
        crate::server::log(&one_line(&format!("{}: {error}", socket.display())));
    }
    if all.is_empty() {
        return Ok("no machines\n".to_owned());
    }
    let columns = [
        ("machine", Kind::Name),
        ("pid", Kind::Number),
        ("state", Kind::Short),
        ("processed", Kind::Number),
        ("rate", Kind::Number),
        ("errored", Kind::Number),
        ("waiting", Kind::Number),
        ("source", Kind::Short),
        ("runs in", Kind::Words),
    ];
    let table = Table::new(&columns).with(all.iter().map(|(hello, status)| {
        vec![
            one_line(&status.machine).into(),
            hello.pid.to_string().into(),
            status.state.to_string().into(),
            grouped(status.processed).into(),
            rate(status.rate).into(),
            grouped(status.errored).into(),
            grouped(status.queue_size).into(),
            status.source.state.as_str().into(),
            format!("{} in {}", one_line(&hello.title), one_line(&hello.directory)).into(),
        ]
    }));
    Ok(table.text())
}
