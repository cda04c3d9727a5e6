use machine::prelude::*;
use std::rc::Rc;

fn main() {
    let factor = Rc::new(2.0);
    let _ = MACHINE[0].set(move |x: f64| x * *factor);
}
