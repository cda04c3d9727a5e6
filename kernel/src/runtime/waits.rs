//! Functions of the C library that wait, replaced for all Rust code in the runtime process: on a thread that runs cells
//! an interrupt ends them.
//!
//! The executable exports them, so the standard library of the cells' libraries calls these. A signal would not do:
//! std repeats what a signal has interrupted, and nothing may unwind through C. What is ended so says `ECANCELED`; a
//! sleep is over. Joining a thread cannot fail: std panics, which ends the cell. On all other threads, and in every
//! other process of this executable, each is the call and nothing more.
//!
//! A wait is made of pieces, between which it looks whether it has to end. Nothing is late for that: a piece ends when
//! what is waited for is there.
#![allow(unsafe_code, reason = "functions of the C library are replaced, with system calls")]

use libc::{c_int, c_long, c_void, pid_t, pthread_t, size_t, sockaddr, socklen_t, ssize_t, timespec};
use std::os::fd::RawFd;
use std::time::{Duration, Instant};

/// How long a piece of a wait is.
const PIECE: Duration = Duration::from_millis(50);
/// How long a process that has been interrupted may take to end, before it is not waited for any more. Longer than
/// [`super::threads`] takes to kill it.
const CHILD_TIMEOUT: Duration = Duration::from_millis(1500);

unsafe extern "C" {
    /// The C library's; `pthread_join` with an end of its patience, or none. Not in the crate `libc` everywhere.
    fn pthread_timedjoin_np(thread: pthread_t, result: *mut *mut c_void, until: *const timespec) -> c_int;
}

/// Whether a library that is loaded calls the functions of this module. Naming them also keeps the linker from leaving
/// them out.
pub fn is_exported() -> bool {
    let all: [(&std::ffi::CStr, *const c_void); 8] = [
        (c"clock_nanosleep", clock_nanosleep as *const c_void),
        (c"nanosleep", nanosleep as *const c_void),
        (c"accept", accept as *const c_void),
        (c"accept4", accept4 as *const c_void),
        (c"recv", recv as *const c_void),
        (c"recvfrom", recvfrom as *const c_void),
        (c"waitpid", waitpid as *const c_void),
        (c"pthread_join", pthread_join as *const c_void),
    ];
    // SAFETY: the names end in a zero.
    all.iter().all(|(name, here)| std::ptr::eq(unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) }, *here))
}

/// Whether an interrupt ends what the calling thread waits for.
fn is_interruptible() -> bool {
    machine_engine::is_cell_thread() || machine_engine::is_abandoned_thread()
}

