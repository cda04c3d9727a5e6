use machine::prelude::*;

#[derive(Clone, Serialize, Deserialize)]
struct Tweet {
    text: String,
}

fn main() {
    let _ = MACHINE[0].set(|tweet: Tweet| tweet.text.len());
}
