//! Which cell and line the places in a compiled cell are.
//!
//! evcxr makes one source of the session's items and the cell's statements, in its own order. So each of them has a
//! mark behind its first token, a comment with its cell and line. The stand-in for rustc makes a table of the marks and
//! puts it beside the cell's library, where the runtime process finds it when it loads that: a panic in a slot names the
//! cell, whichever library it comes from.

use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::Path;

/// The table of the library that was made last.
const FILE: &str = "machine-places.json";

/// Where a statement or an item begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// Its line in what was compiled, from 1.
    pub compiled: u32,
    /// The cell that it is from.
    pub cell: u32,
    /// Its line there, from 1.
    pub line: u32,
}

/// A mark.
pub fn mark(cell: u32, line: u32) -> String {
    format!("/*cell {cell} line {line}*/")
}

/// The marks in a source, in order. Of a line with several the first counts.
pub fn table(source: &str) -> Vec<Start> {
    let of = |(index, text): (usize, &str)| {
        let (numbers, _) = text.split_once("/*cell ")?.1.split_once("*/")?;
        let (cell, line) = numbers.split_once(" line ")?;
        let compiled = u32::try_from(index).ok()?.checked_add(1)?;
        Some(Start { compiled, cell: cell.parse().ok()?, line: line.parse().ok()? })
    };
    source.lines().enumerate().filter_map(of).collect()
}

/// The cell and the line in it of a line of what was compiled.
pub fn find(table: &[Start], compiled: u32) -> Option<(u32, u32)> {
    let behind = table.partition_point(|start| start.compiled <= compiled);
    let start = table.get(behind.checked_sub(1)?)?;
    Some((start.cell, start.line + (compiled - start.compiled)))
}

/// Puts the table of a source beside the library that was made of it.
///
/// # Errors
/// If it cannot be written.
pub fn write(source: &str, directory: &Path) -> io::Result<()> {
    fs::write(directory.join(FILE), serde_json::to_vec(&table(source))?)
}

/// The table of a library that has just been made; empty if there is none. rustc puts it below where cargo does.
pub fn read(library: &Path) -> Vec<Start> {
    let table = fs::read(library.with_file_name("deps").join(FILE)).ok();
    table.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_belongs_to_the_mark_before_it() {
        let source = format!("#![x]\nfn{} f() {{\n}}\nlet{} x =\n 1;\n", mark(3, 1), mark(14, 7));
        let table = table(&source);
        assert_eq!(find(&table, 1), None);
        assert_eq!(
            [2, 3, 4, 5].map(|line| find(&table, line)),
            [Some((3, 1)), Some((3, 2)), Some((14, 7)), Some((14, 8))]
        );
    }

    #[test]
    fn a_table_is_found_beside_its_library() -> io::Result<()> {
        let directory = tempfile::tempdir()?;
        let library = directory.path().join("libcode_1.so");
        assert_eq!(read(&library), []);
        fs::create_dir(directory.path().join("deps"))?;
        write(&format!("let{} x;", mark(1, 2)), &directory.path().join("deps"))?;
        assert_eq!(read(&library), [Start { compiled: 1, cell: 1, line: 2 }]);
        Ok(())
    }
}
