//! The table of magics.

use super::spec::{Action, Kind, MACHINE, Magic, Parameter};
use super::{actions, frame, help, keep, live, messages, plot, plot_query, sql};

const MACHINE_HERE: Parameter = Parameter { names: &[], value: "NAME", kind: Kind::Machine, help: "which machine" };
const MESSAGE: Parameter = Parameter { names: &[], value: "JSON", kind: Kind::Message, help: "the message in JSON" };

/// All magics, in the order of `%lsmagic`.
pub static MAGICS: &[Magic] = &[
    Magic {
        name: "status",
        parameters: &[
            MACHINE_HERE,
            Parameter { names: &["--frame"], value: "", kind: Kind::Frame, help: "as a table, one row per slot" },
            MACHINE,
        ],
        summary: "show what a machine has done, what waits, and what each slot does",
        details: "ok, errored and skipped of a slot count since its last assignment; p50 and p99 are of timed calls.",
        example: "%status --frame",
        commands: &["machine status main", "machine status main@1234 --json"],
        action: Action::Line(actions::status),
    },
    Magic {
        name: "watch",
        parameters: &[MACHINE_HERE, MACHINE],
        summary: "show a machine live: slots, queue, rates, errors and buttons",
        details: "It updates while cells run and between them. Without scripts it shows %status.",
        example: "%watch",
        commands: &[],
        action: Action::Line(live::watch),
    },
    Magic {
        name: "alert",
        parameters: &[
            Parameter {
                names: &[],
                value: "RULE",
                kind: Kind::Rule,
                help: "queue > 0.8 for 10s; f3.errors/s > 1; idle for 1m; also waiting, rate, errors, errors/s, \
                       dead_letters, in_flight, and of slots errors, p50, p99",
            },
            Parameter {
                names: &["--clear"],
                value: "",
                kind: Kind::Clear,
                help: "removes the rule; without a rule, all",
            },
            MACHINE,
        ],
        summary: "notify when a rule becomes true and when it clears",
        details: "Shown below the last cell and in %watch, once for each change. queue is a share from 0 to 1; times have a unit.",
        example: "%alert queue > 0.8 for 10s",
        commands: &[],
        action: Action::Line(live::alert),
    },
    Magic {
        name: "alerts",
        parameters: &[MACHINE_HERE, MACHINE],
        summary: "list the alerts of a machine, and which of them are active",
        details: "%alert --clear removes them.",
        example: "%alerts",
        commands: &[],
        action: Action::Line(live::alerts),
    },
    Magic {
        name: "report",
        parameters: &[
            Parameter { names: &[], value: "FILE", kind: Kind::File, help: "the page to write (default: report.html)" },
            MACHINE,
        ],
        summary: "write a page with a machine's state, history, errors and code",
        details: "One file that needs nothing else: no scripts, no network.",
        example: "%report report.html",
        commands: &[],
        action: Action::Line(live::report),
    },
    Magic {
        name: "errors",
        parameters: &[
            Parameter {
                names: &[],
                value: "SLOT",
                kind: Kind::Origin,
                help: "only those of this slot: f3, 3, or source",
            },
            messages::LIMIT,
            messages::SLOT,
            messages::SINCE,
            messages::WHERE,
            MACHINE,
        ],
        summary: "show the messages that a slot failed on, newest first; fields become columns",
        details: "The slot named source lists the source's items that are not messages. revision is that of the slot's code when it failed; time is when the message was accepted, UTC.",
        example: "%errors f3 -n 5",
        commands: &[
            "machine errors main -n 5",
            "machine errors main f3 --json",
            "machine errors main --since 10m --where \"error like '%utf%'\"",
        ],
        action: Action::Line(actions::errors),
    },
    Magic {
        name: "slots",
        parameters: &[MACHINE_HERE, MACHINE],
        summary: "show the code in each slot, the cell it came from, what it takes and gives",
        details: "Types that do not fit together are explained.",
        example: "%slots",
        commands: &["machine slots main"],
        action: Action::Line(actions::slots),
    },
    Magic {
        name: "start",
        parameters: &[
            MACHINE_HERE,
            Parameter {
                names: &["--empty"],
                value: "",
                kind: Kind::Empty,
                help: "let a source run although all slots are empty and there are no outputs",
            },
            MACHINE,
        ],
        summary: "resume processing",
        details: "After %pause or %stop; the queue was kept. A source waits for the first function or sink unless --empty is given.",
        example: "%start",
        commands: &["machine start main", "machine start main --empty"],
        action: Action::Line(actions::start),
    },
    Magic {
        name: "pause",
        parameters: &[MACHINE_HERE, MACHINE],
        summary: "pause between messages",
        details: "%step takes single messages through meanwhile; %start resumes.",
        example: "%pause",
        commands: &["machine pause main"],
        action: Action::Line(actions::pause),
    },
    Magic {
        name: "stop",
        parameters: &[MACHINE_HERE, MACHINE],
        summary: "stop the workers; keep the queue",
        details: "%start starts new ones.",
        example: "%stop",
        commands: &["machine stop main"],
        action: Action::Line(actions::stop),
    },
    Magic {
        name: "drain",
        parameters: &[
            MACHINE_HERE,
            Parameter {
                names: &["--timeout"],
                value: "TIME",
                kind: Kind::Timeout,
                help: "how long to wait at most: 5s, 500ms, 2m (default: no limit)",
            },
            MACHINE,
        ],
        summary: "wait until every message is processed and the source, if any, has ended",
        details: "An interrupt stops waiting.",
        example: "%drain --timeout 5s",
        commands: &["machine drain main", "machine drain main --timeout 30s"],
        action: Action::Live(actions::drain),
    },
    Magic {
        name: "step",
        parameters: &[MACHINE_HERE, MACHINE],
        summary: "take one message through and show every output",
        details: "Best while the machine is paused; the message counts as processed.",
        example: "%step",
        commands: &["machine pause main && machine step main"],
        action: Action::Line(actions::step),
    },
    Magic {
        name: "put",
        parameters: &[MACHINE, MESSAGE],
        summary: "put a message",
        details: "Numbers, \"text\" in double quotes, [lists] and {\"objects\": 1}. A full queue rejects it.",
        example: r#"%put {"text": "hello", "score": 1.5}"#,
        commands: &["machine put main '{\"text\": \"hello\", \"score\": 1.5}'"],
        action: Action::Line(actions::put),
    },
    Magic {
        name: "call",
        parameters: &[MACHINE, MESSAGE],
        summary: "run one message through the slots without recording it",
        details: "It is not counted or published, and leaves no dead letter.",
        example: "%call 14.0",
        commands: &["machine call main 14.0"],
        action: Action::Line(actions::call),
    },
    messages::RETRY,
    messages::TAP,
    messages::PEEK,
    keep::KEEP,
    sql::SQL,
    sql::SQL_CELL,
    frame::FRAME,
    plot::PLOT,
    plot_query::PLOT_CELL,
    messages::EXPLAIN,
    messages::BREAK,
    messages::HELD,
    messages::CONTINUE,
    Magic {
        name: "machines",
        parameters: &[],
        summary: "list all machines of this session",
        details: "Other magics take one of these names with --machine.",
        example: "%machines",
        commands: &[],
        action: Action::Line(actions::machines),
    },
    Magic {
        name: "time",
        parameters: &[],
        summary: "run the rest of the cell and show how long it took",
        details: "Wall time, and how much of it was compiling and how much running the cell, magics included.",
        example: "%%time",
        commands: &[],
        action: Action::Time,
    },
    Magic {
        name: "lsmagic",
        parameters: &[],
        summary: "list all magics",
        details: "%help NAME describes one.",
        example: "%lsmagic",
        commands: &[],
        action: Action::Line(help::lsmagic),
    },
    Magic {
        name: "help",
        parameters: &[Parameter { names: &[], value: "NAME", kind: Kind::Topic, help: "a magic, with or without %" }],
        summary: "show how a magic is used",
        details: "%status? and %status --help show the same.",
        example: "%help errors",
        commands: &[],
        action: Action::Line(help::help_magic),
    },
];

/// The magic of this name, written with or without percent signs. One that there is for a line and for a cell is that
/// for a line, unless it has the signs of the other.
pub fn find(name: &str) -> Option<&'static Magic> {
    let is_written = |magic: &&Magic| magic.written() == name;
    let name_alone = name.trim_start_matches('%');
    MAGICS.iter().find(is_written).or_else(|| MAGICS.iter().find(|magic| magic.name == name_alone))
}
