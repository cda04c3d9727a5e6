//! The numbers of a machine as a whole.

use super::super::poller::{Found, Look};
use super::{BAD, BOLD, DIM, GOOD, WARN};
use crate::display::{cut, duration, grouped, is_retried, one_line, rate};
use crate::watch;
use machine_protocol::status::{State, Status};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use std::time::Duration;

/// Shares of the queue from which on it is shown in another colour.
const FILLING: f64 = 0.6;
const NEARLY_FULL: f64 = 0.85;
/// How many places where outputs go are shown.
const OUTPUTS: usize = 3;

/// Which machine it is, and what it is doing.
pub fn title(found: &Found, status: Option<&Status>) -> Line<'static> {
    let state = match status {
        Some(status) => state(status),
        None => Span::styled("asked for …", DIM),
    };
    Line::from(vec![
        Span::styled(format!(" {}  ", one_line(&found.name.machine)), BOLD),
        state,
        Span::styled(format!("  {}, process {}", one_line(&found.title), found.name.pid), DIM),
    ])
}

/// `● running`
pub fn state(status: &Status) -> Span<'static> {
    let style = match status.state {
        State::Running => GOOD,
        State::Paused => WARN,
        State::Stopped => DIM,
    };
    Span::styled(format!("● {}", status.state), style)
}

/// All numbers, in as many lines as they need.
pub fn figures(look: &Look, width: u16) -> Vec<Line<'static>> {
    let status = &look.status;
    let runs = status.state == State::Running;
    let load = look.load.filter(|_| runs);
    let percent = |share: Option<f64>| share.map_or_else(|| "–".to_owned(), |share| format!("{:.0} %", share * 100.0));
    let wait = match watch::wait(status, look.rate_out) {
        Some(seconds) if seconds > 0.0 => format!("≈ {}", span(seconds)),
        Some(_) => "none".to_owned(),
        None => "–".to_owned(),
    };
    let dropped = status.refused + status.discarded;
    let when = |is: bool, style: Style| if is { style } else { Style::new() };
    let mut errored = grouped(status.errored);
    if look.rate_errors > 0.0 {
        errored.push_str(&format!(" ({})", rate(look.rate_errors)));
    }
    if is_retried(status) {
        errored.push_str(", all retried");
    }
    let mut figures = vec![
        ("processed", grouped(status.processed), BOLD),
        ("in", rate(look.rate_in), BOLD),
        ("out", rate(look.rate_out), BOLD),
        ("errored", errored, when(status.errored > 0 && !is_retried(status), BAD)),
        ("busy", if runs { percent(load.map(|load| load.busy)) } else { "held".to_owned() }, Style::new()),
        ("idle", percent(load.map(|load| load.idle)), Style::new()),
        ("blocked", percent(load.map(|load| load.blocked)), when(load.is_some_and(|load| load.blocked >= 0.5), WARN)),
        ("queue delay", wait, Style::new()),
        ("in flight", grouped(status.in_flight), Style::new()),
        ("refused or discarded", grouped(dropped), when(dropped > 0, WARN)),
    ];
    if status.retried > 0 {
        figures.push((
            "retried",
            format!("{} ({} passed)", grouped(status.retried), grouped(status.retried_passed)),
            Style::new(),
        ));
    }
    let mut lines = vec![Line::default()];
    for (name, value, style) in figures {
        let spans = [Span::styled(format!(" {name} "), DIM), Span::styled(format!("{value} "), style)];
        let length: usize = spans.iter().map(Span::width).sum();
        if lines.last().is_none_or(|line| line.width() + length > usize::from(width)) {
            lines.push(Line::default());
        }
        if let Some(line) = lines.last_mut() {
            line.spans.extend(spans);
        }
    }
    lines.retain(|line| line.width() > 0);
    lines
}

/// What else there is to know: the source, a message in hand, where outputs go.
pub fn notices(status: &Status) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    let source = watch::source(status);
    if !source.is_empty() {
        let style = if status.source.error.is_empty() { Style::new() } else { BAD };
        lines.push(Line::from(vec![Span::styled(" source ", DIM), Span::styled(cut(&source, 300), style)]));
    }
    if !status.in_hand.is_empty() {
        lines.push(Line::from(vec![
            Span::styled(" in hand ", DIM),
            Span::styled(one_line(&cut(&status.in_hand, 300)), WARN),
        ]));
    }
    for to in status.outputs.iter().take(OUTPUTS) {
        let mut line = Line::from(vec![
            Span::styled(format!(" → {} ", to.kind), DIM),
            Span::raw(format!("{} {} sent", cut(&one_line(&to.endpoint), 60), grouped(to.sent))),
        ]);
        if to.waiting > 0 {
            line.push_span(Span::raw(format!(", {} wait", grouped(to.waiting))));
        }
        if to.lost > 0 {
            line.push_span(Span::styled(format!(", {} lost", grouped(to.lost)), WARN));
        }
        if !to.error.is_empty() {
            line.push_span(Span::styled(format!(": {}", cut(&one_line(&to.error), 200)), BAD));
        }
        lines.push(line);
    }
    lines
}

/// The queue: how full it is, and when it will be full.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "drawn, not counted; a share of a width"
)]
pub fn queue(look: &Look, frame: &mut Frame<'_>, area: Rect) {
    let status = &look.status;
    let share = (status.queue_size as f64 / status.queue_capacity.max(1) as f64).clamp(0.0, 1.0);
    let style = match share {
        share if share > NEARLY_FULL => BAD,
        share if share > FILLING => WARN,
        _ => GOOD,
    };
    let mut words =
        format!(" {} of {} wait, {:.0} %", grouped(status.queue_size), grouped(status.queue_capacity), share * 100.0);
    if let Some(seconds) = watch::seconds_to_full(status, look.rate_in - look.rate_out) {
        words.push_str(&format!(", full in {}", span(seconds)));
    }
    let name = " queue ";
    let room = usize::from(area.width).saturating_sub(name.len() + words.chars().count() + 1).min(60);
    let filled = (share * room as f64).ceil() as usize;
    frame.render_widget(
        Line::from(vec![
            Span::styled(name, DIM),
            Span::styled("█".repeat(filled), style),
            Span::styled("░".repeat(room.saturating_sub(filled)), DIM),
            Span::styled(words, if share > FILLING { style } else { Style::new() }),
        ]),
        area,
    );
}

/// Seconds in words; an estimate, so hours are whole.
fn span(seconds: f64) -> String {
    let time = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
    if time.as_secs() >= 3600 { format!("{} h", time.as_secs() / 3600) } else { duration(time) }
}
