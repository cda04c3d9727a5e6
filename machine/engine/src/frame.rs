//! One message on its way through the slots.
//!
//! A frame is laid out once for a plan and a type of message: a place for the message, one for each output, one for
//! each converted argument, and the argument pointers of each slot. So a message costs no allocation and no lookup
//! here: the slots are called one after the other with pointers that never change.
#![expect(clippy::cast_ptr_alignment, reason = "every place is laid out for the type that it is used as")]
#![allow(unsafe_code, reason = "the boundary: values of types that the engine does not know")]

mod values;

pub(crate) use values::{Values, View};

use crate::flight::Flight;
use crate::hook;
use crate::number;
use crate::raw::{self, InPlace, drop_value};
use crate::slots::{From, Function, Plan};
use crate::types::{Conversion, TypeInfo};
use machine::abi::{self, Kind, Need, Outcome, Run, Sink, SlotDesc, TypeDesc};
use std::alloc::Layout;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};
use values::Spot;

/// Frees a slot's closure. A panic of its destructor ends in its own library.
pub(crate) fn free(desc: &SlotDesc) {
    // SAFETY: called once, by the owner's `Drop`.
    let _panicked = unsafe { (desc.drop)(desc.state) };
}

/// Why a slot has no output for a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorKind {
    /// The function returned `Err`.
    Error,
    /// The function panicked.
    Panic,
    /// An argument did not convert.
    Type,
    /// No slot's: what a source gave is no message.
    Source,
    /// The function took longer than the slot's timeout.
    Timeout,
}

impl ErrorKind {
    pub const fn code(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Panic => "panic",
            Self::Type => "type",
            Self::Source => "source",
            Self::Timeout => "timeout",
        }
    }
}

/// What happens to a message that is not an output.
pub(crate) trait Events {
    /// The slot failed on it.
    fn error(&mut self, slot: usize, kind: ErrorKind, text: String);
    /// The slot needs an output that is missing.
    fn skipped(&mut self, slot: usize);
}

/// Where a value is, and whether it is there.
#[derive(Clone, Copy, Debug)]
struct Place {
    at: *mut u8,
    info: &'static TypeInfo,
    /// Set in `present` while there is a value.
    bit: u64,
}

/// What has to be done before a slot is called.
#[derive(Debug)]
enum Prepare {
    /// The argument is null if the output is missing.
    Optional { arg: usize, from: Place },
    /// The argument is made from a value of another type.
    Convert { arg: usize, from: Place, to: Place, conversion: Conversion, what: String },
    /// The argument can never be made.
    Never { from: Place, why: String },
}

#[derive(Debug)]
struct Step {
    call: unsafe extern "C" fn(*const u8, *const *const u8, *mut u8, *mut Sink) -> Outcome,
    /// Instead of `call`, for an async function.
    begin: Option<unsafe extern "C" fn(*const u8, *const *const u8, *mut u8, abi::Flight)>,
    state: *const u8,
    args: *const *const u8,
    out: *mut u8,
    /// The outputs without which the slot is skipped; with `PREPARE` if it takes arguments that have to be made.
    needs: u64,
    bit: u64,
    slot: usize,
    prepare: Range<usize>,
}

/// Stands for the call of an async function, which is begun instead.
unsafe extern "C" fn never(_: *const u8, _: *const *const u8, _: *mut u8, _: *mut Sink) -> Outcome {
    Outcome::Failed
}

/// The argument pointers of all slots, and how those come about that are not the same for each message.
#[derive(Debug)]
struct Preparation {
    prepares: Vec<Prepare>,
    /// `Step::args` points into it.
    args: Box<[*const u8]>,
    /// Converted arguments of this message that have to be dropped.
    made: Vec<Place>,
}

impl Preparation {
    /// Makes the arguments of a slot that are not simply there; false if it cannot be called.
    fn run(&mut self, step: &Step, present: u64, events: &mut impl Events) -> bool {
        let needs = step.needs & !PREPARE;
        if present & needs != needs {
            events.skipped(step.slot);
            return false;
        }
        let made = self.make(step.prepare.clone(), present);
        made.map_err(|why| events.error(step.slot, ErrorKind::Type, why)).is_ok()
    }

