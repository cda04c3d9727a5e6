//! The JSON text of a message, read field by field, as intake accepts it.
//!
//! Intake checks the grammar of a message and nothing else: a lone surrogate (`"\ud83d"`), a number beyond every type
//! (`1e999`), a thousand brackets within each other and a name that comes twice are all JSON. A parser that makes a
//! whole value of such a text refuses all of it. Everything that asks about messages reads them here instead: `%sql`,
//! `%tap`, conditions, breakpoints, `%explain`, replay and dead letters. A value that no type has costs itself and
//! nothing else:
//!
//! - a lone surrogate is read as U+FFFD;
//! - a number beyond the largest `f64` is null;
//! - of a name that comes twice in an object the last value counts;
//! - objects and arrays stay text until somebody asks for a part of them, so there is no depth that is too much.
//!
//! [`Field::unread`] says that a value was one of the first two.

mod number;
mod tree;

pub use number::Number;
pub use tree::value;

use std::borrow::Cow;
use std::collections::HashMap;

/// One value within a JSON text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Json<'j>(&'j str);

/// What a value is, one level deep.
#[derive(Clone, Debug)]
pub enum Content<'j> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number as it is written.
    Number(&'j str),
    /// A string.
    Text(Text<'j>),
    /// An array.
    Array(Items<'j>),
    /// An object.
    Object(Fields<'j>),
}

/// A value as a condition or a table sees it.
#[derive(Clone, Debug)]
pub struct Field<'j> {
    /// The value, or what stands in for it.
    pub value: Scalar<'j>,
    /// Whether the value in the message is one that no type has.
    pub unread: bool,
}

/// A value that is one cell of a table.
#[derive(Clone, Debug)]
pub enum Scalar<'j> {
    /// Nothing.
    Null,
    /// A truth value.
    Bool(bool),
    /// A number.
    Number(Number<'j>),
    /// A text.
    Text(Cow<'j, str>),
    /// An array or object, as JSON text without white space.
    Nested(Cow<'j, str>),
}

impl Scalar<'_> {
    /// The value as text: a number as it is written, arrays and objects as JSON. `None` for null.
    #[must_use]
    pub fn text(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Null => None,
            Self::Bool(value) => Some(Cow::Borrowed(if *value { "true" } else { "false" })),
            Self::Number(number) => Some(Cow::Borrowed(number.written())),
            Self::Text(text) | Self::Nested(text) => Some(Cow::Borrowed(text)),
        }
    }
}

impl<'j> Json<'j> {
    /// The value that a text is. Nothing is checked: of a text that is not JSON, parts are missing.
    #[must_use]
    pub fn new(text: &'j str) -> Self {
        Self(text.trim_ascii())
    }

    /// The text, without white space around it.
    #[must_use]
    pub fn raw(self) -> &'j str {
        self.0
    }

    /// What it is; `None` if it is not JSON.
    #[must_use]
    pub fn content(self) -> Option<Content<'j>> {
        let first = self.0.bytes().next()?;
        Some(match first {
            b'{' => Content::Object(Fields(Parts::of(self.0))),
            b'[' => Content::Array(Items(Parts::of(self.0))),
            b'"' => Content::Text(Text(self.0.get(1..self.0.len() - 1).filter(|_| self.0.len() > 1)?)),
            b'n' => Content::Null,
            b't' | b'f' => Content::Bool(first == b't'),
            b'-' | b'0'..=b'9' => Content::Number(self.0),
            _ => return None,
        })
    }

    /// The value as a cell of a table has it.
    #[must_use]
    pub fn field(self) -> Field<'j> {
        let read = |value| Field { value, unread: false };
        match self.content() {
            Some(Content::Null) => read(Scalar::Null),
            None => Field { value: Scalar::Null, unread: true },
            Some(Content::Bool(value)) => read(Scalar::Bool(value)),
            Some(Content::Number(written)) => match Number::new(written) {
                Some(number) => read(Scalar::Number(number)),
                None => Field { value: Scalar::Null, unread: true },
            },
            Some(Content::Text(text)) => {
                let (text, unread) = text.decode();
                Field { value: Scalar::Text(text), unread }
            }
            Some(Content::Array(_) | Content::Object(_)) => read(Scalar::Nested(compact(self.0))),
        }
    }

    /// The value at the end of these names: of fields in objects, of places in arrays.
    #[must_use]
    pub fn at<S: AsRef<str>>(self, path: &[S]) -> Option<Self> {
        path.iter().try_fold(self, |value, name| match value.content()? {
            Content::Object(fields) => fields.last_of(name.as_ref()),
            Content::Array(mut items) => items.nth(name.as_ref().parse().ok()?),
            _ => None,
        })
    }

    /// The names of its fields, if it is an object.
    #[must_use]
    pub fn names(self) -> Vec<Cow<'j, str>> {
        match self.content() {
            Some(Content::Object(fields)) => fields.distinct().into_iter().map(|(name, _)| name).collect(),
            _ => Vec::new(),
        }
    }
}

