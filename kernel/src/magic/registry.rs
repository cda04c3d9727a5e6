//! The table of magics.

use super::Engine;
use super::arguments::Arguments;
use super::magic_error::MagicError;
use super::{actions, frame, keep, live, messages, plot, plot_query, sql};
use crate::output::{Display, Output};

/// One magic.
pub struct Magic {
    /// Its name, without `%`.
    pub name: &'static str,
    /// What it takes beside `--json`.
    pub parameters: &'static [Parameter],
    /// One line: what it shows or does.
    pub summary: &'static str,
    /// More, for `%help`.
    pub details: &'static str,
    /// A line that can be run.
    pub example: &'static str,
    /// What it does.
    pub action: Action,
}

/// What a magic does.
#[derive(Clone, Copy)]
pub enum Action {
    /// Shows something.
    Line(LineAction),
    /// Shows something, and how it comes about meanwhile.
    Live(LiveAction),
    /// Shows something about the rest of the cell, which is no Rust. Written with `%%`.
    Body(LiveAction),
    /// Runs the rest of the cell and tells how long that took. Written with `%%`.
    Time,
}

/// A magic's action.
pub type LineAction = fn(&Arguments, &dyn Engine) -> Result<Display, MagicError>;

/// The action of a magic that also shows what happens meanwhile.
pub type LiveAction = fn(&Arguments, &dyn Engine, &dyn Output) -> Result<Display, MagicError>;

/// An argument of a magic.
pub struct Parameter {
    /// How it is written: `--timeout`; nothing for an argument that is known by its place.
    pub names: &'static [&'static str],
    /// What stands for its value in a usage line; nothing for a flag.
    pub value: &'static str,
    /// What it means to the parser.
    pub kind: Kind,
    /// For `%help`.
    pub help: &'static str,
}

/// What an argument means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Show JSON.
    Json,
    /// Show a `DataFrame`.
    Frame,
    /// Run a source without a slot.
    Empty,
    /// A machine's name.
    Machine,
    /// A slot: `f3` or `3`.
    Slot,
    /// What a dead letter is of: a slot, or `source`.
    Origin,
    /// How many at most.
    Limit,
    /// How long at most.
    Timeout,
    /// JSON text, up to the end of the line. Required.
    Message,
    /// SQL, up to the end of the line.
    Query,
    /// A magic's name.
    Topic,
    /// A condition.
    Where,
    /// How far back.
    Since,
    /// One of so many.
    Every,
    /// Go on until interrupted.
    Follow,
    /// Which messages: an oid, a slot, or all; or which of their values.
    Which,
    /// What goes across in a plot.
    Against,
    /// What gives a plot its colours.
    By,
    /// What a plot looks like.
    Shape,
    /// The rule of an alert: words.
    Rule,
    /// A file's path.
    File,
    /// Take away instead of add.
    Clear,
    /// Estimate for all messages from a sample.
    Scale,
    /// Refuse a sample.
    Exact,
}

impl Parameter {
    /// Whether it is known by its place.
    pub fn is_positional(&self) -> bool {
        self.names.is_empty()
    }

    /// As in a usage line: `[--timeout TIME]`.
    pub fn usage(&self) -> String {
        match (self.names.first(), self.value, self.kind) {
            (None, value, Kind::Message) => value.to_owned(),
            (None, value, _) => format!("[{value}]"),
            (Some(name), "", _) => format!("[{name}]"),
            (Some(name), value, _) => format!("[{name} {value}]"),
        }
    }
}

impl Magic {
    /// With its percent signs.
    pub fn written(&self) -> String {
        match self.action {
            Action::Line(_) | Action::Live(_) => format!("%{}", self.name),
            Action::Body(_) | Action::Time => format!("%%{}", self.name),
        }
    }

    /// All that it takes: its own, and `--json`.
    pub fn all_parameters(&self) -> impl Iterator<Item = &'static Parameter> {
        self.parameters.iter().chain(std::iter::once(&JSON))
    }

    /// `%errors [SLOT] [-n COUNT] [--machine NAME] [--json]`
    pub fn usage(&self) -> String {
        let mut usage = self.written();
        // The message is the rest of the line, so options are shown before it.
        let (message, others): (Vec<_>, Vec<_>) =
            self.all_parameters().partition(|p| matches!(p.kind, Kind::Message | Kind::Query));
        for parameter in others.into_iter().chain(message) {
            usage.push(' ');
            usage.push_str(&parameter.usage());
        }
        usage
    }
}

const JSON: Parameter =
    Parameter { names: &["--json"], value: "", kind: Kind::Json, help: "for programs: application/json" };
pub const MACHINE: Parameter =
    Parameter { names: &["--machine"], value: "NAME", kind: Kind::Machine, help: "another machine than main" };
const MACHINE_HERE: Parameter = Parameter { names: &[], value: "NAME", kind: Kind::Machine, help: "which machine" };
const MESSAGE: Parameter =
    Parameter { names: &[], value: "JSON", kind: Kind::Message, help: "the message: the rest of the line" };

