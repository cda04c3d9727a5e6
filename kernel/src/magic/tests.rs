use super::registry::{MAGICS, Magic};
use super::*;
use crate::display::tests::{dead_letters, example_outputs, example_status};
use crate::output::Display;
use expect_test::{Expect, expect};
use machine::command::Target;
use machine::kept::{Explained, ExplainedSlot, Kept, KeptMessage, KeptQuery, LetterQuery, Retried};
use proptest::prelude::*;
use std::sync::Mutex;

/// Answers from a table: two machines, `main` and `train`.
#[derive(Default)]
struct Table {
    commands: Mutex<Vec<Command>>,
}

impl Engine for Table {
    fn command(&self, command: Command) -> Result<Reply, Failure> {
        self.commands.lock().unwrap().push(command.clone());
        let known = |machine: &Target| match machine {
            Target::Name(name) if name != "main" && name != "train" => {
                Err(Failure::new("no_such_machine", format!("no machine {name}")))
            }
            Target::Name(name) => {
                let mut status = example_status();
                status.machine.clone_from(name);
                Ok(status)
            }
            Target::Id(_) => Ok(example_status()),
        };
        Ok(match command {
            Command::Machines => {
                Reply::Machines(vec![known(&Target::default())?, known(&Target::Name("train".into()))?])
            }
            Command::Status { machine } => Reply::Status(Box::new(known(&machine)?)),
            Command::Start { machine } => {
                known(&machine)?;
                Reply::Warned("it was running".into())
            }
            Command::Pause { machine }
            | Command::Stop { machine }
            | Command::Break { machine, .. }
            | Command::Continue { machine } => {
                known(&machine)?;
                Reply::Done
            }
            Command::Drain { machine, timeout } => {
                known(&machine)?;
                std::thread::sleep(timeout.unwrap());
                Reply::Count(3)
            }
            Command::Step { machine } | Command::Call { machine, .. } | Command::InHand { machine } => {
                known(&machine)?;
                Reply::Outputs(example_outputs())
            }
            Command::Put { machine, .. } => {
                known(&machine)?;
                Reply::Oid("65f0c0de0123456789abcdef".into())
            }
            Command::FindErrors { machine, query } => {
                known(&machine)?;
                let letters: Vec<_> = dead_letters().into_iter().take(query.limit).collect();
                Reply::FoundErrors { letters, matching: dead_letters().len() as u64 }
            }
            Command::RetryErrors { machine, from, .. } => {
                known(&machine)?;
                let left = if from == 0 { 3 } else { 0 };
                Reply::Retried(Retried { tried: 5, passed: 4, left, next: from + 1 })
            }
            Command::Kept { machine, query } => {
                known(&machine)?;
                Reply::Kept(Box::new(kept(query.slot)))
            }
            Command::Peek { machine, .. } => {
                known(&machine)?;
                Reply::Waiting(12, vec![("65f0c0de0123456789abcdef".into(), "{\"a\":1}".into())])
            }
            Command::Explain { machine, oid } => {
                known(&machine)?;
                Reply::Explained(Box::new(Explained { oid, ..explained() }))
            }
            _ => Reply::Failed(Failure::new("not_in_the_table", "the table has no answer")),
        })
    }
}

