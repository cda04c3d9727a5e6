//! The last minutes.

use super::super::view::Shown;
use super::{BAD, DIM};
use crate::display::{grouped, rate};
use crate::watch::Curve;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Padding, Sparkline, SparklineBar};

/// The heights of bars in a line of text.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// The values that bars are drawn in: more than any terminal has steps.
const STEPS: f64 = 10_000.0;

/// A value in words.
type Words = fn(f64) -> String;

/// What came out, what waited, what failed.
pub fn draw(shown: &Shown, frame: &mut Frame<'_>, area: Rect) {
    let Some(curves) = shown.look.as_ref().map(|look| &look.curves) else { return };
    let areas: [Rect; 3] = Layout::horizontal([Constraint::Ratio(1, 3); 3]).areas(area);
    let waiting: Words = |most| grouped(whole(most));
    let all: [(&str, Style, &Curve, Words); 3] = [
        ("out", Style::new().fg(Color::Blue), &curves.out, rate),
        ("waiting", Style::new().fg(Color::Green), &curves.queue, waiting),
        ("errors", BAD, &curves.errors, rate),
    ];
    for ((name, style, curve, words), area) in all.into_iter().zip(areas) {
        let values = fitted(curve, usize::from(area.width.saturating_sub(2)));
        let most = most(&values);
        let title = Line::from(vec![
            Span::raw(format!(" {name}")),
            Span::styled(format!(", 5 min, peak {}", words(most)), DIM),
        ]);
        let bars = values.iter().map(|value| {
            let height = value.map(|value| if most > 0.0 { whole(value / most * STEPS) } else { 0 });
            SparklineBar::from(height)
        });
        let block = Block::new().title(title).padding(Padding::horizontal(1));
        let line = Sparkline::default().data(bars).max(whole(STEPS)).style(style).absent_value_symbol(" ");
        frame.render_widget(line.block(block), area);
    }
}

/// A curve in one line of text.
pub fn text(curve: &Curve, width: usize) -> String {
    let values = fitted(curve, width);
    let most = most(&values);
    let bar = |value: &Option<f64>| match value {
        Some(value) if most > 0.0 && *value > 0.0 => {
            let step = usize::try_from(whole(value / most * 8.0)).unwrap_or_default().clamp(1, 8);
            BARS.get(step - 1).copied().unwrap_or(' ')
        }
        Some(_) => BARS[0],
        None => ' ',
    };
    values.iter().map(bar).collect()
}

/// As many values as there is room for, oldest first: the largest of each piece, so that no peak is lost.
fn fitted(curve: &Curve, width: usize) -> Curve {
    let piece = |at: usize| {
        let values =
            curve.get(at * curve.len() / width..((at + 1) * curve.len() / width).max(at * curve.len() / width + 1));
        values.into_iter().flatten().flatten().copied().reduce(f64::max)
    };
    (0..width).map(piece).collect()
}

fn most(values: &[Option<f64>]) -> f64 {
    values.iter().flatten().copied().fold(0.0, f64::max)
}

/// The nearest whole number; 0 for what is less.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates, which is meant")]
fn whole(value: f64) -> u64 {
    value.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_fits_any_width_and_keeps_its_peaks() {
        let mut curve: Curve = vec![Some(1.0); 150];
        curve[70] = Some(8.0);
        curve[0] = None;
        assert_eq!(text(&curve, 10), "▁▁▁▁█▁▁▁▁▁");
        assert_eq!(text(&curve, 0), "");
        let wide = text(&curve, 300);
        assert_eq!((wide.chars().count(), wide.chars().filter(|bar| *bar == '█').count()), (300, 2));
        assert!(wide.starts_with("  ▁"));
        assert_eq!(text(&Curve::new(), 3), "   ");
    }
}
