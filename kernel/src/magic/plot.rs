//! `%plot`: numbers of kept messages, drawn.

use super::actions::{machine_name, slot_names, target};
use super::arguments::Arguments;
use super::engine::Engine;
use super::magic_error::{MagicError, closest_match, did_you_mean, quote};
use super::messages::WHERE;
use super::spec::{Action, Kind, MACHINE, Magic, Parameter};
use super::tables::{all_kept, sample};
use crate::display::{self, Across, Plot, PlotKind, grouped};
use crate::output::Display;
use machine_engine::json::{Json, Scalar};
use machine_protocol::command::Target;
use machine_protocol::retained::{RetainedMessage, RetainedQuery};
use serde_json::{Value, json};

pub const KIND: Parameter = Parameter {
    names: &["--kind"],
    value: "KIND",
    kind: Kind::Shape,
    help: "line, hist or scatter, for a query also bar (default: line)",
};

/// `%plot`
pub const PLOT: Magic = Magic {
    name: "plot",
    parameters: &[
        Parameter {
            names: &[],
            value: "WHAT",
            kind: Kind::Which,
            help: "the y values: f1.polarity, f0, in.user.followers",
        },
        Parameter {
            names: &["--against"],
            value: "WHAT",
            kind: Kind::Against,
            help: "the x values (default: the order of the messages)",
        },
        Parameter { names: &["--by"], value: "WHAT", kind: Kind::By, help: "a colour for each value of this: in.lang" },
        KIND,
        WHERE,
        MACHINE,
    ],
    summary: "plot values of processed messages",
    details: "Of the messages that %tap shows. JupyterLab draws it with Vega-Lite; elsewhere it is a picture.",
    example: "%plot f1.polarity --kind hist",
    commands: &[],
    action: Action::Line(plot),
};

/// The kinds as they are written.
pub const KINDS: [(&str, PlotKind); 4] =
    [("line", PlotKind::Line), ("hist", PlotKind::Histogram), ("scatter", PlotKind::Scatter), ("bar", PlotKind::Bars)];

/// A value of a message: which part of it, and the names within.
struct Location {
    written: String,
    /// `None` for the message itself.
    slot: Option<usize>,
    path: Vec<String>,
}

impl Location {
    fn parse(written: &str, slots: &[String]) -> Result<Self, MagicError> {
        let mut parts = written.split('.').map(str::to_owned);
        let first = parts.next().unwrap_or_default();
        let slot = match slots.iter().position(|slot| *slot == first) {
            Some(slot) => Some(slot),
            None if first == "in" || first == "input" => None,
            None => {
                let names = slots.iter().map(String::as_str).chain(["in"]);
                let meant = closest_match(&first, names).map(str::to_owned);
                let last = slots.last().map_or("f0", String::as_str);
                let message =
                    format!("there is no {}: there is in, and f0 to {last}{}", quote(&first), did_you_mean(meant));
                return Err(MagicError::usage(message, None));
            }
        };
        Ok(Self { written: written.to_owned(), slot, path: parts.collect() })
    }

    /// The value in a message; `None` if there is none.
    fn of<'m>(&self, message: &'m RetainedMessage) -> Option<Json<'m>> {
        let text = match self.slot {
            None => &message.input,
            Some(slot) if message.missing & (1 << slot) != 0 => return None,
            Some(slot) => message.outputs.get(slot)?,
        };
        Json::new(text).at(&self.path).filter(|value| !matches!(value.field().value, Scalar::Null))
    }

    /// What there is instead, if no message has it.
    fn missing(&self, messages: &[RetainedMessage]) -> MagicError {
        let whole = Self { path: Vec::new(), written: String::new(), slot: self.slot };
        let part = self.written.split('.').next().unwrap_or_default();
        let Some(value) = messages.iter().rev().find_map(|message| whole.of(message)) else {
            return MagicError::usage(format!("no kept message has anything in {}", quote(part)), None);
        };
        if !value.raw().starts_with('{') {
            let value = display::cut(value.raw(), 40);
            return MagicError::usage(format!("{} has no fields: it is {value}", quote(part)), None);
        }
        let mut names: Vec<String> = value.names().iter().map(|field| format!("{part}.{field}")).collect();
        names.sort();
        let meant = closest_match(&self.written, names.iter().map(String::as_str)).map(str::to_owned);
        let message =
            format!("no message has {}; there is {}{}", quote(&self.written), names.join(", "), did_you_mean(meant));
        MagicError::usage(message, None)
    }
}

