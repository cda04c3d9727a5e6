//! Processes that this one has started, and theirs.
#![allow(unsafe_code, reason = "processes are signalled with libc")]

use std::time::{Duration, Instant};

/// How long processes that are asked to end may take.
const END_TIMEOUT: Duration = Duration::from_secs(1);
/// How often it is looked whether they have ended.
const END_INTERVAL: Duration = Duration::from_millis(20);

/// A process that had not ended when it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    pid: u32,
    parent: u32,
    session: u32,
    /// What `kill` must not mistake for it: another process with its number began later.
    began: u64,
    stopped: bool,
}

impl Process {
    /// What a process has started, and what those have.
    pub fn descendants_of(pid: u32) -> Vec<Self> {
        descendants(&all(), pid, None)
    }

    /// What this process has started, but for one of its children and what that has started.
    pub fn descendants_of_this(but: Option<u32>) -> Vec<Self> {
        descendants(&all(), std::process::id(), but)
    }

    /// What the runtime process has started, and what else is in this process' session, if it leads one: what lost its
    /// parent is there.
    pub fn started_by_cells(runtime: Option<u32>) -> Vec<Self> {
        let (all, here) = (all(), std::process::id());
        let mut found = runtime.map(|runtime| descendants(&all, runtime, None)).unwrap_or_default();
        let orphan = |process: &&Self| process.session == here && process.parent != here && process.pid != here;
        for process in all.iter().filter(orphan).filter(|process| Some(process.pid) != runtime) {
            if !found.contains(process) {
                found.push(*process);
            }
        }
        found
    }

    /// Signals the process if it is still there.
    pub fn signal(&self, signal: libc::c_int) {
        if self.is_there() {
            send(self.pid, signal);
        }
    }

    fn is_there(&self) -> bool {
        // Elsewhere than on Linux the beginning is not known, and 0.
        one(self.pid).map_or(!cfg!(target_os = "linux"), |now| now.began == self.began)
    }
}

/// Ends processes: asks them to, and kills those that go on for a second.
pub fn end(processes: &[Process]) {
    for process in processes {
        process.signal(libc::SIGTERM);
        // It would not see the other one.
        process.signal(libc::SIGCONT);
    }
    let until = Instant::now() + END_TIMEOUT;
    while processes.iter().any(Process::is_there) {
        if Instant::now() >= until {
            for process in processes {
                process.signal(libc::SIGKILL);
            }
            return;
        }
        std::thread::sleep(END_INTERVAL);
    }
}

/// Kills a process that this one has started and has not waited for.
pub fn kill(pid: u32) {
    send(pid, libc::SIGKILL);
}

/// Lets a process go on if somebody has stopped it.
pub fn continue_stopped(pid: u32) {
    if one(pid).is_some_and(|process| process.stopped) {
        send(pid, libc::SIGCONT);
    }
}

fn send(pid: u32, signal: libc::c_int) {
    if let Ok(pid) = libc::pid_t::try_from(pid) {
        // SAFETY: a plain system call.
        unsafe {
            libc::kill(pid, signal);
        }
    }
}

fn descendants(all: &[Process], of: u32, but: Option<u32>) -> Vec<Process> {
    let (mut found, mut open) = (Vec::new(), vec![of]);
    while let Some(parent) = open.pop() {
        for process in all.iter().filter(|process| process.parent == parent && Some(process.pid) != but) {
            found.push(*process);
            open.push(process.pid);
        }
    }
    found
}

fn one(pid: u32) -> Option<Process> {
    of_stat(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// All processes that have not ended.
fn all() -> Vec<Process> {
    if cfg!(target_os = "linux") {
        let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        // `self` and `thread-self` are there, too; the latter's number is that of a thread, and to signal that is to signal
        // this process.
        let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        numbers.filter_map(one).collect()
    } else {
        let listed = std::process::Command::new("ps").args(["-A", "-o", "pid=,ppid=,sess="]).output();
        let text = listed.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        text.lines().filter_map(of_ps).collect()
    }
}

fn of_stat(stat: &str) -> Option<Process> {
    let pid = stat.split_whitespace().next()?.parse().ok()?;
    // The name is in parentheses and may hold anything.
    let mut rest = stat.get(stat.rfind(')')? + 1..)?.split_whitespace();
    let state = rest.next()?;
    let parent = rest.next()?.parse().ok()?;
    let session = rest.nth(1)?.parse().ok()?;
    let began = rest.nth(15)?.parse().ok()?;
    (!matches!(state, "Z" | "X")).then_some(Process { pid, parent, session, began, stopped: state == "T" })
}

fn of_ps(line: &str) -> Option<Process> {
    let mut fields = line.split_whitespace().map(|field| field.parse().ok());
    let (pid, parent) = (fields.next()??, fields.next()??);
    let session = fields.next().flatten().unwrap_or(0);
    Some(Process { pid, parent, session, began: 0, stopped: false })
}

#[cfg(test)]
mod tests {
    use super::*;
    use machine_testkit::eventually;
    use std::process::Command;

    #[test]
    fn a_process_is_read_whatever_its_name() {
        let stat = |state: &str| format!("12 (a) b (c) {state} 7 1 5 0 -1 4 0 0 0 0 0 0 0 0 20 0 1 0 4711 1 1");
        let process = Process { pid: 12, parent: 7, session: 5, began: 4711, stopped: false };
        assert_eq!(of_stat(&stat("S")), Some(process));
        assert_eq!(of_stat(&stat("T")), Some(Process { stopped: true, ..process }));
        assert_eq!(of_stat(&stat("Z")), None);
        assert_eq!(of_ps("  12   7 5"), Some(Process { began: 0, ..process }));
        assert!(all().iter().any(|process| process.pid == std::process::id()));
        // A thread is no process.
        let thread = std::fs::read_link("/proc/thread-self").expect("a link");
        let thread: u32 = thread.file_name().and_then(|name| name.to_str()?.parse().ok()).expect("a number");
        assert!(thread == std::process::id() || all().iter().all(|process| process.pid != thread));
    }

    #[test]
    fn all_that_was_started_ends_also_what_ignores_a_signal() {
        let mut child = Command::new("sh")
            .args(["-c", "trap '' TERM; sleep 600 & while :; do wait; done"])
            .spawn()
            .expect("started");
        eventually!(!Process::descendants_of(child.id()).is_empty());
        let all: Vec<_> = one(child.id()).into_iter().chain(Process::descendants_of(child.id())).collect();
        assert!(all.len() > 1);
        end(&all);
        child.wait().expect("ended");
        // The other one is no child of this process, so its end is another's to see.
        eventually!(!all.iter().any(Process::is_there), &all);
    }
}
