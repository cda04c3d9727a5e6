//! Text to tokens, as the parser of SQL takes them.
//!
//! Words that stand for a value become names in quotes, so that none is taken for a word of the language; what no
//! condition has is refused here, where its place is known.

use crate::{Unreadable, cut, unreadable};
use sqlparser::dialect::GenericDialect;
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, Tokenizer, Word};
use std::ops::Range;

/// Bytes of a condition at most, as of a query.
const MOST_BYTES: usize = 1 << 20;
/// Words and signs of a condition at most, as of a query.
const MOST_TOKENS: usize = 20_000;
/// Brackets, and `not` after `not`, at most: a condition of a person has a few.
pub(crate) const DEEPEST: usize = 64;

/// What an operand can be.
pub(crate) const OPERAND: &str = "a name, a number or 'text'";

/// Words that no value begins with.
const LANGUAGE: [&str; 8] = ["and", "or", "like", "ilike", "in", "is", "between", "rlike"];
/// Words that come after a value, beside these.
const INFIX: [&str; 10] = ["not", "similar", "regexp", "collate", "at", "xor", "div", "overlaps", "escape", "glob"];

/// A condition in tokens, without white space.
pub(crate) struct Tokens<'t> {
    pub text: &'t str,
    all: Vec<Token>,
    places: Vec<Range<usize>>,
}

impl Tokens<'_> {
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// For the parser: the place of each is its number.
    pub fn numbered(&self) -> Vec<TokenWithSpan> {
        let at = |number: u64| Location { line: 1, column: number };
        let span = |number: u64| Span { start: at(number), end: at(number) };
        self.all
            .iter()
            .zip(1..)
            .map(|(token, number)| TokenWithSpan { token: token.clone(), span: span(number) })
            .collect()
    }

    /// Where a token is, by its number; empty at the end of the text.
    pub fn place(&self, number: usize) -> Range<usize> {
        let end = self.text.trim_end().len();
        number.checked_sub(1).and_then(|at| self.places.get(at)).cloned().unwrap_or(end..end)
    }

    /// Where the tokens from one number to another are, with the brackets that close what is opened among them.
    pub fn between(&self, first: usize, last: usize) -> Range<usize> {
        let among = self.all.get(first.saturating_sub(1)..last).unwrap_or_default();
        let open = among.iter().fold(0_usize, |open, token| match token {
            Token::LParen => open + 1,
            Token::RParen => open.saturating_sub(1),
            _ => open,
        });
        let closing = self.all.iter().skip(last).take(open).take_while(|token| **token == Token::RParen).count();
        self.place(first).start..self.place(last + closing).end
    }

    /// Says what was expected in the place of a token.
    pub fn unexpected(&self, number: usize, expected: &str) -> Unreadable {
        unexpected(self.text, &self.places, number.saturating_sub(1), expected)
    }
}

/// Cuts a text into tokens.
pub(crate) fn read(text: &str) -> Result<Tokens<'_>, Unreadable> {
    if text.len() > MOST_BYTES {
        let why = format!("a condition of {} bytes; it may have {MOST_BYTES}", text.len());
        return Err(unreadable(why, 0..0));
    }
    let all = Tokenizer::new(&GenericDialect, text).tokenize_with_location().map_err(|error| {
        let at = Places::new(text).of(error.location);
        let rest = text.get(at..).unwrap_or_default();
        let why = match rest.chars().next() {
            Some(quote @ ('\'' | '"')) => {
                format!("the quote {quote} at character {} is not closed", character(text, at))
            }
            _ => format!("after `{}`: {}", cut(text.get(..at).unwrap_or_default().trim()), error.message),
        };
        unreadable(why, at..text.len())
    })?;
    let mut places = Places::new(text);
    let mut reader = Reader { text, all: Vec::new(), places: Vec::new() };
    for token in all {
        let place = places.of(token.span.start)..places.of(token.span.end);
        if !matches!(token.token, Token::Whitespace(_)) {
            reader.add(token.token, place)?;
        }
    }
    if reader.all.len() > MOST_TOKENS {
        let why = format!("a condition of {} words and signs; it may have {MOST_TOKENS}", reader.all.len());
        return Err(unreadable(why, 0..0));
    }
    if reader.all.is_empty() {
        return Err(unreadable("the condition is empty: write for example polarity < -0.5", 0..text.len()));
    }
    reader.name_values()?;
    let Reader { text, all, places } = reader;
    Ok(Tokens { text, all, places })
}

/// The number of a character, counted from 1.
fn character(text: &str, at: usize) -> usize {
    text.get(..at).map_or(0, |before| before.chars().count()) + 1
}

/// Lines and columns to bytes; asked for in their order.
struct Places<'t> {
    rest: std::str::CharIndices<'t>,
    end: usize,
    line: u64,
    column: u64,
}

impl<'t> Places<'t> {
    fn new(text: &'t str) -> Self {
        Self { rest: text.char_indices(), end: text.len(), line: 1, column: 1 }
    }