    fn make(&mut self, range: Range<usize>, present: u64) -> Result<(), String> {
        for prepare in self.prepares.get(range).unwrap_or_default() {
            match prepare {
                Prepare::Never { from, why } => {
                    if present & from.bit != 0 {
                        return Err(why.clone());
                    }
                }
                Prepare::Optional { arg, from } => {
                    let there = present & from.bit != 0;
                    if let Some(pointer) = self.args.get_mut(*arg) {
                        *pointer = if there { from.at } else { std::ptr::null_mut() };
                    }
                }
                Prepare::Convert { arg, from, to, conversion, what } => {
                    let pointer = if present & from.bit == 0 {
                        std::ptr::null()
                    } else {
                        // SAFETY: `from` is live (its bit is set), `to` is empty.
                        let made = unsafe { convert(*from, *to, *conversion) };
                        made.map_err(|why| format!("{what}, and it does not convert: {why}"))?
                    };
                    if std::ptr::eq(pointer, to.at) && to.info.desc.drop.is_some() {
                        self.made.push(*to);
                    }
                    if let Some(to) = self.args.get_mut(*arg) {
                        *to = pointer;
                    }
                }
            }
        }
        Ok(())
    }
}

/// A slot has no output for this message.
#[cold]
fn failed(slot: usize, outcome: Outcome, text: &mut Vec<u8>, events: &mut impl Events) {
    if outcome == Outcome::Panicked {
        events.error(slot, ErrorKind::Panic, hook::take_panic());
    } else {
        events.error(slot, ErrorKind::Error, String::from_utf8_lossy(text).into_owned());
    }
    text.clear();
}

/// One message on its way through the slots of one plan.
#[derive(Debug)]
pub(crate) struct Frame {
    plan: Arc<Plan>,
    pub input: &'static TypeInfo,
    input_place: Place,
    outputs: Vec<Option<Place>>,
    /// The message and what each slot gives, as whoever looks at a finished message sees it.
    spots: Arc<[Spot]>,
    steps: Vec<Step>,
    preparation: Preparation,
    /// Where a slot writes an error's text.
    text: Vec<u8>,
    /// Outputs with a destructor.
    drops: Vec<Place>,
    /// Nothing of a message has a destructor.
    plain: bool,
    /// Bit 0: the message; bit i + 1: the output of slot i.
    present: u64,
    /// How long each slot took, of the last message that was timed.
    nanos: Vec<u64>,
    memory: *mut u8,
    layout: Layout,
}
// SAFETY: what it points at is its own memory and the plan's closures, which are `Send + Sync`; the values are `Send`.
unsafe impl Send for Frame {}

const INPUT: u64 = 1;
/// Never present: a slot with this need takes the longer way.
const PREPARE: u64 = 1 << 63;

/// Collects sizes; gives offsets.
struct Room(Layout);

impl Room {
    fn add(&mut self, desc: &TypeDesc) -> usize {
        let one = Layout::from_size_align(desc.size, desc.align).unwrap_or(Layout::new::<u64>());
        // A frame that overflows the address space cannot be: its types exist.
        let (all, offset) = self.0.extend(one).unwrap_or((self.0, 0));
        self.0 = all;
        offset
    }
}