fn errno() -> c_int {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

fn set_errno(error: c_int) {
    // SAFETY: the address of this thread's own number.
    unsafe { *libc::__errno_location() = error }
}

fn spec(duration: Duration) -> timespec {
    timespec {
        tv_sec: duration.as_secs().try_into().unwrap_or(libc::time_t::MAX),
        tv_nsec: c_long::from(duration.subsec_nanos().cast_signed()),
    }
}

/// Waits until a descriptor is ready, or a time is up. Returns whether the wait came to its end.
fn wait_for(fd: RawFd, events: libc::c_short, limit: Option<Duration>) -> bool {
    let begin = Instant::now();
    loop {
        if machine_engine::has_to_stop() {
            return false;
        }
        let left = limit.map_or(PIECE, |limit| limit.saturating_sub(begin.elapsed()).min(PIECE));
        let (mut poll, left) = (libc::pollfd { fd, events, revents: 0 }, spec(left));
        // SAFETY: both live for the call.
        let ready = unsafe { libc::ppoll(&raw mut poll, 1, &raw const left, std::ptr::null()) };
        // An error is for the call that is made for the descriptor to report.
        if ready > 0 || (ready < 0 && errno() != libc::EINTR) {
            return true;
        }
        if limit.is_some_and(|limit| begin.elapsed() >= limit) {
            return true;
        }
    }
}

/// Whether calls for a descriptor wait.
fn blocks(fd: RawFd) -> bool {
    // SAFETY: a plain system call.
    let flags = unsafe { libc::fcntl(fd, libc::F_GETFL) };
    flags >= 0 && flags & libc::O_NONBLOCK == 0
}

fn cancelled() -> c_int {
    set_errno(libc::ECANCELED);
    -1
}

/// How long a sleep takes, if it is long enough to look for an interrupt, and valid.
///
/// # Safety
/// `request` is null or can be read.
unsafe fn long_sleep(clock: libc::clockid_t, flags: c_int, request: *const timespec) -> Option<Duration> {
    let duration = |time: timespec| {
        Some(Duration::new(
            time.tv_sec.try_into().ok()?,
            time.tv_nsec.try_into().ok().filter(|nanos| *nanos < 1_000_000_000)?,
        ))
    };
    if request.is_null() || !is_interruptible() {
        return None;
    }
    // SAFETY: not null, and the caller's promise.
    let asked = duration(unsafe { *request })?;
    let left = if flags == libc::TIMER_ABSTIME {
        let mut now = timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `now` is written by the call.
        if unsafe { libc::clock_gettime(clock, &raw mut now) } != 0 {
            return None;
        }
        asked.checked_sub(duration(now)?)?
    } else {
        asked
    };
    (left > PIECE).then_some(left)
}

/// Sleeps. Returns whether a signal did not end it before.
fn sleep(time: Duration) -> Result<(), Duration> {
    let begin = Instant::now();
    loop {
        let left = time.saturating_sub(begin.elapsed());
        if left.is_zero() || machine_engine::has_to_stop() {
            return Ok(());
        }
        let piece = spec(left.min(PIECE));
        // SAFETY: `piece` lives for the call.
        let slept = unsafe { libc::syscall(libc::SYS_nanosleep, &raw const piece, std::ptr::null::<timespec>()) };
        if slept != 0 {
            return Err(time.saturating_sub(begin.elapsed()));
        }
    }
}

/// The C library's `clock_nanosleep`.
///
/// # Safety
/// As for the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_nanosleep(
    clock: libc::clockid_t,
    flags: c_int,
    request: *const timespec,
    remain: *mut timespec,
) -> c_int {
    // SAFETY: the caller's promise.
    if let Some(time) = unsafe { long_sleep(clock, flags, request) } {
        let Err(left) = sleep(time) else { return 0 };
        if !remain.is_null() && flags != libc::TIMER_ABSTIME {
            // SAFETY: the caller's promise.
            unsafe { *remain = spec(left) };
        }
        return libc::EINTR;
    }
    // SAFETY: the caller's promise. The system checks the addresses.
    if unsafe { libc::syscall(libc::SYS_clock_nanosleep, clock, flags, request, remain) } == 0 { 0 } else { errno() }
}

/// The C library's `nanosleep`.
///
/// # Safety
/// As for the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nanosleep(request: *const timespec, remain: *mut timespec) -> c_int {
    // SAFETY: the caller's promise.
    match unsafe { clock_nanosleep(libc::CLOCK_REALTIME, 0, request, remain) } {
        0 => 0,
        error => {
            set_errno(error);
            -1
        }
    }
}

/// The C library's `accept4`.
///
/// # Safety
/// As for the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn accept4(fd: c_int, address: *mut sockaddr, length: *mut socklen_t, flags: c_int) -> c_int {
    if is_interruptible() && blocks(fd) && !wait_for(fd, libc::POLLIN, None) {
        return cancelled();
    }
    // SAFETY: the caller's promise. The system checks the addresses.
    let accepted = unsafe { libc::syscall(libc::SYS_accept4, fd, address, length, flags) };
    c_int::try_from(accepted).unwrap_or(-1)
}

/// The C library's `accept`.
///
/// # Safety
/// As for the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn accept(fd: c_int, address: *mut sockaddr, length: *mut socklen_t) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { accept4(fd, address, length, 0) }
}