fn plot(arguments: &Arguments<'_>, engine: &dyn Engine) -> Result<Display, MagicError> {
    let machine = match target(arguments) {
        Target::Name(name) => name,
        Target::Id(_) => String::new(),
    };
    let slots = slot_names(Some(&machine), engine)?;
    let Some(word) = &arguments.which else {
        return Err(MagicError::usage("%plot needs what to draw: %plot f1.polarity", None));
    };
    let kind = arguments.plot_kind.unwrap_or(PlotKind::Line);
    let y = Location::parse(&word.text, &slots)?;
    let x = arguments.against.as_ref().map(|word| Location::parse(&word.text, &slots)).transpose()?;
    let by = arguments.by.as_ref().map(|word| Location::parse(&word.text, &slots)).transpose()?;
    if kind == PlotKind::Bars {
        let message = "bars are drawn of a query: %%plot, and SELECT lang, count(*) FROM input GROUP BY lang below it";
        return Err(MagicError::usage(message, None));
    }
    if kind == PlotKind::Scatter && x.is_none() {
        let message =
            format!("a scatter plot needs what goes across: %plot {} --against in.x --kind scatter", y.written);
        return Err(MagicError::usage(message, None));
    }
    let filter = super::messages::filter(arguments)?;
    let kept = all_kept(engine, arguments, &RetainedQuery { filter, ..RetainedQuery::default() })?;
    let messages = &kept.messages;
    for place in std::iter::once(&y).chain(&x).chain(&by) {
        if !messages.is_empty() && !messages.iter().any(|message| place.of(message).is_some()) {
            return Err(place.missing(messages));
        }
    }
    let mut texts = None;
    let mut number = |place: &Location, message: &RetainedMessage| {
        let value = place.of(message)?;
        let number = match value.field().value {
            Scalar::Number(number) => Some(number.as_f64()),
            Scalar::Bool(value) => Some(f64::from(value)),
            _ => None,
        };
        if number.is_none() {
            texts.get_or_insert_with(|| (place.written.clone(), display::cut(value.raw(), 40)));
        }
        number
    };
    let mut points = Vec::new();
    for (message, at) in messages.iter().zip(0_u32..) {
        let Some(up) = number(&y, message) else { continue };
        let across = match &x {
            Some(x) => number(x, message),
            None if kind == PlotKind::Histogram => Some(up),
            None => Some(f64::from(at)),
        };
        let group = by.as_ref().map_or_else(String::new, |by| {
            let text = by.of(message).and_then(|value| value.field().value.text().map(std::borrow::Cow::into_owned));
            text.unwrap_or_else(|| "(none)".to_owned())
        });
        points.extend(across.map(|across| (across, up, group)));
    }
    if let (true, Some((name, text))) = (points.is_empty(), texts) {
        let message = format!("{name} is no number: {text}; --by takes text, and %%plot with SQL counts it");
        return Err(MagicError::usage(message, None));
    }
    let without = messages.len() - points.len();
    let note = format!(
        "{} of {} messages; {} kept ones without a number, {} not kept",
        grouped(points.len() as u64),
        grouped(kept.processed),
        grouped(without as u64),
        grouped(kept.not_kept + kept.evicted)
    );
    let across = match (&x, kind) {
        (Some(x), _) => x.written.clone(),
        (None, PlotKind::Histogram) => y.written.clone(),
        (None, _) => "message".to_owned(),
    };
    let warnings: Vec<String> = sample(&kept).into_iter().collect();
    if arguments.json {
        let points: Vec<Value> = points.iter().map(|(x, y, by)| json!({ "x": x, "y": y, "by": by })).collect();
        return Ok(display::json(json!({
            "machine": machine_name(arguments), "points": points, "note": note, "warnings": warnings,
        })));
    }
    let by = by.map_or_else(String::new, |by| by.written);
    let plot = Plot { kind, x: across, y: y.written, by, across: Across::Numbers, points };
    Ok(display::warned(display::plot(&plot, &note), &warnings))
}
