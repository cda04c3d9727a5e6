//! Machines are commanded from outside through the socket of their process: here, of this same process.

use machine::Status;
use machine::prelude::*;
use machine_async::prelude::*;
use machine_protocol::command::{Cell, Command, Reply, Target, Undrained};
use machine_protocol::{Error, ErrorKind};
use machine_remote::{Answer, Hello, Process, Request, attach, processes, read_frame, write_frame};
use machine_testkit::{DEADLINE, eventually};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// One test at a time: they count the connections of one process.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    machine_engine::init();
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn own(machine: &str) -> Result<(Process, String), Error> {
    attach(&format!("{machine}@{}", std::process::id()))
}

fn target(name: &str) -> Target {
    Target::Name(name.to_owned())
}

#[test]
fn commands_do_what_they_do_inside() -> Result<(), Box<dyn std::error::Error>> {
    let _alone = alone();
    let machine = Machine::builder("outside").start()?;
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
    let machine = Machine::builder("slow").start()?;
    let (open, gate) = std::sync::mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    machine[0].set(move |x: f64| {
        let _ = gate.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(DEADLINE);
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
        assert_eq!(failure.kind(), ErrorKind::NotRemote);
    }
    Ok(())
}

#[test]
fn a_machine_that_there_is_not_is_told_with_those_that_there_are() {
    let _alone = alone();
    let Err(failure) = own("nobody") else { panic!("there is nobody") };
    assert_eq!(failure.kind(), ErrorKind::NoSuchMachine);
    assert!(failure.message().contains(&format!("main@{}", std::process::id())), "{failure}");
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
    let why = format!("process {}: all 32 connections to this process are taken", std::process::id());
    assert!(refused.kind() == ErrorKind::ProcessSilent && refused.message().contains(&why), "{refused}");
    assert!(processes().silent.iter().any(|(_, why)| why.contains("all 32 connections")));
    held.clear();
    // The seats are free once the threads have seen the ends of the streams.
    eventually!(own("main").is_ok());
}

/// A connection to this process, of a client that need not wait for its answer.
fn connect() -> Result<UnixStream, Box<dyn std::error::Error>> {
    let name = format!("{}.sock", std::process::id());
    let directory = |name: &str| std::env::var_os(name).map(std::path::PathBuf::from);
    let temporary = std::fs::read_dir(std::env::temp_dir())?.flatten().map(|entry| entry.path());
    let mut candidates = directory("MACHINE_RUNTIME_DIR")
        .into_iter()
        .chain(directory("XDG_RUNTIME_DIR").map(|directory| directory.join("machine")))
        .chain(
            temporary.filter(|path| path.file_name().is_some_and(|it| it.to_string_lossy().starts_with("machine-"))),
        );
    let socket = candidates.find_map(|directory| UnixStream::connect(directory.join(&name)).ok());
    let stream = socket.ok_or("no socket of this process")?;
    read_frame::<Hello>(&mut &stream)?.ok_or("no greeting")?;
    Ok(stream)
}

#[test]
fn clients_that_are_gone_end_their_calls_and_those_that_wait_take_no_seat() -> Result<(), Box<dyn std::error::Error>> {
    struct Entered(Arc<AtomicUsize>);
    impl Drop for Entered {
        fn drop(&mut self) {
            self.0.fetch_sub(1, SeqCst);
        }
    }
    let _alone = alone();
    let machine = Machine::builder("stuck").start()?;
    let inside = Arc::new(AtomicUsize::new(0));
    let i = inside.clone();
    machine[0].set_async(async move |x: u64| {
        i.fetch_add(1, SeqCst);
        let _inside = Entered(i.clone());
        std::future::pending::<()>().await;
        x
    })?;
    let send = |command: Command| -> Result<UnixStream, Box<dyn std::error::Error>> {
        let stream = connect()?;
        write_frame(&mut &stream, &Request { id: 1, command })?;
        Ok(stream)
    };
    machine.pause().put(7_u64)?;
    let step = send(Command::Step { machine: target("stuck") })?;
    let call = || send(Command::Call { machine: target("stuck"), json: "1".to_owned() });
    eventually!(inside.load(SeqCst) == 1);
    let calls = (1..32).map(|_| call()).collect::<Result<Vec<_>, _>>()?;
    eventually!(inside.load(SeqCst) == 32);
    // One too many is refused; all else is answered.
    let refused = call()?;
    match read_frame::<Answer>(&mut &refused)?.ok_or("no answer")?.reply {
        Reply::Failed(failure) => assert_eq!(failure.kind(), ErrorKind::Busy),
        other => panic!("{other:?}"),
    }
    for _ in 0..8 {
        let (mut process, _) = own("stuck")?;
        assert!(process.machines()?.iter().any(|status| status.machine == "stuck" && status.in_flight == 1));
    }
    drop((step, calls));
    eventually!(inside.load(SeqCst) == 0);
    eventually!(machine.status().in_flight == 0);
    let letter = &machine.errors()[0];
    assert_eq!(letter.error, "cancelled: the client that asked for it has disconnected");
    assert_eq!(letter.input, "7");
    machine[0].set(|x: u64| x + 1)?;
    machine.start();
    let called = call()?;
    match read_frame::<Answer>(&mut &called)?.ok_or("no answer")?.reply {
        Reply::Outputs(outputs) => assert_eq!(outputs.slots[0].output.as_deref(), Some("2")),
        other => panic!("{other:?}"),
    }
    Ok(())
}
