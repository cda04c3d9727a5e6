//! Numbers of one type given to a slot that takes another.

/// Any number, exactly (a `f64`, or an integer of any type up to 64 bits).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    Int(i128),
    Float(f64),
}

impl Number {
    /// The nearest `f64`: integers above 2⁵³ are rounded.
    pub fn to_f64(self) -> f64 {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "documented")]
            Self::Int(n) => n as f64,
            Self::Float(x) => x,
        }
    }

    /// The nearest `f32`.
    pub fn to_f32(self) -> f32 {
        #[expect(clippy::cast_possible_truncation, reason = "documented: the nearest")]
        {
            self.to_f64() as f32
        }
    }

    /// The same number as an integer, or why there is none: a fraction or a number out of range is not rounded.
    pub fn to_int<T: TryFrom<i128>>(self) -> Result<T, String> {
        let name = || std::any::type_name::<T>();
        let exact = match self {
            Self::Int(n) => n,
            Self::Float(x) if x.fract() != 0.0 || !x.is_finite() => return Err(format!("{x} is no {}", name())),
            #[expect(clippy::cast_possible_truncation, reason = "saturates, and then is out of range")]
            Self::Float(x) => x as i128,
        };
        T::try_from(exact).map_err(|_| format!("{exact} is out of range for {}", name()))
    }
}

#[cfg(test)]
mod tests {
    use super::Number::{Float, Int};

    #[test]
    fn converts_exactly_or_says_why_not() {
        assert_eq!(Float(14.0).to_int::<u8>(), Ok(14));
        assert_eq!(Float(14.5).to_int::<u8>(), Err("14.5 is no u8".to_owned()));
        assert_eq!(Float(f64::NAN).to_int::<u8>(), Err("NaN is no u8".to_owned()));
        assert_eq!(Int(300).to_int::<u8>(), Err("300 is out of range for u8".to_owned()));
        assert_eq!(Int(-1).to_int::<u64>(), Err("-1 is out of range for u64".to_owned()));
        assert!((Int(3).to_f64() - 3.0).abs() < f64::EPSILON);
    }
}
