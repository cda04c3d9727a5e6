//! Stopping a cell from another thread.
//!
//! While it is being compiled, the compiler is killed. While it runs, its loops see a flag. If it has not stopped
//! after two seconds, the runtime process is killed, and the machine and all variables go with it.
#![allow(unsafe_code, reason = "processes are signalled with libc")]

use crate::control::Event;
use crate::control::client::Client;
use machine::command::Command;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// How long a running cell has to stop by itself.
const GRACE: Duration = Duration::from_secs(2);
/// How often the state of an interrupted cell is looked at.
const TICK: Duration = Duration::from_millis(25);

/// How far an interrupt had to go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// There was none.
    #[default]
    None,
    /// The cell was asked to stop.
    Asked,
    /// The runtime process was killed.
    Killed,
}

/// The state of interrupts.
#[derive(Default)]
pub struct Interrupt {
    state: Mutex<State>,
    client: OnceLock<Client>,
}

#[derive(Default)]
struct State {
    /// Grows with each cell, so that a watcher sees when its cell is over.
    cell: u64,
    busy: bool,
    /// When the cell's own code began to run.
    entered: Option<Instant>,
    reach: Reach,
}

impl Interrupt {
    /// Sets the way to the runtime.
    pub fn attach(&self, client: Client) {
        let _ = self.client.set(client);
    }

    /// A cell begins.
    pub fn begin(&self) {
        let mut state = self.lock();
        *state = State { cell: state.cell + 1, busy: true, ..State::default() };
    }

    /// The cell is over. Returns how far it was interrupted.
    pub fn finish(&self) -> Reach {
        let mut state = self.lock();
        state.busy = false;
        std::mem::take(&mut state.reach)
    }

    /// Whether the cell has been interrupted.
    pub fn is_requested(&self) -> bool {
        self.lock().reach != Reach::None
    }

    /// Takes note of the running cell's progress.
    pub fn observe(&self, event: &Event) {
        if *event == Event::Entered {
            self.lock().entered = Some(Instant::now());
        }
    }

    /// Interrupts the cell; does nothing if there is none. Returns at once.
    pub fn request(this: &Arc<Self>) {
        let mut state = this.lock();
        if !state.busy || state.reach != Reach::None {
            return;
        }
        state.reach = Reach::Asked;
        let cell = state.cell;
        drop(state);
        let this = Arc::clone(this);
        // Without a thread there is no interrupt; the user sees that nothing stops.
        let _ = std::thread::Builder::new().name("interrupt".into()).spawn(move || this.watch(cell));
    }

    /// Kills whatever runs, because the session ends.
    pub fn end(&self) {
        if self.lock().busy {
            self.kill_compilers();
            self.kill_runtime();
        }
    }

    fn watch(&self, cell: u64) {
        if let Some(client) = self.client.get() {
            let _ = client.command_now(Command::Interrupt { on: true });
        }
        // Since when there is nothing to wait for but the cell itself.
        let mut alone: Option<Instant> = None;
        loop {
            let state = self.lock();
            if !state.busy || state.cell != cell {
                return;
            }
            let entered = state.entered;
            drop(state);
            if entered.is_none() && self.kill_compilers() > 0 {
                alone = None;
            } else if alone.get_or_insert_with(Instant::now).elapsed() > GRACE {
                let mut state = self.lock();
                if !state.busy || state.cell != cell {
                    return;
                }
                state.reach = Reach::Killed;
                drop(state);
                self.kill_runtime();
                return;
            }
            std::thread::sleep(TICK);
        }
    }

    fn kill_runtime(&self) {
        if let Some(pid) = self.client.get().and_then(Client::pid) {
            kill(pid);
        }
    }

    /// Kills all that this process has started, except the runtime and what that has started. Returns how many.
    fn kill_compilers(&self) -> usize {
        let runtime = self.client.get().and_then(Client::pid);
        let mut victims = Vec::new();
        let mut open = vec![std::process::id()];
        let processes = processes();
        while let Some(parent) = open.pop() {
            for (pid, _) in processes.iter().filter(|(pid, of)| *of == parent && Some(*pid) != runtime) {
                victims.push(*pid);
                open.push(*pid);
            }
        }
        // Children before their parents have a chance to start more.
        for &pid in &victims {
            kill(pid);
        }
        victims.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn kill(pid: u32) {
    if let Ok(pid) = libc::pid_t::try_from(pid) {
        // SAFETY: a plain system call; the process is a descendant of ours that has not been waited for.
        unsafe {
            libc::kill(pid, libc::SIGKILL);
        }
    }
}

/// All processes with their parents; those that have ended are left out.
fn processes() -> Vec<(u32, u32)> {
    if cfg!(target_os = "linux") {
        let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        entries.filter_map(|entry| of_stat(&std::fs::read_to_string(entry.path().join("stat")).ok()?)).collect()
    } else {
        let listed = std::process::Command::new("ps").args(["-A", "-o", "pid=,ppid="]).output();
        let text = listed.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        text.lines().filter_map(of_ps).collect()
    }
}

fn of_stat(stat: &str) -> Option<(u32, u32)> {
    let pid = stat.split_whitespace().next()?.parse().ok()?;
    // The name is in parentheses and may hold anything.
    let mut rest = stat.get(stat.rfind(')')? + 1..)?.split_whitespace();
    let state = rest.next()?;
    (state != "Z").then_some((pid, rest.next()?.parse().ok()?))
}

fn of_ps(line: &str) -> Option<(u32, u32)> {
    let mut fields = line.split_whitespace();
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_read_whatever_its_name() {
        assert_eq!(of_stat("12 (a) b (c) S 7 1 1"), Some((12, 7)));
        assert_eq!(of_stat("12 (cc) Z 7 1 1"), None);
        assert_eq!(of_ps("  12   7"), Some((12, 7)));
        assert!(processes().iter().any(|(pid, _)| *pid == std::process::id()));
    }
}
