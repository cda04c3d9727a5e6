//! Data frames as Arrow IPC files, which every implementation of Arrow reads.

use polars::prelude::{CompatLevel, DataFrame, PolarsResult, Schema, SchemaExt};
use polars_arrow::io::ipc::read::{FileReader, read_file_metadata};
use polars_arrow::io::ipc::write::{FileWriter, WriteOptions};
use std::io::{Read, Seek, Write};
use std::sync::Arc;

/// Writes a file, not compressed. Text is written as older readers know it.
///
/// # Errors
/// As the writer's.
pub fn write_arrow(frame: &DataFrame, to: impl Write) -> PolarsResult<()> {
    let mut frame = frame.clone();
    frame.align_chunks();
    let schema = Arc::new(frame.schema().to_arrow(CompatLevel::oldest()));
    let mut writer = FileWriter::try_new(to, schema, None, WriteOptions { compression: None })?;
    for batch in frame.iter_chunks(CompatLevel::oldest(), true) {
        writer.write(&batch, None)?;
    }
    writer.finish()
}

/// Reads one.
///
/// # Errors
/// If it is no such file, or as the reader's.
pub fn read_arrow(mut from: impl Read + Seek) -> PolarsResult<DataFrame> {
    let metadata = read_file_metadata(&mut from)?;
    let mut whole = DataFrame::empty_with_schema(&Schema::from_arrow_schema(&metadata.schema));
    for batch in FileReader::new(from, metadata, None, None) {
        whole.vstack_mut_owned(DataFrame::from(batch?))?;
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use polars::prelude::df;
    use std::io::Cursor;

    #[test]
    fn a_file_gives_the_same_frame() {
        let frame = df!(
            "text" => [Some("a"), None, Some("héllo")],
            "number" => [Some(1.5), Some(f64::NEG_INFINITY), None],
            "count" => [Some(1_i64), None, Some(-3)],
            "is" => [true, false, true],
        )
        .unwrap();
        for frame in [frame.clone(), frame.head(Some(0)), frame.vstack(&frame).unwrap()] {
            let mut bytes = Cursor::new(Vec::new());
            write_arrow(&frame, &mut bytes).unwrap();
            bytes.set_position(0);
            assert!(read_arrow(bytes).unwrap().equals_missing(&frame));
        }
    }

    #[test]
    fn what_is_no_file_is_refused() {
        assert!(read_arrow(Cursor::new(b"ARROW1".to_vec())).is_err());
    }
}
