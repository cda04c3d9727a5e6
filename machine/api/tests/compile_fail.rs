//! The likeliest mistakes in a slot, and what the compiler says of them.

#[test]
fn mistakes_in_a_slot_are_explained() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
