use machine::prelude::*;

fn main() {
    let factor = 2.0;
    let _ = MACHINE[0].set(|x: f64| x * factor);
}