impl Frame {
    /// Lays out a frame.
    #[expect(clippy::too_many_lines, reason = "one layout, from the places to the steps that point at them")]
    pub fn new(plan: Arc<Plan>, input: &'static TypeInfo) -> Self {
        let functions: Vec<(usize, Arc<Function>)> =
            (0..plan.slots.len()).filter_map(|slot| Some((slot, plan.function(slot)?.clone()))).collect();
        let mut room = Room(Layout::new::<[u64; 2]>());
        let input_offset = room.add(input.desc);
        let output_offsets: Vec<usize> = functions.iter().map(|(_, f)| room.add(f.output.desc)).collect();
        let convert_offsets: Vec<Vec<usize>> =
            functions.iter().map(|(_, f)| f.params.iter().map(|p| room.add(p.info.desc)).collect()).collect();
        let layout = room.0.pad_to_align();
        // SAFETY: the layout is not empty.
        let memory = unsafe { std::alloc::alloc(layout) };
        if memory.is_null() {
            std::alloc::handle_alloc_error(layout);
        }
        // SAFETY: offsets lie within the layout.
        let at = |offset: usize| unsafe { memory.add(offset) };

        let input_place = Place { at: at(input_offset), info: input, bit: INPUT };
        let mut outputs = vec![None; plan.slots.len()];
        for ((slot, function), offset) in functions.iter().zip(output_offsets) {
            if let Some(place) = outputs.get_mut(*slot) {
                *place = Some(Place { at: at(offset), info: function.output, bit: 1 << (slot + 1) });
            }
        }
        let place = |from: From| match from {
            From::Input => Some(input_place),
            From::Slot(slot) => outputs.get(slot).copied().flatten(),
        };
        let froms = std::iter::once(From::Input).chain((0..plan.slots.len()).map(|slot| plan.producer(slot)));
        let spots = froms.map(|from| {
            let place = place(from).unwrap_or(input_place);
            Spot { offset: place.at.addr() - memory.addr(), info: place.info, bit: place.bit, from }
        });
        let spots = spots.collect();

        let mut args: Vec<*const u8> = Vec::new();
        let mut prepares = Vec::new();
        let mut drafts = Vec::new();
        for ((slot, function), offsets) in functions.iter().zip(convert_offsets) {
            let (first_arg, first_prepare, mut needs) = (args.len(), prepares.len(), 0);
            for (number, (param, offset)) in function.params.iter().zip(offsets).enumerate() {
                let origin = plan.argument(*slot, number);
                let arg = args.len();
                args.push(std::ptr::null());
                let Some(from) = place(origin).filter(|_| param.need != Need::Ignored) else { continue };
                if param.need == Need::Required {
                    needs |= from.bit;
                }
                let what = match origin {
                    From::Input => format!("f{slot} takes {}, but the message is {}", param.name, from.info.name),
                    From::Slot(f) => format!("f{slot} takes {}, but f{f} gives {}", param.name, from.info.name),
                };
                match from.info.becomes(param.info) {
                    Some(Conversion::Same) if param.need == Need::Required => {
                        if let Some(pointer) = args.get_mut(arg) {
                            *pointer = from.at;
                        }
                    }
                    Some(Conversion::Same) => prepares.push(Prepare::Optional { arg, from }),
                    Some(conversion) => {
                        let to = Place { at: at(offset), info: param.info, bit: 0 };
                        prepares.push(Prepare::Convert { arg, from, to, conversion, what });
                    }
                    None => prepares.push(Prepare::Never { from, why: what }),
                }
            }
            if prepares.len() > first_prepare {
                needs |= PREPARE;
            }
            drafts.push((*slot, function, first_arg, first_prepare..prepares.len(), needs));
        }
        let args = args.into_boxed_slice();
        let no_preparation = prepares.is_empty();
        let steps = drafts
            .into_iter()
            .filter_map(|(slot, function, first_arg, prepare, needs)| {
                let out = outputs.get(slot).copied().flatten()?;
                let (call, begin) = match function.desc.run {
                    Run::Call(call) => (call, None),
                    Run::Begin(begin) => (never as _, Some(begin)),
                };
                Some(Step {
                    call,
                    begin,
                    state: function.desc.state,
                    args: args.get(first_arg..)?.as_ptr(),
                    out: out.at,
                    needs,
                    bit: out.bit,
                    slot,
                    prepare,
                })
            })
            .collect();
        let drops: Vec<Place> =
            outputs.iter().flatten().copied().filter(|place| place.info.desc.drop.is_some()).collect();
        Self {
            nanos: vec![0; plan.slots.len()],
            plan,
            input,
            input_place,
            outputs,
            spots,
            steps,
            preparation: Preparation { prepares, args, made: Vec::new() },
            text: Vec::new(),
            plain: drops.is_empty() && input.desc.drop.is_none() && no_preparation,
            drops,
            present: 0,
            memory,
            layout,
        }
    }

