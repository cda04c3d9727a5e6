//! A pair of fences of which one costs nothing: what many threads pass after each message, against what one does now and
//! then.
//!
//! Of two threads that each write, pass their fence and read what the other one writes, at least one sees the other's
//! write. Linux runs a barrier on all processors that run this process when it is asked to (`membarrier`), so the light
//! fence there only keeps the compiler from moving what is around it. Where there is no such call, or it is refused, both
//! fences are barriers of the processor.
#![allow(unsafe_code, reason = "a call of the system")]

use std::sync::atomic::{AtomicBool, Ordering, compiler_fence, fence};

/// Whether the system runs barriers for this process.
static IS_REGISTERED: AtomicBool = AtomicBool::new(false);

#[cfg(all(target_os = "linux", not(miri)))]
fn membarrier(command: libc::c_int) -> bool {
    // SAFETY: it takes two numbers, and touches no memory of ours.
    unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
}

/// Asks the system for barriers; before that, both fences are barriers of the processor.
pub(crate) fn register() {
    #[cfg(all(target_os = "linux", not(miri)))]
    if !IS_REGISTERED.load(Ordering::Relaxed) {
        // Relaxed: a thread that does not see it yet passes its own barrier, which is as good.
        IS_REGISTERED.store(membarrier(libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED), Ordering::Relaxed);
    }
}

/// The fence of those who pass often.
#[inline]
pub(crate) fn light_fence() {
    if IS_REGISTERED.load(Ordering::Relaxed) {
        compiler_fence(Ordering::SeqCst);
    } else {
        fence(Ordering::SeqCst);
    }
}

/// The fence of those who pass seldom.
pub(crate) fn heavy_fence() {
    fence(Ordering::SeqCst);
    #[cfg(all(target_os = "linux", not(miri)))]
    if IS_REGISTERED.load(Ordering::Relaxed) {
        // Once registered it does not fail, nor does it in the child of a fork.
        let has_run = membarrier(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED);
        debug_assert!(has_run);
    }
}

#[cfg(test)]
mod tests {
    use super::{heavy_fence, light_fence, register};
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

    #[test]
    fn at_least_one_of_two_sees_what_the_other_wrote() {
        register();
        let (light, heavy, begin) = (AtomicBool::new(false), AtomicBool::new(false), Barrier::new(2));
        for _ in 0..if cfg!(miri) { 10 } else { 2_000 } {
            light.store(false, Relaxed);
            heavy.store(false, Relaxed);
            let (seen_by_light, seen_by_heavy) = std::thread::scope(|scope| {
                let other = scope.spawn(|| {
                    begin.wait();
                    light.store(true, Relaxed);
                    light_fence();
                    heavy.load(Relaxed)
                });
                begin.wait();
                heavy.store(true, Relaxed);
                heavy_fence();
                let seen = light.load(Relaxed);
                (other.join().unwrap_or_default(), seen)
            });
            assert!(seen_by_light || seen_by_heavy);
        }
    }
}
