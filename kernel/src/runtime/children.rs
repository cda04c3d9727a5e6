//! The processes that a thread has started.
#![allow(unsafe_code, reason = "processes are signalled with libc")]

use std::collections::BTreeSet;

/// Numbers of processes that a thread has started and that have not been waited for. Empty where the system does not
/// say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Children(BTreeSet<libc::pid_t>);

impl Children {
    /// Those of a thread of this process.
    pub fn of(thread: u32) -> Self {
        Self(listed(&format!("/proc/self/task/{thread}/children")))
    }

    /// Those that are not among others.
    pub fn without(self, others: &Self) -> Self {
        Self(self.0.difference(&others.0).copied().collect())
    }

    /// Those that are among others.
    pub fn among(self, others: &Self) -> Self {
        Self(self.0.intersection(&others.0).copied().collect())
    }

    /// Adds others.
    pub fn add(&mut self, others: &Self) {
        self.0.extend(&others.0);
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Signals all of them, and what they have started.
    pub fn signal(&self, signal: libc::c_int) {
        let (mut all, mut open) = (self.0.clone(), self.0.iter().copied().collect::<Vec<_>>());
        while let Some(pid) = open.pop() {
            let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
            let started = tasks.flat_map(|task| listed(&task.path().join("children").to_string_lossy()));
            open.extend(started.filter(|&child| all.insert(child)));
        }
        for pid in all {
            // SAFETY: a plain system call. A child that has not been waited for keeps its number, and so do its own.
            unsafe {
                libc::kill(pid, signal);
            }
        }
    }
}

fn listed(path: &str) -> BTreeSet<libc::pid_t> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::runtime::whereabouts;
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    #[test]
    fn what_a_thread_has_started_since_then_is_signalled_and_nothing_else() {
        let here = whereabouts::this_thread();
        let mut before = Command::new("sleep").arg("60").spawn().expect("started");
        let known = Children::of(here);
        let mut after = Command::new("sleep").arg("60").spawn().expect("started");
        let elsewhere = || Command::new("sleep").arg("60").spawn().expect("started");
        let started = std::thread::scope(|scope| {
            // While the thread lives: what a thread leaves behind is another's.
            let (send, wait) = std::sync::mpsc::channel::<()>();
            let (give, take) = std::sync::mpsc::channel();
            scope.spawn(move || {
                give.send(elsewhere()).expect("taken");
                let _ = wait.recv();
            });
            let mut other = take.recv().expect("a process");
            let started = Children::of(here).without(&known);
            started.signal(libc::SIGINT);
            assert_eq!(after.wait().expect("ended").signal(), Some(libc::SIGINT));
            assert_eq!(other.try_wait().expect("asked"), None);
            other.kill().expect("signalled");
            other.wait().expect("ended");
            drop(send);
            started
        });
        assert!(!started.is_empty());
        assert_eq!(before.try_wait().expect("asked"), None);
        before.kill().expect("signalled");
        before.wait().expect("ended");
    }
}
