//! Plots: Vega-Lite, which JupyterLab draws, and a drawing of our own (SVG) for places without it.

use super::text::{cut, grouped};
use crate::output::Display;
use maud::{Markup, PreEscaped, html};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The MIME type of a Vega-Lite specification.
const VEGA_LITE: &str = "application/vnd.vegalite.v5+json";
/// Width and height of the drawing, and the room for its axes, pixels.
const SIZE: (f64, f64) = (560.0, 320.0);
const MARGIN: f64 = 48.0;
/// Bars of a histogram at most.
const BARS: u16 = 30;
/// Points of a line or a scatter at most; more are thinned out evenly. Vega-Lite gets as many.
const POINTS: usize = 5_000;
/// Groups that have their own colour; all others share the last.
const COLOURS: [&str; 6] = ["#4c78a8", "#f58518", "#54a24b", "#e45756", "#72b7b2", "#b279a2"];

/// What a plot shows of each point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlotKind {
    /// In the order of the messages, joined.
    Line,
    /// How many there are of each size.
    Histogram,
    /// Two values against each other.
    Scatter,
    /// One bar a name; those of several groups on top of each other.
    Bars,
}

/// What goes across.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Across {
    /// Numbers.
    Numbers,
    /// Milliseconds since 1970, UTC.
    Times,
    /// Places in this list, from 0.
    Names(Vec<String>),
}

/// A plot of numbers.
#[derive(Clone, Debug)]
pub struct Plot {
    /// What it shows.
    pub kind: PlotKind,
    /// The name of the horizontal axis.
    pub x: String,
    /// The name of the vertical axis.
    pub y: String,
    /// The name of what the groups are by; empty for one group.
    pub by: String,
    /// What the horizontal values are.
    pub across: Across,
    /// Horizontal, vertical, group.
    pub points: Vec<(f64, f64, String)>,
}

/// Draws it. `note` tells what is not shown.
#[must_use]
pub fn plot(plot: &Plot, note: &str) -> Display {
    let step = match plot.kind {
        // Each is counted.
        PlotKind::Histogram | PlotKind::Bars => 1,
        PlotKind::Line | PlotKind::Scatter => plot.points.len().div_ceil(POINTS).max(1),
    };
    let points: Vec<&(f64, f64, String)> = plot.points.iter().step_by(step).collect();
    let thinned = if step > 1 { format!("; 1 of {step} points drawn") } else { String::new() };
    let note = format!("{note}{thinned}");
    let title = match plot.kind {
        PlotKind::Histogram => format!("Distribution of {}", plot.x),
        PlotKind::Line | PlotKind::Scatter | PlotKind::Bars => format!("{} by {}", plot.y, plot.x),
    };
    let drawing = svg(plot, &points, &title);
    let text = format!("[plot: {title}, {} points] {note}\n", grouped(plot.points.len() as u64));
    let mut display = super::html_and_text(&html! { (drawing) p { small { (note) } } }, &text);
    display.data.insert("image/svg+xml".to_owned(), drawing.0.as_str().into());
    display.data.insert(VEGA_LITE.to_owned(), vega_lite(plot, &points, &title));
    display
}

