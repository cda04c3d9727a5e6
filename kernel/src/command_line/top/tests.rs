//! What is drawn of a real machine, on terminals of several sizes, and what the keys do.

use super::draw::draw;
use super::keys::press;
use super::poller::{Found, Look, Name};
use super::view::{Focus, Page, Shown, UiCommand, View};
use crate::watch::{Action, Flow, curves};
use machine::prelude::*;
use machine_protocol::command::{Command, Reply, Target};
use machine_protocol::retained::DeadLetterQuery;
use machine_protocol::status::Status;
use machine_testkit::Drained;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::style::Color;
use ratatui::termion::event::Key;

fn ask(command: Command) -> Reply {
    machine_engine::command(command)
}

/// A machine as it is now.
fn look(machine: &str) -> Look {
    let target = || Target::Name(machine.to_owned());
    let Reply::Status(status) = ask(Command::Status { machine: target() }) else { panic!("no status") };
    let Reply::History(history) = ask(Command::History { machine: target(), since_ms: 0 }) else {
        panic!("no history")
    };
    let query = DeadLetterQuery { limit: 50, ..DeadLetterQuery::default() };
    let Reply::FoundErrors { letters, .. } = ask(Command::FindErrors { machine: target(), query }) else {
        panic!("no letters")
    };
    let mut flow = Flow::default();
    flow.set_history(&history);
    Look {
        name: Name { pid: 7, machine: machine.to_owned() },
        status: *status,
        rate_in: 1234.0,
        rate_out: 1200.0,
        rate_errors: 0.5,
        load: flow.load(),
        curves: curves(&history),
        letters,
    }
}

fn showing(look: Look) -> View {
    let mut view = View::default();
    view.show(Found { name: look.name.clone(), title: "a notebook".to_owned(), status: None }, true);
    view.look(look);
    view
}

fn drawn(view: &mut View, width: u16, height: u16) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(view, frame)).unwrap();
    terminal.backend().buffer().clone()
}

fn text(view: &mut View, width: u16, height: u16) -> String {
    let buffer = drawn(view, width, height);
    let rows = buffer.content().chunks(usize::from(width));
    rows.map(|row| row.iter().map(ratatui::buffer::Cell::symbol).collect::<String>().trim_end().to_owned() + "\n")
        .collect()
}

/// The colour in which some text begins.
fn color(view: &mut View, words: &str) -> Option<Color> {
    let buffer = drawn(view, 120, 40);
    let cells = buffer.content();
    let symbols: Vec<&str> = cells.iter().map(ratatui::buffer::Cell::symbol).collect();
    let wanted: Vec<String> = words.chars().map(String::from).collect();
    let place = symbols.windows(wanted.len()).position(|window| window == wanted)?;
    cells.get(place).map(|cell| cell.fg)
}

fn shown(view: &View) -> &Shown {
    match &view.page {
        Page::Machine(shown) => shown,
        Page::List(..) => panic!("the list is shown"),
    }
}

/// A machine that has processed 30 messages, a third of which failed, and holds with 700 of 1,000 waiting.
fn worked(name: &str) -> Machine {
    machine_engine::init();
    let machine = Machine::builder(name).queue(1000).start().unwrap();
    machine[0].set(|x: f64| x * x).unwrap();
    machine[1].set(|x: i64| if x % 3 == 0 { Err(format!("three divides {x}")) } else { Ok(x.to_string()) }).unwrap();
    machine[3].set(|text: String| text.len()).unwrap();
    (0..30).for_each(|n| machine.put_wait(f64::from(n)).unwrap());
    machine.drained();
    machine.pause();
    (0..700).for_each(|n| machine.put(f64::from(n)).unwrap());
    machine
}