/// The inside of a string, escapes and all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text<'j>(&'j str);

impl<'j> Text<'j> {
    /// What it stands for, and whether a lone surrogate in it became U+FFFD.
    #[must_use]
    pub fn decode(self) -> (Cow<'j, str>, bool) {
        let Some(first) = memchr::memchr(b'\\', self.0.as_bytes()) else { return (Cow::Borrowed(self.0), false) };
        let (mut text, mut rest) = self.0.split_at_checked(first).map_or((String::new(), self.0), |(before, rest)| {
            let mut text = String::with_capacity(self.0.len());
            text.push_str(before);
            (text, rest)
        });
        let mut is_lossy = false;
        while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
            text.push_str(rest.get(..at).unwrap_or_default());
            let (c, length) = escape(rest.get(at..).unwrap_or_default());
            is_lossy |= c.is_none();
            text.push(c.unwrap_or(char::REPLACEMENT_CHARACTER));
            rest = rest.get(at + length..).unwrap_or_default();
        }
        text.push_str(rest);
        (Cow::Owned(text), is_lossy)
    }

    /// Whether it stands for this text.
    fn is(self, name: &str) -> bool {
        if self.0.contains('\\') { self.decode().0 == name } else { self.0 == name }
    }
}

/// The character that an escape stands for, unless it is a lone surrogate, and the length of the escape.
fn escape(text: &str) -> (Option<char>, usize) {
    let unit = |at: usize| {
        let digits = text.get(at..at + 4).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
        u32::from_str_radix(digits, 16).ok()
    };
    let c = match text.as_bytes().get(1) {
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => {
            let Some(first) = unit(2) else { return (None, 2) };
            let second = text.get(6..8).filter(|mark| *mark == "\\u").and_then(|_| unit(8));
            return match (first, second) {
                (0xD800..0xDC00, Some(second @ 0xDC00..0xE000)) => {
                    (char::from_u32(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00)), 12)
                }
                _ => (char::from_u32(first), 6),
            };
        }
        Some(c @ (b'"' | b'\\' | b'/')) => char::from(*c),
        _ => return (None, 1),
    };
    (Some(c), 2)
}

/// The fields of an object in the order in which they are written; a name can come twice.
#[derive(Clone, Debug)]
pub struct Fields<'j>(Parts<'j>);

