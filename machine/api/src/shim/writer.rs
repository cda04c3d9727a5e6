//! Writers: where the engine writes lines.

use super::call::drop_boxed;
use super::{panics, say};
use crate::abi::{ByteWriter, WriterDesc, Written};
use std::io::{ErrorKind, Write};

unsafe extern "C" fn write<W: Write>(state: *mut u8, bytes: *const u8, count: usize, sink: *mut ByteWriter) -> Written {
    // SAFETY: `state` is the writer that `writer` put on the heap; one thread at a time uses it.
    let writer = unsafe { &mut *state.cast::<W>() };
    // SAFETY: the engine passes a live slice.
    let bytes = unsafe { std::slice::from_raw_parts(bytes, count) };
    let mut written = Written::Done;
    let panicked = panics(&mut || {
        if let Err(error) = writer.write_all(bytes).and_then(|()| writer.flush()) {
            written = if error.kind() == ErrorKind::BrokenPipe { Written::Closed } else { Written::Failed };
            say(sink, format_args!("{error}"));
        }
    });
    if panicked { Written::Panicked } else { written }
}

/// Erases the type of a writer.
pub(crate) fn writer<W: Write + Send + 'static>(writer: W) -> WriterDesc {
    WriterDesc { state: Box::into_raw(Box::new(writer)).cast(), drop: drop_boxed::<W>, write: write::<W> }
}