#[test]
fn a_real_machine_is_drawn_as_it_is() {
    let machine = worked("top-drawn");
    let mut view = showing(look("top-drawn"));
    let all = text(&mut view, 120, 40);
    let status = machine.status();
    let expected = [
        " top-drawn  ● paused  a notebook, process 7".to_owned(),
        format!("processed {} ", status.processed),
        "errored 10 (0.5/s)".to_owned(),
        "700 of 1,000 wait, 70 %, full in 8.8 s".to_owned(),
        "╭ f0".to_owned(),
        "≈ converts".to_owned(),
        "✕ 10 ".to_owned(),
        "dead letters 10".to_owned(),
        "three divides".to_owned(),
    ];
    for words in expected {
        assert!(all.contains(&words), "{words}\n{all}");
    }
    // The newest dead letter first.
    let letter = &shown(&view).look.as_ref().unwrap().letters[0];
    assert!(all.lines().any(|line| line.contains("▸ f1") && line.contains(letter.error.as_str())), "{all}");
    assert_eq!(color(&mut view, "≈ converts"), Some(Color::Yellow));
    assert_eq!(color(&mut view, "700 of 1,000"), Some(Color::Yellow));
    machine.clear();
    assert_eq!(color(&mut showing(look("top-drawn")), "0 of 1,000"), Some(Color::Reset));

    machine[1].set(|words: Vec<String>| words.len()).unwrap();
    let mut view = showing(look("top-drawn"));
    assert_eq!(color(&mut view, "✕ no fit"), Some(Color::Red));
}

#[test]
fn it_fits_every_size() {
    let machine = worked("top-sizes");
    for slot in 4..8 {
        machine[slot].set(|x: u64| x + 1).unwrap();
    }
    let mut view = showing(look("top-sizes"));
    let small = text(&mut view, 80, 24);
    for words in ["● paused", "700 of 1,000", "│ f7 │", "▸ f0", "dead letters 10", "quit"] {
        assert!(small.contains(words), "{words}\n{small}");
    }
    for letter in [false, true] {
        for open in [false, true] {
            let Page::Machine(shown) = &mut view.page else { panic!("no machine") };
            (shown.focus, shown.open) = (if letter { Focus::DeadLetterQueue } else { Focus::Slots }, open);
            for help in [false, true] {
                view.help = help;
                for (width, height) in [(1, 1), (3, 2), (10, 5), (40, 12), (79, 23), (200, 60), (500, 3)] {
                    text(&mut view, width, height);
                }
            }
        }
    }
}

#[test]
fn what_is_chosen_is_unfolded_and_stays_chosen_while_newer_ones_come() {
    let machine = worked("top-letters");
    let mut view = showing(look("top-letters"));
    for key in [Key::Char('\t'), Key::Down, Key::Char('\n')] {
        assert!(press(&mut view, key).is_none());
    }
    let chosen = shown(&view).look.as_ref().unwrap().letters[1].clone();
    let unfolded = text(&mut view, 80, 24);
    for words in ["2 of 10", chosen.oid.as_str(), chosen.error.as_str(), "input:", "outputs so far:", "f0 = "] {
        assert!(unfolded.contains(words), "{words}\n{unfolded}");
    }
    assert!(unfolded.contains("error in f1, revision 1"), "{unfolded}");
    // Of what is put again, a third fails: more than are looked at.
    for _ in 0..2 {
        machine.start();
        machine.drained();
        view.look(look("top-letters"));
        assert_eq!(shown(&view).oid(), Some(chosen.oid.as_str()));
        assert_eq!(shown(&view).letters(), 51);
        (0..9).for_each(|n| machine.put(f64::from(n)).unwrap());
    }
    assert!(text(&mut view, 80, 24).contains(chosen.error.as_str()));
    // A slot unfolds its code, and how it fits.
    for key in [Key::Char('\t'), Key::Char('j')] {
        assert!(press(&mut view, key).is_none());
    }
    let unfolded = text(&mut view, 80, 24);
    assert!(unfolded.contains("(i64) → String · revision 1"), "{unfolded}");
    assert!(unfolded.contains("f0 gives f64, taken as i64"), "{unfolded}");
    // The text is scrolled no further than to its end.
    (0..1000).for_each(|_| drop(press(&mut view, Key::PageDown)));
    assert!(text(&mut view, 80, 12).contains("called again") || shown(&view).scroll < 10);
}

