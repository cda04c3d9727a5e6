//! The kernel's own log, on standard error: what is told to nobody else, and how long things take.
//!
//! Warnings are always told. `MACHINE_LOG` asks for more: a level, or levels by part, as in `debug` or
//! `machine_kernel=trace,evcxr=debug`. A level without a part is that of this executable, and not of the libraries in it.
//! What is not asked for costs a comparison.

use machine_engine::closest_match::{closest_match, did_you_mean};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt, registry};

/// Says how much is told.
const VARIABLE: &str = "MACHINE_LOG";
/// The parts of this executable.
const OURS: [&str; 2] = ["machine_kernel", "machine_engine"];
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Tells from now on. Called once, by the kernel and by its commands; cells' output is another process's.
pub fn init() {
    let (targets, complaint) = match parse(&std::env::var(VARIABLE).unwrap_or_default()) {
        Ok(targets) => (targets, None),
        Err(why) => (ours(LevelFilter::WARN), Some(why)),
    };
    let lines = fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        // A span is told when it ends, with its time.
        .with_span_events(FmtSpan::CLOSE)
        // A log that nobody reads any more must not end the kernel.
        .log_internal_errors(false);
    // Another subscriber was set by a test.
    let _first = registry().with(lines.with_filter(targets)).try_init();
    if let Some(why) = complaint {
        tracing::warn!("{VARIABLE}: {why}");
    }
}

fn ours(level: LevelFilter) -> Targets {
    Targets::new().with_targets(OURS.map(|part| (part, level)))
}

/// `debug`; `machine_kernel=trace`; several with commas between. Later ones count.
fn parse(text: &str) -> Result<Targets, String> {
    let mut targets = ours(LevelFilter::WARN);
    for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        let (part, level) = match word.split_once('=') {
            Some((part, level)) => (Some(part.trim()), level.trim()),
            None => (None, word),
        };
        let level = level.to_lowercase();
        let Some(level) = level.parse::<LevelFilter>().ok().filter(|_| LEVELS.contains(&level.as_str())) else {
            let meant = did_you_mean(closest_match(&level, LEVELS).map(str::to_owned));
            return Err(format!("{level} is no level: there is {}{meant}", LEVELS.join(", ")));
        };
        targets = match part {
            None => targets.with_targets(OURS.map(|part| (part, level))),
            Some(part) => targets.with_target(part, level),
        };
    }
    Ok(targets)
}

#[cfg(test)]
mod tests {
    use super::parse;
    use tracing_subscriber::filter::LevelFilter;

    #[track_caller]
    fn check(text: &str, levels: [LevelFilter; 3]) {
        let targets = parse(text).unwrap_or_else(|why| panic!("{why}"));
        let level = |target: &str| {
            let all =
                [LevelFilter::TRACE, LevelFilter::DEBUG, LevelFilter::INFO, LevelFilter::WARN, LevelFilter::ERROR];
            let told = all
                .into_iter()
                .find(|filter| filter.into_level().is_some_and(|level| targets.would_enable(target, &level)));
            told.unwrap_or(LevelFilter::OFF)
        };
        assert_eq!(["machine_kernel::server", "machine_engine", "evcxr::module"].map(level), levels, "{text}");
    }

    #[test]
    fn a_level_is_ours_unless_a_part_is_named() {
        const OFF: LevelFilter = LevelFilter::OFF;
        const WARN: LevelFilter = LevelFilter::WARN;
        const DEBUG: LevelFilter = LevelFilter::DEBUG;
        const TRACE: LevelFilter = LevelFilter::TRACE;
        check("", [WARN, WARN, OFF]);
        check("debug", [DEBUG, DEBUG, OFF]);
        check("off", [OFF, OFF, OFF]);
        check("machine_kernel=trace", [TRACE, WARN, OFF]);
        check("Debug, machine_kernel::server=TRACE, evcxr=warn", [TRACE, DEBUG, WARN]);
    }

    #[test]
    fn what_is_no_level_is_told() {
        let told = parse("debgu").err();
        assert_eq!(
            told.as_deref(),
            Some("debgu is no level: there is off, error, warn, info, debug, trace; did you mean debug?")
        );
        assert!(parse("machine=3").is_err());
    }
}