    fn of(&mut self, place: Location) -> usize {
        while (self.line, self.column) < (place.line, place.column) {
            match self.rest.next() {
                Some((_, '\n')) => (self.line, self.column) = (self.line + 1, 1),
                Some(_) => self.column += 1,
                None => return self.end,
            }
        }
        self.rest.clone().next().map_or(self.end, |(at, _)| at)
    }
}

struct Reader<'t> {
    text: &'t str,
    all: Vec<Token>,
    places: Vec<Range<usize>>,
}

impl Reader<'_> {
    /// Adds a token: one of a path's parts joins what stands directly before it.
    fn add(&mut self, token: Token, place: Range<usize>) -> Result<(), Unreadable> {
        let touches = self.places.last().is_some_and(|last| last.end == place.start);
        let is_part = matches!(self.all.as_slice(), [.., Token::Period]);
        match (token, self.all.last_mut()) {
            // `tags.0`, `tags . 0`
            (Token::Number(digits, _), _) if is_part && !digits.starts_with('.') => self.push(name(&digits), place),
            (Token::Number(digits, _), Some(Token::Word(_))) if touches && digits.starts_with('.') => {
                self.push(Token::Period, place.start..place.start + 1);
                self.push(name(digits.trim_start_matches('.')), place.start + 1..place.end);
            }
            // `tags.0a`
            (Token::Word(part), Some(Token::Word(last)))
                if touches && part.quote_style.is_none() && is_digits(last) =>
            {
                last.value.push_str(&part.value);
                self.extend_last(place.end);
            }
            // `1.2.3`, `3x`
            (Token::Number(..) | Token::Word(_), Some(Token::Number(..))) if touches => {
                let start = self.places.last().map_or(place.start, |last| last.start);
                let length =
                    self.text.get(start..).and_then(|rest| rest.find(|c: char| !c.is_alphanumeric() && c != '.'));
                let place = start..length.map_or(self.text.len(), |length| start + length);
                return Err(self.bad_number(place, "cannot be read as a number"));
            }
            (token, _) => self.push(token, place),
        }
        Ok(())
    }

    fn push(&mut self, token: Token, place: Range<usize>) {
        self.all.push(token);
        self.places.push(place);
    }

    fn extend_last(&mut self, end: usize) {
        if let Some(last) = self.places.last_mut() {
            last.end = end;
        }
    }

    fn bad_number(&self, place: Range<usize>, why: &str) -> Unreadable {
        let digits = cut(self.text.get(place.clone()).unwrap_or_default());
        unreadable(format!("`{digits}` at character {} {why}", character(self.text, place.start)), place)
    }

    fn place(&self, at: usize) -> Range<usize> {
        self.places.get(at).cloned().unwrap_or_default()
    }

    /// Puts words in quotes where a value stands, and refuses what no condition has.
    fn name_values(&mut self) -> Result<(), Unreadable> {
        let mut state = State::Value;
        let (mut brackets, mut nots) = (0_usize, 0_usize);
        for at in 0..self.all.len() {
            let Some(token) = self.all.get(at) else { break };
            let negates = state == State::Value && (*token == Token::Minus || is_word(token, "not"));
            nots = if negates { nots + 1 } else { 0 };
            brackets = match token {
                Token::LParen => brackets + 1,
                Token::RParen => brackets.saturating_sub(1),
                _ => brackets,
            };
            if brackets > DEEPEST || nots > DEEPEST {
                return Err(unreadable(too_deep(), self.place(at)));
            }
            state = match token {
                Token::Word(word) if state == State::Part || (state == State::Value && word.quote_style.is_none()) => {
                    if state == State::Part || self.is_name(at, word)? {
                        let quoted = name(&word.value);
                        if let Some(word) = self.all.get_mut(at) {
                            *word = quoted;
                        }
                    }
                    if negates { State::Value } else { State::Operator }
                }
                Token::Word(word) => match (state, word.value.to_ascii_lowercase().as_str()) {
                    (_, _) if word.quote_style.is_some() => State::Operator,
                    // `not` of `not like`
                    (State::Operator, "not") => State::Operator,
                    (State::Operator, "is") | (State::Is, "not") => State::Is,
                    (State::Operator, _) => State::Value,
                    _ => State::Operator,
                },
                Token::Number(digits, is_long) => {
                    self.check_number(at, digits, *is_long)?;
                    State::Operator
                }
                Token::RParen | Token::SingleQuotedString(_) => State::Operator,
                Token::Period => State::Part,
                Token::LParen
                | Token::Comma
                | Token::Eq
                | Token::DoubleEq
                | Token::Neq
                | Token::Lt
                | Token::LtEq
                | Token::Gt
                | Token::GtEq => State::Value,
                Token::Minus if state == State::Value => State::Value,
                other => return Err(self.refused(at, other)),
            };
        }
        Ok(())
    }

    /// Whether a word that stands for a value is a name. What comes after it tells: `case when`, `date '…'` and
    /// `upper(…)` are none.
    ///
    /// # Errors
    /// If it is a word that no value begins with.
    fn is_name(&self, at: usize, word: &Word) -> Result<bool, Unreadable> {
        let next = self.all.get(at + 1);
        let is_one_of = |words: &[&str]| words.iter().any(|it| word.value.eq_ignore_ascii_case(it));
        // `in` is also the message itself: `in.text`.
        if word.value == "in" && next != Some(&Token::LParen) {
            return Ok(true);
        }
        if is_one_of(&LANGUAGE) {
            return Err(unexpected(self.text, &self.places, at, OPERAND));
        }
        Ok(!is_one_of(&["not", "true", "false", "null"])
            && match next {
                Some(Token::LParen | Token::SingleQuotedString(_) | Token::Number(..)) => false,
                Some(next @ Token::Word(_)) => LANGUAGE.iter().chain(&INFIX).any(|it| is_word(next, it)),
                _ => true,
            })
    }

    fn check_number(&self, at: usize, digits: &str, is_long: bool) -> Result<(), Unreadable> {
        match digits.parse::<f64>() {
            Ok(value) if !value.is_finite() => {
                Err(self.bad_number(self.place(at), "is out of range: the largest is about 1.8e308"))
            }
            Ok(_) if !is_long => Ok(()),
            _ => Err(self.bad_number(self.place(at), "cannot be read as a number")),
        }
    }

    fn refused(&self, at: usize, token: &Token) -> Unreadable {
        let place = self.place(at);
        let sign = cut(self.text.get(place.clone()).unwrap_or_default());
        let instead = instead(token).unwrap_or("means nothing here");
        unreadable(format!("`{sign}` at character {} {instead}", character(self.text, place.start)), place)
    }
}

