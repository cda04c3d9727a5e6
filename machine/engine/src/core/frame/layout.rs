//! How a frame is laid out for a plan and a type of message.
#![allow(unsafe_code, reason = "the boundary: values of types that the engine does not know")]

use super::step::{PREPARE, Preparation, Prepare, Step, never};
use super::values::FieldPath;
use super::{Frame, INPUT, Location};
use crate::core::slots::{From, Function, Plan};
use crate::core::types::{Conversion, TypeInfo};
use machine::abi::{Optionality, Run, TypeDesc};
use std::alloc::Layout;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

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

        let input_place = Location { at: at(input_offset), info: input, bit: INPUT };
        let mut outputs = vec![None; plan.slots.len()];
        for ((slot, function), offset) in functions.iter().zip(output_offsets) {
            if let Some(place) = outputs.get_mut(*slot) {
                *place = Some(Location { at: at(offset), info: function.output, bit: 1 << (slot + 1) });
            }
        }
        let place = |from: From| match from {
            From::Input => Some(input_place),
            From::Slot(slot) => outputs.get(slot).copied().flatten(),
        };
        let mut before = None;
        let froms = std::iter::once(From::Input).chain((0..plan.slots.len()).map(|slot| plan.producer(slot)));
        let spots = froms.map(|from| {
            let place = place(from).unwrap_or(input_place);
            let (kind, repeats) = (place.info.kind, before.replace(from) == Some(from));
            let number = (kind.is_number() && place.info.desc.payload.is_none() && !repeats).then_some(kind);
            FieldPath {
                offset: place.at.addr() - memory.addr(),
                info: place.info,
                bit: place.bit,
                from,
                repeats,
                number,
            }
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
                let Some(from) = place(origin).filter(|_| param.need != Optionality::Ignored) else { continue };
                let required = param.need == Optionality::Required;
                let takes_none = required && from.info.is_option && param.info.takes_none;
                if required && !takes_none {
                    needs |= from.bit;
                }
                let what = match origin {
                    From::Input => format!("f{slot} takes {}, but the message is {}", param.name, from.info.name),
                    From::Slot(f) => format!("f{slot} takes {}, but f{f} gives {}", param.name, from.info.name),
                };
                match from.info.becomes(param.info) {
                    Some(Conversion::Same) if takes_none => prepares.push(Prepare::Whole { arg, from }),
                    Some(Conversion::Same) if required => {
                        if let Some(pointer) = args.get_mut(arg) {
                            *pointer = from.at;
                        }
                    }
                    Some(Conversion::Same) => prepares.push(Prepare::Optional { arg, from }),
                    Some(conversion) => {
                        let to = Location { at: at(offset), info: param.info, bit: 0 };
                        prepares.push(if takes_none {
                            Prepare::ConvertWhole { arg, from, to, conversion, what }
                        } else {
                            Prepare::Convert { arg, from, to, conversion, optional: !required, what }
                        });
                    }
                    None => prepares.push(Prepare::Never { from, why: what }),
                }
            }
            if prepares.len() > first_prepare {
                needs |= PREPARE;
            }
            drafts.push((*slot, function, first_arg, first_prepare..prepares.len(), needs));
        }
        let args: Rc<[Cell<*const u8>]> = args.into_iter().map(Cell::new).collect();
        let no_preparation = prepares.is_empty();
        let steps: Vec<Step> = drafts
            .into_iter()
            .filter_map(|(slot, function, first_arg, prepare, needs)| {
                let out = outputs.get(slot).copied().flatten()?;
                let (call, begin) = match function.desc.run {
                    Run::Call(call) => (call, None),
                    Run::Begin(begin, _) => (never as _, Some(begin)),
                };
                Some(Step {
                    call,
                    begin,
                    state: function.desc.state,
                    args: args.get(first_arg..)?.as_ptr().cast(),
                    out: out.at,
                    needs,
                    bit: out.bit,
                    slot,
                    prepare,
                })
            })
            .collect();
        let whole = steps.iter().fold(INPUT, |bits, step: &Step| bits | step.bit);
        let drops: Vec<Location> =
            outputs.iter().flatten().copied().filter(|place| place.info.desc.drop.is_some()).collect();
        Self {
            nanos: vec![0; plan.slots.len()],
            plan,
            input,
            input_place,
            outputs,
            spots,
            steps,
            preparation: Preparation { prepares: prepares.into(), args, made: Vec::new() },
            text: Vec::new(),
            plain: drops.is_empty() && input.desc.drop.is_none() && no_preparation,
            // Of a message that may be `None` it has to be looked at first.
            straight: no_preparation && !input.is_option,
            drops,
            present: 0,
            nones: 0,
            whole,
            memory,
            layout,
        }
    }
}