#[test]
fn keys_ask_for_what_buttons_do_and_ask_back_before_what_is_hard_to_undo() {
    let _machine = worked("top-keys");
    let mut view = showing(look("top-keys"));
    let asked = |view: &mut View, key| match press(view, Key::Char(key)) {
        Some(UiCommand::Act(found, action)) => Some((found.name.machine, action)),
        _ => None,
    };
    let done = |action| Some(("top-keys".to_owned(), action));
    assert_eq!(asked(&mut view, 's'), done(Action::Start));
    assert_eq!(asked(&mut view, 'p'), done(Action::Pause));
    assert_eq!(asked(&mut view, 't'), done(Action::Step));
    assert_eq!(asked(&mut view, 'd'), done(Action::Drain));
    let oid = shown(&view).look.as_ref().unwrap().letters[0].oid.clone();
    assert_eq!(asked(&mut view, 'r'), done(Action::Retry(Some(oid))));
    assert_eq!(asked(&mut view, 'x'), None);
    assert!(text(&mut view, 80, 24).contains("stop top-keys? its queue is kept"));
    assert_eq!(asked(&mut view, 'n'), None);
    assert!(!text(&mut view, 80, 24).contains("stop top-keys?"));
    assert_eq!(asked(&mut view, 'x'), None);
    assert_eq!(asked(&mut view, 'y'), done(Action::Stop));
    assert_eq!(asked(&mut view, 'R'), None);
    assert_eq!(asked(&mut view, 'y'), done(Action::Retry(None)));
    assert_eq!(asked(&mut view, '?'), None);
    assert!(text(&mut view, 80, 24).contains("between slots and dead letters"));
    // Any key closes the help, and does nothing else; but one always ends.
    assert_eq!(asked(&mut view, 's'), None);
    assert!(matches!(press(&mut view, Key::Char('n')), Some(UiCommand::Next)));
    assert!(press(&mut view, Key::Esc).is_none());
    assert!(matches!(press(&mut view, Key::Ctrl('c')), Some(UiCommand::Quit)));
}

#[test]
fn the_list_goes_on_to_a_machine_and_back() {
    let found = |pid: u32, machine: &str| Found {
        name: Name { pid, machine: machine.to_owned() },
        title: "<b>a\nnotebook".to_owned(),
        status: Some(Status { machine: machine.to_owned(), ..crate::display::tests::example_status() }),
    };
    let machines = vec![found(1, "main"), found(2, "main"), found(2, "train")];
    let mut view = View::default();
    assert!(text(&mut view, 80, 24).contains("looking for machines"));
    view.machines(machines.clone());
    assert!(press(&mut view, Key::Down).is_none());
    // What is chosen stays so when one before it goes.
    view.machines(machines[1..].to_vec());
    let list = text(&mut view, 80, 24);
    assert!(list.contains("2 machines") && list.contains("<b>a↵not"), "{list}");
    let Some(UiCommand::Show(first)) = press(&mut view, Key::Char('\n')) else { panic!("nothing is chosen") };
    assert_eq!(first.name.full(), "main@2");
    view.show(first, false);
    assert!(text(&mut view, 80, 24).contains("main  asked for …"));
    let Some(UiCommand::Show(next)) = view.next(&machines) else { panic!("there is no next one") };
    assert_eq!(next.name.full(), "train@2");
    view.show(next, false);
    let Some(UiCommand::Show(next)) = view.next(&machines) else { panic!("there is no first one") };
    assert_eq!(next.name.full(), "main@1");
    assert!(view.next(&machines[2..3]).is_none());
    assert!(text(&mut view, 80, 24).contains("there is no other machine"));
    assert!(matches!(press(&mut view, Key::Esc), Some(UiCommand::List)));
}

/// Panics below [`super::screen::guarded`], in a separate process: what is done at a panic is the same for all
/// threads of a process.
#[test]
#[ignore = "run by the test after it"]
fn inside_a_guard() {
    let outcome = super::screen::guarded(|| panic!("the screen is on fire"));
    println!("{outcome:?}");
}

#[test]
fn a_panic_is_told_after_the_terminal_has_been_given_back() {
    let itself = std::env::current_exe().unwrap();
    let name = "command_line::top::tests::inside_a_guard";
    let ran = std::process::Command::new(itself).args([name, "--exact", "--ignored", "--nocapture"]).output().unwrap();
    let (out, errors) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(out.contains("Err(Failure(") && out.contains("the screen is on fire"), "{out}{errors}");
    assert!(!errors.contains("the screen is on fire"), "{errors}");
}