fn vega_lite(plot: &Plot, points: &[&(f64, f64, String)], title: &str) -> Value {
    let across = |x: f64| match &plot.across {
        Across::Numbers | Across::Times => json!(x),
        Across::Names(names) => json!(name_at(names, x)),
    };
    let values: Vec<Value> = points.iter().map(|(x, y, by)| json!({ "x": across(*x), "y": y, "by": by })).collect();
    let mark = match plot.kind {
        PlotKind::Line => json!({ "type": "line", "tooltip": true }),
        PlotKind::Histogram | PlotKind::Bars => json!({ "type": "bar", "tooltip": true }),
        PlotKind::Scatter => json!({ "type": "point", "tooltip": true }),
    };
    let (x, y) = match plot.kind {
        PlotKind::Histogram => (
            json!({ "field": "x", "type": "quantitative", "bin": { "maxbins": BARS }, "title": plot.x }),
            json!({ "aggregate": "count", "type": "quantitative", "title": "messages" }),
        ),
        PlotKind::Line | PlotKind::Scatter | PlotKind::Bars => (
            match plot.across {
                Across::Numbers => {
                    json!({ "field": "x", "type": "quantitative", "title": plot.x, "scale": { "zero": false } })
                }
                Across::Times => {
                    json!({ "field": "x", "type": "temporal", "title": plot.x, "scale": { "type": "utc" } })
                }
                // In the order of the rows.
                Across::Names(_) => json!({ "field": "x", "type": "nominal", "title": plot.x, "sort": null }),
            },
            json!({ "field": "y", "type": "quantitative", "title": plot.y, "scale": { "zero": plot.kind == PlotKind::Bars } }),
        ),
    };
    let mut encoding = json!({ "x": x, "y": y });
    if !plot.by.is_empty()
        && let Some(fields) = encoding.as_object_mut()
    {
        fields.insert("color".to_owned(), json!({ "field": "by", "type": "nominal", "title": plot.by }));
    }
    json!({
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "title": title, "width": SIZE.0, "height": SIZE.1, "data": { "values": values }, "mark": mark, "encoding": encoding,
    })
}

/// A stretch of an axis: from, to, and how it is laid on pixels.
#[derive(Clone, Copy)]
struct Axis {
    from: f64,
    to: f64,
    pixels: (f64, f64),
}

impl Axis {
    fn of(values: impl Iterator<Item = f64>, pixels: (f64, f64)) -> Self {
        let (from, to) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(from, to), v| (from.min(v), to.max(v)));
        // One value, or none, has some room around it.
        let (from, to) = match (from.is_finite() && to.is_finite(), from < to) {
            (true, true) => (from, to),
            (true, false) => (from - 0.5, from + 0.5),
            (false, _) => (0.0, 1.0),
        };
        Self { from, to, pixels }
    }

    fn place(self, value: f64) -> f64 {
        let share = (value - self.from) / (self.to - self.from);
        self.pixels.0 + share * (self.pixels.1 - self.pixels.0)
    }

    /// Four values with the same distance, and the ends: for what has no round values.
    fn parts(self) -> [f64; 5] {
        [0.0, 0.25, 0.5, 0.75, 1.0].map(|share| self.from + share * (self.to - self.from))
    }

    /// Some five round values.
    fn ticks(self) -> Vec<f64> {
        let rough = (self.to - self.from) / 5.0;
        let power = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|round| round * power).find(|step| *step >= rough);
        let step = step.filter(|step| step.is_normal()).unwrap_or(self.to - self.from);
        let first = (self.from / step).ceil();
        // Rounding again: a sum of steps is not quite round.
        (0_u8..12).map(|n| (first + f64::from(n)) * step).take_while(|tick| *tick <= self.to + step * 1e-9).collect()
    }
}

/// A bar: where it begins and ends, and how high each group's part is.
type Bar = (f64, f64, Vec<f64>);

/// A bar a name: the sums of the values.
fn bars_of_names(names: &[String], points: &[&(f64, f64, String)], groups: &[String]) -> Vec<Bar> {
    let at = |name: u32| f64::from(name);
    let mut bars: Vec<Bar> = names
        .iter()
        .zip(0..)
        .map(|(_, name)| (at(name) - 0.4, at(name) + 0.4, vec![0.0; groups.len().max(1)]))
        .collect();
    for (x, y, by) in points {
        let group = groups.iter().position(|group| group == by).unwrap_or(0);
        let bar = bars.iter_mut().find(|(from, to, _)| (*from..*to).contains(x));
        if let Some(height) = bar.and_then(|(_, _, heights)| heights.get_mut(group)) {
            *height += y;
        }
    }
    bars
}

/// How many values fall in each stretch, by group.
fn bars_of_numbers(points: &[&(f64, f64, String)], groups: &[String]) -> Vec<Bar> {
    let axis = Axis::of(points.iter().map(|(x, _, _)| *x), (0.0, f64::from(BARS)));
    let width = (axis.to - axis.from) / f64::from(BARS);
    let begins = |bar: u16| axis.from + width * f64::from(bar);
    let mut bars: Vec<_> =
        (0..BARS).map(|bar| (begins(bar), begins(bar + 1), vec![0.0; groups.len().max(1)])).collect();
    for (x, _, by) in points {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to the number of bars")]
        let at = (axis.place(*x) as usize).min(usize::from(BARS) - 1);
        let group = groups.iter().position(|group| group == by).unwrap_or(0);
        if let Some(count) = bars.get_mut(at).and_then(|(_, _, counts)| counts.get_mut(group)) {
            *count += 1.0;
        }
    }
    bars
}

