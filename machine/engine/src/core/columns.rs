//! Which columns of a script that was rewritten are the user's.

use std::sync::OnceLock;

/// Which columns of a script's file are the user's: the file as the compiler names it, and the table.
static COLUMNS: OnceLock<(&str, &str)> = OnceLock::new();

/// Says which columns of the user's the columns of a rewritten script are, in the file that the compiler names so. The
/// table has a row for each stretch of a line, ordered: `line,column,users,kept`. The stretch begins at `column`; it is
/// the user's text from column `users` on, or (`kept` is 0) stands for what is there. Columns count from 1, in
/// characters.
pub fn columns(file: &'static str, table: &'static str) {
    // There is one script in a program.
    let _ = COLUMNS.set((file, table));
}

/// The user's column for one that the compiler gives.
pub(crate) fn column(file: &str, line: u32, column: u32) -> u32 {
    let Some((_, table)) = COLUMNS.get().filter(|(of, _)| *of == file) else { return column };
    let rows = table.split_ascii_whitespace().filter_map(|row| {
        let mut numbers = row.split(',').map(|number| number.parse::<u32>().ok());
        let mut next = || numbers.next().flatten();
        Some((next()?, next()?, next()?, next()?))
    });
    let mut before = rows.filter(|(of, start, ..)| *of == line && *start <= column);
    match before.next_back() {
        Some((_, start, users, kept)) => users + if kept == 0 { 0 } else { column - start },
        None => column,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_of_the_rewritten_script_is_one_of_the_users() {
        columns("p.rs", "2,1,1,0 2,26,1,1 2,37,13,0 2,38,13,1");
        let users = |at| column("p.rs", 2, at);
        assert_eq!([1, 25, 26, 36, 37, 38, 50].map(users), [1, 1, 1, 11, 13, 13, 25]);
        assert_eq!((column("p.rs", 1, 30), column("other.rs", 2, 30)), (30, 30));
    }
}
