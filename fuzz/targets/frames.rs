//! The frames of a message that a ZeroMQ subscriber got.
#![no_main]

use libfuzzer_sys::fuzz_target;
use machine_engine::decode::frames::{Read, message};
use serde::de::IgnoredAny;

/// Between two frames: no byte of UTF-8.
const BETWEEN: u8 = 0xff;

fuzz_target!(|data: &[u8]| {
    let [first, rest @ ..] = data else { return };
    let read = match first % 16 {
        14 => Read::Json,
        15 => Read::Text,
        slot => Read::Slot(usize::from(slot)),
    };
    let frames: Vec<&[u8]> = rest.split(|byte| *byte == BETWEEN).collect();
    match message(frames.iter().copied(), read) {
        Ok(text) => {
            assert!(!text.contains('\n'), "a message is one line");
            // Not as a `Value`: JSON knows numbers that are larger than any that a `Value` has.
            serde_json::from_str::<IgnoredAny>(&text).unwrap();
            if read == Read::Text {
                let said: String = serde_json::from_str(&text).unwrap();
                assert_eq!(Some(said.as_bytes()), frames.last().copied());
            }
        }
        Err(why) => assert!(!why.is_empty()),
    }
});