fn colour(group: usize) -> &'static str {
    COLOURS.get(group).or(COLOURS.last()).copied().unwrap_or("currentColor")
}

fn svg(plot: &Plot, points: &[&(f64, f64, String)], title: &str) -> Markup {
    let groups: Vec<String> = {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for (_, _, by) in points {
            *counts.entry(by).or_default() += 1;
        }
        counts.into_keys().map(str::to_owned).collect()
    };
    let across = (MARGIN, SIZE.0 - 8.0);
    let up = (SIZE.1 - MARGIN, 28.0);
    let bars = match (plot.kind, &plot.across) {
        (PlotKind::Histogram, _) => bars_of_numbers(points, &groups),
        (PlotKind::Bars, Across::Names(names)) => bars_of_names(names, points, &groups),
        (PlotKind::Bars, _) => points.iter().map(|(x, y, _)| (x - 0.4, x + 0.4, vec![*y])).collect(),
        (PlotKind::Line | PlotKind::Scatter, _) => Vec::new(),
    };
    let x = match plot.kind {
        PlotKind::Bars => Axis::of(bars.iter().flat_map(|(from, to, _)| [*from, *to]), across),
        _ => Axis::of(points.iter().map(|(x, _, _)| *x), across),
    };
    let y = match plot.kind {
        PlotKind::Histogram | PlotKind::Bars => {
            Axis::of(bars.iter().map(|(_, _, heights)| heights.iter().sum()).chain([0.0]), up)
        }
        PlotKind::Line | PlotKind::Scatter => Axis::of(points.iter().map(|(_, y, _)| *y), up),
    };
    let marks = match plot.kind {
        PlotKind::Histogram | PlotKind::Bars => drawn_bars(&bars, x, y),
        PlotKind::Line => html! {
            @for (at, group) in groups.iter().enumerate() {
                polyline fill="none" stroke=(colour(at)) stroke-width="1.5" points=(line_of(points, group, x, y)) {}
            }
        },
        PlotKind::Scatter => html! {
            @for (px, py, by) in points {
                circle cx=(pixel(x.place(*px))) cy=(pixel(y.place(*py))) r="3" fill-opacity="0.6"
                    fill=(colour(groups.iter().position(|group| group == by).unwrap_or(0))) {}
            }
        },
    };
    let (width, height) = SIZE;
    html! {
        svg xmlns="http://www.w3.org/2000/svg" viewBox=(format!("0 0 {width} {height}")) width=(width) height=(height)
            role="img" font-family="sans-serif" font-size="11" fill="currentColor" {
            title { (title) }
            text x=(MARGIN) y="16" font-size="13" { (cut(title, 70)) }
            @for tick in y.ticks() {
                line x1=(across.0) x2=(across.1) y1=(pixel(y.place(tick))) y2=(pixel(y.place(tick)))
                    stroke="currentColor" stroke-opacity="0.15" {}
                text x=(MARGIN - 6.0) y=(pixel(y.place(tick) + 4.0)) text-anchor="end" { (number(tick)) }
            }
            @for (tick, label) in labels(&plot.across, x) {
                @let place = x.place(tick);
                @let anchor = if place > across.1 - MARGIN / 2.0 { "end" } else { "middle" };
                text x=(pixel(place)) y=(up.0 + 16.0) text-anchor=(anchor) { (label) }
            }
            text x=(pixel(f64::midpoint(across.0, across.1))) y=(height - 8.0) text-anchor="middle" { (cut(&plot.x, 60)) }
            (marks)
            @if !plot.by.is_empty() {
                @for (at, group) in (0_u8..).zip(groups.iter().take(COLOURS.len())) {
                    text x=(across.1) y=(pixel(40.0 + 14.0 * f64::from(at))) text-anchor="end" fill=(colour(usize::from(at))) { (cut(group, 24)) }
                }
            }
        }
    }
}

