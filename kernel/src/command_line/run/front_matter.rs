//! What stands at the head of a file and is no Rust: `#!`, and front matter as cargo scripts have it.
//!
//! ```text
//! #!/usr/bin/env -S machine run
//! ---
//! [dependencies]
//! vader_sentiment = "0.1"
//! ---
//! ```
//! Front matter is TOML between two lines of three or more dashes; the first may go on with `cargo`.

use super::super::outcome::Failed;
use toml::Table;

/// What may be said in front matter, as in `Cargo.toml`.
const KNOWN: [&str; 7] = ["package", "dependencies", "features", "profile", "patch", "lints", "build-dependencies"];

/// A file without its head.
#[derive(Debug, PartialEq)]
pub struct Split {
    /// The front matter, if there is any.
    pub front: Option<Table>,
    /// The file with the lines of its head blanked, so that all others keep their numbers.
    pub rust: String,
}

/// Takes the head off a file. `name` is how the file is called in an error.
///
/// # Errors
/// If the front matter has no end or is not TOML, or says what it may not.
pub fn split(source: &str, name: &str) -> Result<Split, Failed> {
    let lines: Vec<&str> = source.split_inclusive('\n').collect();
    let mut at = 0;
    // `#![allow(…)]` is Rust.
    if lines
        .first()
        .is_some_and(|line| line.starts_with("#!") && !line.trim_start_matches("#!").trim_start().starts_with('['))
    {
        at = 1;
    }
    let head = at;
    while lines.get(at).is_some_and(|line| line.trim().is_empty()) {
        at += 1;
    }
    let fence = lines.get(at).map_or(0, |line| line.bytes().take_while(|byte| *byte == b'-').count());
    if fence < 3 {
        return Ok(Split { front: None, rust: blanked(&lines, 0..head) });
    }
    let error = |line: usize, what: String| Failed::Usage(format!("{name}:{line}: front matter: {what}"));
    let info = lines.get(at).map_or("", |line| line.get(fence..).unwrap_or_default().trim());
    if !info.is_empty() && info != "cargo" {
        return Err(error(at + 1, format!("`{info}` is no kind of it; expected `---` or `--- cargo`")));
    }
    let dashes = "-".repeat(fence);
    let length = lines.iter().skip(at + 1).position(|line| line.trim_end() == dashes);
    let length = length.ok_or_else(|| error(at + 1, format!("it has no end; expected a line `{dashes}`")))?;
    let text: String = lines.iter().skip(at + 1).take(length).copied().collect();
    let front: Table = text.parse().map_err(|bad: toml::de::Error| {
        let before = text.get(..bad.span().map_or(0, |span| span.start)).unwrap_or_default();
        error(at + 2 + before.matches('\n').count(), bad.message().replace('\n', ", "))
    })?;
    if let Some(unknown) = front.keys().find(|key| !KNOWN.contains(&key.as_str())) {
        return Err(error(at + 1, format!("`{unknown}` is not for a file; expected {}", KNOWN.join(", "))));
    }
    Ok(Split { front: Some(front), rust: blanked(&lines, 0..at + length + 2) })
}

fn blanked(lines: &[&str], head: std::ops::Range<usize>) -> String {
    let keep = |(index, line): (usize, &&str)| if head.contains(&index) { "\n".to_owned() } else { (*line).to_owned() };
    lines.iter().enumerate().map(keep).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_is_taken_off_and_lines_stay() {
        for (source, front, rust) in [
            ("MACHINE.drain();", None, "MACHINE.drain();"),
            ("#![allow(unused)]\nx", None, "#![allow(unused)]\nx"),
            ("#!/usr/bin/env -S machine run\nx", None, "\nx"),
            ("---\n[dependencies]\na = \"1\"\n---\nx", Some("[dependencies]\na = \"1\""), "\n\n\n\nx"),
            ("#!/bin/x\n\n---- cargo\n----\nx\n", Some(""), "\n\n\n\nx\n"),
        ] {
            let split = split(source, "p.rs").map(|split| (split.front, split.rust));
            assert_eq!(split, Ok((front.map(|text| text.parse().unwrap_or_default()), rust.to_owned())), "{source}");
        }
    }

    #[test]
    fn a_mistake_is_told_with_its_line() {
        for (source, part) in [
            ("---\n[dependencies]\n", "p.rs:1: front matter: it has no end"),
            ("---\n[dependencies]\na = \n---\n", "p.rs:3: front matter: "),
            ("---\n[workspace]\n---\n", "`workspace` is not for a file; expected package, dependencies"),
            ("---json\n---\n", "`json` is no kind of it"),
        ] {
            match split(source, "p.rs") {
                Err(Failed::Usage(message)) => assert!(message.contains(part), "{message}"),
                other => panic!("{other:?}"),
            }
        }
    }
}
