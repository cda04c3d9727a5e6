//! The outputs of one value that went through the slots here and now.

use crate::exact;
use crate::shim::{self, CallHandle};
use machine_protocol::{Error, ErrorKind};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What each slot made of one value. As the last expression of a cell it is shown with its values.
pub struct Call(pub(crate) CallHandle);

impl Call {
    /// The message's oid, 24 hex digits.
    #[must_use]
    pub fn oid(&self) -> String {
        String::from_utf8(self.0.oid()).unwrap_or_default()
    }

    /// The input.
    ///
    /// # Errors
    /// If it is no `T` and does not convert into one.
    pub fn input<T: Serialize + DeserializeOwned + Clone + 'static>(&self) -> Result<T, Error> {
        self.value(0)
    }

    /// What slot `slot` gave.
    ///
    /// # Errors
    /// If the output is missing (then it says why), or no `T`. Of a slot that gave `None` an `Option` is `Ok(None)`.
    pub fn get<T: Serialize + DeserializeOwned + Clone + 'static>(&self, slot: usize) -> Result<T, Error> {
        self.value(slot.saturating_add(1))
    }

    /// What slot `slot` gave, as JSON text.
    ///
    /// # Errors
    /// If the output is missing, or does not serialise.
    pub fn json(&self, slot: usize) -> Result<String, Error> {
        self.text(slot.saturating_add(1))
    }

    pub(crate) fn value<T: Serialize + DeserializeOwned + Clone + 'static>(&self, at: usize) -> Result<T, Error> {
        if let Some(value) = self.0.value::<T>(at) {
            return Ok(value.clone());
        }
        let json = self.text(at)?;
        let value = exact::check_float(&json, shim::kind::<T>());
        let value = value.and_then(|()| serde_json::from_str(&json).map_err(|error| error.to_string()));
        value.map_err(|error| {
            let what = if at == 0 { "the input".to_owned() } else { format!("the output of f{}", at - 1) };
            let wanted = shim::short(std::any::type_name::<T>());
            Error::new(ErrorKind::TypeMismatch, format!("{what} is {json}, which is no {wanted}: {error}"))
        })
    }

    pub(crate) fn text(&self, at: usize) -> Result<String, Error> {
        let text = |bytes| String::from_utf8(bytes).unwrap_or_default();
        self.0.json(at).map(text).map_err(|why| Error::new(ErrorKind::NoOutput, text(why)))
    }
}
