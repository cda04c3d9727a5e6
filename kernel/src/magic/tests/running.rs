//! What a cell that begins with magics does.

use super::*;

#[test]
fn drain_waits_until_the_time_is_up_or_the_user_interrupts() {
    let display = run_alone("%drain --timeout 1ms").unwrap();
    expect![[r"
        main is running: 4,200 processed, 12 wait, 1 in flight
        note: the time is up: 3 messages still wait"]]
    .assert_eq(text_of(&display));

    let error = run("%drain", &Interrupted(Table::default()), &Record::default(), &|_| Ok(None).into()).unwrap_err();
    assert_eq!(error.ename, "KeyboardInterrupt");
}

#[test]
fn a_cell_runs_its_magics_and_then_its_rust() {
    #[track_caller]
    fn check(code: &str, expected: &Expect) {
        let record = Record::default();
        let rust = |code: &str| {
            record.add(&format!("[Rust {code:?}]"));
            Ok(None).into()
        };
        let last = run(code, &Table::default(), &record, &rust).unwrap();
        let last = last.map(|display| text_of(&display).lines().next().unwrap_or_default().to_owned());
        expected.assert_eq(&format!("{} {last:?}", record.0.lock().unwrap()));
    }
    check("%pause", &expect![[r#" Some("main is running: 4,200 processed, 12 wait, 1 in flight")"#]]);
    check(
        "%pause\n\n%put 1\n",
        &expect![[
            r#"[main is running: 4,200 processed, 12 wait, 1 in flight] Some("main accepted it as 65f0c0de0123456789abcdef")"#
        ]],
    );
    check(
        "// look\n%pause\nlet x = 1;\n%put 2",
        &expect![[
            r#"[main is running: 4,200 processed, 12 wait, 1 in flight][Rust "// look\n\nlet x = 1;\n"] Some("main accepted it as 65f0c0de0123456789abcdef")"#
        ]],
    );
    check("%%time\nlet x = 1;", &expect![[r#"[Rust "\nlet x = 1;"][wall time] None"#]]);
    check(
        "%%time --json\n%pause\nlet x = 1;",
        &expect![[r#"[main is running: 4,200 processed, 12 wait, 1 in flight][Rust "\n\nlet x = 1;"][{] None"#]],
    );
    check("let x = 5\n% 3;", &expect![[r#"[Rust "let x = 5\n% 3;"] None"#]]);
    check(
        "let x = 5;\n%pause\nx",
        &expect![[
            r#"[Rust "let x = 5;\n"][main is running: 4,200 processed, 12 wait, 1 in flight][Rust "\n\nx"] None"#
        ]],
    );
    check(
        "%%time\n1;\n%pause",
        &expect![[r#"[Rust "\n1;\n"][wall time] Some("main is running: 4,200 processed, 12 wait, 1 in flight")"#]],
    );
}

#[test]
fn what_begins_with_percent_is_a_magic() {
    for (code, expected) in [
        ("%status", true),
        ("\n  %status", true),
        ("// a comment\n%status", true),
        ("%%time\n1", true),
        ("let x = 1;\n%status", false),
        ("5\n% 3", false),
        ("", false),
        ("// only a comment", false),
    ] {
        assert_eq!(cell::split(code).is_some(), expected, "{code:?}");
    }
}
