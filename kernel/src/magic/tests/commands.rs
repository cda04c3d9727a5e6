//! What is written reaches the engine as commands.

use super::*;
use machine_protocol::filter::Filter;

/// A condition as it is sent: the engine needs no parser for it.
fn parsed(condition: &str) -> Filter {
    if condition.is_empty() {
        Filter::default()
    } else {
        Filter::Tree(machine_filter::parse(condition).unwrap_or_default())
    }
}

#[test]
fn arguments_reach_the_engine() {
    check_command("%status", &Command::Status { machine: main_machine() });
    check_command("%status train", &Command::Status { machine: train() });
    check_command("%status --frame --machine train", &Command::Status { machine: train() });
    check_command("%status --machine=train", &Command::Status { machine: train() });
    check_command("%status 'train' --json", &Command::Status { machine: train() });
    let errors = |slot, limit| {
        let query = DeadLetterQuery { slot, limit, ..DeadLetterQuery::default() };
        Command::FindErrors { machine: main_machine(), query }
    };
    check_command("%errors", &errors(None, 20));
    check_command("%errors f3 -n 5", &errors(Some(3), 5));
    check_command("%errors --limit=5 3", &errors(Some(3), 5));
    check_command("%errors source -n 5", &errors(Some(DeadLetterQuery::SOURCE), 5));
    check_command("%errors --slot source", &errors(Some(DeadLetterQuery::SOURCE), 20));
    check_command("%start train", &Command::Start { machine: train() });
    check_command("  %pause", &Command::Pause { machine: main_machine() });
    check_command("%stop --machine \"train\"", &Command::Stop { machine: train() });
    check_command("%step", &Command::Step { machine: main_machine() });
    let letters = |slot: Option<u32>, condition: &str| DeadLetterQuery {
        slot,
        filter: parsed(condition),
        ..DeadLetterQuery::default()
    };
    let query =
        DeadLetterQuery { since: Some(Duration::from_mins(10)), limit: 20, ..letters(Some(3), "error like '%utf%'") };
    let find = Command::FindErrors { machine: main_machine(), query };
    check_command("%errors --slot f3 --since 10m --where \"error like '%utf%'\"", &find);
    let retry = |query| Command::RetryErrors { machine: main_machine(), query, from: 0 };
    check_command("%retry", &retry(letters(None, "")));
    check_command("%retry all", &retry(letters(None, "")));
    check_command("%retry f3 --where 'revision < 2'", &retry(letters(Some(3), "revision < 2")));
    let oid = "65f0c0de0123456789abcdef".to_owned();
    check_command(
        "%retry 65f0c0de0123456789abcdef",
        &retry(DeadLetterQuery { oid: Some(oid.clone()), ..DeadLetterQuery::default() }),
    );
    let query = RetainedQuery {
        slot: Some(1),
        filter: parsed("polarity < -0.5"),
        every: 100,
        limit: 5,
        ..RetainedQuery::default()
    };
    let tap = Command::Kept { machine: train(), query };
    check_command("%tap f1 -n 5 --where \"polarity < -0.5\" --every 100 --machine train", &tap);
    check_command("%peek -n 3", &Command::Peek { machine: main_machine(), limit: 3 });
    check_command("%explain 65f0c0de0123456789abcdef", &Command::Explain { machine: main_machine(), oid });
    let hold = |slot, filter: &str| Command::Break { machine: main_machine(), slot, filter: parsed(filter) };
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
