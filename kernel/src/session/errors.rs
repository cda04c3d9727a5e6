//! Errors of a cell, told on the text that the user wrote.

use super::edits::{Edited, line_of, offset_of, whole};
use crate::output::CellError;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet, Title};
use evcxr::CompilationError;
use serde_json::Value;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// How many compile errors are shown in full.
const SHOWN: usize = 8;

/// What is said of a cell if the compiler's errors are none that can be shown.
pub const UNEXPLAINED: &str = "the cell does not compile";

/// A place in the user's text with what is to be said about it.
pub struct Label {
    /// The place, bytes.
    pub range: Range<usize>,
    /// What is said; may be empty.
    pub text: String,
    /// Whether the message is about this place.
    pub primary: bool,
}

/// One message of the compiler.
struct Message<'a> {
    text: String,
    code: Option<&'a str>,
    is_warning: bool,
    /// Whether it is about something that the user wrote, in this cell or in an earlier one.
    is_of_user: bool,
    marks: Vec<Mark<'a>>,
    json: &'a Value,
}

/// A place that a message is about: lines and columns in the cell as it is compiled, both from 1 on, columns in
/// characters.
struct Mark<'a> {
    start: (usize, usize),
    end: (usize, usize),
    label: &'a str,
    primary: bool,
}

impl<'a> From<&'a CompilationError> for Message<'a> {
    fn from(error: &'a CompilationError) -> Self {
        let marks = error.spanned_messages().iter().filter_map(|said| {
            let span = said.span?;
            Some(Mark {
                start: (span.start_line, span.start_column),
                end: (span.end_line, span.end_column),
                label: &said.label,
                primary: said.is_primary,
            })
        });
        Self {
            text: error.message(),
            code: error.code(),
            is_warning: error.level() == "warning",
            is_of_user: error.is_from_user_code(),
            marks: marks.collect(),
            json: &error.json,
        }
    }
}

/// What the compiler says, as one error of the cell. `name` is how the cell is called: `cell [3]`.
pub fn compile_error(errors: &[CompilationError], cell: &Edited, name: &str, renderer: &Renderer) -> CellError {
    let messages: Vec<Message> = errors.iter().map(Message::from).collect();
    drawn(&messages, cell, name, renderer)
}

