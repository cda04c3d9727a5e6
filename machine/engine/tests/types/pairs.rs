//! What one slot gives another takes: the same value, an exact conversion, or an error; never another number.

use crate::common::named;
use machine::prelude::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// One for each thread: there may be a thousand in a process.
fn machine() -> Machine {
    thread_local! {
        static OWN: Machine = named("pairs").slots(2).start().unwrap();
    }
    let own = OWN.with(|own| *own);
    // What is taken of the next type does not fit what was given of the last one.
    own[1].clear().unwrap();
    own
}

/// Takes a value from a slot that gives it to one that takes it as a `T`; what arrives, or the error.
fn through<G, T>(value: G) -> Result<T, String>
where
    G: Serialize + Clone + Send + Sync + 'static,
    T: Serialize + serde::de::DeserializeOwned + Clone + Send + 'static,
{
    let m = machine();
    let seen = Arc::new(Mutex::new(None));
    let sees = seen.clone();
    m[0].set(move |_: Ignored| value.clone()).unwrap();
    m[1].set(move |x: &T| *sees.lock().unwrap() = Some(x.clone())).unwrap();
    let called = m.call(()).unwrap();
    let arrived = seen.lock().unwrap().take();
    arrived.ok_or_else(|| called.get::<()>(1).unwrap_err().to_string())
}

/// As `through`, for an `Option` that is taken by value.
fn through_option<G, T>(value: G) -> Result<Option<T>, String>
where
    G: Serialize + Clone + Send + Sync + 'static,
    T: Serialize + serde::de::DeserializeOwned + Clone + Send + 'static,
{
    let m = machine();
    let seen = Arc::new(Mutex::new(None));
    let sees = seen.clone();
    m[0].set(move |_: Ignored| value.clone()).unwrap();
    m[1].set(move |x: Option<&T>| *sees.lock().unwrap() = Some(x.cloned())).unwrap();
    let called = m.call(()).unwrap();
    let arrived = seen.lock().unwrap().take();
    arrived.ok_or_else(|| called.get::<()>(1).unwrap_err().to_string())
}

/// Values of a type go to each form that takes the same type.
fn same<T>(value: T)
where
    T: Serialize + serde::de::DeserializeOwned + Clone + PartialEq + std::fmt::Debug + Send + Sync + 'static,
{
    assert_eq!(through::<T, T>(value.clone()), Ok(value.clone()));
    assert_eq!(through::<Option<T>, T>(Some(value.clone())), Ok(value.clone()));
    assert_eq!(through::<T, Option<T>>(value.clone()), Ok(Some(value.clone())));
    assert_eq!(through::<Option<T>, Option<T>>(Some(value.clone())), Ok(Some(value.clone())));
    assert_eq!(through::<Option<T>, Option<T>>(None), Ok(None));
    assert_eq!(through_option::<T, T>(value.clone()), Ok(Some(value.clone())));
    assert_eq!(through_option::<Option<T>, T>(Some(value.clone())), Ok(Some(value.clone())));
    assert_eq!(through_option::<Option<T>, T>(None), Ok(None));
    assert_eq!(through::<Result<T, String>, T>(Ok(value.clone())), Ok(value.clone()));
    assert_eq!(through::<Result<Option<T>, String>, T>(Ok(Some(value.clone()))), Ok(value.clone()));
    assert_eq!(through::<Result<Option<T>, String>, Option<T>>(Ok(None)), Ok(None));
    assert_eq!(through::<Vec<Option<T>>, Vec<Option<T>>>(vec![Some(value.clone()), None]), Ok(vec![Some(value), None]));
}

#[test]
fn what_a_slot_gives_of_a_type_arrives_where_that_type_is_taken() {
    macro_rules! all { ($($ty:ty),*) => { $(for value in [<$ty>::MIN, <$ty>::MAX] { same(value); })* } }
    all!(i8, i16, i32, i64, isize, i128, u8, u16, u32, u64, usize, u128, f32, f64);
    same(true);
    same('é');
    same("text".to_owned());
    same(vec![1_u8]);
    same((1_u8, "a".to_owned()));
    same(BTreeMap::from([("a".to_owned(), 1.5)]));
    same(std::time::Duration::from_millis(1500));
    same(json!({"a": [1, null]}));
    same(Box::new(7_u16));
}

