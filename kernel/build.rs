//! Exports the engine's table of functions, and nothing else, from the executable: cells find it with `dlsym`.
//!
//! All symbols (`-rdynamic`) would also export the executable's own copy of std, which cells' libraries would then bind to.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    match std::env::var("CARGO_CFG_TARGET_OS").as_deref() {
        Ok("linux") => println!("cargo::rustc-link-arg-bins=-Wl,--export-dynamic-symbol=machine_host_v1"),
        Ok("macos") => println!("cargo::rustc-link-arg-bins=-Wl,-exported_symbol,_machine_host_v1"),
        _ => {}
    }
}