    /// The slots that this frame is laid out for.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Takes a message in. Its type is the frame's.
    #[inline]
    pub fn load(&mut self, message: InPlace<'_>) {
        debug_assert!(self.present == 0 && std::ptr::eq(message.desc(), self.input.desc));
        // SAFETY: the place was laid out for this type, and is empty.
        unsafe { message.give(self.input_place.at) };
        self.present = INPUT;
    }

    /// Calls the slots, one after the other; `TIMED`, measures each. Not for a plan that flies.
    #[inline]
    pub fn run<const TIMED: bool>(&mut self, events: &mut impl Events) {
        let mut text = std::mem::take(&mut self.text);
        let mut sink = Sink::new(&mut text);
        let mut present = self.present;
        let mut before = TIMED.then(Instant::now);
        for step in &self.steps {
            if present & step.needs == step.needs || self.preparation.run(step, present, events) {
                // SAFETY: the arguments point at live values of the types in the slot's descriptor (laid out so in
                // `new`, present as checked above, or made by `prepare`); `out` is an empty place for its output; the
                // closure lives as long as the plan.
                let outcome = unsafe { (step.call)(step.state, step.args, step.out, &raw mut sink) };
                if outcome == Outcome::Done {
                    present |= step.bit;
                } else {
                    failed(step.slot, outcome, &mut text, events);
                    sink = Sink::new(&mut text);
                }
            }
            if let Some(before) = &mut before {
                let after = Instant::now();
                let nanos = u64::try_from(after.duration_since(*before).as_nanos()).unwrap_or(u64::MAX);
                *before = after;
                if let (Some(function), Some(noted)) = (self.plan.function(step.slot), self.nanos.get_mut(step.slot)) {
                    function.times.add(nanos);
                    *noted = nanos;
                }
            }
        }
        self.present = present;
        self.text = text;
    }

    /// The first step from `step` on whose slot can be called, with its arguments made; all before it are skipped or
    /// have failed for want of them.
    pub fn prepare(&mut self, step: usize, events: &mut impl Events) -> Option<usize> {
        self.prepare_before(step, self.steps.len(), events)
    }

    /// As `prepare`, of the steps before `end`.
    fn prepare_before(&mut self, step: usize, end: usize, events: &mut impl Events) -> Option<usize> {
        let steps = self.steps.get(step..end)?;
        let ready =
            |step: &Step| self.present & step.needs == step.needs || self.preparation.run(step, self.present, events);
        steps.iter().position(ready).map(|found| step + found)
    }

    /// The slot of a step.
    pub fn slot(&self, step: usize) -> usize {
        self.steps.get(step).map_or(0, |step| step.slot)
    }

    /// The slot of a step; `None` after the last one.
    pub fn slot_of(&self, step: usize) -> Option<usize> {
        self.steps.get(step).map(|step| step.slot)
    }

    /// Whether a step's slot holds an async function.
    pub fn is_async(&self, step: usize) -> bool {
        self.steps.get(step).is_some_and(|step| step.begin.is_some())
    }

    /// Calls the slot of one step, which `prepare` has given; returns how it ended, and the text of an error.
    pub fn call(&mut self, step: usize) -> (Outcome, String) {
        let Some(step) = self.steps.get(step) else { return (Outcome::Failed, String::new()) };
        let mut text = Vec::new();
        // SAFETY: as in `run`: `prepare` has seen to the arguments, and `out` is empty.
        let outcome = unsafe { (step.call)(step.state, step.args, step.out, &mut Sink::new(&mut text)) };
        match outcome {
            Outcome::Done => {
                self.present |= step.bit;
                (outcome, String::new())
            }
            Outcome::Panicked => (outcome, hook::take_panic()),
            Outcome::Failed | Outcome::TimedOut => (outcome, String::from_utf8_lossy(&text).into_owned()),
        }
    }

