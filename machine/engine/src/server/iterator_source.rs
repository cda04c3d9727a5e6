//! An iterator of the user's, or a function that makes one.

use crate::core::queue::CLAIM;
use crate::core::raw::Buffer;
use crate::core::source::context::{SourceContext, Stop};
use crate::core::source::pace::Pacer;
use crate::core::source::{SourceDriver, SourceTask};
use machine::abi::SourceDesc;
use machine_protocol::Error;
use machine_protocol::source::Pacing;
use std::time::{Duration, Instant};

/// An iterator that takes longer than this for an item is asked for one at a time.
const QUICK: Duration = Duration::from_micros(2);

/// An iterator, and how often the machine had been stopped when it was made.
#[derive(Debug)]
struct Iteration {
    buffer: Buffer,
    made: Option<u64>,
}

fn describe(buffer: &Buffer) -> String {
    let what = if buffer.restarts() { "a function that gives" } else { "an iterator of" };
    format!("{what} {}", machine::shim::short(buffer.item_name()))
}

/// A source of a user's iterator, or of a function that makes one.
///
/// # Errors
/// If a number of the pacing is out of range.
pub(crate) fn task(desc: SourceDesc, pacing: &Pacing) -> Result<SourceTask, Error> {
    let buffer = Buffer::new(desc, CLAIM);
    let pacer = Pacer::new(pacing)?;
    let description = describe(&buffer);
    Ok(SourceTask::new(Box::new(Iteration::new(buffer)), pacer, &description, pacing))
}

impl Iteration {
    fn new(buffer: Buffer) -> Self {
        Self { buffer, made: None }
    }

    /// Calls the function if the machine was stopped since it was called last.
    fn make(&mut self, intake: &mut SourceContext<'_>) -> Result<(), Stop> {
        // Acquire: pairs with the Release of `halt`.
        let stops = intake.machine.stops();
        if self.wants_anew(stops) {
            self.made = Some(stops);
            intake.begin_anew();
            self.buffer.again().map_err(|panic| Stop::Failed(format!("the function panicked: {panic}")))?;
        }
        Ok(())
    }

    /// Puts what the buffer holds.
    fn put(&mut self, intake: &mut SourceContext<'_>) -> Result<(), Stop> {
        let filled = self.buffer.len();
        let mut due = Ok(());
        if intake.is_paced() && filled > 0 {
            let item = &self.buffer;
            due = intake.wait_due(|| item.first_json());
            due = due.and_then(|()| intake.wait_running());
        }
        let put = match due {
            Ok(()) => intake.machine.put_items(&mut self.buffer, &intake.feed.shutdown),
            Err(_) => self.buffer.discard(),
        };
        if put < filled {
            intake.drop_items(filled - put);
            return Err(Stop::Ended);
        }
        due
    }
}

impl SourceDriver for Iteration {
    fn run(&mut self, intake: &mut SourceContext<'_>) -> Result<(), Stop> {
        let mut most = 1;
        loop {
            intake.wait_running()?;
            self.make(intake)?;
            let before = Instant::now();
            let filled = self.buffer.fill(most);
            let slow = before.elapsed() > QUICK * u32::try_from(filled.max(1)).unwrap_or(1);
            self.put(intake)?;
            if let Some(panic) = self.buffer.panic() {
                return Err(Stop::Failed(format!("the source panicked: {panic}")));
            }
            if filled < most {
                return Ok(());
            }
            // Only an iterator that has its items at hand is asked for many: others would keep the first ones back.
            let many = !slow && !intake.is_paced() && self.buffer.is_exact();
            most = if many { (most * 2).min(CLAIM) } else { 1 };
        }
    }

    fn restarts(&self) -> bool {
        self.buffer.restarts()
    }

    fn wants_anew(&self, stops: u64) -> bool {
        self.buffer.restarts() && self.made != Some(stops)
    }
}
