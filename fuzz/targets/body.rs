//! The body of an HTTP request, under any content type.
#![no_main]

use libfuzzer_sys::fuzz_target;
use machine_engine::decode::body::{BadBody, is_lines, messages};
use serde::de::IgnoredAny;

fuzz_target!(|data: &[u8]| {
    // The content type up to the first zero, then the body; without a zero all of it is JSON Lines.
    let (content_type, body) = match data.iter().position(|byte| *byte == 0) {
        Some(zero) => (String::from_utf8_lossy(&data[..zero]).into_owned(), &data[zero + 1..]),
        None => ("application/x-ndjson".to_owned(), data),
    };
    let lines = body.split_inclusive(|byte| *byte == b'\n').count() as u64;
    match messages(&content_type, body) {
        Ok(all) => {
            for (_, text) in &all {
                serde_json::from_str::<IgnoredAny>(text).unwrap();
                assert!(!text.contains('\n'), "a message is one line");
            }
            assert!(all.is_sorted_by(|one, next| one.0 < next.0));
            assert!(all.iter().all(|(line, _)| (1..=lines).contains(line)));
            if !is_lines(&content_type) {
                assert_eq!(all.len(), 1);
            }
        }
        Err(BadBody { line, why, bytes }) => {
            assert!((1..=lines.max(1) + 1).contains(&line), "line {line} of {lines}");
            assert!(!why.is_empty() && !why.contains('\n'), "{why:?}");
            assert!(bytes.len() <= body.len());
        }
    }
});