/// What is expected of the next token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A value.
    Value,
    /// What is done with the value before.
    Operator,
    /// What a value is.
    Is,
    /// The rest of a name, after a dot.
    Part,
}

pub(crate) fn too_deep() -> String {
    format!("more than {DEEPEST} brackets and nots within each other")
}

/// What a sign does in SQL, and what there is in its place.
fn instead(token: &Token) -> Option<&'static str> {
    Some(match token {
        Token::Plus | Token::Minus | Token::Mul | Token::Div | Token::Mod => {
            "calculates: a condition compares values as they are, %sql calculates"
        }
        Token::StringConcat => "joins texts: a condition compares values as they are; or is written or",
        Token::Tilde | Token::TildeAsterisk | Token::ExclamationMarkTilde | Token::ExclamationMarkTildeAsterisk => {
            "compares with a regular expression: there is like, and ilike"
        }
        Token::ExclamationMark => "is written not",
        Token::Ampersand | Token::Overlap => "is written and",
        Token::Pipe => "is written or",
        Token::LBracket | Token::RBracket => "is for items of arrays: they are named by their numbers, as in tags.0",
        Token::Arrow | Token::LongArrow | Token::Colon => {
            "is for parts of objects: they are named with dots, as in user.name"
        }
        Token::DoubleColon => "converts a value: a condition compares values as they are, %sql converts",
        Token::SemiColon => "ends a statement: a condition has no end",
        Token::NationalStringLiteral(_)
        | Token::EscapedStringLiteral(_)
        | Token::UnicodeStringLiteral(_)
        | Token::DollarQuotedString(_)
        | Token::HexStringLiteral(_)
        | Token::SingleQuotedByteStringLiteral(_)
        | Token::SingleQuotedRawStringLiteral(_) => "is no text that a condition has: text is written 'text'",
        _ => return None,
    })
}

/// Says what was expected in the place of the token at `at`.
fn unexpected(text: &str, places: &[Range<usize>], at: usize, expected: &str) -> Unreadable {
    let end = text.trim_end().len();
    let here = places.get(at).cloned().unwrap_or(end..end);
    let before = at.min(places.len()).checked_sub(1).and_then(|last| places.get(last)).map_or(0, |last| last.end);
    let before = cut(text.get(..before).unwrap_or_default().trim());
    let found = cut(text.get(here.clone()).unwrap_or_default());
    let why = match (found.as_str(), before.as_str()) {
        ("", before) => format!("after `{before}` {expected} is missing"),
        (found, "") => format!("it begins with `{found}`, where {expected} was expected"),
        (found, before) => format!("after `{before}` comes `{found}`, where {expected} was expected"),
    };
    unreadable(why, here)
}

/// A name in quotes.
fn name(value: &str) -> Token {
    Token::Word(Word { value: value.to_owned(), quote_style: Some('"'), keyword: Keyword::NoKeyword })
}

fn is_digits(word: &Word) -> bool {
    word.value.starts_with(|c: char| c.is_ascii_digit())
}

fn is_word(token: &Token, word: &str) -> bool {
    matches!(token, Token::Word(here) if here.quote_style.is_none() && here.value.eq_ignore_ascii_case(word))
}
