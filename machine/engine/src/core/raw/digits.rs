//! Numbers as JSON text, in the signs of `serde_json`: the digits of `zmij` and of integers, `null` for what is not
//! finite.
//!
//! They are written where they stay, next to each other: to copy so few bytes is a call, and one for each number. With
//! `zmij` and `itoa` alone, a message of nine numbers costs 2,757 instructions instead of 1,969, and in W8-B 1.7 times what
//! computing and serialising alone take, instead of 1.2.
#![expect(clippy::cast_ptr_alignment, reason = "the caller passes an address that is aligned for its type")]
#![allow(unsafe_code, reason = "the boundary: values of types that the engine does not know")]

use machine::abi::Kind;

/// The most bytes that a number takes, and that are written to.
pub(crate) const MOST_DIGITS: usize = {
    // The longest integer is i128::MIN, of 40 signs.
    assert!(align_of::<zmij::Buffer>() == 1);
    if size_of::<zmij::Buffer>() > 40 { size_of::<zmij::Buffer>() } else { 40 }
};

/// From here on `zmij` writes integers with an exponent.
const EXPONENT: f64 = 1e16;

/// Writes a number to `to`; returns how many bytes it takes, 0 if `kind` is no number.
///
/// # Safety
/// `at` points at a number of this kind, `to` at room for [`MOST_DIGITS`] bytes.
#[inline(always)]
#[expect(clippy::inline_always, reason = "the call was a fifth of what a number costs beside its digits")]
pub(crate) unsafe fn write_number(kind: Kind, at: *const u8, to: *mut u8) -> usize {
    // SAFETY: the kind says the type; the room is the caller's.
    unsafe {
        // The usual one is not looked for among all of them.
        if kind == Kind::F64 {
            return write_f64(at.cast::<f64>().read(), to);
        }
        match kind {
            Kind::F32 => {
                let number = at.cast::<f32>().read();
                write_float(number, number.is_finite(), to)
            }
            Kind::I64 => write_signed(at.cast::<i64>().read(), to),
            Kind::I32 => write_signed(at.cast::<i32>().read().into(), to),
            Kind::I16 => write_signed(at.cast::<i16>().read().into(), to),
            Kind::I8 => write_signed(at.cast::<i8>().read().into(), to),
            Kind::Isize => write_signed(at.cast::<isize>().read() as i64, to),
            Kind::U64 => write_unsigned(at.cast::<u64>().read(), to),
            Kind::U32 => write_unsigned(at.cast::<u32>().read().into(), to),
            Kind::U16 => write_unsigned(at.cast::<u16>().read().into(), to),
            Kind::U8 => write_unsigned(at.cast::<u8>().read().into(), to),
            Kind::Usize => write_unsigned(at.cast::<usize>().read() as u64, to),
            Kind::I128 => put(itoa::Buffer::new().format(at.cast::<i128>().read()), to),
            Kind::U128 => put(itoa::Buffer::new().format(at.cast::<u128>().read()), to),
            Kind::F64 | Kind::Bool | Kind::String | Kind::Json | Kind::Other => 0,
        }
    }
}

/// Many floats are integers, which are written in half the time.
///
/// # Safety
/// As `write_number`.
#[inline]
unsafe fn write_f64(number: f64, to: *mut u8) -> usize {
    if number.abs() < EXPONENT {
        // SAFETY: in the range of i64.
        let integer: i64 = unsafe { number.to_int_unchecked() };
        #[expect(
            clippy::cast_precision_loss,
            reason = "compared with what it was made from, also for the sign of zero"
        )]
        if (integer as f64).to_bits() == number.to_bits() {
            // SAFETY: the caller's; at most 17 signs come before these two.
            return unsafe {
                let length = write_signed(integer, to);
                to.add(length).cast::<[u8; 2]>().write(*b".0");
                length + 2
            };
        }
    }
    // SAFETY: the caller's.
    unsafe { write_float(number, number.is_finite(), to) }
}

/// # Safety
/// As `write_number`.
#[inline]
unsafe fn write_signed(number: i64, to: *mut u8) -> usize {
    let sign = usize::from(number < 0);
    // SAFETY: the caller's; the digits are written over the sign if there is none.
    unsafe {
        to.write(b'-');
        sign + write_unsigned(number.unsigned_abs(), to.add(sign))
    }
}

/// Eight digits at a time, up to 16. `itoa` would write them to its own buffer: what has been written byte by byte
/// has to rest there before it can be read as a whole, and that took a third of the time of a message's JSON.
///
/// # Safety
/// There is room for 20 bytes.
#[inline]
unsafe fn write_unsigned(number: u64, to: *mut u8) -> usize {
    const EIGHT: u64 = 100_000_000;
    // SAFETY: the caller's.
    unsafe {
        if number < EIGHT {
            write_leading(number, to)
        } else if number < EIGHT * EIGHT {
            let length = write_leading(number / EIGHT, to);
            to.add(length).cast::<[u8; 8]>().write(eight_digits(number % EIGHT).to_le_bytes());
            length + 8
        } else {
            put(itoa::Buffer::new().format(number), to)
        }
    }
}

