//! Numbers of one type given to a slot that takes another.

use machine::exact::{check_f32, is_exact};
use std::any::type_name;

/// Any number, exactly.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    Int(i128),
    /// An integer beyond `i128`.
    Large(u128),
    Float(f64),
}

impl From<u128> for Number {
    fn from(number: u128) -> Self {
        i128::try_from(number).map_or(Self::Large(number), Self::Int)
    }
}

impl Number {
    /// The same number as a float.
    ///
    /// # Errors
    /// If it is an integer that would have to be rounded.
    pub fn to_f64(self) -> Result<f64, String> {
        self.is_exact(f64::MANTISSA_DIGITS, "f64")?;
        #[expect(clippy::cast_precision_loss, reason = "looked at above")]
        Ok(match self {
            Self::Int(n) => n as f64,
            Self::Large(n) => n as f64,
            Self::Float(x) => x,
        })
    }

    /// The same number as a float, of a float the nearest.
    ///
    /// # Errors
    /// If it is an integer that would have to be rounded, or a float that would become infinite or zero.
    pub fn to_f32(self) -> Result<f32, String> {
        self.is_exact(f32::MANTISSA_DIGITS, "f32")?;
        if let Self::Float(x) = self {
            check_f32(x)?;
        }
        #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "looked at above")]
        Ok(match self {
            Self::Int(n) => n as f32,
            Self::Large(n) => n as f32,
            Self::Float(x) => x as f32,
        })
    }

    fn is_exact(self, mantissa_bits: u32, name: &str) -> Result<(), String> {
        let (text, number) = match self {
            Self::Int(n) => (n.to_string(), n.unsigned_abs()),
            Self::Large(n) => (n.to_string(), n),
            Self::Float(_) => return Ok(()),
        };
        if is_exact(number, mantissa_bits) { Ok(()) } else { Err(format!("{text} cannot be held exactly by {name}")) }
    }

    /// The same number as an integer, or why there is none: a fraction or a number out of range is not rounded.
    pub fn to_int<T: TryFrom<i128> + TryFrom<u128>>(self) -> Result<T, String> {
        /// From here on a float is no `i128`.
        const BEYOND: f64 = 170_141_183_460_469_231_731_687_303_715_884_105_728.0;
        let name = type_name::<T>;
        let out_of_range = |number: String| format!("{number} is out of range for {}", name());
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in range, and without a fraction")]
        let exact = match self {
            Self::Float(x) if x.fract() != 0.0 || !x.is_finite() => return Err(format!("{x} is no {}", name())),
            Self::Float(x) if (-BEYOND..BEYOND).contains(&x) => Self::Int(x as i128),
            Self::Float(x) if (BEYOND..2.0 * BEYOND).contains(&x) => Self::Large(x as u128),
            Self::Float(x) => return Err(out_of_range(x.to_string())),
            exact => exact,
        };
        match exact {
            Self::Int(n) => T::try_from(n).map_err(|_| out_of_range(n.to_string())),
            Self::Large(n) => T::try_from(n).map_err(|_| out_of_range(n.to_string())),
            Self::Float(x) => Err(out_of_range(x.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Number::{self, Float, Int};

    #[test]
    fn converts_exactly_or_says_why_not() {
        assert_eq!(Float(14.0).to_int::<u8>(), Ok(14));
        assert_eq!(Float(14.5).to_int::<u8>(), Err("14.5 is no u8".to_owned()));
        assert_eq!(Float(f64::NAN).to_int::<u8>(), Err("NaN is no u8".to_owned()));
        assert_eq!(Int(300).to_int::<u8>(), Err("300 is out of range for u8".to_owned()));
        assert_eq!(Int(-1).to_int::<u64>(), Err("-1 is out of range for u64".to_owned()));
        assert_eq!(Int(3).to_f64(), Ok(3.0));
        assert_eq!(Int((1 << 53) + 1).to_f64(), Err("9007199254740993 cannot be held exactly by f64".to_owned()));
        assert_eq!(Float(1e39).to_f32(), Err("1e39 is out of range for f32".to_owned()));
        assert_eq!(Float(0.1).to_f32(), Ok(0.1));
        assert_eq!(Number::from(u128::MAX).to_int::<u128>(), Ok(u128::MAX));
        assert_eq!(Float(2_f64.powi(127)).to_int::<u128>(), Ok(1 << 127));
        assert!(Float(1e39).to_int::<u128>().is_err() && Float(3e38).to_int::<i128>().is_err());
        assert!(Number::from(u128::MAX).to_f64().is_err() && Number::from(1 << 127).to_f64().is_ok());
    }
}
