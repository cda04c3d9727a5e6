//! The text of a query: what it asks for, and names as polars wants them.
//!
//! A parser of SQL goes as deep as the text does. Here the text is only cut into tokens, which takes no stack, and
//! bounded; it is parsed in the query's process (see [`check`]).

use sqlparser::dialect::GenericDialect;
use sqlparser::parser::{Parser, ParserOptions};
use sqlparser::tokenizer::{Token, Tokenizer};
use std::collections::BTreeSet;

/// Bytes of a query at most.
const MOST_BYTES: usize = 1 << 20;
/// Tokens of a query at most, without white space.
const MOST_TOKENS: usize = 20_000;
/// Brackets within each other at most.
const DEEPEST: usize = 64;

/// One statement of SQL, in tokens.
#[derive(Debug)]
pub struct Statement {
    tokens: Vec<Token>,
}

/// Why a text is no statement.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SyntaxError {
    /// What is expected and what was found.
    pub message: String,
    /// Where, bytes; `None` at the end.
    pub offset: Option<usize>,
}

/// A function of a query that counts or adds up: what of it is scaled.
const SCALED: [&str; 2] = ["count", "sum"];

/// Parses a text.
///
/// # Errors
/// If it is not exactly one statement.
pub fn check(sql: &str) -> Result<(), SyntaxError> {
    let options = ParserOptions { trailing_commas: true, ..ParserOptions::default() };
    let parser = Parser::new(&GenericDialect).with_options(options);
    let statements = parser
        .try_with_sql(sql)
        .and_then(|mut parser| parser.parse_statements())
        .map_err(|error| SyntaxError::of(&error.to_string(), sql))?;
    if statements.len() == 1 {
        return Ok(());
    }
    Err(SyntaxError { message: format!("expected one statement, found {}", statements.len()), offset: None })
}

