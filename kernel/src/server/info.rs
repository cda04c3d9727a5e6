//! What the kernel says about itself.

use crate::wire::PROTOCOL_VERSION;
use serde_json::{Value, json};

/// The content of `kernel_info_reply`.
#[must_use]
pub fn kernel_info() -> Value {
    let version = env!("CARGO_PKG_VERSION");
    json!({
        "status": "ok",
        "protocol_version": PROTOCOL_VERSION,
        "implementation": "machine",
        "implementation_version": version,
        "language_info": {
            "name": "rust",
            "version": "",
            "mimetype": "text/rust",
            "file_extension": ".rs",
            "pygments_lexer": "rust",
            "codemirror_mode": "rust",
            "nbconvert_exporter": "rust",
        },
        "banner": format!("Rust (Machine) {version}: MACHINE[0] = |x: f64| x * x;  %status  %lsmagic"),
        "debugger": false,
        "help_links": [
            { "text": "The Rust book", "url": "https://doc.rust-lang.org/book/" },
            { "text": "Rust's standard library", "url": "https://doc.rust-lang.org/std/" },
        ],
        "supported_features": ["kernel subshells"],
    })
}
