//! Dead letters.

use super::frame::{frame_of_errors, markup};
use super::parts::SHOWN;
use super::table::{Kind, Table};
use super::text::{cut, cut_error, grouped, one_line, time};
use crate::output::Display;
use machine::Errors;
use machine_protocol::retained::Retried;
use machine_protocol::status::DeadLetter;
use maud::html;

/// Dead letters as a `DataFrame`: oid, time (UTC), slot, revision, error, input, kind, outputs so far, when it
/// failed, retries. The text has every row and whole oids, which polars' own would cut, and the first columns.
#[must_use]
pub fn errors(errors: &[DeadLetter]) -> Display {
    if errors.is_empty() {
        return super::line("no dead letters");
    }
    let text = text(errors);
    // Should polars refuse to make it, the text says the same.
    frame_of_errors(errors)
        .map_or_else(|_| super::plain(&text), |frame| super::html_and_text(&markup(&frame, errors.len()), &text))
}

/// The same for an answer that may not have all: `matching` there are, and so many were asked for at most.
#[must_use]
pub fn found_errors(letters: &[DeadLetter], matching: u64, limit: usize) -> Display {
    let shown = letters.len();
    if matching <= shown as u64 {
        return errors(letters);
    }
    let mut note = format!("{} of {} dead letters shown", grouped(shown as u64), grouped(matching));
    if shown < limit || limit == 0 {
        note.push_str("; more are too long for one answer: narrow them with --slot, --since or --where");
    }
    noted(letters, &note)
}

/// What a cell has of its machine: all that can be told.
#[must_use]
pub fn all_errors(all: &Errors) -> Display {
    if all.left_out == 0 {
        return errors(all);
    }
    let (shown, matching) = (grouped(all.len() as u64), grouped(all.len() as u64 + all.left_out));
    noted(all, &format!("{shown} of {matching} dead letters shown; the others are too long to be told"))
}

fn noted(letters: &[DeadLetter], note: &str) -> Display {
    let shown = letters.len();
    if letters.is_empty() {
        return super::line(note);
    }
    let text = format!("{}{note}\n", text(letters));
    frame_of_errors(letters).map_or_else(
        |_| super::plain(&text),
        |frame| super::html_and_text(&html! { (markup(&frame, shown)) p { small { (note) } } }, &text),
    )
}

fn text(errors: &[DeadLetter]) -> String {
    let columns = [
        ("oid", Kind::Words),
        ("time", Kind::Words),
        ("slot", Kind::Words),
        ("revision", Kind::Number),
        ("error", Kind::Words),
        ("input", Kind::Words),
        ("kind", Kind::Words),
    ];
    let table = Table::new(&columns).with(errors.iter().map(|letter| {
        vec![
            letter.oid.as_str().into(),
            time(&letter.time).into(),
            letter.slot.as_str().into(),
            letter.revision.to_string().into(),
            cut_error(&one_line(&letter.error), SHOWN).into(),
            cut(&one_line(&letter.input), SHOWN).into(),
            letter.kind.as_str().into(),
        ]
    }));
    format!("shape: ({}, {})\n{}", errors.len(), columns.len(), table.text())
}

/// What became of dead letters that were tried again: `40 of 50 passed, 10 failed again`.
pub fn retried(retried: &Retried) -> String {
    if retried.tried == 0 {
        return "no dead letters to retry".to_owned();
    }
    let failed = retried.tried - retried.passed;
    let left = if retried.left == 0 { String::new() } else { format!(", {} not yet tried", grouped(retried.left)) };
    let (passed, tried, failed) = (grouped(retried.passed), grouped(retried.tried), grouped(failed));
    format!("{passed} of {tried} passed, {failed} failed again{left}")
}
