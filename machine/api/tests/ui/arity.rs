use machine::prelude::*;

fn main() {
    let _ = MACHINE[0].set(|| 1.0);
}
