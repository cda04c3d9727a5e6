//! What leads into a slot: the type that it is given, and how well that fits.

use crate::display::cut;
use machine_protocol::status::SlotStatus;
use serde::Serialize;

/// How much of a type is shown, characters.
const LABEL: usize = 80;

/// How well what a slot takes fits what it is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Fit {
    /// The types are equal.
    #[default]
    Fits,
    /// A value is converted on its way.
    Converts,
    /// No message can pass.
    Mismatch,
}

/// The arrow into a slot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Arrow {
    /// The type.
    pub label: String,
    /// How well it fits.
    pub kind: Fit,
    /// What is converted or does not fit, in words; empty if all fits.
    pub told: String,
}

/// What the slot of this number is given. An empty slot passes on what it is given itself.
pub fn arrow(slots: &[SlotStatus], number: usize) -> Arrow {
    let Some(slot) = slots.get(number) else { return Arrow::default() };
    let producer = |from: usize| slots.get(..from)?.iter().rev().find(|slot| !slot.gives.is_empty());
    let given = producer(number).map(|slot| slot.gives.as_str());
    let label = match given {
        Some(gives) => gives,
        None => slot.takes.last().map_or("", String::as_str),
    };
    let mut told = Vec::new();
    for (distance, takes) in slot.takes.iter().enumerate() {
        let Some(from) = number.checked_sub(distance).and_then(producer) else { continue };
        if plain(takes) != plain(&from.gives) && !takes.contains("Ignored") {
            told.push(format!("{} gives {}, taken as {takes}", from.slot, from.gives));
        }
    }
    let (kind, told) = match (slot.mismatch.is_empty(), told.is_empty()) {
        (false, _) => (Fit::Mismatch, slot.mismatch.clone()),
        (true, false) => (Fit::Converts, told.join("; ")),
        (true, true) => (Fit::Fits, String::new()),
    };
    Arrow { label: cut(label, LABEL), kind, told }
}

/// A type without what makes no difference: reference, option, the unsized form.
fn plain(name: &str) -> String {
    let name = name.trim().trim_start_matches('&').trim();
    if let Some(inner) = name.strip_prefix("Option<").and_then(|rest| rest.strip_suffix('>')) {
        return plain(inner);
    }
    if let Some(inner) = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return format!("Vec<{inner}>");
    }
    if name == "str" { "String".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(name: &str, takes: &[&str], gives: &str) -> SlotStatus {
        SlotStatus {
            slot: name.into(),
            takes: takes.iter().map(|it| (*it).to_owned()).collect(),
            gives: gives.into(),
            ..SlotStatus::default()
        }
    }

    #[test]
    fn arrows_carry_types_and_tell_what_is_converted() {
        let slots = vec![
            slot("f0", &["&Tweet"], "String"),
            slot("f1", &["&str", "&Tweet"], "f64"),
            slot("f2", &[], ""),
            slot("f3", &["i64", "&str"], "Vec<u8>"),
            slot("f4", &["&[u8]"], "Option<u8>"),
            SlotStatus { mismatch: "f5 takes bool, but f4 gives Option<u8>".into(), ..slot("f5", &["bool"], "u8") },
        ];
        let arrows: Vec<Arrow> = (0..6).map(|number| arrow(&slots, number)).collect();
        let labels: Vec<&str> = arrows.iter().map(|arrow| arrow.label.as_str()).collect();
        assert_eq!(labels, ["&Tweet", "String", "f64", "f64", "Vec<u8>", "Option<u8>"]);
        let kinds: Vec<Fit> = arrows.iter().map(|arrow| arrow.kind).collect();
        assert_eq!(kinds, [Fit::Fits, Fit::Fits, Fit::Fits, Fit::Converts, Fit::Fits, Fit::Mismatch]);
        // f3's second argument is what f2, which is empty, passes on.
        assert_eq!(arrows[3].told, "f1 gives f64, taken as i64; f1 gives f64, taken as &str");
        assert_eq!(serde_json::to_value(&arrows[5]).unwrap()["kind"], "mismatch");
    }
}
