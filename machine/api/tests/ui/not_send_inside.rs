use machine::prelude::*;
use std::rc::Rc;

#[derive(Serialize, Deserialize)]
struct Word {
    text: String,
    #[serde(skip)]
    shared: Rc<()>,
}

fn main() {
    let _ = MACHINE[0].set(|word: &Word| word.text.len() + Rc::strong_count(&word.shared));
}
