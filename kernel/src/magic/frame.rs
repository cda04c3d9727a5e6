//! `%frame`: what a query gave, for cells and other programs.

use super::arguments::Arguments;
use super::engine::Engine;
use super::file::Location;
use super::magic_error::MagicError;
use super::spec::{Action, Kind, Magic, Parameter};
use crate::display;
use crate::output::Display;
use crate::query::write_arrow;
use serde_json::json;
use std::io;
use std::path::{Path, PathBuf};

/// How an Arrow IPC file begins.
const ARROW: &[u8] = b"ARROW1";

/// `%frame`
pub const FRAME: Magic = Magic {
    name: "frame",
    parameters: &[Parameter {
        names: &[],
        value: "NAME",
        kind: Kind::File,
        help: "the name, or a path: NAME.arrow is written in the directory of the session",
    }],
    summary: "write the last %sql or %tap result as an Arrow IPC file, and show how to read it",
    details: "An Arrow file of that name is replaced, any other file is not. Rust, Python and R read it as it is.",
    example: "%frame langs",
    commands: &[],
    action: Action::Line(frame),
};

fn frame(arguments: &Arguments<'_>, engine: &dyn Engine) -> Result<Display, MagicError> {
    let Some(word) = &arguments.file else {
        return Err(MagicError::usage("%frame needs a name: %frame langs", None));
    };
    let Some(frame) = engine.last_frame() else {
        return Err(MagicError::usage("there is nothing to write: %sql or %tap comes first", None));
    };
    let path = match Path::new(&word.text).extension() {
        Some(_) => PathBuf::from(&word.text),
        None => PathBuf::from(format!("{}.arrow", word.text)),
    };
    let place = Location::find(&path, Some(word), engine, |head| head.starts_with(ARROW))?;
    place.write(|to| write_arrow(&frame, to).map_err(io::Error::other))?;
    let whole = place.path;
    let (height, width) = frame.shape();
    if arguments.json {
        return Ok(display::json(json!({ "file": whole.display().to_string(), "rows": height, "columns": width })));
    }
    let name: String = path
        .file_stem()
        .map(|stem| stem.to_string_lossy().chars().map(|c| if c.is_alphanumeric() { c } else { '_' }).collect())
        .unwrap_or_default();
    Ok(display::arrow_file(&name, &whole, height, width))
}
