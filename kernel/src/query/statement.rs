//! The text of a query: what it asks for, and names as polars wants them.

use sqlparser::dialect::GenericDialect;
use sqlparser::parser::{Parser, ParserOptions};
use sqlparser::tokenizer::{Token, Tokenizer};
use std::collections::BTreeSet;

/// One statement of SQL that can be parsed.
#[derive(Debug)]
pub struct Statement {
    tokens: Vec<Token>,
}

/// Why a text is no statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// What is expected and what was found.
    pub message: String,
    /// Where, bytes; `None` at the end.
    pub offset: Option<usize>,
}

impl Statement {
    /// Parses a text.
    ///
    /// # Errors
    /// If it is not exactly one statement.
    pub fn parse(sql: &str) -> Result<Self, SyntaxError> {
        let options = ParserOptions { trailing_commas: true, ..ParserOptions::default() };
        let parser = Parser::new(&GenericDialect).with_options(options);
        let told = |error: &dyn std::fmt::Display| SyntaxError::of(&error.to_string(), sql);
        let statements =
            parser.try_with_sql(sql).and_then(|mut parser| parser.parse_statements()).map_err(|error| told(&error))?;
        if statements.len() != 1 {
            let message = format!("expected one statement, found {}", statements.len());
            return Err(SyntaxError { message, offset: None });
        }
        let tokens = Tokenizer::new(&GenericDialect, sql).tokenize().map_err(|error| told(&error))?;
        Ok(Self { tokens })
    }

    /// All names in it, whatever they stand for.
    pub fn names(&self) -> BTreeSet<&str> {
        self.tokens.iter().filter_map(word).collect()
    }

    /// The text for tables with these columns. A column can be called `user.name`; SQL means a column of a table by
    /// that, so it is put in quotes: `user.name` and `f1.user.name` become `"user.name"` and `f1."user.name"`.
    pub fn quoted<'a>(&self, columns: impl IntoIterator<Item = &'a str>) -> String {
        let dotted: BTreeSet<&str> = columns.into_iter().filter(|column| column.contains('.')).collect();
        let mut text = String::new();
        let mut rest = self.tokens.as_slice();
        while let Some((first, after)) = rest.split_first() {
            let names = path(rest);
            // The longest column first: of the whole, then of what follows the table's name.
            let whole = names.join(".");
            let column = whole.split_once('.').map_or("", |(_, column)| column);
            let length = match &names[..] {
                [_, ..] if dotted.contains(whole.as_str()) => {
                    text.push_str(&format!("\"{whole}\""));
                    2 * names.len() - 1
                }
                [table, ..] if dotted.contains(column) => {
                    text.push_str(&format!("\"{table}\".\"{column}\""));
                    2 * names.len() - 1
                }
                _ => {
                    text.push_str(&first.to_string());
                    rest = after;
                    // What belongs to a table is no beginning of another name.
                    if names.len() > 1 {
                        let (same, others) = rest.split_at_checked(2 * names.len() - 2).unwrap_or((rest, &[]));
                        text.extend(same.iter().map(ToString::to_string));
                        rest = others;
                    }
                    continue;
                }
            };
            rest = rest.get(length..).unwrap_or_default();
        }
        text
    }
}

impl SyntaxError {
    /// From the parser's text, which tells line and column at its end, counted from 1.
    fn of(text: &str, sql: &str) -> Self {
        let text = text.strip_prefix("sql parser error: ").unwrap_or(text);
        let Some((message, place)) = text.rsplit_once(" at Line: ") else {
            return Self { message: text.to_owned(), offset: None };
        };
        let place = place.split_once(", Column: ").and_then(|(line, column)| {
            let (line, column): (usize, usize) = (line.parse().ok()?, column.trim().parse().ok()?);
            let start: usize = sql.split_inclusive('\n').take(line.checked_sub(1)?).map(str::len).sum();
            let within: usize = sql.get(start..)?.chars().take(column.checked_sub(1)?).map(char::len_utf8).sum();
            Some(start + within)
        });
        Self { message: message.to_owned(), offset: place }
    }
}

fn word(token: &Token) -> Option<&str> {
    match token {
        Token::Word(word) => Some(&word.value),
        _ => None,
    }
}

/// The names that tokens begin with, as far as there are points between them.
fn path(tokens: &[Token]) -> Vec<&str> {
    let mut names = Vec::new();
    let mut tokens = tokens.iter();
    while let Some(name) = tokens.next().and_then(word) {
        names.push(name);
        if !matches!(tokens.next(), Some(Token::Period)) {
            break;
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(sql: &str, expected: &str) {
        let columns = ["user.name", "user.lang.code", "polarity", "f1"];
        assert_eq!(Statement::parse(sql).unwrap().quoted(columns), expected);
    }

    #[test]
    fn columns_with_points_are_quoted() {
        check("SELECT user.name FROM f1", "SELECT \"user.name\" FROM f1");
        check("SELECT f1.user.name, f1.polarity FROM f1", "SELECT \"f1\".\"user.name\", f1.polarity FROM f1");
        check("SELECT a.user.lang.code FROM f1 AS a", "SELECT \"a\".\"user.lang.code\" FROM f1 AS a");
        check("SELECT 'user.name' FROM f1 -- user.name", "SELECT 'user.name' FROM f1 -- user.name");
        check("SELECT f1.*, \"user.name\" FROM f1;", "SELECT f1.*, \"user.name\" FROM f1;");
        check("SELECT 1.5, user.other FROM f1", "SELECT 1.5, user.other FROM f1");
    }

    #[test]
    fn names_are_all_names() {
        let statement = Statement::parse("SELECT count(*) FROM f1 JOIN \"input\" USING (oid) WHERE x = 'f2'").unwrap();
        let names = statement.names();
        assert!(names.contains("f1") && names.contains("input") && !names.contains("f2"));
    }

    #[test]
    fn a_mistake_has_a_place() {
        let sql = "SELECT é,\n  x FROM f1 ORDER y";
        let error = Statement::parse(sql).unwrap_err();
        assert_eq!(error.offset, sql.rfind("ORDER"), "{error:?}");
        assert!(Statement::parse("SELECT 1; SELECT 2").unwrap_err().message.contains("one statement"));
        assert!(Statement::parse("SELECT 'a").is_err());
    }
}
