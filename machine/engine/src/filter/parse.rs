//! Text to condition.

use super::{Comparison, Expression, Operand, Unreadable};
use crate::json::{Number, Scalar};
use serde::de::IgnoredAny;
use std::collections::HashMap;
use std::ops::Range;

/// Brackets and `not` within each other, at most: a condition of a person has a few.
const DEEPEST: usize = 64;
/// Different names at most: each is looked up in each message.
const MOST_NAMES: usize = 1_000;
/// How much of a condition an error repeats, characters.
const REPEATED: usize = 60;

#[derive(Clone, Debug)]
enum Token {
    /// A name, or a word of the language.
    Word(String),
    /// A name in double quotes.
    Quoted(String),
    Literal(Scalar<'static>),
    Sign(&'static str),
}

struct Parser<'t> {
    text: &'t str,
    /// Each with where it begins and ends, bytes.
    tokens: Vec<(Token, usize, usize)>,
    next: usize,
    depth: usize,
    /// The number of each name.
    names: HashMap<Vec<String>, usize>,
}

/// Reads a condition, and the names in it.
pub fn parse(text: &str) -> Result<(Expression, Vec<Vec<String>>), Unreadable> {
    let mut parser = Parser { text, tokens: tokens(text)?, next: 0, depth: 0, names: HashMap::new() };
    if parser.tokens.is_empty() {
        return Err(unreadable("the condition is empty: write for example polarity < -0.5", 0..text.len()));
    }
    let expression = parser.or()?;
    if parser.next < parser.tokens.len() {
        return Err(parser.unexpected("and, or, or the end"));
    }
    let mut names: Vec<(Vec<String>, usize)> = parser.names.into_iter().collect();
    names.sort_by_key(|(_, at)| *at);
    Ok((expression, names.into_iter().map(|(name, _)| name).collect()))
}

const SIGNS: [&str; 12] = ["<=", ">=", "<>", "!=", "==", "<", ">", "=", "(", ")", ",", "."];

fn unreadable(why: impl Into<String>, at: Range<usize>) -> Unreadable {
    Unreadable { why: why.into(), at }
}

fn tokens(text: &str) -> Result<Vec<(Token, usize, usize)>, Unreadable> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let c = rest.chars().next().unwrap_or_default();
        // Only of what is wrong: counting takes as long as the text is.
        let number = || text.get(..at).map_or(0, |before| before.chars().count()) + 1;
        if c.is_whitespace() {
            at += c.len_utf8();
            continue;
        }
        let after_dot = matches!(tokens.last(), Some((Token::Sign("."), _, _)));
        let (token, length) = if c == '\'' || c == '"' {
            let (inside, length) = quoted(rest, c).ok_or_else(|| {
                unreadable(format!("the quote {c} at character {} is not closed", number()), at..text.len())
            })?;
            (if c == '"' { Token::Quoted(inside) } else { Token::Literal(Scalar::Text(inside.into())) }, length)
        } else if c.is_alphabetic() || c == '_' || (after_dot && c.is_ascii_digit()) {
            let length = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
            (Token::Word(rest.get(..length).unwrap_or_default().to_owned()), length)
        } else if c.is_ascii_digit()
            || (c == '-' && rest.get(1..2).is_some_and(|d| d.starts_with(|d: char| d.is_ascii_digit())))
        {
            let length = number_length(rest);
            let digits = rest.get(..length).unwrap_or_default();
            let value = literal(digits).map_err(|why| {
                unreadable(format!("`{}` at character {} {why}", cut(digits), number()), at..at + length)
            })?;
            (Token::Literal(Scalar::Number(value)), length)
        } else if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            (Token::Sign(sign), sign.len())
        } else {
            let place = at..at + c.len_utf8();
            return Err(unreadable(format!("`{c}` at character {} means nothing here", number()), place));
        };
        tokens.push((token, at, at + length));
        at += length;
    }
    Ok(tokens)
}

/// What is between quotes, and the length with them; a quote is doubled inside.
fn quoted(rest: &str, quote: char) -> Option<(String, usize)> {
    let mut inside = String::new();
    let mut chars = rest.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c != quote {
            inside.push(c);
        } else if chars.next_if(|(_, next)| *next == quote).is_some() {
            inside.push(quote);
        } else {
            return Some((inside, at + quote.len_utf8()));
        }
    }
    None
}

