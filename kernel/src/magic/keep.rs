//! `%keep`: how much a machine keeps of what goes through it.

use super::actions::{machine_name, target, to_json, unexpected};
use super::arguments::Arguments;
use super::engine::Engine;
use super::magic_error::MagicError;
use super::spec::{Action, Kind, MACHINE, Magic, Parameter};
use crate::display::{self, grouped};
use crate::output::Display;
use machine_protocol::command::{Command, Reply};
use machine_protocol::retention::{Keep, Kept};
use serde_json::json;

/// What it takes.
pub const HOW_MUCH: &str = "HOW_MUCH";

/// `%keep`
pub const KEEP: Magic = Magic {
    name: "keep",
    parameters: &[
        Parameter {
            names: &[],
            value: HOW_MUCH,
            kind: Kind::Which,
            help: "all, 1_000_000 (messages), 1h (a time), or sample, as from the start; without it, shows what is kept",
        },
        MACHINE,
    ],
    summary: "keep every message from now on for %sql, %tap and %plot, or a sample again",
    details: "A fast machine keeps a sample by default. What is kept is bounded by 1 GiB; older messages make room.",
    example: "%keep 1_000_000",
    commands: &[],
    action: Action::Line(keep),
};

fn keep(arguments: &Arguments<'_>, engine: &dyn Engine) -> Result<Display, MagicError> {
    let read = |word: &super::words::Word| {
        Keep::parse(&word.text).map_err(|why| MagicError::usage(why, Some(word.span.clone())))
    };
    let keep = arguments.which.as_ref().map(read).transpose()?;
    let kept = match engine.command(Command::Keep { machine: target(arguments), keep })? {
        Reply::Keeping(kept) => kept,
        reply => return Err(unexpected(reply)),
    };
    let name = machine_name(arguments);
    if arguments.json {
        return Ok(display::json(json!({ "machine": name, "keeping": to_json(&kept) })));
    }
    Ok(display::line(&format!("{name} keeps {}", in_words(&kept))))
}

fn in_words(kept: &Kept) -> String {
    let what = match kept.keep {
        Keep::All => "every message".to_owned(),
        Keep::Messages(count) => format!("every message, the last {}", grouped(count)),
        Keep::Time(time) => format!("every message of the last {}", display::duration(time)),
        _ => "the last 10,000 messages, or a sample of them when it is fast".to_owned(),
    };
    format!(
        "{what}, in at most {} MiB; {} messages in {} MiB now",
        grouped(kept.most_bytes >> 20),
        grouped(kept.messages),
        grouped(kept.bytes.div_ceil(1 << 20))
    )
}
