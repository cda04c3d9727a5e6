//! Help, completion, JSON: what the table of magics gives by itself.

use super::*;

#[test]
fn every_magic_has_help_and_an_example_that_runs() {
    for magic in MAGICS {
        assert!(!magic.summary.is_empty() && !magic.details.is_empty());
        assert!(magic.all_parameters().all(|parameter| !parameter.help.is_empty()), "{}", magic.name);
        assert!(magic.example.starts_with(&magic.written()), "{}", magic.name);
        let line = magic.example.lines().next().unwrap();
        let call = parse::parse(line).map(|call| call.magic.written());
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
            r#""%" → %status %watch %alert %alerts %report %errors %slots %start %pause %stop %drain %step %put %call %retry %tap %peek %keep %sql %%sql %frame %plot %%plot %explain %break %held %continue %machines %%time %lsmagic %help"#
        ]],
    );
    check(
        "%slots\n%|",
        &expect![[
            r#""%" → %status %watch %alert %alerts %report %errors %slots %start %pause %stop %drain %step %put %call %retry %tap %peek %keep %sql %frame %plot %explain %break %held %continue %machines %lsmagic %help"#
        ]],
    );
    check(
        "%errors |",
        &expect![[r#""" → f0 f1 f2 f3 f4 f5 f6 f7 source -n --limit --slot --since --where --machine --json"#]],
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
        command                                                                                                       description
        %status [NAME] [--frame] [--machine NAME] [--json]                                                            show what a machine has done, what waits, and what each slot does
        %watch [NAME] [--machine NAME] [--json]                                                                       show a machine live: slots, queue, rates, errors and buttons
        %alert [RULE] [--clear] [--machine NAME] [--json]                                                             notify when a rule becomes true and when it clears
        %alerts [NAME] [--machine NAME] [--json]                                                                      list the alerts of a machine, and which of them are active
        %report [FILE] [--machine NAME] [--json]                                                                      write a page with a machine's state, history, errors and code
        %errors [SLOT] [-n COUNT] [--slot SLOT] [--since TIME] [--where CONDITION] [--machine NAME] [--json]          show the messages that a slot failed on, newest first; fields become columns
        %slots [NAME] [--machine NAME] [--json]                                                                       show the code in each slot, the cell it came from, what it takes and gives
        %start [NAME] [--empty] [--machine NAME] [--json]                                                             resume processing
        %pause [NAME] [--machine NAME] [--json]                                                                       pause between messages
        %stop [NAME] [--machine NAME] [--json]                                                                        stop the workers; keep the queue
        %drain [NAME] [--timeout TIME] [--machine NAME] [--json]                                                      wait until every message is processed and the source, if any, has ended
        %step [NAME] [--machine NAME] [--json]                                                                        take one message through and show every output
        %put [--machine NAME] [--json] JSON                                                                           put a message
        %call [--machine NAME] [--json] JSON                                                                          run one message through the slots without recording it
        %retry [WHICH] [--since TIME] [--where CONDITION] [--machine NAME] [--json]                                   reprocess dead letters with the current slots; those that pass leave the list
        %tap [SLOT] [-n COUNT] [--where CONDITION] [--every COUNT] [--follow] [--machine NAME] [--json]               show the last outputs of a slot, or the last messages; fields become columns
        %peek [-n COUNT] [--machine NAME] [--json]                                                                    show the messages in the queue, oldest first; they stay there
        %keep [HOW_MUCH] [--machine NAME] [--json]                                                                    keep every message from now on for %sql, %tap and %plot, or a sample again
        %sql [--machine NAME] [--scale] [--exact] [--json] [QUERY]                                                    run SQL over the last outputs of each slot, errors and history
        %%sql [--machine NAME] [--scale] [--exact] [--json]                                                           run SQL over outputs, errors and history, on the lines below
        %frame [NAME] [--json]                                                                                        write the last %sql or %tap result as an Arrow IPC file, and show how to read it
        %plot [WHAT] [--against WHAT] [--by WHAT] [--kind KIND] [--where CONDITION] [--machine NAME] [--json]         plot values of processed messages
        %%plot [COLUMN] [--against COLUMN] [--by COLUMN] [--kind KIND] [--machine NAME] [--scale] [--exact] [--json]  plot the result of the query on the lines below
        %explain [OID] [--machine NAME] [--json]                                                                      show the history of one message: when it was put, how long it waited, what each slot returned, with which code
        %break [SLOT] [--where CONDITION] [--machine NAME] [--json]                                                   pause the machine before a slot and hold the message
        %held [--machine NAME] [--json]                                                                               show the message that a breakpoint or debug mode holds, with what each slot made of it
        %continue [--machine NAME] [--json]                                                                           resume the message that %break holds, and the machine
        %machines [--json]                                                                                            list all machines of this session
        %%time [--json]                                                                                               run the rest of the cell and show how long it took
        %lsmagic [--json]                                                                                             list all magics
        %help [NAME] [--json]                                                                                         show how a magic is used
        %help NAME describes one.
    "]].assert_eq(text_of(&run_alone("%lsmagic").unwrap()));
    expect![[r#"
        %errors [SLOT] [-n COUNT] [--slot SLOT] [--since TIME] [--where CONDITION] [--machine NAME] [--json]
        show the messages that a slot failed on, newest first; fields become columns. The slot named source lists the source's items that are not messages. revision is that of the slot's code when it failed; time is when the message was accepted, UTC.

          SLOT               only those of this slot: f3, 3, or source
          -n, --limit COUNT  how many at most (default: 20)
          --slot SLOT        only those of this slot: f3, 3, or source
          --since TIME       only what failed in the last 10m, 30s, 2h
          --where CONDITION  in quotes: "error like '%utf%' and in.lang = 'en'"; and, or, not, like, in, between, is null
          --machine NAME     another machine than main
          --json             for programs: application/json

        for example: %errors f3 -n 5
    "#]].assert_eq(text_of(&run_alone("%help errors").unwrap()));
    assert!(inspect("%status --frame", 3).is_some());
    assert!(inspect("let status = 1;", 3).is_none());
}
