//! WTEXT: tweets as JSON, parsed, their words counted, scored, every 31st an error; and the same functions by hand.

use crossbeam_channel::bounded;
use machine::prelude::*;
use machine_protocol::Error;
use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const WORDS: [&str; 24] = [
    "the", "battery", "is", "great", "but", "screen", "terrible", "love", "this", "phone", "and", "its", "camera",
    "so", "good", "never", "again", "what", "a", "bad", "day", "for", "happy", "people",
];
const LEXICON: [(&str, f64); 6] =
    [("great", 3.1), ("love", 3.2), ("good", 1.9), ("happy", 2.7), ("terrible", -2.1), ("bad", -2.5)];

#[derive(Deserialize)]
struct Tweet {
    text: String,
}

/// Texts of some 14 words each.
pub fn tweets() -> Arc<Vec<String>> {
    let mut state = 1_u64;
    let mut word = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).ok().and_then(|at| WORDS.get(at % WORDS.len())).copied().unwrap_or_default()
    };
    let text = |word: &mut dyn FnMut() -> &'static str| (0..14).map(|_| word()).collect::<Vec<_>>().join(" ");
    let json = |id: u32, text: &str| json!({"id": id, "user": {"name": "ada", "followers": 12}, "text": text});
    Arc::new((0..256).map(|id| json(id, &text(&mut word)).to_string()).collect())
}

fn text(json: &str) -> Result<String, serde_json::Error> {
    serde_json::from_str::<Tweet>(json).map(|tweet| tweet.text)
}

fn count(text: &str) -> HashMap<String, u32> {
    let mut words = HashMap::new();
    for word in text.split_whitespace() {
        *words.entry(word.to_owned()).or_default() += 1;
    }
    words
}

fn score(words: &HashMap<String, u32>) -> f64 {
    LEXICON.iter().filter_map(|(word, value)| words.get(*word).map(|n| f64::from(*n) * value)).sum()
}

fn fail(score: f64, counter: &AtomicU64) -> Result<f64, String> {
    let number = counter.fetch_add(1, Ordering::Relaxed);
    if number.is_multiple_of(31) { Err(format!("message {number}")) } else { Ok(score) }
}

/// A machine that does it.
///
/// # Errors
/// If the machine cannot be made.
pub fn machine() -> Result<Machine, Error> {
    let m = Machine::builder("wtext").start()?;
    let counter = AtomicU64::new(0);
    m[0].set(|json: &str| text(json))?;
    m[1].set(|text: &str| count(text))?;
    m[2].set(|words: &HashMap<String, u32>| score(words))?;
    m[3].set(move |score: f64| fail(score, &counter))?;
    Ok(m)
}

/// The machine, by `put`.
pub fn by_put(m: &Machine, tweets: &[String], n: u32) {
    for tweet in tweets.iter().cycle().take(usize::try_from(n).unwrap_or_default()) {
        let _ = m.put_wait(tweet.clone());
    }
    m.drain();
}

/// The same functions in a loop behind a channel.
pub fn inlined(tweets: &[String], n: u32) {
    let (sender, receiver) = bounded::<String>(1024);
    let counter = AtomicU64::new(0);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for tweet in tweets.iter().cycle().take(usize::try_from(n).unwrap_or_default()) {
                if sender.send(tweet.clone()).is_err() {
                    return;
                }
            }
        });
        for json in receiver {
            let Ok(text) = text(&json) else { continue };
            let words = count(&text);
            let score = fail(score(&words), &counter);
            black_box((&text, &words, &score));
        }
    });
}
