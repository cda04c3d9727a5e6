//! What the notebook shows: HTML that reads well without style or script, and text for a terminal. All HTML of the
//! kernel is made here.
//!
//! Every [`Display`] has `text/plain`. Nothing that comes from a cell, a message or an error reaches HTML unescaped.

mod bar;
mod columns;
mod errors;
mod explained;
mod frame;
mod help;
mod machines;
mod outputs;
mod parts;
mod plot;
mod report;
mod rows;
mod slots;
mod status;
mod table;
mod text;

#[cfg(test)]
pub(crate) mod tests;

pub use bar::bar;
pub use columns::{Columns, Wanted, frame_of_messages, whole_frame};
pub use errors::{all_errors, found_errors, retried};
pub use explained::explained;
pub use frame::{arrow_file, frame_of_errors, long_frame, rows_of};
pub use help::{Help, help, two_columns};
pub use machines::machines;
pub use outputs::outputs;
pub use plot::{Across, Plot, PlotKind, plot};
pub use report::{is_report, report};
pub use slots::slots;
pub use status::{changed, is_retried, status, status_frame, still};
pub use table::{Kind, Table};
pub use text::{capital, cut, duration, first_line, grouped, nanos, one_line, rate};

use crate::output::Display;
use machine_protocol::command::Outputs;
use machine_protocol::status::Status;
use maud::{Markup, html};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The MIME type of a [`Status`].
pub const STATUS: &str = "application/vnd.machine.status+json";
/// The MIME type of [`Errors`](machine::Errors).
pub const ERRORS: &str = "application/vnd.machine.errors+json";
/// The MIME type of [`Outputs`].
pub const OUTPUTS: &str = "application/vnd.machine.outputs+json";
/// The MIME type of rows that are shown as a data frame.
pub const FRAME: &str = "application/vnd.machine.frame+json";

const PLAIN: &str = "text/plain";
const HTML: &str = "text/html";

/// What a cell gave to show: the types of the machine are rendered, everything else is passed on. JSON types become
/// objects; content that isn't the JSON that its type says is shown as it is.
#[must_use]
pub fn from_show(mime: &str, content: &str) -> Display {
    match mime {
        STATUS => rendered(content, |value: Status| status(&value)),
        ERRORS => rendered(content, |value: machine::Errors| all_errors(&value)),
        OUTPUTS => rendered(content, |value: Outputs| outputs(&value)),
        machine::progress_bar::PROGRESS => rendered(content, |value: machine::progress_bar::Bar| bar(&value)),
        FRAME => rendered(content, |value: Vec<rows::Row>| rows::rows(&value)),
        _ => passed_on(mime, content),
    }
}

fn rendered<T: DeserializeOwned>(content: &str, render: impl FnOnce(T) -> Display) -> Display {
    serde_json::from_str(content).map_or_else(|_| plain(content), render)
}

fn passed_on(mime: &str, content: &str) -> Display {
    let is_json = mime == "application/json" || mime.ends_with("+json");
    let value = if is_json { serde_json::from_str(content).ok() } else { Some(Value::from(content)) };
    let Some(value) = value else { return plain(content) };
    let mut display = plain(&match &value {
        Value::String(text) if mime.starts_with("text/") && mime != HTML => text.clone(),
        _ => format!("[{mime}, {} bytes]", grouped(content.len() as u64)),
    });
    display.data.insert(mime.to_owned(), value);
    display
}

/// Text and nothing else.
#[must_use]
pub fn plain(text: &str) -> Display {
    let mut display = Display::default();
    display.data.insert(PLAIN.to_owned(), text.into());
    display
}

/// One line of text.
#[must_use]
pub fn line(text: &str) -> Display {
    html_and_text(&html! { p { (text) } }, &one_line(text))
}

/// Several lines of text.
#[must_use]
pub fn lines(lines: &[String]) -> Display {
    let html = html! { @for line in lines { p { (line) } } };
    html_and_text(&html, &lines.iter().map(|line| one_line(line)).collect::<Vec<_>>().join("\n"))
}

/// What is live, drawn by the widget of this model; `still` where there are no widgets.
#[must_use]
pub fn live(mut still: Display, model: &str) -> Display {
    let view = serde_json::json!({ "version_major": 2, "version_minor": 1, "model_id": model });
    still.data.insert("application/vnd.jupyter.widget-view+json".to_owned(), view);
    still
}

/// The same below sentences that say why it is not the whole or not as it was.
#[must_use]
pub fn warned(mut display: Display, warnings: &[String]) -> Display {
    if warnings.is_empty() {
        return display;
    }
    let html = html! { @for warning in warnings { p style="color:#b58900" { b { "⚠ " (warning) } } } };
    let lines: Vec<String> = warnings.iter().map(|warning| format!("⚠ {}\n", one_line(warning))).collect();
    for (mime, above) in [(PLAIN, lines.concat()), (HTML, html.0)] {
        if let Some(Value::String(text)) = display.data.get_mut(mime) {
            text.insert_str(0, &above);
        }
    }
    display
}

/// JSON for programs: an object, and the same indented.
#[must_use]
pub fn json(value: Value) -> Display {
    let mut display = plain(&format!("{value:#}"));
    display.data.insert("application/json".to_owned(), value);
    display
}

fn html_and_text(html: &Markup, text: &str) -> Display {
    let mut display = plain(text);
    display.data.insert(HTML.to_owned(), html.0.as_str().into());
    display
}
