//! The executable: Jupyter kernel, runtime process of the cells, and command line.

mod control;
mod display;
mod magic;
mod output;
mod runtime;
mod server;
mod session;
mod wire;

fn main() {}
