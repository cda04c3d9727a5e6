//! Canned cells until the session is there.

use super::cells::{Cell, Cells, Completions};
use super::publish::SessionOutput;
use crate::output::{CellError, Display, Output, Stream};
use serde_json::json;
use std::sync::Arc;

pub fn spawn(output: Arc<SessionOutput>) -> Arc<dyn Cells> {
    Arc::new(Canned(output))
}

struct Canned(Arc<SessionOutput>);

fn text(mime: &str, content: &str) -> Display {
    let mut display = Display::default();
    display.data.insert("text/plain".to_owned(), json!(content));
    display.data.insert(mime.to_owned(), json!(content));
    display
}

impl Cells for Canned {
    fn execute(&self, cell: &Cell<'_>, _: &dyn Output) -> Result<Option<Display>, CellError> {
        let code = cell.code;
        if code.contains("sleep") {
            std::thread::sleep(std::time::Duration::from_secs(2));
        }
        if code.contains("println") {
            self.0.stream(Stream::Stdout, "hello, world\n");
        }
        if code.contains("stderr") || code.contains("eprintln") {
            self.0.stream(Stream::Stderr, "oh\n");
        }
        if code.contains("panic") || code.contains("bad") {
            let evalue = "no".to_owned();
            return Err(CellError { ename: "Panic".to_owned(), traceback: vec![evalue.clone()], evalue });
        }
        if code.contains("status()") {
            self.0.display(text("text/html", "<b>x</b>"));
        }
        if code.contains("clear") {
            self.0.clear(false);
        }
        if code.contains("6 * 7") {
            return Ok(Some(text("text/plain", "42")));
        }
        Ok(None)
    }

    fn magic(&self, code: &str, output: &dyn Output) -> Result<Option<Display>, CellError> {
        output.stream(Stream::Stdout, code);
        Ok(Some(text("text/plain", "magic")))
    }

    fn complete(&self, _: &str, offset: usize, _: bool) -> Completions {
        Completions { start: 0, end: offset, items: vec![("%status".to_owned(), "magic".to_owned())] }
    }

    fn inspect(&self, _: &str, _: usize, _: bool) -> Option<Display> {
        Some(text("text/plain", "help"))
    }

    fn help(&self, _: &str, _: bool) -> Option<Display> {
        Some(text("text/plain", "help"))
    }

    fn interrupt(&self) {}

    fn shutdown(&self, _: bool) {}
}