/// Writes a number below 10⁸ without zeros before it.
///
/// # Safety
/// There is room for 8 bytes.
#[inline]
unsafe fn write_leading(number: u64, to: *mut u8) -> usize {
    let digits = eight_digits(number);
    // A zero is one digit too.
    let zeros = ((digits & 0x0f0f_0f0f_0f0f_0f0f).trailing_zeros() / 8).min(7);
    // SAFETY: the caller's.
    unsafe { to.cast::<[u8; 8]>().write((digits >> (8 * zeros)).to_le_bytes()) };
    8 - zeros as usize
}

/// The eight digits of a number below 10⁸, the first one in the lowest byte: halves, their halves, and theirs, side by
/// side in one word. To multiply and shift is to divide by 100, and by 10, as far as these numbers go.
#[inline]
const fn eight_digits(number: u64) -> u64 {
    let fours = (number / 10_000) | ((number % 10_000) << 32);
    let hundreds = ((fours * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let twos = hundreds | ((fours - hundreds * 100) << 16);
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    let ones = tens | ((twos - tens * 10) << 8);
    ones | 0x3030_3030_3030_3030
}

/// # Safety
/// As `write_number`.
#[inline]
unsafe fn write_float(number: impl zmij::Float, is_finite: bool, to: *mut u8) -> usize {
    if !is_finite {
        // SAFETY: the caller's.
        return unsafe { put("null", to) };
    }
    // SAFETY: there is room for the buffer, which lies at any address.
    let digits = unsafe {
        to.cast::<zmij::Buffer>().write(zmij::Buffer::new());
        &mut *to.cast::<zmij::Buffer>()
    };
    let text = digits.format_finite(number);
    if std::ptr::eq(text.as_ptr(), to) {
        return text.len();
    }
    // SAFETY: the caller's. They are written elsewhere, and copied: they lay somewhere else in the room.
    unsafe { put(zmij::Buffer::new().format_finite(number), to) }
}

/// # Safety
/// There is room.
#[inline]
unsafe fn put(text: &str, to: *mut u8) -> usize {
    // SAFETY: the caller's; the text lies elsewhere.
    unsafe { std::ptr::copy_nonoverlapping(text.as_ptr(), to, text.len()) };
    text.len()
}

#[cfg(test)]
mod tests {
    use super::{MOST_DIGITS, write_number};
    use machine::abi::Kind;
    use proptest::prelude::*;

    fn written<T>(kind: Kind, number: T) -> String {
        let mut text = vec![0; MOST_DIGITS];
        // SAFETY: the kind is the number's, and there is room.
        let length = unsafe { write_number(kind, (&raw const number).cast(), text.as_mut_ptr()) };
        text.truncate(length);
        String::from_utf8(text).unwrap_or_default()
    }

    fn is_as_serde_json(number: f64) {
        assert_eq!(written(Kind::F64, number), serde_json::to_string(&number).unwrap_or_default());
    }

    #[test]
    fn floats_that_are_almost_integers() {
        let around =
            [0.0, 1.0, 10.0, 1e15, 9_007_199_254_740_993.0, 1e16, 1e17, 9.2e18, 1e19, f64::MAX, f64::MIN_POSITIVE];
        for number in around.into_iter().flat_map(|n| [n, -n, n.next_up(), n.next_down(), n + 0.5]) {
            is_as_serde_json(number);
        }
        for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            is_as_serde_json(number);
        }
        assert_eq!(written(Kind::F32, f32::NAN), "null");
        assert_eq!(written(Kind::I64, i64::MIN), i64::MIN.to_string());
        assert_eq!(written(Kind::U64, u64::MAX), u64::MAX.to_string());
        assert_eq!(written(Kind::I128, i128::MIN), i128::MIN.to_string());
        assert_eq!(written(Kind::U128, u128::MAX), u128::MAX.to_string());
        assert_eq!(written(Kind::Bool, true), "");
    }

    #[test]
    fn integers_of_any_length() {
        for digits in 1..20 {
            let power = 10_u64.pow(digits - 1);
            for number in [power - 1, power, power + 1, 3 * power + power / 7, power.wrapping_mul(9)] {
                assert_eq!(written(Kind::U64, number), number.to_string());
                let number = -number.cast_signed();
                assert_eq!(written(Kind::I64, number), number.to_string());
            }
        }
        for number in (0..=9_999_u16).step_by(if cfg!(miri) { 101 } else { 1 }) {
            assert_eq!(written(Kind::U16, number), number.to_string());
            let both = u64::from(number) * 10_001;
            assert_eq!(written(Kind::U64, both), both.to_string());
        }
    }

    proptest! {
        #[test]
        fn any_number_is_written_as_by_serde_json(float: f64, bits: u64, integer: i64, short: f32, byte: i8) {
            is_as_serde_json(float);
            is_as_serde_json(f64::from_bits(bits));
            #[expect(clippy::cast_precision_loss, reason = "the floats that are integers")]
            is_as_serde_json((integer >> (bits % 64)) as f64);
            prop_assert_eq!(written(Kind::I64, integer), integer.to_string());
            prop_assert_eq!(written(Kind::I8, byte), byte.to_string());
            prop_assert_eq!(written(Kind::F32, short), serde_json::to_string(&short).unwrap_or_default());
        }
    }
}