    /// Calls the slots from step `from` on that come before `slot`, or all, and measures each. Returns the step that is
    /// next. Not for a plan that flies.
    pub fn advance(&mut self, from: usize, slot: Option<usize>, events: &mut impl Events) -> usize {
        let end =
            slot.and_then(|slot| self.steps.iter().position(|step| step.slot >= slot)).unwrap_or(self.steps.len());
        let mut step = from;
        while let Some(ready) = self.prepare_before(step, end, events) {
            let before = Instant::now();
            let (outcome, text) = self.call(ready);
            let slot = self.slot(ready);
            self.note(slot, before.elapsed());
            match outcome {
                Outcome::Done => {}
                Outcome::Panicked => events.error(slot, ErrorKind::Panic, text),
                Outcome::Failed | Outcome::TimedOut => events.error(slot, ErrorKind::Error, text),
            }
            step = ready + 1;
        }
        end
    }

    /// Begins the call of the async function of one step, which `prepare` has given. The flight comes back through
    /// `Host::complete`, on any thread, perhaps before this returns.
    pub fn begin(flight: Box<Flight>, step: usize, timeout: Duration) {
        let Some(step) = flight.frame.steps.get(step) else { return };
        let (begin, state, args, out) = (step.begin, step.state, step.args, step.out);
        let Some(begin) = begin else { return };
        let timeout_nanos = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        let ticket = Box::into_raw(flight).cast();
        // SAFETY: `prepare` has seen to the arguments, and `out` is empty. Frame, arguments and closure (by the plan)
        // are the flight's, which nobody touches until `complete` takes it back from the ticket.
        unsafe { begin(state, args, out, abi::Flight { ticket, timeout_nanos }) };
    }

    /// The output of a step has been written.
    pub fn arrived(&mut self, step: usize) {
        self.present |= self.steps.get(step).map_or(0, |step| step.bit);
    }

    /// Drops the output of a step.
    pub fn discard(&mut self, step: usize) {
        let Some(step) = self.steps.get(step).filter(|step| self.present & step.bit != 0) else { return };
        self.present &= !step.bit;
        if let Some(place) = self.outputs.get(step.slot).copied().flatten() {
            // SAFETY: the value was live, and its bit is cleared.
            unsafe { drop_value(place.info.desc, place.at) };
        }
    }

    /// Notes how long one call of a slot took.
    pub fn note(&mut self, slot: usize, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        if let (Some(function), Some(noted)) = (self.plan.function(slot), self.nanos.get_mut(slot)) {
            function.times.add(nanos);
            *noted = nanos;
        }
    }

    /// How long a slot took, nanoseconds, of the last message that was timed.
    pub fn nanos(&self, slot: usize) -> u64 {
        self.nanos.get(slot).copied().unwrap_or(0)
    }

    /// How long each slot took, nanoseconds, of the last message that was timed.
    pub fn all_nanos(&self) -> &[u64] {
        &self.nanos
    }

    fn place(&self, from: From) -> Option<Place> {
        let place = match from {
            From::Input => Some(self.input_place),
            From::Slot(slot) => self.outputs.get(slot).copied().flatten(),
        };
        place.filter(|place| self.present & place.bit != 0)
    }

    /// Whether a value of this message is there.
    pub fn is_present(&self, from: From) -> bool {
        self.place(from).is_some()
    }

    /// A value of this message as JSON text; `None` if it is missing.
    pub fn json(&self, from: From) -> Option<Result<String, String>> {
        // SAFETY: the value is live.
        self.place(from).map(|place| unsafe { raw::json(place.info.desc, place.at) })
    }

