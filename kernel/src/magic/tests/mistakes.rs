//! Mistakes and failures, as they are told.

use super::*;
use machine_protocol::{Error, ErrorKind};

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn mistakes_are_told_in_one_line_and_pointed_at() {
    check_error(
        "%staus",
        &expect![[r"
          1 | %staus
              ^^^^^^
        UsageError: there is no magic %staus; did you mean %status? %lsmagic shows all
    "]],
    );
    check_error(
        "%xyzzy --json",
        &expect![[r"
          1 | %xyzzy --json
              ^^^^^^
        UsageError: there is no magic %xyzzy; %lsmagic shows all
    "]],
    );
    check_error(
        "%",
        &expect![[r"
          1 | %
              ^
        UsageError: % has no name after it; %lsmagic shows all magics
    "]],
    );
    check_error(
        "%%status",
        &expect![[r"
          1 | %%status
              ^^^^^^^^
        UsageError: %%status is written %status: it concerns one line
    "]],
    );
    check_error(
        "%time",
        &expect![[r"
          1 | %time
              ^^^^^
        UsageError: %time is written %%time: it concerns the whole cell
    "]],
    );
    check_error(
        "\n%slots\n%status --fame",
        &expect![[r"
          3 | %status --fame
                      ^^^^^^
        UsageError: %status has no argument --fame; did you mean --frame? usage: %status [NAME] [--frame] [--machine NAME] [--json]
    "]],
    );
    check_error(
        "%pause now then",
        &expect![[r"
          1 | %pause now then
                         ^^^^
        UsageError: %pause has no argument then; usage: %pause [NAME] [--machine NAME] [--json]
    "]],
    );
    check_error(
        "%status --json=1",
        &expect![[r"
          1 | %status --json=1
                      ^^^^^^^^
        UsageError: --json takes no value; --json=1
    "]],
    );
    check_error(
        "%errors f8",
        &expect![[r"
              1 | %errors f8
                          ^^
            UsageError: main has no slot f8; it has f0 to f7, and source; did you mean f7?
        "]],
    );
    check_error(
        "%tap f99",
        &expect![[r"
              1 | %tap f99
                       ^^^
            UsageError: main has no slot f99; it has f0 to f7
        "]],
    );
    check_error(
        "%errors score",
        &expect![[r"
              1 | %errors score
                          ^^^^^
            UsageError: main has no slot score; it has f0 to f7, and source
        "]],
    );
    check_error(
        "%errors -n many",
        &expect![[r"
          1 | %errors -n many
                         ^^^^
        UsageError: many is not a count; expected a whole number, for example -n 20
    "]],
    );
    check_error(
        "%errors --since yesterday",
        &expect![[r"
              1 | %errors --since yesterday
                                  ^^^^^^^^^
            UsageError: yesterday is not a time; expected a number with ms, s, m or h, up to 168h: --since 5s
        "]],
    );
    check_error(
        "%errors -n",
        &expect![[r"
          1 | %errors -n
                      ^^
        UsageError: -n needs a value: [-n COUNT]
    "]],
    );
    check_error(
        "%drain --timeout soon",
        &expect![[r"
          1 | %drain --timeout soon
                               ^^^^
        UsageError: soon is not a time; expected a number with ms, s, m or h, up to 168h: --timeout 5s
    "]],
    );
    check_error(
        "%status trian",
        &expect![[r"
          1 | %status trian
                      ^^^^^
        UsageError: there is no machine trian; there are main, train; did you mean train?
    "]],
    );
    check_error(
        "%status \"tra",
        &expect![[r#"
          1 | %status "tra
                      ^^^^
        UsageError: the quote " is not closed
    "#]],
    );
    check_error(
        "%put",
        &expect![[r#"
          1 | %put
                  ^
        UsageError: %put needs a message in JSON, for example %put {"text": "hello", "score": 1.5}
    "#]],
    );
    check_error(
        "%put {\"text\": oh}",
        &expect![[r#"
          1 | %put {"text": oh}
                            ^
        UsageError: invalid JSON at line 1, column 10: expected value
    "#]],
    );
    check_error(
        "%call --machine train hello",
        &expect![[r#"
          1 | %call --machine train hello
                                    ^
        UsageError: invalid JSON at line 1, column 1: expected value; text stands in double quotes: "…"
    "#]],
    );
    check_error(
        "%call [1, 2",
        &expect![[r"
          1 | %call [1, 2
                         ^
        UsageError: invalid JSON at line 1, column 6: EOF while parsing a list
    "]],
    );
    check_error(
        "%call 1 2",
        &expect![[r"
          1 | %call 1 2
                      ^
        UsageError: invalid JSON at line 1, column 3: the value is over, but 2 follows
    "]],
    );
    check_error(
        "%call 'ä'",
        &expect![[r#"
          1 | %call 'ä'
                    ^
        UsageError: invalid JSON at line 1, column 1: expected value; text stands in double quotes: "…"
    "#]],
    );
    check_error(
        "%help staus",
        &expect![[r"
          1 | %help staus
                    ^^^^^
        UsageError: there is no magic staus; did you mean %status? %lsmagic shows all
    "]],
    );
    check_error(
        "%slots\n%%time",
        &expect![[r"
          2 | %%time
              ^^^^^^
        UsageError: %%time goes on the first line of a cell and concerns all that follows
    "]],
    );
}

#[test]
fn failures_of_the_engine_keep_their_name() {
    struct Refuses;
    impl Engine for Refuses {
        fn command(&self, _: Command) -> Result<Reply, Error> {
            Ok(Reply::Failed(Error::new(ErrorKind::QueueFull, "the queue of main is full: 1,024 messages wait")))
        }
    }
    let error = run("%put 1", &Refuses, &Record::default(), &|_| Ok(None).into()).unwrap_err();
    assert_eq!(error.ename, "QueueFull");
    assert_eq!(error.evalue, "the queue of main is full: 1,024 messages wait");
}
