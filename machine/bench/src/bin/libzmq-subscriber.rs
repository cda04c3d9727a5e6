//! A subscriber of libzmq, for the benchmark: counts what a PUB sends, as fast as libzmq gives it.
//!
//! `libzmq-subscriber LIBRARY ENDPOINT` subscribes to everything. For each message whose second frame begins with
//! `[-1.0,` it prints how many came since the last such, and the nanoseconds from the first of them to the last.
#![expect(clippy::print_stdout, reason = "its output is its purpose")]
#![allow(unsafe_code, reason = "the C interface of libzmq, called in this benchmark alone")]

use std::ffi::{CString, c_char, c_int, c_void};
use std::time::Instant;

const SUB: c_int = 2;
const SUBSCRIBE: c_int = 6;
const RCVHWM: c_int = 24;

type Make = unsafe extern "C" fn() -> *mut c_void;
type Socket = unsafe extern "C" fn(*mut c_void, c_int) -> *mut c_void;
type Set = unsafe extern "C" fn(*mut c_void, c_int, *const c_void, usize) -> c_int;
type Connect = unsafe extern "C" fn(*mut c_void, *const c_char) -> c_int;
type Receive = unsafe extern "C" fn(*mut c_void, *mut c_void, usize, c_int) -> c_int;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (library, endpoint) = args.next().zip(args.next()).ok_or("libzmq-subscriber LIBRARY ENDPOINT")?;
    let (library, endpoint) = (CString::new(library)?, CString::new(endpoint)?);
    // SAFETY: the name is a C string.
    let library = unsafe { libc::dlopen(library.as_ptr(), libc::RTLD_NOW) };
    let find = |name: &'static std::ffi::CStr| {
        if library.is_null() {
            return Err("there is no such library".to_owned());
        }
        // SAFETY: an open library, and the name is a C string.
        let found = unsafe { libc::dlsym(library, name.as_ptr()) };
        if found.is_null() { Err(format!("there is no {name:?}")) } else { Ok(found) }
    };
    // SAFETY: the functions have these types in zmq.h of every version 4.
    let (make, socket, set, connect, receive) = unsafe {
        (
            std::mem::transmute::<*mut c_void, Make>(find(c"zmq_ctx_new")?),
            std::mem::transmute::<*mut c_void, Socket>(find(c"zmq_socket")?),
            std::mem::transmute::<*mut c_void, Set>(find(c"zmq_setsockopt")?),
            std::mem::transmute::<*mut c_void, Connect>(find(c"zmq_connect")?),
            std::mem::transmute::<*mut c_void, Receive>(find(c"zmq_recv")?),
        )
    };
    let mark: c_int = 100_000;
    // SAFETY: context and socket are used on this thread alone; all pointers live for their calls.
    let subscriber = unsafe {
        let subscriber = socket(make(), SUB);
        set(subscriber, RCVHWM, std::ptr::from_ref(&mark).cast(), size_of::<c_int>());
        set(subscriber, SUBSCRIBE, c"".as_ptr().cast(), 0);
        if connect(subscriber, endpoint.as_ptr()) != 0 {
            return Err("cannot connect".into());
        }
        subscriber
    };
    let mut frame = [0_u8; 4096];
    let (mut count, mut first) = (0_u64, None);
    loop {
        for _ in 0..2 {
            // SAFETY: the buffer has this size.
            if unsafe { receive(subscriber, frame.as_mut_ptr().cast(), frame.len(), 0) } < 0 {
                return Ok(());
            }
        }
        let start = *first.get_or_insert_with(Instant::now);
        count += 1;
        if frame.starts_with(b"[-1.0,") {
            println!("{count} {}", start.elapsed().as_nanos());
            (count, first) = (0, None);
        }
    }
}
