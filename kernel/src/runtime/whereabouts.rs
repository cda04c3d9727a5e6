//! What a thread is doing, as the system sees it.
#![allow(unsafe_code, reason = "the number of a thread comes from libc")]

/// The system's number of the calling thread; 0 where it has none.
pub fn this_thread() -> u32 {
    #[cfg(target_os = "linux")]
    // SAFETY: a plain system call, which cannot fail.
    let number = unsafe { libc::gettid() };
    #[cfg(not(target_os = "linux"))]
    let number = 0;
    u32::try_from(number).unwrap_or(0)
}

/// What a thread of this process is doing: `waits in accept`.
pub fn of(thread: u32) -> String {
    match std::fs::read_to_string(format!("/proc/self/task/{thread}/syscall")) {
        Ok(line) => described(&line),
        Err(_) => "does not stop".to_owned(),
    }
}

/// What a line of `/proc/…/syscall` says.
fn described(line: &str) -> String {
    let mut words = line.split_whitespace();
    match words.next().map(str::parse::<libc::c_long>) {
        // `running`
        None | Some(Err(_)) => "computes, in code that has no place to stop at".to_owned(),
        Some(Ok(call)) => match named(call) {
            Some("futex") => "waits for another thread (a lock, a channel, or its end)".to_owned(),
            Some(name @ ("wait4" | "waitid")) => match words.nth(usize::from(name == "waitid")).and_then(process) {
                Some(process) => format!("waits for the end of {process}"),
                None => "waits for the end of a process".to_owned(),
            },
            Some(name) => format!("waits in {name}"),
            None => format!("waits in system call {call}"),
        },
    }
}

/// A process by its number in hexadecimal digits.
fn process(word: &str) -> Option<String> {
    let pid = u64::from_str_radix(word.trim_start_matches("0x"), 16).ok()?;
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(format!("process {pid} ({})", name.trim_end()))
}

#[cfg(target_os = "linux")]
fn named(call: libc::c_long) -> Option<&'static str> {
    const NAMES: [(libc::c_long, &str); 24] = [
        (libc::SYS_futex, "futex"),
        (libc::SYS_accept4, "accept"),
        (libc::SYS_accept, "accept"),
        (libc::SYS_connect, "connect"),
        (libc::SYS_wait4, "wait4"),
        (libc::SYS_waitid, "waitid"),
        (libc::SYS_read, "read"),
        (libc::SYS_readv, "read"),
        (libc::SYS_write, "write"),
        (libc::SYS_writev, "write"),
        (libc::SYS_recvfrom, "recv"),
        (libc::SYS_recvmsg, "recv"),
        (libc::SYS_sendto, "send"),
        (libc::SYS_sendmsg, "send"),
        (libc::SYS_nanosleep, "sleep"),
        (libc::SYS_clock_nanosleep, "sleep"),
        (libc::SYS_ppoll, "poll"),
        (libc::SYS_pselect6, "select"),
        (libc::SYS_epoll_pwait, "epoll"),
        (libc::SYS_fsync, "fsync"),
        (libc::SYS_fdatasync, "fsync"),
        (libc::SYS_flock, "flock"),
        (libc::SYS_openat, "open"),
        (libc::SYS_rt_sigtimedwait, "sigwait"),
    ];
    #[cfg(target_arch = "x86_64")]
    match call {
        libc::SYS_poll => return Some("poll"),
        libc::SYS_select => return Some("select"),
        libc::SYS_epoll_wait => return Some("epoll"),
        libc::SYS_pause => return Some("pause"),
        _ => {}
    }
    NAMES.iter().find(|(number, _)| *number == call).map(|(_, name)| *name)
}

#[cfg(not(target_os = "linux"))]
fn named(_: libc::c_long) -> Option<&'static str> {
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_call_has_its_name() {
        let line = |call: libc::c_long| format!("{call} 0x3 0x0 0x0 0x0 0x0 0x0 0x7ffc 0x7f12");
        assert_eq!(described(&line(libc::SYS_accept4)), "waits in accept");
        assert_eq!(described(&line(libc::SYS_futex)), "waits for another thread (a lock, a channel, or its end)");
        assert_eq!(described(&line(100_000)), "waits in system call 100000");
        assert_eq!(described("running\n"), "computes, in code that has no place to stop at");
        let pid = std::process::id();
        let waits = described(&format!("{} {pid:#x} 0x0", libc::SYS_wait4));
        assert!(waits.starts_with(&format!("waits for the end of process {pid} (")), "{waits}");
    }

    #[test]
    fn this_thread_runs_while_it_looks_at_itself() {
        assert!(of(this_thread()).starts_with("waits in read"));
    }
}
