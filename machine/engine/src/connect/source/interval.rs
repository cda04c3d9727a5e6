//! A clock.

use crate::core::command_error::failed;
use crate::core::oid;
use crate::core::source::SourceDriver;
use crate::core::source::context::{SourceContext, Stop};
use machine_protocol::source::{Interval, Tick};
use machine_protocol::{Error, ErrorKind};
use std::time::{Duration, Instant};

#[derive(Debug)]
pub(crate) struct Clock {
    period: Duration,
}

impl Clock {
    /// # Errors
    /// If the period is zero.
    pub fn new(interval: &Interval) -> Result<Self, Error> {
        if interval.period.is_zero() {
            return Err(failed(
                ErrorKind::OutOfRange,
                "the period of an interval is 0: it is the time between two ticks",
            ));
        }
        Ok(Self { period: interval.period })
    }
}

impl SourceDriver for Clock {
    fn run(&mut self, intake: &mut SourceContext<'_>) -> Result<(), Stop> {
        let start = Instant::now();
        loop {
            intake.wait_running()?;
            // The tick that is due now, however long the last one took.
            let tick = u64::try_from(start.elapsed().as_nanos() / self.period.as_nanos()).unwrap_or(u64::MAX);
            let time = oid::rfc3339(oid::coarse_millis(), chrono::SecondsFormat::Millis);
            intake.json(serde_json::to_string(&Tick { tick, time }).unwrap_or_default())?;
            let after = self.period.as_nanos().saturating_mul(u128::from(tick) + 1);
            let after = Duration::from_nanos(u64::try_from(after).unwrap_or(u64::MAX));
            let Some(next) = start.checked_add(after) else { return Ok(()) };
            intake.feed.shutdown.sleep_until(next)?;
        }
    }
}
