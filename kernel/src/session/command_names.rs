//! The commands of evcxr at the head of a cell (`:dep`, `:vars`), as far as a session here can carry them out.

use machine_engine::closest_match::{closest_match, did_you_mean};

/// Those that evcxr carries out, or that mean something else here.
const COMMANDS: [&str; 24] = [
    ":build_env",
    ":clear",
    ":dep",
    ":doc",
    ":efmt",
    ":env",
    ":explain",
    ":fmt",
    ":help",
    ":internal_debug",
    ":last_compile_dir",
    ":last_error_json",
    ":linker",
    ":load_config",
    ":offline",
    ":opt",
    ":preserve_vars_on_panic",
    ":quit",
    ":restart",
    ":show_deps",
    ":t",
    ":timing",
    ":type",
    ":types",
];
/// Those that are no help in a suggestion, too.
const OTHERS: [&str; 3] = [":vars", ":version", ":clear_cache"];

/// Those after which nothing would compile: cells are compiled by the stable compiler of the kernel, through a wrapper
/// that they would take away.
const UNAVAILABLE: [&str; 6] =
    [":allow_static_linking", ":cache", ":codegen_backend", ":sccache", ":time_passes", ":toolchain"];

/// What the session itself says to cargo and the compiler, in the environment.
const OWN_VARIABLES: [&str; 5] = ["CARGO", "EVCXR", "MACHINE", "RUSTC", "RUSTFLAGS"];

/// Why the line of a command, its first word and what comes after that, is not carried out.
pub fn refusal(command: &str, argument: Option<&str>) -> Option<String> {
    let is_name = command.strip_prefix(':').is_some_and(|name| name.starts_with(|c: char| c.is_ascii_alphabetic()));
    if !is_name {
        return None;
    }
    if UNAVAILABLE.contains(&command) {
        return Some(format!("{command} is not available here: after it no cell would compile"));
    }
    if command == ":build_env" {
        let name = argument.unwrap_or_default().split('=').next().unwrap_or_default();
        let is_own = |own: &&str| name == *own || name.strip_prefix(*own).is_some_and(|rest| rest.starts_with('_'));
        return OWN_VARIABLES.iter().any(is_own).then(|| {
            format!(":build_env cannot set {name}: the session sets it itself, and no cell would compile without that")
        });
    }
    if COMMANDS.contains(&command) || OTHERS.contains(&command) {
        return None;
    }
    let meant = closest_match(command, COMMANDS).map(str::to_owned);
    Some(format!("there is no command {command}{}; :help shows all commands", did_you_mean(meant)))
}

#[cfg(test)]
mod tests {
    use super::refusal;

    #[test]
    fn a_slip_gets_the_command_that_was_meant() {
        assert_eq!(refusal(":dep", Some("a")), None);
        assert_eq!(refusal(":vars", None), None);
        let dpe = refusal(":dpe", Some("a"));
        assert_eq!(dpe.as_deref(), Some("there is no command :dpe; did you mean :dep?; :help shows all commands"));
        assert!(refusal(":frobnicate", None).is_some_and(|why| !why.contains("did you mean")));
        // Rust, not commands.
        for rust in ["::std::mem::size_of::<u64>()", ":", "let", ":1"] {
            assert_eq!(refusal(rust, None), None, "{rust}");
        }
    }

    #[test]
    fn what_would_leave_a_session_in_which_nothing_compiles_is_refused() {
        for (command, argument) in [
            (":allow_static_linking", Some("0")),
            (":codegen_backend", Some("cranelift")),
            (":build_env", Some("RUSTFLAGS=-x")),
            (":build_env", Some("RUSTC_WRAPPER=/bin/false")),
            (":build_env", Some("CARGO_TARGET_DIR=/")),
        ] {
            assert!(refusal(command, argument).is_some(), "{command}");
        }
        assert_eq!(refusal(":build_env", Some("DATABASE_URL=x")), None);
        assert_eq!(refusal(":build_env", Some("RUSTFUL=x")), None);
    }
}
