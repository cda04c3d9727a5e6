//! Bytes in pieces of any size, cut into lines, each read as JSON, field by field, with a time in it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use machine_engine::decode::lines::{Fault, Lines};
use machine_engine::decode::{excerpt, time::Clock};
use machine_engine::json::{Json, value};
use serde::de::IgnoredAny;

/// Number, text and bytes of each line.
type Cut = Vec<(u64, Result<String, Fault>, Vec<u8>)>;

fuzz_target!(|data: &[u8]| {
    let [most, piece, rest @ ..] = data else { return };
    let most = match most % 3 {
        0 => usize::from(*most),
        1 => 3_000,
        _ => usize::MAX,
    };
    let whole = cut([rest], most);
    let pieces = cut(rest.chunks(usize::from(*piece).max(1)), most);
    assert_eq!(whole, pieces, "pieces do not matter");
    assert_eq!(whole.len(), lines_in(rest), "each line is given once");
});

/// As many lines as there are line feeds, and the last one if it is not empty.
fn lines_in(bytes: &[u8]) -> usize {
    bytes.split_inclusive(|byte| *byte == b'\n').count()
}

fn cut<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, most: usize) -> Cut {
    let (mut lines, mut all) = (Lines::new(most), Cut::new());
    for piece in pieces {
        lines.push(piece);
        while take(&mut lines, &mut all, false) {}
    }
    take(&mut lines, &mut all, true);
    all
}

/// Takes out one line, if there is one.
fn take(lines: &mut Lines, all: &mut Cut, is_last: bool) -> bool {
    let Some(line) = (if is_last { lines.finish() } else { lines.next() }) else { return false };
    assert_eq!(line.number, all.len() as u64 + 1);
    assert!(!line.bytes.contains(&b'\n'));
    match line.json() {
        None => assert!(line.bytes.trim_ascii().is_empty()),
        Some(Ok(text)) => {
            serde_json::from_str::<IgnoredAny>(text).unwrap();
            for field in ["t", "", "a.1.b"] {
                assert!(Clock::new(field, None).unwrap().of(text).is_none_or(f64::is_finite));
            }
            // What intake accepts can be read, and what a parser reads too is the same.
            let json = Json::new(text);
            assert!(json.content().is_some());
            let (_, _, read) = (json.field(), json.names(), value(text));
            if let Ok(expected @ (serde_json::Value::String(_) | serde_json::Value::Bool(_))) = serde_json::from_str(text) {
                assert_eq!(read, expected);
            }
        }
        Some(Err(why)) => {
            assert!(!why.is_empty() && !why.contains('\n'), "{why:?}");
            serde_json::from_str::<String>(&excerpt(line.bytes)).unwrap();
        }
    }
    all.push((line.number, line.text.map(str::to_owned), line.bytes.to_vec()));
    true
}
