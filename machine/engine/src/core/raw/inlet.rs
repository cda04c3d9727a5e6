//! Where values are put as messages.

use machine::abi::{Put, PutWait, TypeDesc};

/// Takes values as messages: a machine.
pub(crate) trait Inlet {
    /// Puts a value; moves it only if it is accepted.
    ///
    /// # Safety
    /// `value` points at a value of the type that `desc` describes.
    #[expect(unsafe_code, reason = "values of types that the engine does not know")]
    unsafe fn put_value(
        &self,
        desc: &'static TypeDesc,
        value: *mut u8,
        patience: PutWait,
        cancel: impl Fn() -> bool,
    ) -> Put;

    /// Puts JSON text; it is dropped if it is not accepted.
    fn put_text(&self, json: String, patience: PutWait, cancel: impl Fn() -> bool) -> Put;
}
