//! Lines of files.

use crate::{Kept, Scratch, is_gone};
use machine::ErrorKind;
use machine::prelude::*;
use machine::status::SlotErrorKind;
use machine::status::SourceState;
use machine_testkit::{Drained, eventually};
use proptest::prelude::*;

#[test]
fn lines_are_texts_also_empty_ones() {
    let scratch = Scratch::new("a \"b\"\n\nc\u{e9}\r\nlast".as_bytes());
    let kept = Kept::new();
    kept.machine.source(source::lines(&scratch.path)).unwrap();
    assert_eq!(kept.to_the_end(), ["a \"b\"", "", "cé", "last"]);
    let status = kept.source();
    assert_eq!((status.taken, status.errors), (4, 0));
    assert!(status.description.starts_with("lines of ") && status.description.ends_with("/lines"), "{status:?}");
}

#[test]
fn lines_go_to_slots_of_texts_and_of_types() {
    #[derive(Serialize, Deserialize)]
    struct Tweet {
        text: String,
    }
    let scratch = Scratch::new(b"{\"text\":\"one two\"}\n");
    let kept = Kept::new();
    kept.machine[0].set(|tweet: &Tweet| tweet.text.clone()).unwrap();
    kept.machine[1].set(|text: &str| text.split(' ').count()).unwrap();
    kept.machine.source(source::json_lines(&scratch.path)).unwrap();
    kept.machine.drained();
    kept.machine.clear_source();
    kept.machine[0].set(str::to_uppercase as fn(&str) -> String).unwrap();
    kept.machine.source(source::lines(&scratch.path)).unwrap();
    kept.machine.drained();
    let status = kept.machine.status();
    assert_eq!((status.processed, status.errored), (2, 0), "{:?}", status.errors);
}

#[test]
fn packed_files_are_unpacked_or_named() {
    // Made with Python: `gzip.compress(b'{"a":1}\n' * 2, mtime=0)`.
    let zipped: [u8; 30] = [
        0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 3, 0xab, 0x56, 0x4a, 0x54, 0xb2, 0x32, 0xac, 0xe5, 0xaa, 0x86, 0xd2, 0, 0x3f,
        0x7e, 0x1c, 0x1b, 0x10, 0, 0, 0,
    ];
    let wide: Vec<u8> = "\u{feff}1\n\"é\"".encode_utf16().flat_map(u16::to_be_bytes).collect();
    let read = |bytes: &[u8]| {
        let scratch = Scratch::new(bytes);
        let kept = Kept::new();
        kept.machine.source(source::json_lines(&scratch.path)).unwrap();
        kept.to_the_end()
    };
    assert_eq!(read(&zipped), [json!({ "a": 1 }), json!({ "a": 1 })]);
    assert_eq!(read(&wide), [json!(1), json!("é")]);
    for (bytes, expected) in [
        (&zipped[..25], "it begins as gzip, but it ends too early"),
        (b"PK\x03\x04....", "it is zip; expected text or gzip: unpack it first"),
    ] {
        let scratch = Scratch::new(bytes);
        let kept = Kept::new();
        kept.machine.source(source::json_lines(&scratch.path)).unwrap();
        eventually!(kept.source().state == SourceState::Failed);
        let status = format!("{:?}", kept.source());
        assert!(status.contains(expected), "{status}");
    }
    let scratch = Scratch::new(&zipped);
    let end = Kept::new().machine.source(source::json_lines(&scratch.path).from_end().follow()).unwrap_err();
    assert!(end.message().contains("is packed or UTF-16"), "{end}");
}

#[test]
fn a_file_that_cannot_be_read_is_told_at_once() {
    let kept = Kept::new();
    let missing = kept.machine.source(source::lines("/no/such/file")).unwrap_err();
    assert!(missing.message().starts_with("/no/such/file: "), "{missing}");
    let directory = kept.machine.source(source::lines("/")).unwrap_err();
    assert_eq!((missing.kind(), directory.kind()), (ErrorKind::NoFile, ErrorKind::NoFile));
    assert_eq!(kept.source().state, SourceState::None);
}

#[test]
fn a_followed_file_is_read_as_it_grows_is_cut_and_is_replaced() {
    let scratch = Scratch::new(b"1\n2\n3");
    let kept = Kept::new();
    kept.machine.source(source::json_lines(&scratch.path).follow()).unwrap();
    assert_eq!(kept.wait_for(2), [1, 2]); // the third line may go on
    scratch.append("0\n4\n");
    assert_eq!(kept.wait_for(4)[2..], [30, 4]);
    kept.machine.drained(); // it has no end, so it is not waited for
    std::fs::write(&scratch.path, "5\n").unwrap();
    assert_eq!(kept.wait_for(5)[4..], [5]);
    scratch.append("no\n");
    eventually!(kept.source().errors == 1);
    let renamed = scratch.path.with_extension("old");
    std::fs::rename(&scratch.path, &renamed).unwrap();
    let mut old = std::fs::OpenOptions::new().append(true).open(&renamed).unwrap();
    std::io::Write::write_all(&mut old, b"6\n7").unwrap();
    std::fs::write(&scratch.path, "8\n9\n").unwrap();
    assert_eq!(kept.wait_for(9)[5..], [6, 7, 8, 9]);
    scratch.append("no\n");
    eventually!(kept.source().errors == 2);
    let not_json = |line: u64| (format!("line {line}: not JSON: expected ident, column 2"), "\"no\"".to_owned());
    assert_eq!(kept.errors(), [not_json(2), not_json(3)]);
    kept.machine.clear_source();
    is_gone(&kept);
}

