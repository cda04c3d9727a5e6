//! Exports the engine's table of functions from the executable, which cells find with `dlsym`, and, where the linker's
//! names have no owners, functions of the C library that the cells' standard library is to call
//! (`src/runtime/interpose.rs`, `src/runtime/waits.rs`). Nothing else.
//!
//! All symbols (`-rdynamic`) would also export the executable's own copy of std, which cells' libraries would then bind to.

/// What takes the place of the C library's.
const REPLACED: [&str; 10] = [
    "accept",
    "accept4",
    "clock_nanosleep",
    "nanosleep",
    "pthread_join",
    "recv",
    "recvfrom",
    "waitpid",
    "write",
    "writev",
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    match std::env::var("CARGO_CFG_TARGET_OS").as_deref() {
        Ok("linux") => {
            for symbol in ["machine_host_v1"].iter().chain(&REPLACED) {
                println!("cargo::rustc-link-arg-bins=-Wl,--export-dynamic-symbol={symbol}");
            }
            // A third of the file are symbols that nobody looks up: what is exported stays.
            println!("cargo::rustc-link-arg-bins=-Wl,--strip-all");
        }
        Ok("macos") => println!("cargo::rustc-link-arg-bins=-Wl,-exported_symbol,_machine_host_v1"),
        _ => {}
    }
}
