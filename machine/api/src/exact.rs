//! Numbers in JSON text that a type cannot hold exactly: serde rounds them without an error.

use crate::abi::Kind;

/// How many bits lie between the first and the last one that is set.
fn significant_bits(number: u128) -> u32 {
    if number == 0 { 0 } else { u128::BITS - number.leading_zeros() - number.trailing_zeros() }
}

/// Whether a float with so many bits holds an integer exactly.
#[doc(hidden)]
#[must_use]
pub fn is_exact(number: u128, mantissa_bits: u32) -> bool {
    significant_bits(number) <= mantissa_bits
}

/// Checks that a float of this kind can hold the number in a JSON text: an integer exactly, anything else rounded to
/// the nearest float, but neither to infinity nor to zero. Text that is not a number is fine: serde reports it.
///
/// # Errors
/// Why it cannot.
#[doc(hidden)]
pub fn check_float(json: &str, kind: Kind) -> Result<(), String> {
    let (mantissa_bits, name) = match kind {
        Kind::F64 => (f64::MANTISSA_DIGITS, "f64"),
        Kind::F32 => (f32::MANTISSA_DIGITS, "f32"),
        _ => return Ok(()),
    };
    let json = json.trim();
    let digits = json.strip_prefix('-').unwrap_or(json);
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let is_exact = digits.parse().is_ok_and(|number| is_exact(number, mantissa_bits));
        return if is_exact { Ok(()) } else { Err(format!("{json} cannot be held exactly by {name}")) };
    }
    match json.parse::<f64>() {
        Ok(number) if kind == Kind::F32 => check_f32(number),
        _ => Ok(()),
    }
}

/// Checks that a number stays finite, and does not become zero, as `f32`.
///
/// # Errors
/// If it does.
#[doc(hidden)]
pub fn check_f32(number: f64) -> Result<(), String> {
    #[expect(clippy::cast_possible_truncation, reason = "what it becomes is what is looked at")]
    let short = number as f32;
    let is_lost = number.is_finite() && (short.is_infinite() || (short == 0.0 && number != 0.0));
    if is_lost { Err(format!("{number:e} is out of range for f32")) } else { Ok(()) }
}

/// The first integer in a JSON text that needs more than 64 bits: a JSON value makes a rounded float of it.
#[doc(hidden)]
#[must_use]
pub fn wide_integer(json: &str) -> Option<&str> {
    let bytes = json.as_bytes();
    let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at += 1;
                while let Some(inside) = bytes.get(at).filter(|byte| **byte != b'"') {
                    at += if *inside == b'\\' { 2 } else { 1 };
                }
                at += 1;
            }
            b'0'..=b'9' | b'-' => {
                let end = bytes.iter().skip(at).position(|byte| !is_part(byte)).map_or(bytes.len(), |more| at + more);
                let number = json.get(at..end)?;
                let is_integer = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
                if is_integer && number.parse::<u64>().is_err() && number.parse::<i64>().is_err() {
                    return Some(number);
                }
                at = end;
            }
            _ => at += 1,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{check_float, wide_integer};
    use crate::abi::Kind;

    #[test]
    fn what_a_float_cannot_hold_is_an_error() {
        assert!(check_float("9007199254740992", Kind::F64).is_ok());
        assert!(check_float("-9007199254740993", Kind::F64).is_err());
        assert!(check_float("0.1", Kind::F32).is_ok() && check_float("1e39", Kind::F64).is_ok());
        assert_eq!(check_float("1e39", Kind::F32), Err("1e39 is out of range for f32".to_owned()));
        assert!(check_float("16777217", Kind::F32).is_err() && check_float("1e-60", Kind::F32).is_err());
        assert!(check_float("null", Kind::F64).is_ok() && check_float("\"-\"", Kind::F64).is_ok());
        assert!(check_float(&"9".repeat(60), Kind::F64).is_err());
    }

    #[test]
    fn integers_beyond_64_bits_are_found_outside_of_text() {
        assert_eq!(
            wide_integer(r#"{"a":[18446744073709551615,-9223372036854775808,1e30,"18446744073709551616"]}"#),
            None
        );
        assert_eq!(wide_integer(r#"["\"",18446744073709551616]"#), Some("18446744073709551616"));
        assert_eq!(wide_integer("-9223372036854775809"), Some("-9223372036854775809"));
        assert_eq!(wide_integer("\"\\"), None);
    }
}