#[test]
fn a_followed_file_may_come_later_and_be_read_from_its_end() {
    let scratch = Scratch::new(b"1\n");
    std::fs::remove_file(&scratch.path).unwrap();
    let kept = Kept::new();
    kept.machine.source(source::json_lines(&scratch.path).follow()).unwrap();
    eventually!(kept.source().state == SourceState::Waiting);
    std::fs::write(&scratch.path, "1\n").unwrap();
    kept.wait_for(1);
    assert_eq!(kept.source().state, SourceState::Running);
    kept.machine.clear_source();
    kept.machine.source(source::json_lines(&scratch.path).from_end().follow()).unwrap();
    scratch.append("2\n");
    assert_eq!(kept.wait_for(2), [1, 2]);
    kept.machine.clear_source();
    is_gone(&kept);
}

#[test]
fn a_line_that_the_file_ends_within_is_left_out_whole() {
    let scratch = Scratch::new(b"1\n12");
    let kept = Kept::new();
    kept.machine.source(source::json_lines(&scratch.path).from_end().follow()).unwrap();
    scratch.append("3");
    scratch.append("4\n5\n");
    assert_eq!(kept.wait_for(1), [5]);
    // What comes anew is read from its beginning on.
    std::fs::write(&scratch.path, "6").unwrap();
    scratch.append("\n");
    assert_eq!(kept.wait_for(2), [5, 6]);
    kept.machine.clear_source();
    is_gone(&kept);
}

#[test]
fn a_paused_machine_takes_nothing_and_goes_on_where_it_was() {
    let numbers: String = (0..5_000).map(|n| format!("{n}\n")).collect();
    let scratch = Scratch::new(numbers.as_bytes());
    let kept = Kept::with_queue(16);
    kept.machine.source(source::json_lines(&scratch.path)).unwrap();
    for turn in 0..20 {
        eventually!(kept.source().taken >= turn * 100);
        if turn % 2 == 0 {
            kept.machine.pause()
        } else {
            kept.machine.stop()
        };
        kept.machine.start();
    }
    assert_eq!(kept.to_the_end(), (0..5_000).map(Value::from).collect::<Vec<_>>());
}

#[derive(Clone, Debug)]
enum Line {
    Valid(String),
    Blank(String),
    Invalid(Vec<u8>),
}

const LONGEST: usize = 300;

fn line() -> impl Strategy<Value = Line> {
    prop_oneof![
        4 => any::<i64>().prop_map(|n| Line::Valid(n.to_string())),
        2 => "[a-zé\"\\\\\u{1f600} ]{0,20}".prop_map(|s| Line::Valid(Value::from(s).to_string())),
        2 => proptest::collection::vec(any::<u8>(), 0..20)
            .prop_map(|bytes| Line::Valid(json!({ "bytes": bytes, "deep": [[[{}]]] }).to_string())),
        1 => (LONGEST - 2..=LONGEST).prop_map(|n| Line::Valid(format!("\"{}\"", "x".repeat(n - 2)))),
        1 => (LONGEST + 1..10 * LONGEST).prop_map(|n| Line::Invalid(vec![b'1'; n])),
        1 => "[ \t]{0,5}".prop_map(Line::Blank),
        1 => "(\\{|\\[|nul|'x'|\\{\"a\":|1 2|\\}|01|\"a|x)".prop_map(|s| Line::Invalid(s.into_bytes())),
        1 => Just(Line::Invalid(b"\"\xff\xfe\"".to_vec())),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// Exactly the valid lines come, in order, and each invalid one is counted with its number.
    #[test]
    fn valid_lines_come_and_invalid_ones_are_counted(
        lines in proptest::collection::vec((line(), any::<bool>()), 0..60),
        last_has_end in any::<bool>(),
    ) {
        let (mut content, mut valid, mut invalid) = (Vec::new(), Vec::new(), Vec::new());
        for (number, (line, return_too)) in lines.iter().enumerate() {
            match line {
                Line::Valid(text) => {
                    content.extend_from_slice(text.as_bytes());
                    valid.push(serde_json::from_str::<Value>(text).unwrap());
                }
                Line::Blank(text) => content.extend_from_slice(text.as_bytes()),
                Line::Invalid(bytes) => {
                    content.extend_from_slice(bytes);
                    invalid.push(format!("line {}", number + 1));
                }
            }
            if last_has_end || number + 1 < lines.len() {
                content.extend_from_slice(if *return_too { b"\r\n" } else { b"\n" });
            }
        }
        let scratch = Scratch::new(&content);
        let kept = Kept::with_queue(8);
        kept.machine.source(source::json_lines(&scratch.path).max_bytes(LONGEST)).unwrap();
        prop_assert_eq!(kept.to_the_end(), valid);
        let errors: Vec<String> = kept.errors().into_iter().map(|(error, _)| error.split(':').next().unwrap().to_owned()).collect();
        prop_assert_eq!(kept.source().errors, errors.len() as u64);
        prop_assert_eq!(errors, invalid);
        prop_assert!(kept.machine.errors().iter().all(|e| e.kind == SlotErrorKind::Source && serde_json::from_str::<String>(&e.input).is_ok()));
    }
}
