//! Rows that a notebook shows as a data frame, without a library for data frames in the session.

use crate::show;
use serde::Serialize;
use serde_json::value::RawValue;

/// Shown by [`Frame`].
pub(crate) const FRAME: &str = "application/vnd.machine.frame+json";

/// Rows, to be shown as a data frame: as the last expression of a cell, or by [`evcxr_display`](Self::evcxr_display).
#[derive(Clone, Debug)]
pub struct Frame(Vec<Box<RawValue>>);

/// Rows as a data frame. A row is a struct or a map; its fields are the columns, in their order. A column's type is
/// what all its values fit in: integers, floats, booleans, times in RFC 3339 (shown in UTC), else text.
///
/// ```
/// #[derive(serde::Serialize)]
/// struct Minute { time: String, tweets: u64 }
///
/// let minutes = [Minute { time: "2014-06-01T12:00:00Z".into(), tweets: 3 }];
/// let shown = machine::frame(&minutes)?;
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// # Errors
/// If a row does not serialise.
pub fn frame<T: Serialize>(rows: impl IntoIterator<Item = T>) -> Result<Frame, serde_json::Error> {
    rows.into_iter().map(|row| serde_json::value::to_raw_value(&row)).collect::<Result<_, _>>().map(Frame)
}

impl Frame {
    /// Shows it in the notebook.
    pub fn evcxr_display(&self) {
        show::json(FRAME, &self.0);
    }
}
