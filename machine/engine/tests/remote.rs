//! Machines are commanded from outside through the socket of their process: here, of this same process.

use machine::Status;
use machine::command::{Cell, Command, Failure, Reply, Target, Undrained};
use machine::prelude::*;
use machine_engine::remote::{Process, attach, processes};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// One test at a time: they count the connections of one process.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    machine_engine::init();
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn own(machine: &str) -> Result<(Process, String), Failure> {
    attach(&format!("{machine}@{}", std::process::id()))
}

fn target(name: &str) -> Target {
    Target::Name(name.to_owned())
}

#[test]
fn commands_do_what_they_do_inside() -> Result<(), Box<dyn std::error::Error>> {
    let _alone = alone();
    let machine = Machine::builder("outside").try_start()?;
    machine[0].set(|x: f64| x * x)?;
    let (mut process, name) = own("outside")?;
    assert_eq!((process.pid(), name.as_str()), (std::process::id(), "outside"));
    for n in ["1", "2", "3"] {
        process.command(Command::Put { machine: target(&name), json: n.to_owned() })?;
    }
    assert_eq!(process.command(Command::Drain { machine: target(&name), timeout: None })?, Reply::Done);
    let Reply::Status(status) = process.command(Command::Status { machine: target(&name) })? else {
        panic!("a status answers with a status");
    };
    assert_eq!(*status, Status { rate: status.rate, load: status.load, ..machine.status() });
    assert_eq!(status.processed, 3);
    let listed = process.machines()?;
    assert!(listed.iter().any(|status| status.machine == "main"));
    assert!(listed.iter().any(|status| status.machine == "outside"));
    Ok(())
}

#[test]
fn a_drain_from_outside_comes_back_although_nothing_moves() -> Result<(), Box<dyn std::error::Error>> {
    let _alone = alone();
    let machine = Machine::builder("slow").try_start()?;
    let (open, gate) = std::sync::mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    machine[0].set(move |x: f64| {
        let _ = gate.lock().unwrap_or_else(PoisonError::into_inner).recv();
        x
    })?;
    machine.put(1.0)?;
    let (mut process, _) = own("slow")?;
    let timeout = Some(Duration::from_millis(1));
    let left = Undrained { messages: 1, ..Undrained::default() };
    assert_eq!(process.command(Command::Drain { machine: target("slow"), timeout })?, Reply::Undrained(left));
    open.send(())?;
    assert_eq!(process.command(Command::Drain { machine: target("slow"), timeout: None })?, Reply::Done);
    Ok(())
}

#[test]
fn what_only_a_kernel_may_say_is_refused() -> Result<(), Box<dyn std::error::Error>> {
    let _alone = alone();
    let (mut process, _) = own("main")?;
    for command in [Command::Enter(Cell::default()), Command::Interrupt { on: true }] {
        let Err(failure) = process.command(command) else { panic!("it was carried out") };
        assert_eq!(failure.code, "not_remote");
    }
    Ok(())
}

#[test]
fn a_machine_that_there_is_not_is_told_with_those_that_there_are() {
    let _alone = alone();
    let Err(failure) = own("nobody") else { panic!("there is nobody") };
    assert_eq!(failure.code, "no_such_machine");
    assert!(failure.message.contains(&format!("main@{}", std::process::id())), "{failure}");
}

#[test]
fn connections_are_bounded_and_come_back() {
    let _alone = alone();
    let mut held = Vec::new();
    let refused = loop {
        match own("main") {
            Ok(process) => held.push(process),
            Err(failure) => break failure,
        }
        assert!(held.len() <= 32, "a bound of 32");
    };
    assert!(refused.message.contains("did not answer"), "{refused}");
    assert!(processes().silent.iter().any(|(_, why)| why.contains("32 clients are connected already")));
    held.clear();
    // The seats are free once the threads have seen the ends of the streams.
    while own("main").is_err() {
        std::thread::yield_now();
    }
}
