//! The commands to machines.

use crate::core::command_error::failed;
use crate::core::interrupt::interrupted_here;
use crate::core::own_thread::waits_for_itself;
use crate::core::queue::Mode;
use crate::core::{cell_thread, raw, types};
use crate::decode::told;
use crate::inspect::debug;
use crate::server::registry::{find, make, statuses};
use crate::server::{attach, clock, connectors, queries};
use machine_protocol::command::{Command, Reply};
use machine_protocol::{Error, ErrorKind};
use std::time::Instant;

/// Carries out a command. `Drain`, `Pause`, `Stop`, `Workers`, `ClearQueue`, `ClearSource` and `RemoveSinks` wait, and
/// those that take messages through slots on this thread; nothing else does.
pub fn command(command: Command) -> Reply {
    carry_out(command).unwrap_or_else(Reply::Failed)
}

fn carry_out(command: Command) -> Result<Reply, Error> {
    let interrupted = interrupted_here;
    Ok(match command {
        Command::Status { machine } => Reply::Status(Box::new(find(&machine)?.status())),
        Command::Machines => Reply::Machines(statuses()),
        Command::Directory => directory()?,
        Command::New(config) => Reply::Made(make(config)?),
        Command::Start { machine } => {
            find(&machine)?.start();
            Reply::Done
        }
        Command::StartEmpty { machine } => {
            find(&machine)?.start_empty();
            Reply::Done
        }
        Command::Pause { machine } => {
            find(&machine)?.halt(Mode::Paused, interrupted);
            Reply::Done
        }
        Command::Stop { machine } => {
            let machine = find(&machine)?;
            if machine.halt(Mode::Stopped, interrupted) {
                machine.flush_sinks(None);
            }
            Reply::Done
        }
        Command::Workers { machine, workers } => {
            find(&machine)?.set_workers(workers, interrupted)?;
            Reply::Done
        }
        Command::Policy { machine, policy } => {
            find(&machine)?.queue().set_policy(policy);
            Reply::Done
        }
        Command::Drain { machine, timeout } => {
            let machine = find(&machine)?;
            if timeout.is_none()
                && let Some(why) = waits_for_itself(machine.number(), machine.queue(), &machine.plan())
            {
                let message = format!("drain() of {} would never end: {why}", machine.config().name);
                return Err(failed(ErrorKind::DrainInSlot, message));
            }
            let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
            let drained = machine.drain(timeout, interrupted);
            machine.flush_sinks(deadline);
            drained.map_or_else(Reply::Undrained, |()| Reply::Done)
        }
        Command::Step { machine } => Reply::Outputs(find(&machine)?.step()?),
        Command::ClearQueue { machine } => Reply::Count(find(&machine)?.clear_queue()),
        Command::Put { machine, json } => {
            let machine = find(&machine)?;
            check_json(&json)?;
            Reply::Oid(machine.put_json(json)?.to_string())
        }
        Command::Call { machine, json } => {
            let machine = find(&machine)?;
            check_json(&json)?;
            Reply::Outputs(machine.call(|number, put| raw::json_message(number, put, json)).outputs())
        }
        Command::ClearSlot { machine, slot } => {
            let slot = usize::try_from(slot).unwrap_or(usize::MAX);
            find(&machine)?.change(slot, None)?.map_or(Reply::Done, Reply::Warned)
        }
        Command::SetSource { machine, source, pacing } => {
            find(&machine)?.set_source(|| connectors::get()?.source(source, &pacing))?;
            Reply::Done
        }
        Command::Set { machine, slot, setting } => {
            find(&machine)?.set(usize::try_from(slot).unwrap_or(usize::MAX), setting)?;
            Reply::Done
        }
        Command::ClearSource { machine } => {
            find(&machine)?.clear_source();
            Reply::Done
        }
        Command::AddSink { machine, sink } => Reply::Sink(Box::new(attach::sink(find(&machine)?, sink)?)),
        Command::ConfigureSink { machine, id, sink } => {
            Reply::Sink(Box::new(find(&machine)?.configure_sink(id, &sink)?))
        }
        Command::Sink { machine, id } => Reply::Sink(Box::new(find(&machine)?.sink(id)?)),
        Command::RemoveSinks { machine, id } => Reply::Count(find(&machine)?.remove_sinks(id)),
        Command::Debug { machine, on } => {
            find(&machine)?.held().set_at_errors(on);
            Reply::Done
        }
        Command::HeldMessage { machine } => Reply::Outputs(debug::in_hand(find(&machine)?)?),
        Command::Retry { machine } => Reply::Outputs(debug::retry(find(&machine)?)?),
        Command::GiveUp { machine } => Reply::Count(u64::from(debug::give_up_in_hand(find(&machine)?)?)),
        Command::LastOutputs { machine } => Reply::LastOutputs(find(&machine)?.recorder().last()),
        Command::History { machine, since_ms } => Reply::History(clock::history(find(&machine)?, since_ms)),
        Command::Enter(cell) => {
            types::announce(cell);
            Reply::Done
        }
        Command::Interrupt { on } => {
            cell_thread::interrupt(on);
            Reply::Done
        }
        other => return queries::answer(other),
    })
}

fn directory() -> Result<Reply, Error> {
    let directory = std::env::current_dir();
    let gone = |error| failed(ErrorKind::NoDirectory, format!("the process has no working directory: {error}"));
    directory.map(|directory| Reply::Directory(directory.display().to_string())).map_err(gone)
}

/// As sources do: it is JSON, whatever is in it.
fn check_json(json: &str) -> Result<(), Error> {
    serde_json::from_str::<serde::de::IgnoredAny>(json).map(drop).map_err(|error| {
        failed(ErrorKind::BadJson, format!("this cannot be read as JSON: {}", told(&error.to_string())))
    })
}
