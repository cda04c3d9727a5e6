# What has to be on the machine before anything can be set up. Sourced by `run` and `test`; bash 3.2 (macOS) is enough.
# Each check says what was found, what is needed and how to get it; all are made before the first one stops the set-up.

missing=0

complain() { # what is wrong, how to get it
    missing=1
    printf 'missing: %s\n     get: %s\n' "$1" "$2" >&2
}

# True if version $1 is at least version $2, both `major.minor…`.
at_least() {
    local a_major="${1%%.*}" a_minor="${1#*.}" b_major="${2%%.*}" b_minor="${2#*.}"
    a_minor="${a_minor%%[!0-9]*}" b_minor="${b_minor%%[!0-9]*}"
    [ "$a_major" -gt "$b_major" ] || { [ "$a_major" -eq "$b_major" ] && [ "$a_minor" -ge "$b_minor" ]; }
}

on_macos() { [ "$(uname -s)" = Darwin ]; }

# Sets PYTHON to an interpreter that is new enough and can make virtual environments.
need_python() {
    local wanted=3.11 candidate version found="" unable=""
    for candidate in "${PYTHON:-}" python3 python3.14 python3.13 python3.12 python3.11; do
        [ -n "$candidate" ] && command -v "$candidate" >/dev/null 2>&1 || continue
        version="$("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" || continue
        found="$found $candidate=$version"
        at_least "$version" "$wanted" || continue
        if "$candidate" -c 'import venv, ensurepip' >/dev/null 2>&1; then
            PYTHON="$(command -v "$candidate")"
            return
        fi
        unable="$candidate ($version) cannot make virtual environments"
    done
    if [ -n "$unable" ]; then
        complain "Python's venv and ensurepip: $unable" "Debian, Ubuntu: sudo apt install python3-venv"
    elif on_macos; then
        complain "Python >= $wanted, found:${found:- none}" "brew install python, or https://www.python.org/downloads/"
    else
        complain "Python >= $wanted, found:${found:- none}" "Debian 12, Ubuntu 24.04: sudo apt install python3 python3-venv"
    fi
}

# The version is the one in Cargo.toml, so that this check and cargo's own never disagree.
need_rust() {
    local wanted version rustup="curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh"
    wanted="$(sed -n 's/^rust-version *= *"\([0-9.]*\)".*/\1/p' "$1/Cargo.toml")"
    if ! command -v cargo >/dev/null 2>&1 && [ -x "${CARGO_HOME:-$HOME/.cargo}/bin/cargo" ]; then
        PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
        export PATH
    fi
    if ! command -v cargo >/dev/null 2>&1 || ! command -v rustc >/dev/null 2>&1; then
        complain "Rust >= $wanted (cargo and rustc), found: none in PATH" "$rustup"
        return
    fi
    version="$(rustc --version 2>/dev/null | cut -d' ' -f2)"
    at_least "${version:-0.0}" "$wanted" ||
        complain "Rust >= $wanted, found: ${version:-rustc does not start} ($(command -v rustc))" "rustup update stable, or: $rustup"
    need_rust_src
}

# The sources of the standard library: from them the kernel infers the types of variables, and completes code. Where
# there is a rustup, it adds them.
need_rust_src() {
    local sysroot library get="rustup component add rust-src"
    sysroot="$(rustc --print sysroot 2>/dev/null)" || return 0 # need_rust has complained
    library="$sysroot/lib/rustlib/src/rust/library"
    [ -f "$library/core/src/lib.rs" ] && return
    [ -n "${RUST_SRC_PATH:-}" ] && [ -f "$RUST_SRC_PATH/core/src/lib.rs" ] && return
    if command -v rustup >/dev/null 2>&1; then
        printf 'Adding the sources of the Rust standard library: %s\n' "$get" >&2
        if rustup component add rust-src >&2; then
            [ -f "$library/core/src/lib.rs" ] && return
            complain "the sources of the Rust standard library: $get succeeded, but $library has none; is $(command -v rustc) another toolchain than rustup's?" \
                "Debian, Ubuntu: sudo apt install rust-src; or put rustup's rustc first in PATH"
        else
            complain "the sources of the Rust standard library: rustup could not add them (its own message is above)" "$get"
        fi
    else
        complain "the sources of the Rust standard library, found: none in $library" \
            "Debian, Ubuntu: sudo apt install rust-src; with rustup: $get"
    fi
}

need_c_compiler() {
    command -v "${CC:-cc}" >/dev/null 2>&1 && return
    if on_macos; then
        complain "a C compiler (${CC:-cc}), found: none in PATH" "xcode-select --install"
    else
        complain "a C compiler (${CC:-cc}), found: none in PATH" "Debian, Ubuntu: sudo apt install build-essential"
    fi
}

stop_if_missing() {
    [ "$missing" -eq 0 ] || { printf 'Nothing was built. Install what is missing and run this again.\n' >&2; exit 1; }
}