impl<'j> Fields<'j> {
    /// Each name once, with its last value, in the order in which the names were first written.
    #[must_use]
    pub fn distinct(self) -> Vec<(Cow<'j, str>, Json<'j>)> {
        // So few are compared faster than hashed.
        const FEW: usize = 12;
        let mut all: Vec<(Cow<'j, str>, Json<'j>)> = Vec::new();
        let mut places: HashMap<Cow<'j, str>, usize> = HashMap::new();
        for (name, value) in self {
            let name = name.decode().0;
            if all.len() == FEW && places.is_empty() {
                places.extend(all.iter().enumerate().map(|(at, (name, _))| (name.clone(), at)));
            }
            let place = if all.len() < FEW {
                all.iter().position(|(other, _)| *other == name)
            } else {
                places.get(&name).copied()
            };
            match place.and_then(|at| all.get_mut(at)) {
                Some((_, last)) => *last = value,
                None => {
                    if all.len() >= FEW {
                        places.insert(name.clone(), all.len());
                    }
                    all.push((name, value));
                }
            }
        }
        all
    }

    /// The last field of this name.
    fn last_of(self, name: &str) -> Option<Json<'j>> {
        self.filter(|(field, _)| field.is(name)).last().map(|(_, value)| value)
    }
}

impl<'j> Iterator for Fields<'j> {
    type Item = (Text<'j>, Json<'j>);

    fn next(&mut self) -> Option<Self::Item> {
        let name = self.0.value().filter(|name| name.len() > 1)?;
        self.0.skip(b':');
        Some((Text(name.get(1..name.len() - 1)?), Json(self.0.value()?)))
    }
}

/// The items of an array.
#[derive(Clone, Debug)]
pub struct Items<'j>(Parts<'j>);

impl<'j> Iterator for Items<'j> {
    type Item = Json<'j>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.value().map(Json)
    }
}

/// What is in an array or object and has not been read yet.
#[derive(Clone, Debug)]
struct Parts<'j> {
    text: &'j str,
    at: usize,
}

impl<'j> Parts<'j> {
    fn of(text: &'j str) -> Self {
        Self { text, at: 1 }
    }

    /// Goes past white space, and past one such sign.
    fn skip(&mut self, sign: u8) {
        let bytes = self.text.as_bytes();
        while let Some(byte) = bytes.get(self.at) {
            match byte {
                b' ' | b'\t' | b'\n' | b'\r' => self.at += 1,
                byte if *byte == sign => {
                    self.at += 1;
                    return;
                }
                _ => return,
            }
        }
    }

    /// The next value; `None` at the end.
    fn value(&mut self) -> Option<&'j str> {
        self.skip(b',');
        self.skip(b' ');
        let end = end_of(self.text.as_bytes(), self.at)?;
        let value = self.text.get(self.at..end).filter(|value| !value.is_empty());
        self.at = end;
        value
    }
}

/// Where the value that begins here ends; `None` where no value begins. However deep it is, this takes no stack.
fn end_of(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    match bytes.get(at)? {
        b'"' => return end_of_text(bytes, at),
        b'{' | b'[' => {}
        b']' | b'}' | b',' | b':' => return None,
        _ => {
            let is_end = |byte: &u8| matches!(byte, b',' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r' | b':');
            let rest = bytes.get(at..)?;
            return Some(at + rest.iter().position(is_end).unwrap_or(rest.len()));
        }
    }
    let mut depth = 0_usize;
    loop {
        match bytes.get(at)? {
            b'"' => {
                at = end_of_text(bytes, at)?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
        at += 1;
    }
}

fn end_of_text(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes.get(at) == Some(&b'"') {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// JSON text without white space between its tokens.
#[must_use]
pub fn compact(json: &str) -> Cow<'_, str> {
    let bytes = json.as_bytes();
    let mut short = String::new();
    let (mut kept, mut at) = (0, 0);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => at = end_of_text(bytes, at).unwrap_or(bytes.len()),
            b' ' | b'\t' | b'\n' | b'\r' => {
                short.push_str(json.get(kept..at).unwrap_or_default());
                at += 1;
                kept = at;
            }
            _ => at += 1,
        }
    }
    if kept == 0 {
        return Cow::Borrowed(json);
    }
    short.push_str(json.get(kept..).unwrap_or_default());
    Cow::Owned(short)
}

#[cfg(test)]
mod tests;