fn drawn(messages: &[Message<'_>], cell: &Edited, name: &str, renderer: &Renderer) -> CellError {
    let mut traceback = Vec::new();
    let mut headline = None;
    let is_real = |message: &&Message| !message.is_warning && !says_it_again(message);
    let real: Vec<&Message> = messages.iter().filter(is_real).collect();
    for error in real.iter().take(SHOWN) {
        let labels = labels(error, cell);
        let message = message_of(&error.text);
        let line = labels.iter().find(|label| label.primary).or(labels.first());
        headline.get_or_insert_with(|| {
            let code = error.code.map(|code| format!("{code}: ")).unwrap_or_default();
            let line = line.map(|label| format!(" (line {})", line_of(&cell.source, label.range.start)));
            format!("{code}{}{}", message.lines().next().unwrap_or_default(), line.unwrap_or_default())
        });
        let mut notes = notes(&error.text, error.json);
        notes.extend(of_cells(error.code));
        traceback.push(render(
            Level::ERROR.primary_title(message.as_str()),
            error.code,
            &labels,
            &notes,
            cell,
            name,
            renderer,
        ));
    }
    if real.len() > SHOWN {
        traceback.push(format!("… and {} more errors", real.len() - SHOWN));
    }
    let evalue = headline.unwrap_or_else(|| UNEXPLAINED.to_owned());
    if traceback.is_empty() {
        traceback.push(format!("error: {evalue}"));
    }
    CellError { ename: "CompileError".to_owned(), evalue, traceback }
}

/// What the compiler says, as the user knows the names.
pub fn message_of(message: &str) -> String {
    // The method by which a final expression is shown is ours: say what it means.
    if message.contains("`evcxr_display`") {
        // Every second part stands in quotes: the method's name, and the type of a reference to the value.
        let quoted = message.split('`').skip(1).step_by(2).find(|part| *part != "evcxr_display");
        let shown = quoted.map(|shown| format!("`{}`", shown.strip_prefix('&').unwrap_or(shown)));
        let shown = shown.as_deref().unwrap_or("the value");
        return format!("{shown} cannot be shown: it does not implement `Debug`");
    }
    readable(message)
}

/// Whether a `?` was compiled with the text that `Display` gives, and the error's type has none.
pub fn takes_display_for_granted(error: &CompilationError) -> bool {
    error.code() == Some("E0277") && error.json.to_string().contains("ByDisplay")
}

/// Whether it only follows from another one: what is no async slot is no slot either.
fn says_it_again(message: &Message<'_>) -> bool {
    message.text.contains("cannot be used as a slot")
        && message.json.to_string().contains("is not implemented for `Async<")
}

fn labels(message: &Message<'_>, cell: &Edited) -> Vec<Label> {
    let mut labels: Vec<Label> = Vec::new();
    for mark in &message.marks {
        let start = offset_of(&cell.text, mark.start.0, mark.start.1);
        let end = offset_of(&cell.text, mark.end.0, mark.end.1);
        let range = cell.range_to_source(start..end.max(start));
        if range.is_empty() && labels.iter().any(|label| label.range == range) {
            continue;
        }
        // The fallback label of evcxr repeats the message.
        let text = if mark.label.starts_with("error: ") { "" } else { mark.label };
        let text = if text.contains("evcxr_display") { "" } else { text };
        labels.push(Label { range, text: readable(text), primary: mark.primary });
    }
    if labels.is_empty()
        && message.is_of_user
        && let Some(range) = find_by_text(message.json, &cell.source)
    {
        labels.push(Label { range, text: String::new(), primary: true });
    }
    labels
}

/// evcxr does not follow imports back to the cell, but the compiler quotes the line: look for what it marks.
fn find_by_text(json: &Value, source: &str) -> Option<Range<usize>> {
    for span in json.get("spans")?.as_array()? {
        for line in span.get("text").and_then(Value::as_array).into_iter().flatten() {
            let text = line.get("text")?.as_str()?;
            let column = |name: &str| usize::try_from(line.get(name)?.as_u64()?).ok();
            let (start, end) = (column("highlight_start")?, column("highlight_end")?);
            let marked: String = text.chars().skip(start.saturating_sub(1)).take(end.saturating_sub(start)).collect();
            for wanted in [text.trim(), marked.as_str()] {
                if !wanted.is_empty()
                    && let Some(at) = source.find(wanted)
                {
                    let start = at + if wanted == marked { 0 } else { wanted.find(&marked).unwrap_or(0) };
                    return Some(whole(source, start..start + marked.len().max(1)));
                }
            }
        }
    }
    None
}

/// The notes and helps that belong to no place, or whose place says nothing by itself.
/// Each with whether it is a help.
pub fn notes(message: &str, json: &Value) -> Vec<(bool, String)> {
    let mut notes = Vec::new();
    if message.contains("`evcxr_display`") {
        notes.push((true, "add `#[derive(Debug)]` to the type, or end the line with `;` to show nothing".to_owned()));
        return notes;
    }
    if message.contains("expected function, found `Machine`") {
        let help = "`MACHINE.call(14.0)?` takes a value through the slots here and now; `MACHINE.put(14.0)?` puts it in the \
                    queue";
        notes.push((true, help.to_owned()));
    }
    for child in json.get("children").and_then(Value::as_array).into_iter().flatten() {
        let Some(message) = child.get("message").and_then(Value::as_str) else { continue };
        let level = child.get("level").and_then(Value::as_str).unwrap_or_default();
        if message.contains("evcxr_") || message.contains("machine::cell::") || !matches!(level, "note" | "help") {
            continue;
        }
        let replacement = child.pointer("/spans/0/suggested_replacement").and_then(Value::as_str);
        let replacement = replacement.filter(|text| !text.trim().is_empty() && !text.contains('\n'));
        let text = match replacement {
            Some(replacement) => format!("{message}: `{}`", replacement.trim()),
            None => message.to_owned(),
        };
        notes.push((level == "help", readable(&text)));
    }
    notes
}

/// What helps in a cell, whose variables live on.
fn of_cells(code: Option<&str>) -> Option<(bool, String)> {
    let help = match code? {
        "E0384" | "E0596" => "a variable of an earlier cell becomes mutable with `let mut x = x;`",
        "E0597" => {
            "variables live on in later cells, so they cannot borrow from each other; \
             put the lines that belong together in braces"
        }
        _ => return None,
    };
    Some((true, help.to_owned()))
}

/// Draws it on the user's text.
pub fn render(
    title: Title<'_>,
    code: Option<&str>,
    labels: &[Label],
    notes: &[(bool, String)],
    cell: &Edited,
    name: &str,
    renderer: &Renderer,
) -> String {
    let title = match code {
        Some(code) => title.id(code),
        None => title,
    };
    let plain = title.clone();
    let mut group = if labels.is_empty() {
        Group::with_title(title)
    } else {
        let annotations = labels.iter().map(|label| {
            let kind = if label.primary { AnnotationKind::Primary } else { AnnotationKind::Context };
            kind.span(whole(&cell.source, label.range.clone()))
                .label((!label.text.is_empty()).then_some(label.text.as_str()))
        });
        title.element(Snippet::source(cell.source.as_str()).line_start(1).path(name).annotations(annotations))
    };
    for (help, text) in notes {
        let level = if *help { Level::HELP } else { Level::NOTE };
        group = group.element(level.message(text.as_str()));
    }
    draw(group, plain, renderer)
}

/// Draws, or only names what is wrong if that cannot be drawn: the error is what counts.
fn draw(group: Group<'_>, plain: Title<'_>, renderer: &Renderer) -> String {
    let drawn = |group| catch_unwind(AssertUnwindSafe(|| renderer.render(&[group])));
    drawn(group).or_else(|_| drawn(Group::with_title(plain))).unwrap_or_else(|_| "error".to_owned())
}

/// Paths of the crate's inner modules as the user knows them.
pub fn readable(message: &str) -> String {
    let mut text = message.to_owned();
    for inner in ["machine::abi::", "machine::slot::", "machine::handle::", "machine::cell::", "machine::value::"] {
        text = text.replace(inner, "machine::");
    }
    let text = text.replace("<end of input>", "the end of the cell");
    match text.split_once("use `cargo add ") {
        // A cell has no `Cargo.toml`.
        Some((before, after)) => {
            let name = after.split('`').next().unwrap_or_default();
            format!("{before}write `:dep {name} = \"1\"` before it, with the version that you want")
        }
        None => text,
    }
}

/// A failure at a line of the user's text: an error that `?` met, a panic, an assignment that was refused.
pub fn at_line(
    ename: &str,
    evalue: &str,
    source: &str,
    name: &str,
    place: Option<(u32, u32)>,
    renderer: &Renderer,
) -> CellError {
    let title = if evalue.is_empty() { ename.to_owned() } else { format!("{ename}: {evalue}") };
    let title = Level::ERROR.no_name().primary_title(title.as_str());
    let plain = title.clone();
    let mut group = Group::with_title(title);
    if let Some((line, column)) = place.filter(|(line, _)| *line > 0) {
        let line = usize::try_from(line).unwrap_or(usize::MAX);
        let end = offset_of(source, line, usize::MAX);
        let text = source.lines().nth(line.saturating_sub(1)).unwrap_or_default();
        let start = match column {
            0 => end - text.trim_start().len().min(end),
            column => offset_of(source, line, usize::try_from(column).unwrap_or(usize::MAX)).min(end),
        };
        let end = start + source.get(start..end).unwrap_or_default().trim_end().len();
        let snippet = Snippet::source(source).line_start(1).path(name);
        group = group.element(snippet.annotation(AnnotationKind::Primary.span(start..end)));
    }
    CellError { ename: ename.to_owned(), evalue: evalue.to_owned(), traceback: vec![draw(group, plain, renderer)] }
}

/// An error without a place.
pub fn plain(ename: &str, evalue: &str) -> CellError {
    let mut lines = evalue.lines();
    let first = lines.next().unwrap_or_default();
    let mut traceback = vec![format!("{ename}: {first}")];
    traceback.extend(lines.map(str::to_owned));
    CellError { ename: ename.to_owned(), evalue: first.to_owned(), traceback }
}

/// For a test: draws a message of the compiler that is about this cell. Each place that it has is seen.
#[cfg(test)]
pub fn assert_drawn(message: &Value, cell: &Edited, renderer: &Renderer) {
    let number = |value: &Value, name: &str| {
        value.get(name).and_then(Value::as_u64).and_then(|number| usize::try_from(number).ok()).unwrap_or(0)
    };
    let spans = message.get("spans").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let marks = spans.iter().map(|span| Mark {
        start: (number(span, "line_start"), number(span, "column_start")),
        end: (number(span, "line_end"), number(span, "column_end")),
        label: span.get("label").and_then(Value::as_str).unwrap_or_default(),
        primary: span.get("is_primary").and_then(Value::as_bool).unwrap_or_default(),
    });
    let message = Message {
        text: message.get("message").and_then(Value::as_str).unwrap_or_default().to_owned(),
        code: message.pointer("/code/code").and_then(Value::as_str),
        is_warning: false,
        is_of_user: true,
        marks: marks.collect(),
        json: message,
    };
    let error = drawn(&[message], cell, "cell [7]", renderer);
    assert!(spans.is_empty() || error.traceback.concat().contains("cell [7]"), "not drawn: {:?}", error.traceback);
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn helps_say_what_to_write_in_a_cell() {
        let help = "if you wanted to use a crate named `tokio`, use `cargo add tokio` to add it to your `Cargo.toml`";
        let json = serde_json::json!({ "children": [{ "level": "help", "message": help, "spans": [] }] });
        let expected = "if you wanted to use a crate named `tokio`, write `:dep tokio = \"1\"` before it, with the version \
                        that you want";
        assert_eq!(notes("unresolved import `tokio`", &json), [(true, expected.to_owned())]);
        let called = notes("expected function, found `Machine`", &serde_json::json!({}));
        assert!(called.iter().any(|(_, help)| help.contains("`MACHINE.call(14.0)?`")), "{called:?}");
    }

    #[test]
    fn a_failure_points_at_its_line() {
        let source = "let a = 1;\n    let b: i32 = \"x\".parse()?;\nb";
        let error = at_line(
            "ParseIntError",
            "invalid digit found in string",
            source,
            "cell [3]",
            Some((2, 0)),
            &Renderer::plain(),
        );
        assert_eq!(error.evalue, "invalid digit found in string");
        expect![[r#"
            ParseIntError: invalid digit found in string
             --> cell [3]:2:5
              |
            2 |     let b: i32 = "x".parse()?;
              |     ^^^^^^^^^^^^^^^^^^^^^^^^^^"#]]
        .assert_eq(&error.traceback.join("\n"));
    }

    #[test]
    fn a_failure_in_a_line_that_ends_as_on_windows_is_drawn() {
        let error = at_line("Panic", "", "é x\r\né", "cell [3]", Some((1, 0)), &Renderer::plain());
        assert!(error.traceback.concat().contains("^^^"), "{error:?}");
    }

    #[test]
    fn what_cannot_be_shown_is_named() {
        for (said, type_name) in [
            ("no method named `evcxr_display` found for struct `T` in the current scope", "T"),
            ("the method `evcxr_display` exists for reference `&T`, but its trait bounds were not satisfied", "T"),
            ("the method `evcxr_display` exists for reference `&Vec<T>`, but its trait bounds …", "Vec<T>"),
            ("the method `evcxr_display` exists for reference `&&mut T`, but its trait bounds …", "&mut T"),
        ] {
            let expected = format!("`{type_name}` cannot be shown: it does not implement `Debug`");
            assert_eq!(message_of(said), expected, "{said}");
        }
    }

    #[test]
    fn a_failure_without_a_place_is_its_text() {
        let error = plain("RuntimeLost", "it died\nand more");
        assert_eq!(error.evalue, "it died");
        assert_eq!(error.traceback, ["RuntimeLost: it died", "and more"]);
    }
}
