//! What handles tell in one line, for `{:?}`.

use machine::prelude::*;
use machine_protocol::Error;
use machine_testkit::Drained;
use std::time::Duration;

#[track_caller]
fn check(shown: &dyn std::fmt::Debug, expected: &str) {
    assert_eq!(format!("{shown:?}"), expected);
}

#[test]
fn a_handle_tells_what_it_stands_for_now() -> Result<(), Error> {
    machine_engine::init();
    let m = Machine::builder("shown").slots(3).start().unwrap();
    m[0].set_from(|x: f64| x * x, &origin("|x: f64| x * x"))?;
    m[1].set_from(
        |square: f64| if square > 5.0 { Err("too big") } else { Ok(square + 1.0) },
        &origin("|square: f64| {\n    …\n}"),
    )?;
    m[1].timeout(Duration::from_secs(2))
        .unwrap()
        .retry(3, Duration::from_millis(100))
        .unwrap()
        .retry(0, Duration::ZERO)
        .unwrap();
    check(&m, r#"Machine("shown", running, 3 slots, 0 processed, 0 waiting)"#);
    check(m.pause(), r#"Machine("shown", paused, 3 slots, 0 processed, 0 waiting)"#);
    assert!(m.put(2.0).is_ok() && m.put(3.0).is_ok());
    check(&m, r#"Machine("shown", paused, 3 slots, 0 processed, 2 waiting)"#);
    let outputs = m.outputs().unwrap();
    check(&outputs, r#"Outputs("shown", 0 waiting, 0 lost)"#);
    check(m.start().drained(), r#"Machine("shown", running, 3 slots, 2 processed, 0 waiting)"#);
    check(&outputs, r#"Outputs("shown", 2 waiting, 0 lost)"#);
    check(&m[0], r#"SlotRef("shown", f0, |x: f64| x * x, 2 ok, 0 errored)"#);
    check(&m[1], r#"SlotRef("shown", f1, |square: f64| { …, 1 ok, 1 errored, timeout 2s)"#);
    check(&m[2], r#"SlotRef("shown", f2, empty)"#);
    check(&m[7], r#"SlotRef("shown", f7, no such slot)"#);

    for (output, values) in
        outputs.take(2).zip(["in: 2.0, f0: 4.0, f1: 5.0", "in: 3.0, f0: 9.0, f1: (f1 failed (error): too big)"])
    {
        check(&output, &format!("Output({:?}, {values})", output.oid));
    }
    check(&m.call(1.5)?, "Call(in: 1.5, f0: 2.25, f1: 3.25)");
    // An empty slot adds nothing, also where its value is missing.
    check(&m.call(3.0)?, "Call(in: 3.0, f0: 9.0, f1: (f1 failed (error): too big))");

    let file = std::env::temp_dir().join(format!("machine-shown-{}.jsonl", std::process::id()));
    let sink = m.to_json_lines(&file)?;
    check(&sink, &format!("SinkHandle(\"shown\", json_lines, {file:?}, 0 sent, 0 waiting, 0 lost)"));
    sink.stop();
    check(&sink, r#"SinkHandle("shown", ended)"#);
    std::fs::remove_file(file).ok();
    Ok(())
}

fn origin(code: &str) -> machine_protocol::command::SourceLocation {
    machine_protocol::command::SourceLocation { code: code.to_owned(), cell: 0, place: String::new() }
}