/// The C library's `recvfrom`.
///
/// # Safety
/// As for the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn recvfrom(
    fd: c_int,
    bytes: *mut c_void,
    count: size_t,
    flags: c_int,
    address: *mut sockaddr,
    length: *mut socklen_t,
) -> ssize_t {
    let receive = |flags: c_int| {
        // SAFETY: the caller's promise. The system checks the addresses.
        let received = unsafe { libc::syscall(libc::SYS_recvfrom, fd, bytes, count, flags, address, length) };
        ssize_t::try_from(received).unwrap_or(-1)
    };
    if flags & libc::MSG_DONTWAIT != 0 || !is_interruptible() {
        return receive(flags);
    }
    // What is there costs no more calls than otherwise. A call for all of it may take a part and wait for the rest.
    if flags & libc::MSG_WAITALL == 0 {
        let received = receive(flags | libc::MSG_DONTWAIT);
        if received >= 0 || errno() != libc::EAGAIN {
            return received;
        }
    }
    if blocks(fd) && !wait_for(fd, libc::POLLIN, receive_timeout(fd)) {
        return cancelled() as ssize_t;
    }
    receive(flags | if flags & libc::MSG_WAITALL == 0 { libc::MSG_DONTWAIT } else { 0 })
}

/// How long receiving may take, as the socket was set.
fn receive_timeout(fd: RawFd) -> Option<Duration> {
    let mut time = libc::timeval { tv_sec: 0, tv_usec: 0 };
    let mut length = socklen_t::try_from(size_of_val(&time)).ok()?;
    // SAFETY: `time` and `length` are written by the call.
    let got =
        unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_RCVTIMEO, (&raw mut time).cast(), &raw mut length) };
    let time = Duration::from_secs(time.tv_sec.try_into().ok()?) + Duration::from_micros(time.tv_usec.try_into().ok()?);
    (got == 0 && !time.is_zero()).then_some(time)
}

/// The C library's `recv`.
///
/// # Safety
/// As for the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn recv(fd: c_int, bytes: *mut c_void, count: size_t, flags: c_int) -> ssize_t {
    // SAFETY: the caller's promise.
    unsafe { recvfrom(fd, bytes, count, flags, std::ptr::null_mut(), std::ptr::null_mut()) }
}

/// Waits until a process has ended. Returns whether the wait came to its end.
fn wait_for_end(pid: pid_t) -> bool {
    // SAFETY: a plain system call.
    let handle = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let Ok(fd) = RawFd::try_from(handle) else { return true };
    if fd < 0 {
        // An old system, or no such process, which the call itself reports.
        return true;
    }
    let ended = wait_for(fd, libc::POLLIN, None) || {
        // It has been interrupted, too, if the cell has started it, and ends.
        let begin = Instant::now();
        let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        loop {
            let left = CHILD_TIMEOUT.saturating_sub(begin.elapsed());
            // SAFETY: `poll` lives for the call.
            let ready = unsafe { libc::poll(&raw mut poll, 1, i32::try_from(left.as_millis()).unwrap_or(0)) };
            if ready > 0 || left.is_zero() {
                break ready > 0;
            }
        }
    };
    // SAFETY: opened above.
    unsafe { libc::close(fd) };
    ended
}

/// The C library's `waitpid`.
///
/// # Safety
/// As for the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waitpid(pid: pid_t, status: *mut c_int, options: c_int) -> pid_t {
    if pid > 0 && options == 0 && is_interruptible() && !wait_for_end(pid) {
        return cancelled();
    }
    // SAFETY: the caller's promise. The system checks the addresses.
    let ended = unsafe { libc::syscall(libc::SYS_wait4, pid, status, options, 0) };
    pid_t::try_from(ended).unwrap_or(-1)
}

/// The C library's `pthread_join`.
///
/// # Safety
/// As for the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_join(thread: pthread_t, result: *mut *mut c_void) -> c_int {
    while is_interruptible() {
        if machine_engine::has_to_stop() {
            return libc::ECANCELED;
        }
        let mut until = timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `until` is written by the call.
        unsafe { libc::clock_gettime(libc::CLOCK_REALTIME, &raw mut until) };
        until.tv_nsec += c_long::from(PIECE.subsec_nanos().cast_signed());
        if until.tv_nsec >= 1_000_000_000 {
            (until.tv_sec, until.tv_nsec) = (until.tv_sec + 1, until.tv_nsec - 1_000_000_000);
        }
        // SAFETY: the caller's promise.
        match unsafe { pthread_timedjoin_np(thread, result, &raw const until) } {
            libc::ETIMEDOUT => {}
            joined => return joined,
        }
    }
    // SAFETY: the caller's promise; no time is no end.
    unsafe { pthread_timedjoin_np(thread, result, std::ptr::null()) }
}