fn drawn_bars(bars: &[Bar], x: Axis, y: Axis) -> Markup {
    html! {
        @for (from, to, heights) in bars {
            @for (at, height) in heights.iter().enumerate().filter(|(_, height)| **height != 0.0) {
                @let below: f64 = heights.iter().take(at).sum();
                @let (one, other) = (y.place(below + height), y.place(below));
                rect x=(pixel(x.place(*from))) width=(pixel((x.place(*to) - x.place(*from) - 1.0).max(0.5)))
                    y=(pixel(one.min(other))) height=(pixel((other - one).abs())) fill=(colour(at)) {}
            }
        }
    }
}

/// Names that there is room for.
const NAMES: usize = 10;

/// What is written below the horizontal axis, and where.
fn labels(across: &Across, x: Axis) -> Vec<(f64, String)> {
    match across {
        Across::Numbers => x.ticks().into_iter().map(|tick| (tick, number(tick))).collect(),
        Across::Times => {
            let format = match x.to - x.from {
                ..300_000.0 => "%H:%M:%S",
                ..172_800_000.0 => "%H:%M",
                _ => "%Y-%m-%d",
            };
            #[expect(clippy::cast_possible_truncation, reason = "milliseconds since 1970")]
            let time = |tick: f64| chrono::DateTime::from_timestamp_millis(tick as i64);
            let label = |tick: f64| time(tick).map_or_else(String::new, |time| time.format(format).to_string());
            x.parts().map(|tick| (tick, label(tick))).to_vec()
        }
        Across::Names(names) => {
            let places = names
                .iter()
                .zip(0_u32..)
                .map(|(name, at)| (f64::from(at), cut(name, 80 / names.len().clamp(4, NAMES))));
            places.step_by(names.len().div_ceil(NAMES).max(1)).collect()
        }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in the list")]
fn name_at(names: &[String], place: f64) -> &str {
    names.get(place as usize).map_or("", String::as_str)
}

fn line_of(points: &[&(f64, f64, String)], group: &str, x: Axis, y: Axis) -> PreEscaped<String> {
    let of_group = points.iter().filter(|(_, _, by)| by == group);
    let places: Vec<String> =
        of_group.map(|(px, py, _)| format!("{},{}", pixel(x.place(*px)), pixel(y.place(*py)))).collect();
    PreEscaped(places.join(" "))
}

/// One digit after the point is enough for a place.
fn pixel(place: f64) -> f64 {
    (place * 10.0).round() / 10.0
}

/// A number of an axis, short.
fn number(value: f64) -> String {
    if value != 0.0 && (value.abs() >= 1e6 || value.abs() < 1e-3) {
        return format!("{value:.2e}");
    }
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many points the front end is given, and what the picture says of it.
    fn drawn(kind: PlotKind) -> (usize, bool) {
        let points = (0..12_000).map(|n| (f64::from(n % 100), f64::from(n), String::new())).collect();
        let (x, y, by) = ("f1".to_owned(), "f0".to_owned(), String::new());
        let of = Plot { kind, x, y, by, across: Across::Numbers, points };
        let shown = plot(&of, "");
        let values = shown.data[VEGA_LITE]["data"]["values"].as_array().map_or(0, Vec::len);
        (values, shown.data["text/html"].as_str().is_some_and(|html| html.contains("points drawn")))
    }

    #[test]
    fn a_histogram_counts_every_point_and_a_line_is_thinned_out() {
        assert_eq!(drawn(PlotKind::Histogram), (12_000, false));
        assert_eq!(drawn(PlotKind::Line), (4_000, true));
        let points: Vec<_> = (0..12_000).map(|n| (f64::from(n % 100), 0.0, String::new())).collect();
        let bars = bars_of_numbers(&points.iter().collect::<Vec<_>>(), &[String::new()]);
        let counted: f64 = bars.iter().flat_map(|(_, _, counts)| counts).sum();
        assert!((counted - 12_000.0).abs() < 0.5, "{counted}");
    }
}
