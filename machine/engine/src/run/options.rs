//! What `machine run` asks of a pipeline's process: words with commas between, in an environment variable.

use crate::core::observer::notice;
use std::time::Duration;

/// The variable: `fail-on-error,json,grace=5`.
const VARIABLE: &str = "MACHINE_RUN";
/// How long a pipeline that was asked to stop finishes what it has.
const GRACE: Duration = Duration::from_secs(30);

/// What was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// Messages that errored are a failure of the process.
    pub fail_on_error: bool,
    /// The last state is the last line of standard output.
    pub json: bool,
    /// How long a pipeline that was asked to stop finishes what it has.
    pub grace: Duration,
}

impl Options {
    pub fn from_environment() -> Self {
        Self::parse(&std::env::var(VARIABLE).unwrap_or_default()).unwrap_or_else(|wrong| {
            notice(&format!("{VARIABLE}: {wrong} is not a grace time; expected seconds, as in grace=30"));
            Self::parse("").unwrap_or(Self { fail_on_error: false, json: false, grace: GRACE })
        })
    }

    /// # Errors
    /// The word that is wrong. Unknown ones are for others.
    fn parse(text: &str) -> Result<Self, String> {
        let mut options = Self { fail_on_error: false, json: false, grace: GRACE };
        for word in text.split(',') {
            match word.split_once('=') {
                None => {
                    options.fail_on_error |= word == "fail-on-error";
                    options.json |= word == "json";
                }
                Some(("grace", seconds)) => {
                    let seconds = seconds.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
                    options.grace = seconds.ok_or_else(|| word.to_owned())?;
                }
                Some(_) => {}
            }
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::{GRACE, Options};
    use std::time::Duration;

    #[test]
    fn words_are_read() {
        let options = |fail_on_error, json, grace| Ok(Options { fail_on_error, json, grace });
        assert_eq!(Options::parse(""), options(false, false, GRACE));
        assert_eq!(Options::parse("json,other,fail-on-error"), options(true, true, GRACE));
        assert_eq!(Options::parse("grace=0.25"), options(false, false, Duration::from_millis(250)));
        for wrong in ["grace=", "grace=-1", "grace=soon", "grace=NaN"] {
            assert_eq!(Options::parse(wrong), Err(wrong.to_owned()));
        }
    }
}
