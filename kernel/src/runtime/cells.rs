//! What evcxr wants to run.
//!
//! evcxr has one, which reads its instructions from standard input. So would a cell that reads standard
//! input: it would wait for what never comes, or take an instruction away. Here the instructions are read from a copy
//! of that descriptor, and in its place is an empty input.
#![allow(unsafe_code, reason = "the cells' libraries are loaded and called with libc")]

use super::pump::Pump;
use super::standard;
use super::threads::{Cells, Ended, Library};
use std::ffi::{CStr, CString, c_void};
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::os::fd::AsRawFd;
use std::sync::Arc;

/// What evcxr asks for: path of a library, name of the function in it.
const RUN: &str = "LOAD_AND_RUN ";

/// The instructions of evcxr.
pub struct Instructions(BufReader<File>);

impl Instructions {
    /// Takes standard input, and leaves an empty one to cells, slots, and the processes that they start.
    ///
    /// # Errors
    /// If the system has no descriptors left.
    pub fn take() -> io::Result<Self> {
        let empty = File::open("/dev/null")?;
        let real = standard::keep(libc::STDIN_FILENO)?;
        standard::put(empty.as_raw_fd(), libc::STDIN_FILENO)?;
        Ok(Self(BufReader::new(real.into())))
    }

    /// Reads instructions on a separate thread, and runs cells on this one until the session is over, which ends
    /// the process. Without a pump there is nobody who waits for the end of one.
    pub fn run(self, cells: &Arc<Cells>, pump: Option<Arc<Pump>>) -> ! {
        let reader = Arc::clone(cells);
        if let Err(error) = super::spawn("instructions", move || self.read(&reader, pump.as_deref())) {
            super::complain(&format!("there is no thread to read instructions on: {error}"));
            std::process::exit(72);
        }
        cells.serve()
    }

    fn read(self, cells: &Arc<Cells>, pump: Option<&Pump>) -> ! {
        for line in self.0.lines().map_while(Result::ok) {
            // A path may have spaces in it, a function's name has none.
            let Some((path, name)) = line.strip_prefix(RUN).and_then(|rest| rest.rsplit_once(' ')) else { continue };
            if let Some(names) = cells.take_lost() {
                pump.inspect(|pump| pump.forget(&names));
                continue;
            }
            pump.inspect(|pump| pump.begin());
            if let Ended::NotLoaded(error) = cells.run(Library { path: path.to_owned(), name: name.to_owned() }) {
                super::complain(&format!("the cell's library cannot be loaded: {error}"));
                std::process::exit(71);
            }
            // One that was abandoned has not come to its end, which the pump knows.
            pump.inspect(|pump| pump.finish());
        }
        std::process::exit(0)
    }
}

/// A cell's function: takes what holds the session's variables, and gives it back.
pub type Function = unsafe extern "C" fn(*mut c_void) -> *mut c_void;

/// The function of a library, which is loaded for good.
///
/// # Errors
/// Why it cannot be loaded.
pub fn load(path: &str, name: &str) -> Result<Function, String> {
    super::places::remember(path);
    let (path, name) = (CString::new(path), CString::new(name));
    let (Ok(path), Ok(name)) = (path, name) else { return Err("its name has a zero in it".to_owned()) };
    // SAFETY: both are strings that end in a zero. Loading runs the library's initialisers, which are the user's own
    // business. A function's address has the size of a function pointer.
    unsafe {
        let library = libc::dlopen(path.as_ptr(), libc::RTLD_LAZY | libc::RTLD_GLOBAL);
        if library.is_null() {
            return Err(why());
        }
        let symbol = libc::dlsym(library, name.as_ptr());
        if symbol.is_null() {
            return Err(why());
        }
        Ok(std::mem::transmute::<*mut c_void, Function>(symbol))
    }
}

/// What went wrong on this thread.
fn why() -> String {
    // SAFETY: the text, if there is one, is valid until the next call of its kind on this thread.
    unsafe {
        let text = libc::dlerror();
        if text.is_null() { "no reason given".to_owned() } else { CStr::from_ptr(text).to_string_lossy().into_owned() }
    }
}
