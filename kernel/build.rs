//! Exports the engine's table of functions from the executable, which cells find with `dlsym`, and, where the linker's
//! names have no owners, two functions of the C library that the cells' standard library is to call
//! (`src/runtime/interpose.rs`). Nothing else.
//!
//! All symbols (`-rdynamic`) would also export the executable's own copy of std, which cells' libraries would then bind to.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    match std::env::var("CARGO_CFG_TARGET_OS").as_deref() {
        Ok("linux") => {
            for symbol in ["machine_host_v1", "write", "writev"] {
                println!("cargo::rustc-link-arg-bins=-Wl,--export-dynamic-symbol={symbol}");
            }
        }
        Ok("macos") => println!("cargo::rustc-link-arg-bins=-Wl,-exported_symbol,_machine_host_v1"),
        _ => {}
    }
}
