//! Help on magics, from the same table.

use super::arguments::Arguments;
use super::engine::Engine;
use super::magic_error::{MagicError, closest_match, did_you_mean, quote};
use super::registry::{self, MAGICS};
use super::spec::Magic;
use crate::display;
use crate::output::Display;
use serde_json::{Value, json};

/// Help on the magic of this name, written with or without `%`.
#[must_use]
pub fn help(name: &str) -> Option<Display> {
    registry::find(name).map(|magic| display(magic, false))
}

/// `%help`
pub fn help_magic(arguments: &Arguments<'_>, engine: &dyn Engine) -> Result<Display, MagicError> {
    let Some(word) = &arguments.topic else { return lsmagic(arguments, engine) };
    let Some(magic) = registry::find(&word.text) else {
        let name = word.text.trim_start_matches('%');
        let meant =
            closest_match(name, MAGICS.iter().map(|magic| magic.name)).and_then(registry::find).map(Magic::written);
        return Err(MagicError::usage(
            format!(
                "there is no magic {}{} %lsmagic shows all",
                quote(&word.text),
                match meant {
                    Some(_) => did_you_mean(meant),
                    None => ";".to_owned(),
                }
            ),
            Some(word.span.clone()),
        ));
    };
    Ok(display(magic, arguments.json))
}

/// `%lsmagic`
#[expect(clippy::unnecessary_wraps, reason = "the table's functions have one type")]
pub fn lsmagic(arguments: &Arguments<'_>, _: &dyn Engine) -> Result<Display, MagicError> {
    if arguments.json {
        let magics: Vec<Value> = MAGICS
            .iter()
            .map(|magic| {
                json!({
                    "name": magic.written(), "usage": magic.usage(), "summary": magic.summary, "example": magic.example,
                })
            })
            .collect();
        return Ok(display::json(json!({ "magics": magics })));
    }
    let rows = MAGICS.iter().map(|magic| [magic.usage(), magic.summary.to_owned()]).collect();
    Ok(display::two_columns(["command", "description"], rows, "%help NAME describes one."))
}

/// Help on one magic.
pub fn display(magic: &Magic, as_json: bool) -> Display {
    let rows: Vec<[String; 2]> = magic
        .all_parameters()
        .map(|parameter| {
            let name = parameter.names.join(", ");
            let value = if name.is_empty() { parameter.value.to_owned() } else { format!(" {}", parameter.value) };
            [format!("{name}{value}").trim_end().to_owned(), parameter.help.to_owned()]
        })
        .collect();
    if as_json {
        let arguments: Vec<Value> =
            rows.iter().map(|[argument, help]| json!({ "argument": argument, "help": help })).collect();
        return display::json(json!({
            "name": magic.written(), "usage": magic.usage(), "summary": magic.summary, "details": magic.details,
            "example": magic.example, "arguments": arguments,
        }));
    }
    display::help(&display::Help {
        usage: &magic.usage(),
        summary: magic.summary,
        details: magic.details,
        example: magic.example,
        arguments: rows,
    })
}
