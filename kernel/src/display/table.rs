//! A table, in HTML and in text from one description.

use super::text::{Align, one_line, table};
use maud::{Markup, html};

/// What stands in a column.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// What the row is about.
    Name,
    /// Something short.
    Short,
    /// Words, values, code.
    Words,
    /// The same, and so long that it stands last where it cannot be folded: in text.
    Long,
    /// A number, on the right.
    Number,
    /// A number next to its picture, where there are pictures.
    Gauge,
}

impl Kind {
    /// Set on each cell, because pages style tables differently; numbers stay on their line.
    fn style(self) -> &'static str {
        match self {
            Self::Words | Self::Long => "text-align:left",
            Self::Name | Self::Short | Self::Gauge => "text-align:left;white-space:nowrap",
            Self::Number => "text-align:right;white-space:nowrap",
        }
    }

    fn align(self) -> Align {
        match self {
            Self::Number | Self::Gauge => Align::Right,
            Self::Name | Self::Short | Self::Words | Self::Long => Align::Left,
        }
    }
}

/// One cell: as a terminal and as a page show it.
pub struct Cell {
    text: String,
    html: Markup,
}

impl Cell {
    /// Two forms of the same.
    pub fn new(text: impl Into<String>, html: Markup) -> Self {
        Self { text: text.into(), html }
    }

    /// What is too long for a line of text; the page has its own form.
    pub fn cut(text: &str, most: usize, html: Markup) -> Self {
        Self::new(super::cut(&one_line(text), most), html)
    }
}

/// The same in both forms.
impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        let text = text.into();
        let html = html! { (text) };
        Self { text, html }
    }
}

/// Columns and rows.
pub struct Table {
    columns: Vec<(&'static str, Kind)>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table with these columns, and no rows yet.
    pub fn new(columns: &[(&'static str, Kind)]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// The same with these rows. In the last cell of a row that is shorter than the others there is what concerns all
    /// columns that are left.
    pub fn with(mut self, rows: impl IntoIterator<Item = Vec<Cell>>) -> Self {
        self.rows.extend(rows);
        self
    }

    /// For a page.
    pub fn html(&self) -> Markup {
        html! {
            table {
                thead { tr { @for (name, kind) in &self.columns { th style=(kind.style()) { (name) } } } }
                tbody { @for row in &self.rows { tr { (self.html_row(row)) } } }
            }
        }
    }

    fn html_row(&self, row: &[Cell]) -> Markup {
        let left = self.columns.len().saturating_sub(row.len());
        html! {
            @for (index, (cell, (_, kind))) in row.iter().zip(&self.columns).enumerate() {
                @if left > 0 && index + 1 == row.len() {
                    td style="text-align:left" colspan=(left + 1) { (cell.html) }
                } @else {
                    @if *kind == Kind::Name {
                        th style=(kind.style()) { (cell.html) }
                    } @else {
                        td style=(kind.style()) { (cell.html) }
                    }
                }
            }
        }
    }

    /// For a terminal, each row on a line.
    pub fn text(&self) -> String {
        let is_last = |at: &usize| self.columns.get(*at).is_some_and(|(_, kind)| *kind == Kind::Long);
        let (last, mut order): (Vec<usize>, Vec<usize>) = (0..self.columns.len()).partition(is_last);
        order.extend(last);
        let header: Vec<(&str, Align)> =
            order.iter().filter_map(|at| self.columns.get(*at)).map(|(name, kind)| (*name, kind.align())).collect();
        let row = |row: &Vec<Cell>| -> Vec<String> {
            order.iter().filter_map(|at| row.get(*at)).map(|cell| cell.text.clone()).collect()
        };
        table(&header, &self.rows.iter().map(row).collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_say_the_same() {
        let columns = [("slot", Kind::Name), ("types", Kind::Long), ("ok", Kind::Number)];
        let table = Table::new(&columns).with([
            vec!["f0".into(), Cell::new("Vec<u8>", html! { code { "Vec<u8>" } }), "1,234".into()],
            vec!["f1".into(), "empty".into()],
        ]);
        assert_eq!(table.text(), "slot     ok  types\nf0    1,234  Vec<u8>\nf1    empty\n");
        let html = table.html().0;
        assert!(
            html.contains("white-space:nowrap\">f0</th><td style=\"text-align:left\"><code>Vec&lt;u8&gt;</code></td>"),
            "{html}"
        );
        assert!(html.contains(">f1</th><td style=\"text-align:left\" colspan=\"2\">empty</td>"), "{html}");
    }
}
