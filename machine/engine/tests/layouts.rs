//! Values of unusual layouts go wherever values go: each is where its type wants it, and is dropped once.
#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]

use common::named;
use machine::prelude::*;
use machine_async::prelude::*;
use machine_testkit::{Drained, eventually};
use std::marker::PhantomData;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

mod common;

/// A value that counts how many of its type there are. It is always the same one, and knows whether it is where its
/// type wants it.
trait Unusual: Serialize + serde::de::DeserializeOwned + Clone + Send + Sync + 'static {
    fn make() -> Self;
    fn live() -> usize;
    fn is_well(&self) -> bool;
}

macro_rules! unusual {
    ($name:ident, $align:literal, $content:ty) => {
        mod $name {
            use super::*;

            static MADE: AtomicUsize = AtomicUsize::new(0);
            static DROPPED: AtomicUsize = AtomicUsize::new(0);

            #[repr(align($align))]
            pub struct Value($content, PhantomData<()>);

            impl Unusual for Value {
                fn make() -> Self {
                    MADE.fetch_add(1, Relaxed);
                    Self(<$content>::default(), PhantomData)
                }
                fn live() -> usize {
                    MADE.load(Relaxed) - DROPPED.load(Relaxed)
                }
                fn is_well(&self) -> bool {
                    std::ptr::from_ref(self).addr().is_multiple_of($align) && self.0 == <$content>::default()
                }
            }
            impl Drop for Value {
                fn drop(&mut self) {
                    assert!(self.is_well());
                    DROPPED.fetch_add(1, Relaxed);
                }
            }
            impl Clone for Value {
                fn clone(&self) -> Self {
                    assert!(self.is_well());
                    Self::make()
                }
            }
            impl Serialize for Value {
                fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    assert!(self.is_well());
                    ().serialize(serializer)
                }
            }
            impl<'de> Deserialize<'de> for Value {
                fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    <()>::deserialize(deserializer).map(|()| Self::make())
                }
            }

            #[test]
            fn go_wherever_values_go() {
                everywhere::<Value>();
            }
        }
    };
}
unusual!(large_alignment, 128, [u8; 5]);
unusual!(zero_sized, 1, ());
unusual!(zero_sized_of_large_alignment, 128, ());

fn everywhere<T: Unusual>() {
    for has_async_slots in [false, true] {
        let (m, next) = (named("layout").queue(8).start().unwrap(), named("layout").start().unwrap());
        // As it is, in an `Option`, in a `Result`, and from text.
        m[0].set(|value: &T| value.is_well().then(T::make)).unwrap();
        m[1].set(|made: &Option<T>, value: &T| made.as_ref().is_some_and(T::is_well) && value.is_well()).unwrap();
        m[2].set(|well: bool| if well { Ok(T::make()) } else { Err("it is not well") }).unwrap();
        m[3].set(|inside: &T| inside.is_well().then_some(json!(null))).unwrap();
        m[4].set(|text: &T, inside: &T| text.is_well() && inside.is_well()).unwrap();
        if has_async_slots {
            m[5].set_async(async |well: bool, text: &T| (well && text.is_well()).then(T::make)).unwrap();
        }
        next[0].set(|value: &T| value.is_well()).unwrap();
        m.to(&next, 2).unwrap();
        let (outputs, results) = (m.outputs().unwrap(), next.outputs().unwrap());
        m.pause();
        m.put_wait(T::make()).unwrap();
        let mut batch: Vec<T> = (0..4).map(|_| T::make()).collect();
        assert_eq!(m.try_put_batch(&mut batch).unwrap(), 4);
        m.start();
        m.source((0..50).map(|_| T::make())).unwrap();
        m.drained();
        next.drained();
        let out = m.call(T::make()).unwrap();
        assert!(out.get::<T>(2).unwrap().is_well() && out.input::<T>().unwrap().is_well());
        assert_eq!((m.status().errored, next.status().errored), (0, 0), "{:?}", m.errors());
        let mut seen = 0;
        for output in outputs.timeout(Duration::ZERO) {
            assert!(output.input::<T>().unwrap().is_well() && output.get::<bool>(4).unwrap());
            seen += 1;
        }
        assert_eq!(seen, 55);
        assert!(results.timeout(Duration::ZERO).all(|output| output.get::<bool>(0).unwrap()));
        (0..6).for_each(|slot| m[slot].clear().unwrap());
        m.clear_outputs();
        m.clear_source();
    }
    // Each was dropped once.
    eventually!(T::live() == 0, T::live());
}
