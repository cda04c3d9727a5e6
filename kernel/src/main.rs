//! The executable. All of it is in the library beside, which is compiled while what it depends on is still made.

fn main() -> std::process::ExitCode {
    machine_kernel::main()
}
