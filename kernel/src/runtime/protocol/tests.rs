use super::*;
use proptest::prelude::*;

/// A piece with its text.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Found {
    Text(String),
    Line(String),
    Content(String, String),
}

fn text(text: &str) -> Found {
    Found::Text(text.into())
}

fn line(text: &str) -> Found {
    Found::Line(text.into())
}

fn add(found: &mut Vec<Found>, piece: Piece<'_>) {
    let string = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match (found.last_mut(), piece) {
        (Some(Found::Text(last)), Piece::Text(text)) => last.push_str(&string(text)),
        (_, Piece::Text(text)) => found.push(Found::Text(string(text))),
        (_, Piece::Panic(line) | Piece::Error(line) | Piece::Input(line) | Piece::Changed { line, .. }) => {
            found.push(Found::Line(string(line)));
        }
        (_, Piece::Content { mime, content, .. }) => found.push(Found::Content(mime.into(), string(content))),
    }
}

fn split(chunks: &[&[u8]]) -> Vec<Found> {
    let (mut splitter, mut found) = (Splitter::default(), Vec::new());
    for chunk in chunks {
        splitter.feed(chunk, &mut |piece| add(&mut found, piece));
    }
    splitter.finish(&mut |piece| add(&mut found, piece));
    found
}

#[test]
fn cut_anywhere_the_pieces_are_the_same() {
    let all = "hello\npartEVCXR_PANIC_NOTIFICATION\nEVCXR_BEGIN_CONTENT image/png\nab\ncd\nEVCXR_END_CONTENT\n\
               EVCXR_NOT a token\nEVCXR_VARIABLE_CHANGED_TYPE:x\nEVCXR_EXECUTION_COMPLETE\nEVEVCXR_ERROR_OCCURRED\nrest";
    let expected = [
        text("hello\npart"),
        line("EVCXR_PANIC_NOTIFICATION\n"),
        Found::Content("image/png".into(), "ab\ncd".into()),
        text("EVCXR_NOT a token\n"),
        line("EVCXR_VARIABLE_CHANGED_TYPE:x\n"),
        text("EVCXR_EXECUTION_COMPLETE\nEV"),
        line("EVCXR_ERROR_OCCURRED\n"),
        text("rest"),
    ];
    for at in 0..all.len() {
        let (head, tail) = all.as_bytes().split_at(at);
        assert_eq!(split(&[head, tail]), expected, "cut at {at}");
    }
    assert_eq!(split(&all.as_bytes().chunks(1).collect::<Vec<_>>()), expected, "byte by byte");
}

#[test]
fn the_beginning_of_a_line_comes_at_once() {
    let (mut splitter, mut found) = (Splitter::default(), Vec::new());
    splitter.feed(b"50 %", &mut |piece| add(&mut found, piece));
    assert_eq!(found, [text("50 %")]);
    splitter.feed(b"EVC", &mut |piece| add(&mut found, piece));
    assert_eq!(found, [text("50 %")], "it may become a mark");
    let deadline = splitter.deadline().expect("held back for a time");
    assert_eq!(splitter.settle(deadline, &mut |piece| add(&mut found, piece)), None);
    assert_eq!(found, [text("50 %EVC")]);
}

#[test]
fn a_mark_without_its_end_swallows_nothing() {
    let (mut splitter, mut found) = (Splitter::default(), Vec::new());
    splitter.feed(b"EVCXR_BEGIN_CONTENT text/html\n<b>\nmore\n", &mut |piece| add(&mut found, piece));
    assert_eq!(found, []);
    let deadline = splitter.deadline().expect("held back for a time");
    splitter.settle(deadline, &mut |piece| add(&mut found, piece));
    splitter.feed(b"EVCXR_END_CONTENT\n", &mut |piece| add(&mut found, piece));
    assert_eq!(found, [text("EVCXR_BEGIN_CONTENT text/html\n<b>\nmore\nEVCXR_END_CONTENT\n")]);
}

#[test]
fn content_that_never_ended_is_text_when_the_next_begins() {
    let bytes = b"EVCXR_BEGIN_CONTENT text/html\n<b>\nEVCXR_BEGIN_CONTENT text/plain\nshown\nEVCXR_END_CONTENT\n";
    let begun = text("EVCXR_BEGIN_CONTENT text/html\n<b>\n");
    assert_eq!(split(&[bytes]), [begun, Found::Content("text/plain".into(), "shown".into())]);
}

