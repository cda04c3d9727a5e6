//! All magics on the real engine.

use super::*;
use machine_protocol::Error;

struct Real;

impl Engine for Real {
    fn command(&self, command: Command) -> Result<Reply, Error> {
        Ok(machine_engine::command(command))
    }
}

#[test]
fn the_engine_answers_every_magic() {
    use machine::prelude::*;
    machine_engine::init();
    MACHINE[0].set(|x: f64| x.sqrt()).unwrap();
    MACHINE[1].set(|x: f64| if x > 4.0 { Err(format!("{x} is too much")) } else { Ok(x) }).unwrap();
    let ask = |line: &str| run(line, &Real, &Record::default(), &|_| Ok(None).into()).map(|display| display.unwrap());
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
    assert!(text_of(&held).contains("not run yet (stopped before f1)"));
    text("%break");
    assert_eq!(json("%continue")["state"], "running");
    text("%drain");
    assert_eq!(ask("%continue").unwrap_err().ename, "NothingHeld");
    assert_eq!(ask("%explain nonsense").unwrap_err().ename, "NoSuchMessage");
    for line in ["%errors f9", "%status mian", "%put {\"a\": }", "%start --machine mian"] {
        assert_eq!(ask(line).unwrap_err().ename, "UsageError", "{line}");
    }
}
