use machine::prelude::*;

struct Opaque;

fn main() {
    let _ = MACHINE[0].set(|x: f64| if x > 0.0 { Opaque } else { Opaque });
}
