//! Writers of a cell's.
#![allow(unsafe_code, reason = "the boundary: writers of types that the engine does not know")]

use machine::abi::{ByteWriter, WriterDesc, Written};

/// A writer of a cell's. The thread that uses or drops it has entered [`InSlot`](crate::core::hook::InSlot): it is user code.
#[derive(Debug)]
pub(crate) struct Writer(WriterDesc);

/// Why a writer has not written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct WriteError {
    /// Nobody reads at the other end any more.
    pub is_closed: bool,
    pub text: String,
}

impl Writer {
    pub fn new(desc: WriterDesc) -> Self {
        Self(desc)
    }

    /// Writes all of the bytes, and flushes.
    ///
    /// # Errors
    /// The writer's error, or the message of its panic. How much was written is then unknown.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        let mut text = Vec::new();
        // SAFETY: the writer is live until `drop`, and `self` is borrowed mutably: one thread at a time uses it. Slice and
        // sink live for the call.
        let written =
            unsafe { (self.0.write)(self.0.state, bytes.as_ptr(), bytes.len(), &mut ByteWriter::new(&mut text)) };
        let text = || String::from_utf8_lossy(&text).into_owned();
        match written {
            Written::Done => Ok(()),
            Written::Closed => Err(WriteError { is_closed: true, text: text() }),
            Written::Failed => Err(WriteError { is_closed: false, text: text() }),
            Written::Panicked => {
                let text = format!("the writer panicked: {}", crate::core::hook::take_panic());
                Err(WriteError { is_closed: false, text })
            }
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // SAFETY: the writer is ours, freed once. A panic of its destructor ends in its own library.
        let _panicked = unsafe { (self.0.drop)(self.0.state) };
    }
}
