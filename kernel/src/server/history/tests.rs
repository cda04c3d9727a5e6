use super::*;

fn filled() -> History {
    let mut history = History::open(None);
    for (line, source) in (1..).zip(["1 + 1", "let a = 2;", "1 + 1", "%status"]) {
        history.push(line, source, (line == 1).then(|| "2".to_owned()));
    }
    history
}

#[track_caller]
fn check(access: HistoryAccess, lines: &[i64]) {
    let history = filled();
    assert_eq!(history.get(&access).iter().map(|it| it.line).collect::<Vec<_>>(), lines, "{access:?}");
}

fn search(pattern: &str, unique: bool, n: Option<i64>) -> HistoryAccess {
    HistoryAccess::Search { n, pattern: Some(pattern.to_owned()), unique }
}

#[test]
fn the_last_ones() {
    check(HistoryAccess::Tail { n: Some(2) }, &[3, 4]);
    check(HistoryAccess::Tail { n: Some(-1) }, &[]);
    check(HistoryAccess::Tail { n: None }, &[1, 2, 3, 4]);
}

#[test]
fn a_range_of_a_session() {
    check(HistoryAccess::Range { session: 0, start: 2, stop: Some(4) }, &[2, 3]);
    check(HistoryAccess::Range { session: 1, start: 3, stop: None }, &[3, 4]);
    check(HistoryAccess::Range { session: -1, start: 0, stop: None }, &[]);
    check(HistoryAccess::Range { session: i64::MIN, start: 0, stop: None }, &[]);
}

#[test]
fn those_that_match() {
    check(search("1*", false, None), &[1, 3]);
    check(search("1*", true, None), &[3]);
    check(search("*", false, Some(3)), &[2, 3, 4]);
    check(search("1 ? 1", false, Some(1)), &[3]);
    check(search("let*2", false, None), &[]);
    check(search("let*2*;", false, None), &[2]);
}

#[test]
fn a_new_session_knows_the_old_one() {
    let directory = std::env::temp_dir().join(format!("history-test-{}", std::process::id()));
    let path = directory.join("new").join("history.jsonl");
    let mut first = History::open(Some(&path));
    first.push(1, "first\ncell", Some("out".to_owned()));
    std::fs::OpenOptions::new().append(true).open(&path).and_then(|mut it| it.write_all(b"torn {\n")).unwrap();
    let mut second = History::open(Some(&path));
    second.push(1, "second", None);
    let third = History::open(Some(&path)).reply(&HistoryAccess::Tail { n: None }, true);
    std::fs::remove_dir_all(directory).unwrap();
    assert_eq!(third["history"], json!([[1, 1, ["first\ncell", "out"]], [2, 1, ["second", null]]]));
}