/// The length of a number that a text begins with.
fn number_length(rest: &str) -> usize {
    let mut before = ' ';
    let goes_on = |c: &char| {
        let c = *c;
        let is_part = c.is_ascii_digit()
            || matches!(c, '.' | 'e' | 'E')
            || (matches!(c, '-' | '+') && matches!(before, ' ' | 'e' | 'E'));
        before = c;
        is_part
    };
    rest.chars().take_while(goes_on).count()
}

/// A number as JSON has it, or why it is none.
fn literal(digits: &str) -> Result<Number<'static>, &'static str> {
    if serde_json::from_str::<IgnoredAny>(digits).is_err() {
        return Err("cannot be read as a number");
    }
    Number::new(digits).map(Number::into_owned).ok_or("is out of range: the largest is about 1.8e308")
}

/// The end of a text that may be long.
fn cut(text: &str) -> String {
    match text.char_indices().rev().nth(REPEATED) {
        Some((at, c)) => format!("…{}", text.get(at + c.len_utf8()..).unwrap_or_default()),
        None => text.to_owned(),
    }
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next).map(|(token, _, _)| token)
    }

    /// Takes a word of the language, capitals or not.
    fn word(&mut self, word: &str) -> bool {
        let is = matches!(self.peek(), Some(Token::Word(here)) if here.eq_ignore_ascii_case(word));
        self.next += usize::from(is);
        is
    }

    fn sign(&mut self, sign: &str) -> bool {
        let is = matches!(self.peek(), Some(Token::Sign(here)) if *here == sign);
        self.next += usize::from(is);
        is
    }

    /// Where the next token is; empty at the end of the text.
    fn here(&self) -> Range<usize> {
        let end = self.text.trim_end().len();
        self.tokens.get(self.next).map_or(end..end, |(_, start, end)| *start..*end)
    }

    fn unexpected(&self, expected: &str) -> Unreadable {
        let before = self.next.checked_sub(1).and_then(|last| self.tokens.get(last)).map_or(0, |(_, _, end)| *end);
        let before = cut(self.text.get(..before).unwrap_or_default().trim());
        let here = cut(self.text.get(self.here()).unwrap_or_default());
        let why = match (here.as_str(), before.as_str()) {
            ("", before) => format!("after `{before}` {expected} is missing"),
            (here, "") => format!("it begins with `{here}`, where {expected} was expected"),
            (here, before) => format!("after `{before}` comes `{here}`, where {expected} was expected"),
        };
        unreadable(why, self.here())
    }

    fn or(&mut self) -> Result<Expression, Unreadable> {
        let mut all = vec![self.and()?];
        while self.word("or") {
            all.push(self.and()?);
        }
        Ok(single(all, Expression::Or))
    }

    fn and(&mut self) -> Result<Expression, Unreadable> {
        let mut all = vec![self.not()?];
        while self.word("and") {
            all.push(self.not()?);
        }
        Ok(single(all, Expression::And))
    }

    fn not(&mut self) -> Result<Expression, Unreadable> {
        self.depth += 1;
        if self.depth > DEEPEST {
            let why = format!("more than {DEEPEST} brackets and nots within each other");
            return Err(unreadable(why, self.here()));
        }
        let expression = if self.word("not") {
            Expression::Not(Box::new(self.not()?))
        } else if self.sign("(") {
            let inside = self.or()?;
            if !self.sign(")") {
                return Err(self.unexpected("a )"));
            }
            inside
        } else {
            self.comparison()?
        };
        self.depth -= 1;
        Ok(expression)
    }

    fn comparison(&mut self) -> Result<Expression, Unreadable> {
        let begin = self.here().start;
        let operand = self.operand()?;
        let end = self.next.checked_sub(1).and_then(|last| self.tokens.get(last)).map_or(begin, |(_, _, end)| *end);
        let comparison = [
            ("=", Comparison::Equal),
            ("==", Comparison::Equal),
            ("!=", Comparison::NotEqual),
            ("<>", Comparison::NotEqual),
            ("<=", Comparison::LessOrEqual),
            ("<", Comparison::Less),
            (">=", Comparison::GreaterOrEqual),
            (">", Comparison::Greater),
        ];
        if let Some((_, comparison)) = comparison.into_iter().find(|(sign, _)| self.sign(sign)) {
            return Ok(Expression::Compare(operand, comparison, self.operand()?));
        }
        if self.word("is") {
            let not = self.word("not");
            if !self.word("null") {
                return Err(self.unexpected("null"));
            }
            return Ok(negated(Expression::IsNull(operand), not));
        }
        let not = self.word("not");
        for (word, small) in [("like", false), ("ilike", true)] {
            if self.word(word) {
                let Some(Token::Literal(Scalar::Text(pattern))) = self.peek().cloned() else {
                    return Err(self.unexpected("'text'"));
                };
                self.next += 1;
                let pattern = if small { pattern.to_lowercase() } else { pattern.into_owned() };
                return Ok(negated(Expression::Like { operand, pattern, small }, not));
            }
        }
        if self.word("in") {
            let list = self.list()?;
            return Ok(negated(Expression::In(operand, list), not));
        }
        if self.word("between") {
            let least = self.operand()?;
            if !self.word("and") {
                return Err(self.unexpected("and"));
            }
            let both = vec![
                Expression::Compare(operand.clone(), Comparison::GreaterOrEqual, least),
                Expression::Compare(operand, Comparison::LessOrEqual, self.operand()?),
            ];
            return Ok(negated(Expression::And(both), not));
        }
        match operand {
            _ if not => Err(self.unexpected("like, in or between")),
            Operand::Literal(Scalar::Bool(_)) | Operand::Name(_) => Ok(Expression::Holds(operand)),
            Operand::Literal(value) => {
                let value = cut(&value.text().unwrap_or_default());
                Err(unreadable(format!("`{value}` is no condition: compare it with something"), begin..end))
            }
        }
    }

    fn list(&mut self) -> Result<Vec<Operand>, Unreadable> {
        if !self.sign("(") {
            return Err(self.unexpected("a list like ('a', 'b')"));
        }
        let mut list = vec![self.operand()?];
        while self.sign(",") {
            list.push(self.operand()?);
        }
        if !self.sign(")") {
            return Err(self.unexpected("a , or a )"));
        }
        Ok(list)
    }

    fn operand(&mut self) -> Result<Operand, Unreadable> {
        const LANGUAGE: [&str; 9] = ["and", "or", "not", "like", "ilike", "in", "is", "between", "null"];
        let token = match self.peek().cloned() {
            // `in` is also the message itself: `in.text`.
            Some(Token::Word(word))
                if LANGUAGE.iter().any(|of| of.eq_ignore_ascii_case(&word)) && !self.is_input(&word) =>
            {
                return Err(self.unexpected("a name, a number or 'text'"));
            }
            Some(token) => token,
            None => return Err(self.unexpected("a name, a number or 'text'")),
        };
        let first = match token {
            Token::Literal(value) => {
                self.next += 1;
                return Ok(Operand::Literal(value));
            }
            Token::Word(word) if word.eq_ignore_ascii_case("true") || word.eq_ignore_ascii_case("false") => {
                self.next += 1;
                return Ok(Operand::Literal(Scalar::Bool(word.eq_ignore_ascii_case("true"))));
            }
            Token::Word(word) | Token::Quoted(word) => word,
            Token::Sign(_) => return Err(self.unexpected("a name, a number or 'text'")),
        };
        let begin = self.here().start;
        self.next += 1;
        let mut path = vec![first];
        while self.sign(".") {
            match self.peek().cloned() {
                Some(Token::Word(word) | Token::Quoted(word)) => path.push(word),
                _ => return Err(self.unexpected("a name")),
            }
            self.next += 1;
        }
        let at = self.names.len();
        if at >= MOST_NAMES && !self.names.contains_key(&path) {
            return Err(unreadable(format!("more than {MOST_NAMES} different names"), begin..self.here().start));
        }
        Ok(Operand::Name(*self.names.entry(path).or_insert(at)))
    }

    /// `in` where a value is expected stands for the message.
    fn is_input(&self, word: &str) -> bool {
        word == "in" && !matches!(self.tokens.get(self.next + 1), Some((Token::Sign("("), _, _)))
    }
}

/// One expression alone, or several together.
fn single(mut all: Vec<Expression>, together: fn(Vec<Expression>) -> Expression) -> Expression {
    match (all.pop(), all.is_empty()) {
        (Some(only), true) => only,
        (last, _) => {
            all.extend(last);
            together(all)
        }
    }
}

fn negated(expression: Expression, not: bool) -> Expression {
    if not { Expression::Not(Box::new(expression)) } else { expression }
}
