//! `%frame`: what a query gave, for cells and other programs.

use super::Engine;
use super::arguments::Arguments;
use super::registry::{Action, Kind, Magic, Parameter};
use super::trouble::{Trouble, given};
use crate::display;
use crate::output::Display;
use crate::query::write_arrow;
use serde_json::json;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// `%frame`
pub const FRAME: Magic = Magic {
    name: "frame",
    parameters: &[Parameter {
        names: &[],
        value: "NAME",
        kind: Kind::File,
        help: "the name, or a path: NAME.arrow is written in the directory of the session",
    }],
    summary: "writes what the last %sql or %tap gave as an Arrow IPC file, and tells how to read it",
    details: "A file of that name is replaced. Rust, Python, R and others read it without a change.",
    example: "%frame langs",
    action: Action::Line(frame),
};

fn frame(arguments: &Arguments<'_>, engine: &dyn Engine) -> Result<Display, Trouble> {
    let Some(word) = &arguments.file else {
        return Err(Trouble::usage("%frame needs a name: %frame langs", None));
    };
    let Some(frame) = engine.last_frame() else {
        return Err(Trouble::usage("there is nothing to write: %sql or %tap comes first", None));
    };
    let path = match Path::new(&word.text).extension() {
        Some(_) => PathBuf::from(&word.text),
        None => PathBuf::from(format!("{}.arrow", word.text)),
    };
    let failed = |error: &dyn std::fmt::Display| {
        let message = format!("{} could not be written: {error}", given(&path.display().to_string()));
        Trouble::usage(message, Some(word.span.clone()))
    };
    let whole = std::path::absolute(&path).map_err(|error| failed(&error))?;
    // A reader sees the old file or the new one.
    let draft = whole.with_extension("arrow.part");
    let file = File::create(&draft).map_err(|error| failed(&error))?;
    let mut to = BufWriter::new(file);
    let written = write_arrow(&frame, &mut to).map_err(|error| failed(&error));
    let written = written.and_then(|()| to.flush().map_err(|error| failed(&error)));
    if let Err(trouble) = written.and_then(|()| std::fs::rename(&draft, &whole).map_err(|error| failed(&error))) {
        let _ = std::fs::remove_file(&draft);
        return Err(trouble);
    }
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
