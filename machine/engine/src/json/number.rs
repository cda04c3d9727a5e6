//! Numbers of any size, compared exactly.

use std::borrow::Cow;
use std::cmp::Ordering;

/// A number in a JSON text. Whole numbers are exact, whatever their size; others are the nearest `f64`.
#[derive(Clone, Debug)]
pub struct Number<'j> {
    written: Cow<'j, str>,
    value: Value,
}

#[derive(Clone, Copy, Debug)]
enum Value {
    Integer(i128),
    /// A whole number beyond that: its digits are the written ones.
    Long,
    Float(f64),
}

impl<'j> Number<'j> {
    /// Reads a number; `None` if it is beyond the largest `f64`, about 1.8e308, or not a number.
    #[must_use]
    pub fn new(written: &'j str) -> Option<Self> {
        let digits = written.strip_prefix('-').unwrap_or(written);
        let value = if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            written.parse().map_or(Value::Long, Value::Integer)
        } else {
            Value::Float(written.parse().ok()?)
        };
        let number = Self { written: Cow::Borrowed(written), value };
        // As the standard library reads it, `inf` is a number, too.
        let is_json =
            written.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E'));
        (is_json && number.as_f64().is_finite()).then_some(number)
    }

    /// The same, independent of the text that it was read from.
    #[must_use]
    pub fn into_owned(self) -> Number<'static> {
        Number { written: Cow::Owned(self.written.into_owned()), value: self.value }
    }

    /// As it is written.
    #[must_use]
    pub fn written(&self) -> &str {
        &self.written
    }

    /// The nearest `f64`.
    #[must_use]
    pub fn as_f64(&self) -> f64 {
        match self.value {
            Value::Float(value) => value,
            Value::Integer(_) | Value::Long => self.written.parse().unwrap_or(f64::NAN),
        }
    }

    /// The number, if it is written as a whole one (without a point and an exponent) of this range.
    #[must_use]
    pub fn as_i128(&self) -> Option<i128> {
        match self.value {
            Value::Integer(value) => Some(value),
            Value::Long | Value::Float(_) => None,
        }
    }

    /// Whether it is written as a whole number.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        !matches!(self.value, Value::Float(_))
    }

    /// Which of two is larger, exactly.
    #[must_use]
    pub fn compare(&self, other: &Number<'_>) -> Option<Ordering> {
        match (self.value, other.value) {
            (Value::Integer(a), Value::Integer(b)) => Some(a.cmp(&b)),
            (Value::Float(a), Value::Float(b)) => a.partial_cmp(&b),
            (Value::Integer(a), Value::Float(b)) => Some(against(a, b)),
            (Value::Float(a), Value::Integer(b)) => Some(against(b, a).reverse()),
            _ => Some(compare_digits(&self.digits(), &other.digits())),
        }
    }

    /// Sign and digits of the whole part; exact where numbers are as large as the longest ones.
    fn digits(&self) -> String {
        match self.value {
            Value::Float(value) => format!("{:.0}", value.trunc()),
            Value::Integer(_) | Value::Long => self.written.to_string(),
        }
    }
}

impl From<u64> for Number<'static> {
    fn from(value: u64) -> Self {
        Self { written: Cow::Owned(value.to_string()), value: Value::Integer(value.into()) }
    }
}

/// 2^127, the first number that is beyond `i128`.
const BEYOND: f64 = 170_141_183_460_469_231_731_687_303_715_884_105_728.0;

fn against(whole: i128, float: f64) -> Ordering {
    if float >= BEYOND {
        return Ordering::Less;
    }
    if float < -BEYOND {
        return Ordering::Greater;
    }
    #[expect(clippy::cast_possible_truncation, reason = "the whole part, which is in range")]
    let part = float.trunc() as i128;
    whole.cmp(&part).then_with(|| 0.0_f64.partial_cmp(&float.fract()).unwrap_or(Ordering::Equal))
}

fn compare_digits(a: &str, b: &str) -> Ordering {
    let split =
        |text: &str| text.strip_prefix('-').map_or((false, text.to_owned()), |digits| (true, digits.to_owned()));
    let ((a_negative, a), (b_negative, b)) = (split(a), split(b));
    match (a_negative, b_negative) {
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
        (negative, _) => {
            let order = a.len().cmp(&b.len()).then_with(|| a.cmp(&b));
            if negative { order.reverse() } else { order }
        }
    }
}