/// Two messages that went through, the second with a field more, and one of another kind.
fn kept(slot: Option<u32>) -> Kept {
    let message = |number: u32, text: &str| KeptMessage {
        oid: format!("65f0c0de0123456789abcde{number}"),
        input: if slot.is_none() { text.into() } else { String::new() },
        outputs: vec![text.into(); if slot.is_none() { 8 } else { 1 }],
        ..KeptMessage::default()
    };
    let nested = r#"{"polarity":0.5,"user":{"name":"<b>eve</b>","tags":["a"]},"oid":7}"#;
    let messages = vec![message(0, "1.5"), message(1, r#"{"polarity":-1}"#), message(2, nested)];
    Kept { processed: 20_000, fallen_out: 7_000, not_kept: 3_000, matching: 3, next: 9, messages }
}

fn explained() -> Explained {
    let slot = |slot: &str| ExplainedSlot { slot: slot.into(), ..ExplainedSlot::default() };
    Explained {
        state: "dead letter".into(),
        put: "2024-03-12T20:54:54.004Z".into(),
        waited_ms: Some(12),
        input: "14.0".into(),
        slots: vec![
            ExplainedSlot {
                revision: 2,
                code: "|x: f64| x * x".into(),
                cell: 3,
                output: Some("196.0".into()),
                nanos: 59,
                is_changed: true,
                ..slot("f0")
            },
            ExplainedSlot { revision: 1, code: "check".into(), error: Some("too <b>big</b>".into()), ..slot("f1") },
            slot("f2"),
        ],
        ..Explained::default()
    }
}

/// Writes down what came.
#[derive(Default)]
struct Record(Mutex<String>);

impl Record {
    fn add(&self, text: &str) {
        self.0.lock().unwrap().push_str(text);
    }
}

impl Output for Record {
    fn stream(&self, _: Stream, text: &str) {
        // Times differ from run to run.
        self.add(&format!("[{}]", text.split(':').next().unwrap()));
    }
    fn display(&self, display: Display) {
        self.add(&format!("[{}]", text_of(&display).lines().next().unwrap_or_default()));
    }
    fn clear(&self, _: bool) {}
}

fn text_of(display: &Display) -> &str {
    display.data["text/plain"].as_str().unwrap()
}

fn run_alone(code: &str) -> Result<Display, CellError> {
    let rust = |code: &str| panic!("not Rust: {code}");
    Ok(run(code, &Table::default(), &Record::default(), &rust)?.unwrap())
}

#[track_caller]
fn check_error(code: &str, expected: &Expect) {
    let error = run_alone(code).unwrap_err();
    assert_eq!(error.ename, "UsageError");
    assert!(!error.evalue.contains('\n'));
    expected.assert_eq(&format!("{}\n", error.traceback.join("\n")));
}

#[track_caller]
fn check_command(code: &str, expected: &Command) {
    let engine = Table::default();
    run(code, &engine, &Record::default(), &|_| Ok(None)).unwrap();
    assert_eq!(engine.commands.lock().unwrap().iter().find(|command| *command == expected), Some(expected));
}

fn main_machine() -> Target {
    Target::default()
}

fn train() -> Target {
    Target::Name("train".into())
}

#[test]
fn arguments_reach_the_engine() {
    check_command("%status", &Command::Status { machine: main_machine() });
    check_command("%status train", &Command::Status { machine: train() });
    check_command("%status --frame --machine train", &Command::Status { machine: train() });
    check_command("%status --machine=train", &Command::Status { machine: train() });
    check_command("%status 'train' --json", &Command::Status { machine: train() });
    let errors = |slot, limit| {
        let query = LetterQuery { slot, limit, ..LetterQuery::default() };
        Command::FindErrors { machine: main_machine(), query }
    };
    check_command("%errors", &errors(None, 20));
    check_command("%errors f3 -n 5", &errors(Some(3), 5));
    check_command("%errors --limit=5 3", &errors(Some(3), 5));
    check_command("%start train", &Command::Start { machine: train() });
    check_command("  %pause", &Command::Pause { machine: main_machine() });
    check_command("%stop --machine \"train\"", &Command::Stop { machine: train() });
    check_command("%step", &Command::Step { machine: main_machine() });
    let letters =
        |slot: Option<u32>, condition: &str| LetterQuery { slot, filter: condition.into(), ..LetterQuery::default() };
    let query =
        LetterQuery { since: Some(Duration::from_mins(10)), limit: 20, ..letters(Some(3), "error like '%utf%'") };
    let find = Command::FindErrors { machine: main_machine(), query };
    check_command("%errors --slot f3 --since 10m --where \"error like '%utf%'\"", &find);
    let retry = |query| Command::RetryErrors { machine: main_machine(), query, from: 0 };
    check_command("%retry", &retry(letters(None, "")));
    check_command("%retry all", &retry(letters(None, "")));
    check_command("%retry f3 --where 'revision < 2'", &retry(letters(Some(3), "revision < 2")));
    let oid = "65f0c0de0123456789abcdef".to_owned();
    check_command(
        "%retry 65f0c0de0123456789abcdef",
        &retry(LetterQuery { oid: Some(oid.clone()), ..LetterQuery::default() }),
    );
    let query = KeptQuery { slot: Some(1), filter: "polarity < -0.5".into(), every: 100, limit: 5, since: 0 };
    let tap = Command::Kept { machine: train(), query };
    check_command("%tap f1 -n 5 --where \"polarity < -0.5\" --every 100 --machine train", &tap);
    check_command("%peek -n 3", &Command::Peek { machine: main_machine(), limit: 3 });
    check_command("%explain 65f0c0de0123456789abcdef", &Command::Explain { machine: main_machine(), oid });
    let hold = |slot, filter: &str| Command::Break { machine: main_machine(), slot, filter: filter.into() };
    check_command("%break f3 --where 'x > 1'", &hold(Some(3), "x > 1"));
    check_command("%break", &hold(None, ""));
    check_command("%continue", &Command::Continue { machine: main_machine() });
    for line in ["%put [1, \"a  b\"]", "%put --json [1, \"a  b\"]", "%put [1, \"a  b\"] --json"] {
        check_command(line, &Command::Put { machine: main_machine(), json: "[1, \"a  b\"]".into() });
    }
    check_command("%put --machine train -1.5", &Command::Put { machine: train(), json: "-1.5".into() });
    check_command("%put \"--json\"", &Command::Put { machine: main_machine(), json: "\"--json\"".into() });
    check_command("%call {\"a\": 1} --machine 'train'", &Command::Call { machine: train(), json: "{\"a\": 1}".into() });
}

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
        "%errors f9",
        &expect![[r"
          1 | %errors f9
                      ^^
        UsageError: main has no slot f9; it has f0 to f7; did you mean f7?
    "]],
    );
    check_error(
        "%errors score",
        &expect![[r"
          1 | %errors score
                      ^^^^^
        UsageError: main has slots, and none is called score; it has f0 to f7
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
        fn command(&self, _: Command) -> Result<Reply, Failure> {
            Ok(Reply::Failed(Failure::new("queue_full", "the queue of main is full: 1,024 messages wait")))
        }
    }
    let error = run("%put 1", &Refuses, &Record::default(), &|_| Ok(None)).unwrap_err();
    assert_eq!(error.ename, "QueueFull");
    assert_eq!(error.evalue, "the queue of main is full: 1,024 messages wait");
}

/// An engine whose user wants to stop.
struct Interrupted(Table);
impl Engine for Interrupted {
    fn command(&self, command: Command) -> Result<Reply, Failure> {
        self.0.command(command)
    }
    fn interrupted(&self) -> bool {
        true
    }
}

#[test]
fn drain_waits_until_the_time_is_up_or_the_user_interrupts() {
    let display = run_alone("%drain --timeout 1ms").unwrap();
    expect![[r"
        main is running: 4,200 processed, 12 wait, 1 in flight
        note: the time is up and 3 messages still wait"]]
    .assert_eq(text_of(&display));

    let error = run("%drain", &Interrupted(Table::default()), &Record::default(), &|_| Ok(None)).unwrap_err();
    assert_eq!(error.ename, "KeyboardInterrupt");
}

#[test]
fn a_cell_runs_its_magics_and_then_its_rust() {
    #[track_caller]
    fn check(code: &str, expected: &Expect) {
        let record = Record::default();
        let rust = |code: &str| {
            record.add(&format!("[Rust {code:?}]"));
            Ok(None)
        };
        let last = run(code, &Table::default(), &record, &rust).unwrap();
        let last = last.map(|display| text_of(&display).lines().next().unwrap_or_default().to_owned());
        expected.assert_eq(&format!("{} {last:?}", record.0.lock().unwrap()));
    }
    check("%pause", &expect![[r#" Some("main is running: 4,200 processed, 12 wait, 1 in flight")"#]]);
    check(
        "%pause\n\n%put 1\n",
        &expect![[
            r#"[main is running: 4,200 processed, 12 wait, 1 in flight] Some("main took it: 65f0c0de0123456789abcdef")"#
        ]],
    );
    check(
        "// look\n%pause\nlet x = 1;\n%put 2",
        &expect![[
            r#"[main is running: 4,200 processed, 12 wait, 1 in flight][Rust "// look\n\nlet x = 1;\n%put 2"] None"#
        ]],
    );
    check("%%time\nlet x = 1;", &expect![[r#"[Rust "\nlet x = 1;"][wall time] None"#]]);
    check(
        "%%time --json\n%pause\nlet x = 1;",
        &expect![[r#"[main is running: 4,200 processed, 12 wait, 1 in flight][Rust "\n\nlet x = 1;"][{] None"#]],
    );
    check("let x = 5\n% 3;", &expect![[r#"[Rust "let x = 5\n% 3;"] None"#]]);
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

#[test]
fn every_magic_has_help_and_an_example_that_runs() {
    for magic in MAGICS {
        assert!(!magic.summary.is_empty() && !magic.details.is_empty());
        assert!(magic.all_parameters().all(|parameter| !parameter.help.is_empty()), "{}", magic.name);
        assert!(magic.example.starts_with(&magic.written()), "{}", magic.name);
        let line = magic.example.lines().next().unwrap();
        let call = arguments::parse(line).map(|call| call.magic.written());
        assert_eq!(call, Ok(magic.written()));
        for line in [
            format!("%help {}", magic.written()),
            format!("{}?", magic.written()),
            format!("{} --help", magic.written()),
        ] {
            let display = run_alone(&line).unwrap();
            assert!(text_of(&display).starts_with(&magic.usage()), "{line}");
        }
        assert!(help(magic.name).is_some());
    }
}

#[test]
fn every_magic_gives_json() {
    // They need a session, or a place for a file.
    let left_out = ["alert", "alerts", "report", "frame"];
    let line = |magic: &&Magic| matches!(magic.action, Action::Line(_)) && !left_out.contains(&magic.name);
    for magic in MAGICS.iter().filter(line) {
        let display = run_alone(&format!("{} --json", magic.example)).unwrap();
        assert!(display.data["application/json"].is_object(), "{}", magic.name);
        let text: serde_json::Value = serde_json::from_str(text_of(&display)).unwrap();
        assert_eq!(text, display.data["application/json"]);
    }
}

#[test]
fn completion_knows_names_options_slots_and_machines() {
    /// `|` is the cursor.
    #[track_caller]
    fn check(text: &str, expected: &Expect) {
        let offset = text.find('|').unwrap();
        let code = text.replacen('|', "", 1);
        let shown = complete(&code, offset, &Table::default()).map(|completions| {
            let items: Vec<&str> = completions.items.iter().map(|item| item.text.as_str()).collect();
            format!("{:?} → {}", &code[completions.start..completions.end], items.join(" "))
        });
        expected.assert_eq(&shown.unwrap_or_else(|| "none".into()));
    }
    check("%st|", &expect![[r#""%st" → %status %start %stop %step"#]]);
    check(
        "%|",
        &expect![[
            r#""%" → %status %watch %alert %alerts %report %errors %slots %start %pause %stop %drain %step %put %call %retry %tap %peek %sql %%sql %frame %plot %%plot %explain %break %held %continue %machines %%time %lsmagic %help"#
        ]],
    );
    check(
        "%slots\n%|",
        &expect![[
            r#""%" → %status %watch %alert %alerts %report %errors %slots %start %pause %stop %drain %step %put %call %retry %tap %peek %sql %frame %plot %explain %break %held %continue %machines %lsmagic %help"#
        ]],
    );
    check(
        "%errors |",
        &expect![[r#""" → f0 f1 f2 f3 f4 f5 f6 f7 -n --limit --slot --since --where --machine --json"#]],
    );
    check("%errors f3 --|", &expect![[r#""--" → --limit --slot --since --where --machine --json"#]]);
    check("%errors f3 -n |", &expect![[r#""" → "#]]);
    check("%status --machine t|", &expect![[r#""t" → train"#]]);
    check("%status --machine=|", &expect![[r#""" → main train"#]]);
    check("%status t|", &expect![[r#""t" → train"#]]);
    check("%help er|", &expect![[r#""er" → errors"#]]);
    check("let x = %|", &expect!["none"]);
    check("%slots\nlet x = M|", &expect!["none"]);
}

#[test]
fn list_and_help() {
    expect![[r"
        magic                                                                                                  shows or does
        %status [NAME] [--frame] [--machine NAME] [--json]                                                     what a machine has done, what waits, and what each slot does
        %watch [NAME] [--machine NAME] [--json]                                                                a live display of a machine: slots, queue, rates, errors, and buttons
        %alert [RULE] [--clear] [--machine NAME] [--json]                                                      tells when a rule begins to hold and when it ends
        %alerts [NAME] [--machine NAME] [--json]                                                               the alerts of a machine, and which of them hold
        %report [FILE] [--machine NAME] [--json]                                                               writes a page with a machine's state, history, errors and code
        %errors [SLOT] [-n COUNT] [--slot SLOT] [--since TIME] [--where CONDITION] [--machine NAME] [--json]   the messages that a slot failed on, newest first, as a DataFrame
        %slots [NAME] [--machine NAME] [--json]                                                                the code in each slot, the cell it came from, what it takes and gives
        %start [NAME] [--machine NAME] [--json]                                                                goes on taking messages
        %pause [NAME] [--machine NAME] [--json]                                                                holds between two messages
        %stop [NAME] [--machine NAME] [--json]                                                                 ends the workers; the queue is kept
        %drain [NAME] [--timeout TIME] [--machine NAME] [--json]                                               waits until the queue is empty and no message is in the slots
        %step [NAME] [--machine NAME] [--json]                                                                 takes one message through and shows every output
        %put [--machine NAME] [--json] JSON                                                                    puts a message
        %call [--machine NAME] [--json] JSON                                                                   tries one message on all slots, here and now
        %retry [WHICH] [--since TIME] [--where CONDITION] [--machine NAME] [--json]                            takes dead letters through the slots as they are now; what passes leaves the list
        %tap [SLOT] [-n COUNT] [--where CONDITION] [--every COUNT] [--follow] [--machine NAME] [--json]        the last outputs of a slot as a DataFrame; fields become columns
        %peek [-n COUNT] [--machine NAME] [--json]                                                             what waits in the queue, oldest first; it stays there
        %sql [--machine NAME] [--json] [QUERY]                                                                 a query over what flowed: the last outputs of each slot, errors and history are tables
        %%sql [--machine NAME] [--json]                                                                        a query over what flowed, on the lines below
        %frame [NAME] [--json]                                                                                 writes what the last %sql or %tap gave as an Arrow IPC file, and tells how to read it
        %plot [WHAT] [--against WHAT] [--by WHAT] [--kind KIND] [--where CONDITION] [--machine NAME] [--json]  draws numbers of the messages that went through
        %%plot [COLUMN] [--against COLUMN] [--by COLUMN] [--kind KIND] [--machine NAME] [--json]               draws what the query on the lines below gives
        %explain [OID] [--machine NAME] [--json]                                                               where a message has been: when it was put, how long it waited, what each slot made of it, by which code
        %break [SLOT] [--where CONDITION] [--machine NAME] [--json]                                            holds the machine before a slot, with the message in hand
        %held [--machine NAME] [--json]                                                                        the message that a breakpoint or debug mode holds, with what each slot made of it
        %continue [--machine NAME] [--json]                                                                    takes the message that %break holds on, and starts the machine
        %machines [--json]                                                                                     all machines of this session
        %%time [--json]                                                                                        runs the rest of the cell and tells how long that took
        %lsmagic [--json]                                                                                      all magics
        %help [NAME] [--json]                                                                                  how a magic is used
        %help NAME tells more about one.
    "]].assert_eq(text_of(&run_alone("%lsmagic").unwrap()));
    expect![[r#"
        %errors [SLOT] [-n COUNT] [--slot SLOT] [--since TIME] [--where CONDITION] [--machine NAME] [--json]
        the messages that a slot failed on, newest first, as a DataFrame. revision is that of the slot's code when it failed; time is when the message was accepted, UTC.

          SLOT               only those of this slot: f3 or 3
          -n, --limit COUNT  how many at most; 20 unless told
          --slot SLOT        only those of this slot: f3 or 3
          --since TIME       only what failed in the last 10m, 30s, 2h
          --where CONDITION  in quotes: "error like '%utf%' and in.lang = 'en'"; and, or, not, like, in, between, is null
          --machine NAME     another machine than main
          --json             for programs: application/json

        for example: %errors f3 -n 5
    "#]].assert_eq(text_of(&run_alone("%help errors").unwrap()));
    assert!(inspect("%status --frame", 3).is_some());
    assert!(inspect("let status = 1;", 3).is_none());
}

#[test]
fn messages_are_shown_in_columns_with_what_is_not_shown() {
    let display = run_alone("%tap f1").unwrap();
    expect![[r#"
        shape: (3, 6)
        oid                       f1.oid  polarity  user.name   user.tags    f1
        65f0c0de0123456789abcde2       7       0.5  <b>eve</b>  ["a"]      null
        65f0c0de0123456789abcde1    null      -1.0  null        null       null
        65f0c0de0123456789abcde0    null      null  null        null        1.5
        3 of 20,000 messages shown; 3 kept ones match, 7,000 older ones fell out, 3,000 were not kept: the machine was too fast
    "#]].assert_eq(text_of(&display));
    let html = display.data["text/html"].as_str().unwrap();
    assert!(html.contains("&lt;b&gt;eve&lt;/b&gt;") && !html.contains("<b>"), "{html}");
    expect![[r"
        65f0c0de0123456789abcdef: dead letter, put 2024-03-12 20:54:54.004 UTC, waited 12 ms
        in 14.0
        slot  output             time  revision                   code
        f0    196.0             59 ns  2, In [3] (changed since)  |x: f64| x * x
        f1    ! too <b>big</b>      –  1                          check
    "]]
    .assert_eq(text_of(&run_alone("%explain 65f0c0de0123456789abcdef").unwrap()));
    expect!["8 of 10 passed, 2 failed again"].assert_eq(text_of(&run_alone("%retry").unwrap()));
    expect![[r"
        shape: (1, 2)
        oid                       a
        65f0c0de0123456789abcdef  1
        12 messages wait; 11 more than are shown
    "]]
    .assert_eq(text_of(&run_alone("%peek").unwrap()));
    expect!["main will hold a message with x > 1 before f3; %held shows it, %continue goes on"]
        .assert_eq(text_of(&run_alone("%break f3 --where 'x > 1'").unwrap()));
    assert!(run_alone("%break --where 'x > 1'").unwrap_err().evalue.contains("needs a slot"));
    expect![[r"
        [plot: how often in.polarity is how large, 2 points] 2 of 20,000 messages; 1 kept ones without a number, 10,000 not kept
    "]].assert_eq(text_of(&run_alone("%plot in.polarity --kind hist").unwrap()));
    let display = run_alone("%plot in.polarity --by in.user.name").unwrap();
    assert!(display.data["application/vnd.vegalite.v5+json"]["data"]["values"].is_array());
    let svg = display.data["image/svg+xml"].as_str().unwrap();
    assert!(svg.starts_with("<svg") && svg.contains("&lt;b&gt;eve") && !svg.contains("<b>"), "{svg}");
    for (line, told) in [
        ("%plot", "needs what to draw"),
        ("%plot f9.x", "there is no f9: there is in, and f0 to f7"),
        ("%plot in.polarty", "there is in.oid, in.polarity, in.user; did you mean in.polarity?"),
        ("%plot in.user.name", "is no number: \"<b>eve</b>\""),
        ("%plot in.polarity --kind scatter", "needs what goes across"),
        ("%plot in.polarity --kind pie", "there is no plot pie: there is line, hist, scatter and bar"),
    ] {
        let error = run_alone(line).unwrap_err().evalue;
        assert!(error.contains(told), "{line}: {error}");
    }
    let error = run("%tap f1 --follow", &Interrupted(Table::default()), &Record::default(), &|_| Ok(None));
    assert!(error.is_ok(), "an interrupt ends the following, and the last state stays");
    let error = run("%retry", &Interrupted(Table::default()), &Record::default(), &|_| Ok(None)).unwrap_err();
    assert_eq!((error.ename.as_str(), error.evalue.contains("3 not yet tried")), ("KeyboardInterrupt", true));
}

struct Real;

impl Engine for Real {
    fn command(&self, command: Command) -> Result<Reply, Failure> {
        Ok(machine_engine::command(command))
    }
}

#[test]
fn the_engine_answers_every_magic() {
    use machine::prelude::*;
    machine_engine::init();
    MACHINE[0].set(|x: f64| x.sqrt()).unwrap();
    MACHINE[1].set(|x: f64| if x > 4.0 { Err(format!("{x} is too much")) } else { Ok(x) }).unwrap();
    let ask = |line: &str| run(line, &Real, &Record::default(), &|_| Ok(None)).map(|display| display.unwrap());
    let text = |line: &str| text_of(&ask(line).unwrap()).to_owned();
    let json = |line: &str| ask(&format!("{line} --json")).unwrap().data["application/json"].clone();

    assert_eq!(json("%put 14.0")["oid"].as_str().map(str::len), Some(24));
    text("%put 25.0");
    assert_eq!(json("%drain")["left"], 0);
    assert_eq!(json("%status")["processed"], 2);
    assert_eq!(json("%status")["errored"], 1);
    assert_eq!(json("%errors f1")["errors"][0]["slot"], "f1");
    assert!(text("%errors").contains("5 is too much"));
    assert_eq!(json("%errors f0")["errors"], serde_json::json!([]));
    assert_eq!(json("%call 9.0")["slots"][0]["output"], "3.0");
    assert!(text("%call 36").contains("6 is too much"));
    assert_eq!(json("%slots")["slots"][0]["takes"][0], "f64");
    assert_eq!(json("%pause")["state"], "paused");
    text("%put 4");
    let error = ask("%drain").unwrap_err();
    assert_eq!((error.ename.as_str(), error.evalue.contains("paused")), ("UsageError", true), "{error:?}");
    assert_eq!(json("%step")["slots"][0]["output"], "2.0");
    let error = ask("%step").unwrap_err();
    assert!(!error.evalue.is_empty());
    assert_eq!(json("%stop")["state"], "stopped");
    assert_eq!(json("%start")["state"], "running");
    assert_eq!(json("%machines")["machines"][0]["machine"], "main");
    assert!(text("%status --frame").starts_with("shape: (8, 12)"));
    text("%retry");
    assert_eq!(json("%errors --where \"error like '%much'\"")["errors"][0]["input"], "25.0");
    assert_eq!(ask("%errors --where 'nonsense = 1'").unwrap_err().ename, "NoSuchColumn");
    let error = ask("%errors --where \"error = 3 or or\" f1").unwrap_err();
    assert_eq!(
        error.traceback,
        [
            "  1 | %errors --where \"error = 3 or or\" f1",
            "                                    ^^",
            "UsageError: error = 3 or or is no condition: after `error = 3 or` comes `or`, where a name, a number or 'text' \
             was expected",
        ]
    );
    assert_eq!(json("%retry f1")["failed"], 1);
    let tapped = json("%tap f0");
    assert_eq!(
        (&tapped["messages"][0]["value"], &tapped["not_kept"]),
        (&serde_json::json!(2.0), &serde_json::json!(0))
    );
    let oid = tapped["messages"][1]["oid"].as_str().unwrap().to_owned();
    assert!(text(&format!("%explain {oid}")).contains("5 is too much"));
    assert_eq!(json("%peek")["waiting"], 0);
    text("%break f1 --where 'f0 = 3'");
    text("%put 9");
    let held = std::iter::repeat_with(|| ask("%held")).find_map(Result::ok).unwrap();
    assert!(text_of(&held).contains("not yet: held before f1"));
    text("%break");
    assert_eq!(json("%continue")["state"], "running");
    text("%drain");
    assert_eq!(ask("%continue").unwrap_err().ename, "NothingHeld");
    assert_eq!(ask("%explain nonsense").unwrap_err().ename, "NoSuchMessage");
    for line in ["%errors f9", "%status mian", "%put {\"a\": }", "%start --machine mian"] {
        assert_eq!(ask(line).unwrap_err().ename, "UsageError", "{line}");
    }
}

proptest! {
    #[test]
    fn no_line_panics(line in "%{0,3}[a-z]{0,8}\\PC{0,40}", rest in "\\PC{0,40}", offset in 0usize..100) {
        let code = format!("{line}\n{rest}");
        for code in [&line, &code] {
            let _ = run(code, &Table::default(), &Record::default(), &|_| Ok(None));
            let _ = complete(code, offset, &Table::default());
            let _ = inspect(code, offset);
        }
    }

    #[test]
    fn no_arguments_panic(magic in 0..MAGICS.len(), arguments in "[-a-z0-9=\"' {}\\[\\]:,.fäß\u{1F600}]{0,30}") {
        let magic = &MAGICS[magic];
        // Without an answer that ends it, `%drain` waits.
        prop_assume!(magic.name != "drain" && !arguments.contains("--follow"));
        let line = format!("{} {arguments}", magic.written());
        if let Err(error) = run(&line, &Table::default(), &Record::default(), &|_| Ok(None)) {
            prop_assert!(!error.evalue.is_empty() && !error.evalue.contains('\n'));
        }
    }
}