#[test]
fn what_is_no_mime_type_begins_no_content() {
    let bytes = "EVCXR_BEGIN_CONTENT <script>\nEVCXR_BEGIN_CONTENT of the letter\nEVCXR_BEGIN_CONTENT /x\n";
    assert_eq!(split(&[bytes.as_bytes()]), [text(bytes)]);
}

#[test]
fn endless_content_becomes_text() {
    let (mut splitter, mut bytes) = (Splitter::default(), 0);
    let chunk = vec![b'x'; 1 << 20];
    splitter.feed(b"EVCXR_BEGIN_CONTENT text/html\n", &mut |_| ());
    for _ in 0..=CONTENT_MAX >> 20 {
        splitter.feed(&chunk, &mut |piece| {
            if let Piece::Text(text) = piece {
                bytes += text.len();
            }
        });
    }
    assert!(bytes > CONTENT_MAX, "{bytes}");
}

/// How many bytes a second are taken, in chunks of 64 KiB.
fn speed(line: &[u8]) -> f64 {
    let chunk = line.repeat((64 << 10) / line.len());
    let (mut splitter, mut given) = (Splitter::default(), 0);
    let start = std::time::Instant::now();
    for _ in 0..64 {
        splitter.feed(&chunk, &mut |piece| {
            if let Piece::Text(text) = piece {
                given += text.len();
            }
        });
    }
    assert_eq!(given, 64 * chunk.len());
    f64::from(u32::try_from(given).expect("small")) / start.elapsed().as_secs_f64()
}

#[test]
fn short_lines_are_searched_once() {
    // What is copied and handed on does not grow with the number of lines.
    for line in [&b"1\n"[..], b"EVCXR_\n", b"E\n", &[b'x'; 1000]] {
        let chunk = line.repeat((64 << 10) / line.len());
        let (mut splitter, mut pieces) = (Splitter::default(), 0);
        splitter.feed(&chunk, &mut |_| pieces += 1);
        splitter.finish(&mut |_| pieces += 1);
        assert!(pieces <= 2, "{pieces} pieces of {:?}", String::from_utf8_lossy(line));
    }
}

#[test]
#[ignore = "a measurement: --ignored --nocapture"]
fn speed_of_splitting() {
    for (name, line) in [("2 bytes a line", &b"1\n"[..]), ("1,000 bytes a line", &[b'x'; 1000]), ("marks", b"EVCXR_\n")]
    {
        eprintln!("{name}: {:.0} MB/s", speed(line) / 1e6);
    }
}

proptest! {
    #[test]
    fn nothing_is_lost_and_cuts_change_nothing(
        parts in prop::collection::vec(
            prop::sample::select(vec![
                "EVCXR_", "BEGIN_CONTENT ", "text/html", "\n", "EVCXR_END_CONTENT", "PANIC_NOTIFICATION", "a",
                "EVCXR_VARIABLE_CHANGED_TYPE:", "EVCXR_INPUT_REQUEST", "EV", "EVCXR_ERROR_OCCURRED\n",
            ]),
            0..40,
        ),
        cuts in prop::collection::vec(0_usize..400, 0..6),
    ) {
        let all = parts.concat();
        let bytes = all.as_bytes();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.sort_unstable();
        let mut whole = Vec::new();
        let (mut splitter, mut from, mut chunks) = (Splitter::default(), 0, Vec::new());
        for cut in cuts.into_iter().chain([bytes.len()]) {
            chunks.push(&bytes[from..cut]);
            from = cut;
        }
        let mut take = |piece: Piece<'_>| {
            let (Piece::Text(bytes) | Piece::Panic(bytes) | Piece::Error(bytes) | Piece::Input(bytes)
                | Piece::Changed { line: bytes, .. } | Piece::Content { whole: bytes, .. }) = piece;
            whole.extend_from_slice(bytes);
        };
        for chunk in &chunks {
            splitter.feed(chunk, &mut take);
        }
        splitter.finish(&mut take);
        prop_assert_eq!(String::from_utf8_lossy(&whole), all.as_str());
        // Text may come in other pieces, but is the same, in the same order.
        prop_assert_eq!(split(&chunks), split(&[bytes]));
    }
}