    /// The message and its outputs.
    pub fn view(&mut self) -> View<'_> {
        View::new(self.memory, &mut self.present, &self.spots)
    }

    /// Moves the message and its outputs out.
    pub fn take(&mut self) -> Values {
        self.drop_made();
        let present = std::mem::take(&mut self.present);
        // SAFETY: the values are moved: nothing is present any more.
        unsafe { Values::take(self.memory, self.layout, present, self.spots.clone()) }
    }

    /// Moves the message to another frame for the same type, which is empty. The outputs stay.
    pub fn move_input(&mut self, to: &mut Self) {
        debug_assert!(to.present == 0 && std::ptr::eq(to.input.desc, self.input.desc));
        if self.present & INPUT == 0 {
            return;
        }
        self.present &= !INPUT;
        // SAFETY: the message is there, both places were laid out for its type, and it is not used here again.
        unsafe { std::ptr::copy_nonoverlapping(self.input_place.at, to.input_place.at, self.input.desc.size) };
        to.present = INPUT;
    }

    fn drop_made(&mut self) {
        for place in self.preparation.made.drain(..) {
            // SAFETY: made for this message, dropped once.
            unsafe { drop_value(place.info.desc, place.at) };
        }
    }

    /// Drops what the message left behind.
    #[inline]
    pub fn clear(&mut self) {
        if self.plain {
            self.present = 0;
            return;
        }
        self.drop_made();
        for place in &self.drops {
            if self.present & place.bit != 0 {
                // SAFETY: the value is live, and all bits are cleared below.
                unsafe { drop_value(place.info.desc, place.at) };
            }
        }
        if self.present & INPUT != 0 && self.input.desc.drop.is_some() {
            // SAFETY: as above.
            unsafe { drop_value(self.input.desc, self.input_place.at) };
        }
        self.present = 0;
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        self.clear();
        // SAFETY: allocated in `new` with this layout, freed once.
        unsafe { std::alloc::dealloc(self.memory, self.layout) };
    }
}

/// Makes an argument from a value of another type; returns where it is.
///
/// # Safety
/// `from` holds a live value, `to` holds none.
unsafe fn convert(from: Place, to: Place, conversion: Conversion) -> Result<*const u8, String> {
    // SAFETY: as above, for all that follows; a payload pointer is null for an `Err`, which is never stored.
    unsafe {
        let inside = || from.info.desc.payload.map_or(from.at.cast_const(), |payload| payload(from.at));
        match conversion {
            Conversion::Same => Ok(from.at),
            Conversion::Inside => Ok(inside()),
            Conversion::Number => {
                let number = read_number(inside(), from.info.kind);
                write_number(number, to.at, to.info.kind).map(|()| to.at.cast_const())
            }
            Conversion::Json => {
                let json = raw::json(from.info.desc, from.at)?;
                raw::from_json(to.info.desc, &json, to.at).map_err(|why| {
                    let short: String = json.chars().take(80).collect();
                    format!("{why} (in {short})")
                })?;
                Ok(to.at)
            }
        }
    }
}

/// # Safety
/// `at` points at a number of this kind.
unsafe fn read_number(at: *const u8, kind: Kind) -> number::Number {
    macro_rules! read {
        ($($kind:ident: $ty:ty => $as:ident),*) => {
            // SAFETY: the kind says the type.
            match kind { $(Kind::$kind => number::Number::$as(unsafe { at.cast::<$ty>().read() }.into()),)*
                // SAFETY: the kind says the type.
                Kind::Isize => number::Number::Int(unsafe { at.cast::<isize>().read() } as i128),
                // SAFETY: the kind says the type.
                Kind::Usize => number::Number::Int(unsafe { at.cast::<usize>().read() } as i128),
                Kind::Other | Kind::Bool | Kind::String | Kind::Json => number::Number::Float(f64::NAN) }
        };
    }
    read!(I8: i8 => Int, I16: i16 => Int, I32: i32 => Int, I64: i64 => Int, U8: u8 => Int, U16: u16 => Int, U32: u32 => Int,
        U64: u64 => Int, F32: f32 => Float, F64: f64 => Float)
}

/// # Safety
/// `to` has room for a number of this kind.
unsafe fn write_number(number: number::Number, to: *mut u8, kind: Kind) -> Result<(), String> {
    macro_rules! write {
        ($($kind:ident: $ty:ty),*) => {
            match kind {
                // SAFETY: the kind says the type.
                $(Kind::$kind => unsafe { to.cast::<$ty>().write(number.to_int::<$ty>()?) },)*
                // SAFETY: the kind says the type.
                Kind::F32 => unsafe { to.cast::<f32>().write(number.to_f32()) },
                // SAFETY: the kind says the type.
                Kind::F64 => unsafe { to.cast::<f64>().write(number.to_f64()) },
                Kind::Other | Kind::Bool | Kind::String | Kind::Json => return Err("it is no number".to_owned()),
            }
        };
    }
    write!(I8: i8, I16: i16, I32: i32, I64: i64, Isize: isize, U8: u8, U16: u16, U32: u32, U64: u64, Usize: usize);
    Ok(())
}