/// All magics, in the order of `%lsmagic`.
pub static MAGICS: &[Magic] = &[
    Magic {
        name: "status",
        parameters: &[
            MACHINE_HERE,
            Parameter { names: &["--frame"], value: "", kind: Kind::Frame, help: "as a DataFrame, one row a slot" },
            MACHINE,
        ],
        summary: "what a machine has done, what waits, and what each slot does",
        details: "ok, errored and skipped of a slot count since its last assignment; p50 and p99 are of timed calls.",
        example: "%status --frame",
        action: Action::Line(actions::status),
    },
    Magic {
        name: "watch",
        parameters: &[MACHINE_HERE, MACHINE],
        summary: "a live display of a machine: slots, queue, rates, errors and buttons",
        details: "It updates while cells run and between them. Without scripts it shows %status.",
        example: "%watch",
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
        summary: "notifies when a rule becomes true and when it clears",
        details: "Shown below the last cell and in %watch, once for each change. queue is a share from 0 to 1; times have a unit.",
        example: "%alert queue > 0.8 for 10s",
        action: Action::Line(live::alert),
    },
    Magic {
        name: "alerts",
        parameters: &[MACHINE_HERE, MACHINE],
        summary: "the alerts of a machine, and which of them are active",
        details: "%alert --clear removes them.",
        example: "%alerts",
        action: Action::Line(live::alerts),
    },
    Magic {
        name: "report",
        parameters: &[
            Parameter { names: &[], value: "FILE", kind: Kind::File, help: "the page to write (default: report.html)" },
            MACHINE,
        ],
        summary: "writes a page with a machine's state, history, errors and code",
        details: "One file that needs nothing else: no scripts, no network.",
        example: "%report report.html",
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
        summary: "the messages that a slot failed on, newest first, as a DataFrame",
        details: "The slot named source lists the source's items that are not messages. revision is that of the slot's code when it failed; time is when the message was accepted, UTC.",
        example: "%errors f3 -n 5",
        action: Action::Line(actions::errors),
    },
    Magic {
        name: "slots",
        parameters: &[MACHINE_HERE, MACHINE],
        summary: "the code in each slot, the cell it came from, what it takes and gives",
        details: "Types that do not fit together are explained.",
        example: "%slots",
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
        summary: "resumes processing",
        details: "After %pause or %stop; the queue was kept. A source waits for the first function or sink unless --empty is given.",
        example: "%start",
        action: Action::Line(actions::start),
    },
    Magic {
        name: "pause",
        parameters: &[MACHINE_HERE, MACHINE],
        summary: "pauses between messages",
        details: "%step takes single messages through meanwhile; %start resumes.",
        example: "%pause",
        action: Action::Line(actions::pause),
    },
    Magic {
        name: "stop",
        parameters: &[MACHINE_HERE, MACHINE],
        summary: "stops the workers; keeps the queue",
        details: "%start starts new ones.",
        example: "%stop",
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
        summary: "waits until every message is processed and the source, if any, has ended",
        details: "An interrupt stops waiting.",
        example: "%drain --timeout 5s",
        action: Action::Live(actions::drain),
    },
    Magic {
        name: "step",
        parameters: &[MACHINE_HERE, MACHINE],
        summary: "takes one message through and shows every output",
        details: "Best while the machine is paused; the message counts as processed.",
        example: "%step",
        action: Action::Line(actions::step),
    },
    Magic {
        name: "put",
        parameters: &[MACHINE, MESSAGE],
        summary: "puts a message",
        details: "Numbers, \"text\" in double quotes, [lists] and {\"objects\": 1}. A full queue rejects it.",
        example: r#"%put {"text": "hello", "score": 1.5}"#,
        action: Action::Line(actions::put),
    },
    Magic {
        name: "call",
        parameters: &[MACHINE, MESSAGE],
        summary: "runs one message through the slots without recording it",
        details: "It is not counted or published, and leaves no dead letter.",
        example: "%call 14.0",
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
        summary: "all machines of this session",
        details: "Other magics take one of these names with --machine.",
        example: "%machines",
        action: Action::Line(actions::machines),
    },
    Magic {
        name: "time",
        parameters: &[],
        summary: "runs the rest of the cell and shows how long it took",
        details: "Wall time, and how much of it was compiling and how much running the cell, magics included.",
        example: "%%time",
        action: Action::Time,
    },
    Magic {
        name: "lsmagic",
        parameters: &[],
        summary: "all magics",
        details: "%help NAME describes one.",
        example: "%lsmagic",
        action: Action::Line(super::help::lsmagic),
    },
    Magic {
        name: "help",
        parameters: &[Parameter { names: &[], value: "NAME", kind: Kind::Topic, help: "a magic, with or without %" }],
        summary: "how a magic is used",
        details: "%status? and %status --help show the same.",
        example: "%help errors",
        action: Action::Line(super::help::help_magic),
    },
];

/// The magic of this name, written with or without percent signs. One that there is for a line and for a cell is that
/// for a line, unless it has the signs of the other.
pub fn find(name: &str) -> Option<&'static Magic> {
    let is_written = |magic: &&Magic| magic.written() == name;
    let name_alone = name.trim_start_matches('%');
    MAGICS.iter().find(is_written).or_else(|| MAGICS.iter().find(|magic| magic.name == name_alone))
}
