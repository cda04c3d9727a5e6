//! Contestants in turn, medians, ratios.

use std::time::Instant;

/// Whether a table is to be measured: all are, unless arguments name parts of titles.
pub fn is_wanted(title: &str) -> bool {
    let mut wanted = std::env::args().skip(1).filter(|argument| argument != crate::load::OPTION).peekable();
    wanted.peek().is_none() || wanted.any(|part| title.contains(&part))
}

/// A contestant: its name, and how it does the work for a number of messages.
pub type Contestant<'a> = (&'a str, &'a mut dyn FnMut(u32));

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of.get(of.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Measures all contestants in turn, `rounds` times after one that does not count, and prints a Markdown table:
/// median ns a message, and the median of the rounds' ratios to the first contestant.
#[expect(clippy::print_stdout, reason = "a benchmark prints its results")]
pub fn print(title: &str, contestants: &mut [Contestant], messages: u32, rounds: usize) {
    if !is_wanted(title) {
        return;
    }
    let mut times = vec![Vec::new(); contestants.len()];
    for round in 0..=rounds {
        for ((_, work), times) in contestants.iter_mut().zip(&mut times) {
            let start = Instant::now();
            work(messages);
            if round > 0 {
                times.push(start.elapsed().as_secs_f64() * 1e9 / f64::from(messages));
            }
        }
    }
    let first = times.first().cloned().unwrap_or_default();
    println!("\n### {title}\n\n| | ns | first ÷ this |\n|---|---:|---:|");
    for ((name, _), times) in contestants.iter().zip(times) {
        let ratio = median(first.iter().zip(&times).map(|(first, this)| first / this).collect());
        println!("| {name} | {:.1} | {ratio:.2} |", median(times));
    }
    println!();
}
