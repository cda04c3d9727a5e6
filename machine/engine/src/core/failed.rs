//! The dead letters that a message leaves.

use crate::core::dead_letters::DeadLetterEntry;
use crate::core::frame::{Frame, SlotErrorKind};
use crate::core::oid::{self, Oid};
use crate::core::output::Rendering;
use crate::core::slot_errors::SlotErrors;
use crate::core::slots::{From, Plan};
use crate::decode::frames::EXCEPTION;
use std::sync::Arc;

/// The dead letters that a message leaves.
pub(crate) fn of_frame(frame: &Frame, oid: Oid, caught: &SlotErrors, retries: u32) -> Vec<DeadLetterEntry> {
    let input = frame.json(From::Input).unwrap_or_else(|| Ok(String::new()));
    let input: Arc<str> = input.unwrap_or_else(|why| format!("({why})")).into();
    let outputs: Arc<str> = outputs_so_far(frame).into();
    let failed_ms = oid::coarse_millis();
    let revision = |slot: usize| frame.plan().slots.get(slot).map_or(0, |slot| slot.revision);
    let letter = |(slot, kind, error): &(usize, _, String)| DeadLetterEntry {
        oid,
        slot: *slot,
        revision: revision(*slot),
        kind: *kind,
        error: error.clone(),
        input: input.clone(),
        outputs: outputs.clone(),
        failed_ms,
        retries,
    };
    caught.errors.iter().map(letter).collect()
}

/// The dead letters that a message leaves whose slots gave what cannot be written, as the others are.
#[cold]
pub(crate) fn of_unwritten(rendering: &mut Rendering, plan: &Plan, oid: Oid) -> Vec<DeadLetterEntry> {
    let unwritten = rendering.take_unwritten();
    let text = |at| String::from_utf8_lossy(rendering.part(at));
    let gave =
        |slot: &usize| plan.function(*slot).is_some() && !rendering.part(slot + 1).starts_with(EXCEPTION.as_bytes());
    let outputs: Vec<String> =
        (0..plan.slots.len()).filter(gave).map(|slot| format!("\"f{slot}\":{}", text(slot + 1))).collect();
    let (input, outputs): (Arc<str>, Arc<str>) = (text(0).into(), format!("{{{}}}", outputs.join(",")).into());
    let failed_ms = oid::coarse_millis();
    let letter = |(slot, error): (usize, String)| DeadLetterEntry {
        oid,
        slot,
        revision: plan.slots.get(slot).map_or(0, |slot| slot.revision),
        kind: SlotErrorKind::Serialize,
        error,
        input: input.clone(),
        outputs: outputs.clone(),
        failed_ms,
        retries: 0,
    };
    unwritten.into_iter().map(letter).collect()
}

/// What the slots gave, as a JSON object.
fn outputs_so_far(frame: &Frame) -> String {
    let mut json = "{".to_owned();
    for slot in 0..frame.plan().slots.len() {
        let Some(Ok(output)) = frame.plan().function(slot).and_then(|_| frame.json(From::Slot(slot))) else { continue };
        let comma = if json.len() > 1 { "," } else { "" };
        json.push_str(&format!("{comma}\"f{slot}\":{output}"));
    }
    json.push('}');
    json
}