impl Statement {
    /// Cuts a text into tokens.
    ///
    /// # Errors
    /// If it has a token that SQL does not know, or is too long or too deep for a query.
    pub fn read(sql: &str) -> Result<Self, SyntaxError> {
        let too_much = |message: String| SyntaxError { message, offset: None };
        if sql.len() > MOST_BYTES {
            return Err(too_much(format!("a query of {} bytes; it may have {MOST_BYTES}", sql.len())));
        }
        // As they are written: they become text again.
        let tokens = Tokenizer::new(&GenericDialect, sql)
            .with_unescape(false)
            .tokenize()
            .map_err(|error| SyntaxError::of(&error.to_string(), sql))?;
        let count = tokens.iter().filter(|token| !matches!(token, Token::Whitespace(_))).count();
        if count > MOST_TOKENS {
            return Err(too_much(format!("a query of {count} words and signs; it may have {MOST_TOKENS}")));
        }
        let mut depth = 0_usize;
        for token in &tokens {
            match token {
                Token::LParen | Token::LBracket | Token::LBrace => depth += 1,
                Token::RParen | Token::RBracket | Token::RBrace => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth > DEEPEST {
                return Err(too_much(format!("more than {DEEPEST} brackets within each other")));
            }
        }
        Ok(Self { tokens })
    }

    /// Whether it asks for columns that it does not name: `*`, a natural join and the like.
    pub fn wants_all(&self) -> bool {
        const NAMELESS: [&str; 6] = ["natural", "columns", "exclude", "except", "rename", "replace"];
        let mut words = self.tokens.iter().filter(|token| !matches!(token, Token::Whitespace(_))).peekable();
        let mut before: Option<&Token> = None;
        let mut selects = false;
        while let Some(token) = words.next() {
            let is_nameless = match token {
                // Of `count(*)` and of a product it is no column.
                Token::Mul => {
                    let is_counted = matches!((before, words.peek()), (Some(Token::LParen), Some(Token::RParen)));
                    let is_product = match before {
                        Some(Token::Word(word)) => {
                            !["select", "distinct", "all"].iter().any(|it| word.value.eq_ignore_ascii_case(it))
                        }
                        Some(Token::Number(..) | Token::RParen | Token::RBracket) => true,
                        _ => false,
                    };
                    !is_counted && !is_product
                }
                Token::Word(word) if word.quote_style.is_none() => {
                    selects |= word.value.eq_ignore_ascii_case("select");
                    NAMELESS.iter().any(|it| word.value.eq_ignore_ascii_case(it))
                }
                _ => false,
            };
            if is_nameless {
                return true;
            }
            before = Some(token);
        }
        !selects
    }

    /// The same with all that it counts and adds up multiplied: an estimate for all messages from a sample of them.
    ///
    /// # Errors
    /// What of it cannot be estimated so.
    pub fn scaled(&self, factor: f64) -> Result<Self, String> {
        let is_word = |token: Option<&Token>, words: &[&str]| matches!(token, Some(Token::Word(word)) if words.iter().any(|it| word.value.eq_ignore_ascii_case(it)));
        let next = |from: usize| {
            let mut rest = (from..).zip(self.tokens.get(from..).unwrap_or_default());
            rest.find(|(_, token)| !matches!(token, Token::Whitespace(_)))
        };
        let mut tokens = Vec::new();
        let mut closing: Vec<(usize, bool)> = Vec::new();
        let mut depth = 0_usize;
        for (at, token) in self.tokens.iter().enumerate() {
            let opens = next(at + 1).is_some_and(|(_, token)| *token == Token::LParen);
            if opens && is_word(Some(token), &SCALED) {
                let inside = next(at + 1).and_then(|(bracket, _)| next(bracket + 1)).map(|(_, token)| token);
                if is_word(inside, &["distinct"]) {
                    return Err(format!("{token}(DISTINCT …) of a sample says nothing about the rest"));
                }
                tokens.push(Token::Word(sqlparser::tokenizer::Word {
                    value: "ROUND".to_owned(),
                    quote_style: None,
                    keyword: sqlparser::keywords::Keyword::NoKeyword,
                }));
                tokens.push(Token::LParen);
                closing.push((depth, is_word(Some(token), &["count"])));
            }
            tokens.push(token.clone());
            match token {
                Token::LParen => depth += 1,
                Token::RParen => {
                    depth = depth.saturating_sub(1);
                    if let Some((_, is_count)) = closing.pop_if(|(of, _)| *of == depth) {
                        let after = next(at + 1).map(|(_, token)| token);
                        if is_word(after, &["over", "filter", "within"]) {
                            return Err("counts over windows or with their own filter are not scaled".to_owned());
                        }
                        let digits = if is_count { "0" } else { "6" };
                        tokens.push(Token::Mul);
                        tokens.push(Token::Number(format!("{factor:.9}"), false));
                        tokens.push(Token::Comma);
                        tokens.push(Token::Number(digits.to_owned(), false));
                        tokens.push(Token::RParen);
                    }
                }
                _ => {}
            }
        }
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
    use super::{Statement, check as check_syntax};

    #[track_caller]
    fn check(sql: &str, expected: &str) {
        let columns = ["user.name", "user.lang.code", "polarity", "f1"];
        assert_eq!(Statement::read(sql).unwrap().quoted(columns), expected);
    }

    #[test]
    fn columns_with_points_are_quoted() {
        check("SELECT user.name FROM f1", "SELECT \"user.name\" FROM f1");
        check("SELECT f1.user.name, f1.polarity FROM f1", "SELECT \"f1\".\"user.name\", f1.polarity FROM f1");
        check("SELECT a.user.lang.code FROM f1 AS a", "SELECT \"a\".\"user.lang.code\" FROM f1 AS a");
        check("SELECT 'user.name' FROM f1 -- user.name", "SELECT 'user.name' FROM f1 -- user.name");
        check("SELECT 'It''s', \"a\"\"b\" FROM f1", "SELECT 'It''s', \"a\"\"b\" FROM f1");
        check("SELECT f1.*, \"user.name\" FROM f1;", "SELECT f1.*, \"user.name\" FROM f1;");
        check("SELECT 1.5, user.other FROM f1", "SELECT 1.5, user.other FROM f1");
    }

    #[test]
    fn names_are_all_names() {
        let statement = Statement::read("SELECT count(*) FROM f1 JOIN \"input\" USING (oid) WHERE x = 'f2'").unwrap();
        let names = statement.names();
        assert!(names.contains("f1") && names.contains("input") && !names.contains("f2"));
    }

    #[test]
    fn a_mistake_has_a_place() {
        let sql = "SELECT é,\n  x FROM f1 ORDER y";
        let error = check_syntax(sql).unwrap_err();
        assert_eq!(error.offset, sql.rfind("ORDER"), "{error:?}");
        assert!(check_syntax("SELECT 1; SELECT 2").unwrap_err().message.contains("one statement"));
        assert!(Statement::read("SELECT 'a").is_err());
    }

    #[test]
    fn long_and_deep_texts_are_refused_before_they_are_parsed() {
        for sql in [
            vec!["SELECT 1"; 20_000].join(" UNION ALL "),
            format!("SELECT {}1{}", "(".repeat(100_000), ")".repeat(100_000)),
            format!("SELECT {}1", "(".repeat(65)),
            format!("SELECT {}1", "- ".repeat(100_000)),
            format!("SELECT '{}'", "x".repeat(2 << 20)),
        ] {
            let error = Statement::read(&sql).unwrap_err();
            assert!(error.message.len() < 100, "{error:?}");
        }
        assert!(Statement::read(&vec!["SELECT 1"; 1_000].join(" UNION ALL ")).is_ok());
    }

    #[test]
    fn what_names_no_columns_wants_all() {
        for (sql, all) in [
            ("SELECT * FROM f0", true),
            ("SELECT DISTINCT * FROM f0", true),
            ("SELECT f0.*, x FROM f0", true),
            ("SELECT x, * FROM f0", true),
            ("FROM f0", true),
            ("SELECT x FROM f0 NATURAL JOIN f1", true),
            ("SELECT count(*), count( * ) FROM f0", false),
            ("SELECT x * y, (x) * 2, 2 * x, \"columns\" FROM f0", false),
        ] {
            assert_eq!(Statement::read(sql).unwrap().wants_all(), all, "{sql}");
        }
    }

    #[test]
    fn counts_and_sums_are_scaled() {
        let scaled = |sql: &str| Statement::read(sql).unwrap().scaled(2.5).map(|statement| statement.quoted([]));
        assert_eq!(
            scaled("SELECT a, count(*) AS n, avg(x), Sum ((a + count(b))) FROM f0").as_deref(),
            Ok("SELECT a, ROUND(count(*)*2.500000000,0) AS n, avg(x), \
                ROUND(Sum ((a + ROUND(count(b)*2.500000000,0)))*2.500000000,6) FROM f0")
        );
        assert!(scaled("SELECT count(DISTINCT a) FROM f0").is_err());
        assert!(scaled("SELECT count(*) OVER (PARTITION BY a) FROM f0").is_err());
    }
}
