//! The tutorial's pipeline without Jupyter: 4,200 tweets are scored, every 31st message fails until its slot is
//! corrected, and the scores are compared with the ratings that people gave.
//!
//! ```sh
//! cargo run --release -p machine-engine --example tweets [data/tweets_GroundTruth.txt]
//! ```
//! `install/run` fetches the file.
#![expect(clippy::print_stdout, reason = "an example shows its results")]

use machine::prelude::*;
use machine::status::SourceState;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::sleep;
use std::time::Duration;
use vader_sentiment::SentimentIntensityAnalyzer;

/// One tweet with its mean rating, −4 (very negative) to 4 (very positive).
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Tweet {
    id: u32,
    rating: f64,
    text: String,
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "data/tweets_GroundTruth.txt".to_owned());
    let file = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;

    machine_engine::init();
    let pairs = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&pairs);
    MACHINE[0].set(|tweet: &Tweet| tweet.text.clone())?;
    MACHINE[1].set(|text: &str| compound(text))?;
    MACHINE[2].set(|_: Ignored, _: Ignored, tweet: &Tweet| tweet.id)?;
    MACHINE[3].set(|id: u32| if id.is_multiple_of(31) { Err(format!("{id} is a multiple of 31")) } else { Ok(id) })?;
    MACHINE[4].set(move |_: Ignored, _: Ignored, score: f64, _: Ignored, tweet: &Tweet| {
        noted.lock().unwrap_or_else(PoisonError::into_inner).push((score, tweet.rating));
    })?;

    let lines: Vec<String> = file.lines().map(str::to_owned).collect();
    MACHINE.source(lines.into_iter().filter_map(|line| message(&line)))?;
    while MACHINE.status().processed < 1000 && MACHINE.status().source.state == SourceState::Running {
        sleep(Duration::from_millis(1));
    }
    MACHINE[3].set(|id: u32| id)?;
    while MACHINE.status().source.state == SourceState::Running {
        sleep(Duration::from_millis(1));
    }
    MACHINE.drain();

    let status = MACHINE.status();
    println!("{} processed, {} of them with errors; the last error:", status.processed, status.errored);
    if let Some(letter) = MACHINE.errors().first() {
        println!("{} revision {}: {} on {}", letter.slot, letter.revision, letter.error, letter.input);
    }
    let pairs = pairs.lock().unwrap_or_else(PoisonError::into_inner);
    println!(
        "Pearson's r of score and human rating: {:.3}; published by Hutto & Gilbert (2014): 0.881",
        pearson(&pairs)
    );
    Ok(())
}

/// A line of the file, `id TAB rating TAB text`, as JSON. None if it is no such line.
fn message(line: &str) -> Option<Value> {
    let mut fields = line.splitn(3, '\t');
    let id: u32 = fields.next()?.parse().ok()?;
    let rating: f64 = fields.next()?.parse().ok()?;
    Some(json!({"id": id, "rating": rating, "text": fields.next()?}))
}

/// The sentiment of a text, −1 to 1.
fn compound(text: &str) -> f64 {
    SentimentIntensityAnalyzer::new().polarity_scores(text).get("compound").copied().unwrap_or_default()
}

/// The correlation of two quantities, −1 to 1.
fn pearson(pairs: &[(f64, f64)]) -> f64 {
    let (mut count, mut sum_x, mut sum_y) = (0.0, 0.0, 0.0);
    for (x, y) in pairs {
        count += 1.0;
        sum_x += x;
        sum_y += y;
    }
    let (mean_x, mean_y) = (sum_x / count, sum_y / count);
    let (mut xy, mut xx, mut yy) = (0.0, 0.0, 0.0);
    for (x, y) in pairs {
        xy += (x - mean_x) * (y - mean_y);
        xx += (x - mean_x).powi(2);
        yy += (y - mean_y).powi(2);
    }
    xy / (xx * yy).sqrt()
}