macro_rules! convert {
    ($value:expr; $($to:ty),*) => { $({
        let value = $value;
        match (through::<_, $to>(value), through_option::<_, $to>(value)) {
            (Ok(arrived), optional) => {
                prop_assert_eq!(optional, Ok(Some(arrived)));
                match (value.exact(), arrived.exact()) {
                    (Some(given), Some(arrived)) => prop_assert_eq!(given, arrived),
                    // Of floats alone, the shorter one is the nearest; beyond `i128` there are large integers.
                    _ => {
                        let (given, arrived) = (value.float(), arrived.float());
                        prop_assert!(arrived == given || arrived == f64::from(given.float_short()), "{given} {arrived}");
                    }
                }
            }
            // An error is one in each form, and only where there is no such number.
            (Err(why), optional) => {
                prop_assert!(optional.is_err(), "{} is {:?}", why, optional);
                prop_assert!(!value.exact().is_some_and(<$to>::has), "{value} as {}: {why}", stringify!($to));
            }
        }
    })* };
}

/// A number, and whether others are it.
#[allow(clippy::cast_possible_truncation, reason = "compared with what they were")]
trait Number: Copy {
    /// The same as an integer.
    fn exact(self) -> Option<i128>;
    /// The nearest float.
    fn float(self) -> f64;
    fn float_short(self) -> f32 {
        self.float() as f32
    }
    /// Whether there is this integer.
    fn has(integer: i128) -> bool;
}
macro_rules! integers { ($($ty:ty),*) => { $(
    #[allow(clippy::cast_precision_loss, clippy::cast_lossless, reason = "the nearest")]
    impl Number for $ty {
        fn exact(self) -> Option<i128> { i128::try_from(self).ok() }
        fn float(self) -> f64 { self as f64 }
        fn has(integer: i128) -> bool { <$ty>::try_from(integer).is_ok() }
    }
)* } }
integers!(i8, i16, i32, i64, isize, i128, u8, u16, u32, u64, usize, u128);
macro_rules! floats { ($($ty:ty),*) => { $(
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "compared with what it was")]
    impl Number for $ty {
        fn exact(self) -> Option<i128> {
            let integer = self as i128;
            (self.fract() == 0.0 && integer < i128::MAX && integer > i128::MIN).then_some(integer)
        }
        fn float(self) -> f64 { self.into() }
        fn has(integer: i128) -> bool { integer < i128::MAX && (integer as $ty) as i128 == integer }
    }
)* } }
floats!(f32, f64);

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn numbers_convert_exactly_or_not_at_all(
        wide in any::<i128>(), large in any::<u128>(), shift in 0_u32..128, float in any::<f64>(), short in any::<f32>(),
        near in -3_i64..4, power in 0_u32..63,
    ) {
        // Of all sizes, and around those that matter.
        let (wide, large) = (wide >> shift, large >> shift);
        let edge = (1_i64 << power).wrapping_add(near);
        convert!(wide; i8, u8, i64, u64, i128, u128, f32, f64);
        convert!(large; i32, u32, i64, u64, i128, u128, f32, f64);
        convert!(edge; i16, u16, isize, usize, u128, f32, f64);
        convert!(float.trunc(); i8, u64, i128, u128);
        convert!((float / 2_f64.powi(1000)).trunc(); u8, i64, u128, f64);
        convert!(float; u8, i64, u128, f64);
        let nearest = float.float_short();
        let is_lost = (nearest == 0.0 && float != 0.0) || (nearest.is_infinite() && float.is_finite());
        prop_assert_eq!(through::<_, f32>(float).ok(), (!is_lost).then_some(nearest));
        convert!(short; u16, i128, f32, f64);
    }
}

#[test]
fn numbers_that_cannot_be_held_are_errors_also_as_json() {
    let f64_of = |json: &str| through::<Value, f64>(serde_json::from_str(json).unwrap());
    assert!(f64_of("9007199254740993").unwrap_err().contains("9007199254740993 cannot be held exactly by f64"));
    assert_eq!(f64_of("9007199254740992"), Ok(9_007_199_254_740_992.0));
    assert!(through::<Value, f32>(json!(1e39)).unwrap_err().contains("1e39 is out of range for f32"));
    assert!(through::<f64, f32>(1e39).unwrap_err().contains("1e39 is out of range for f32"));
    assert_eq!(through::<f64, f32>(0.1), Ok(0.1));
    // A `Value` holds 64 bits.
    assert_eq!(through::<u128, Value>(u128::from(u64::MAX)), Ok(json!(u64::MAX)));
    assert!(through::<u128, Value>(u128::from(u64::MAX) + 1).unwrap_err().contains("needs more than the 64 bits"));
    assert!(through::<Vec<i128>, Value>(vec![i128::MIN]).unwrap_err().contains("needs more than the 64 bits"));
    // The same where a cell asks for it.
    let m = named("pairs").start().unwrap();
    m[0].set(|x: u64| x).unwrap();
    let called = m.call(9_007_199_254_740_993_u64).unwrap();
    assert!(called.get::<f64>(0).unwrap_err().message().contains("cannot be held exactly by f64"));
    assert_eq!(called.get::<u64>(0), Ok(9_007_199_254_740_993));
}
