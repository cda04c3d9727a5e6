use super::*;

fn after(cells: &[&str]) -> Definitions {
    cells.iter().fold(Definitions::default(), |all, cell| all.with_cell(cell))
}

fn hash_after(cells: &[&str], name: &str) -> Option<u64> {
    after(cells).hashes().get(name).copied()
}

#[test]
fn a_redefinition_changes_the_item_and_all_that_use_it() {
    let before = ["struct A { b: B }", "struct B(u8);", "struct C;"];
    let later = ["struct A { b: B }", "struct B(u8);", "struct C;", "struct B(u64);"];
    assert_ne!(hash_after(&before, "A"), hash_after(&later, "A"));
    assert_ne!(hash_after(&before, "B"), hash_after(&later, "B"));
    assert_eq!(hash_after(&before, "C"), hash_after(&later, "C"));
    assert_ne!(after(&before).everything(), after(&later).everything());
}

#[test]
fn cycles_end_and_the_same_text_has_the_same_hash() {
    let cells = ["struct A(Option<Box<B>>);\nstruct B(Option<Box<A>>);"];
    assert_eq!(hash_after(&cells, "A"), hash_after(&[cells[0], cells[0]], "A"));
    assert!(hash_after(&cells, "B").is_some());
}

#[test]
fn imports_aliases_dependencies_and_associated_types_count() {
    let plain = ["struct A(Inner);", "use std::rc::Rc as Inner;"];
    assert_ne!(hash_after(&plain, "A"), hash_after(&[plain[0], "use std::sync::Arc as Inner;"], "A"));
    assert_ne!(hash_after(&plain, "A"), hash_after(&[plain[0], plain[1], ":dep serde = \"1\""], "A"));
    let with = |out: &str| {
        let cells = ["trait T { type O; }", "struct U;", "struct A(<U as T>::O);", out].map(str::to_owned);
        after(&cells.each_ref().map(String::as_str)).hashes().get("A").copied()
    };
    assert_ne!(with("impl T for U { type O = u8; }"), with("impl T for U { type O = u64; }"));
}

/// The types of an earlier cell are told from those of a later one, whatever was in between.
#[test]
fn an_implementation_hides_nothing_of_what_it_is_for() {
    let cells = [
        "struct P(Inner);",
        "struct Inner(String);",
        "impl FromStr for P { type Err = String; }",
        "impl Mul<P> for Q { type Output = u8; }",
    ];
    let with = |last: &'static str| hash_after(&[&cells[..], &[last]].concat(), "P");
    let now = hash_after(&cells, "P");
    assert_eq!(now, with(cells[1]));
    assert_ne!(now, with("struct Inner(Vec<u64>);"));
    assert_ne!(now, with("struct P(Inner, u8);"));
    assert_ne!(hash_after(&cells[..3], "P"), now, "its name is in the header of another one");
    assert_eq!(after(&cells).meaning("P"), Meaning::PlainType);
}

/// evcxr replaces an item together with the implementations that stand behind it in its cell.
#[test]
fn an_implementation_is_replaced_with_its_item() {
    let cell = |out: &str| format!("struct U;\nimpl T for U {{ type O = {out}; }}\nimpl U {{ fn f() {{}} }}");
    let (first, second) = (cell("u8"), cell("u64"));
    let hash = |cells: &[&str]| hash_after(cells, "U");
    assert_ne!(hash(&[&first]), hash(&[&first, &second]));
    assert_eq!(hash(&[&first]), hash(&[&first, &second, &first]));
    assert_eq!(hash(&[&first]), hash(&[&first.replace("fn f() {}", "fn f() -> u8 { 1 }")]), "a method is no layout");
}

#[test]
fn constants_local_types_and_what_a_trait_brings_count() {
    let buffer = "struct Cfg;\nstruct Buf(Vec<[f64; Cfg::N]>);";
    for (one, other) in [
        ("impl Cfg { const N: usize = 2; }", "impl Cfg { const N: usize = 3; }"),
        ("impl Cfg { const fn n() -> usize { 2 } }", "impl Cfg { const fn n() -> usize { 3 } }"),
        ("impl Cfg { fn f() { struct N(u8); } }", "impl Cfg { fn f() { struct N(i8); } }"),
        ("impl Cfg { constants!(2); }", "impl Cfg { constants!(3); }"),
        ("trait T { const N: usize = 2; }\nimpl T for Cfg {}", "trait T { const N: usize = 3; }\nimpl T for Cfg {}"),
        ("impl<X> T for X { const N: usize = 2; }", "impl<X> T for X { const N: usize = 3; }"),
        ("impl T for f64 { const N: usize = 2; }", "impl T for f64 { const N: usize = 3; }"),
    ] {
        assert_ne!(hash_after(&[buffer, one], "Buf"), hash_after(&[buffer, other], "Buf"), "{one}");
    }
}

#[test]
fn what_comes_by_a_glob_or_a_macro_counts() {
    let cells = ["struct A(Inner);", "use m::*;"];
    let with = |before: &str, after: &str| hash_after(&[cells[0], before, cells[1], after], "A");
    let inner = "mod m { pub struct Inner(String); }";
    assert_eq!(with(inner, inner), with(inner, ""));
    assert_ne!(with(inner, inner), with(inner, "mod m { pub struct Inner(Vec<u64>); }"));
    let made = "macro_rules! made { () => { pub struct Inner(String); } }\nmod m { made!(); }";
    let later = "macro_rules! made { () => { pub struct Inner(Vec<u64>); } }";
    assert_eq!(with(made, made), with(made, ""));
    assert_ne!(with(made, made), with(made, later));
}

#[test]
fn a_name_means_what_the_last_item_makes_of_it() {
    let all = after(&[
        "use std::{time::Instant, path::PathBuf};\nuse std::sync::Arc as Vec;",
        "struct Point { x: f64 }\nimpl Point { fn new() -> Self { Self { x: 0.0 } } }",
        "struct Held<T = f32>(T);",
        "struct Duration<T>(T);",
        "macro_rules! vec { () => {} }",
        "type Text = &'static str;",
    ]);
    for (name, meaning) in [
        ("Instant", Meaning::Usual),
        ("String", Meaning::Usual),
        ("Point", Meaning::PlainType),
        ("Vec", Meaning::Other),
        ("Held", Meaning::Other),
        ("Duration", Meaning::Other),
        ("vec", Meaning::Other),
        ("Text", Meaning::Other),
    ] {
        assert_eq!(all.meaning(name), meaning, "{name}");
    }
    assert!(all.has_function("new") && !all.has_function("len"));
    assert_eq!(all.with_cell("use std::time::Duration;").meaning("Duration"), Meaning::Usual);
}

#[test]
fn statements_define_nothing() {
    assert_eq!(after(&["let x = 1; x + 1"]), Definitions::default());
}

#[test]
fn an_implementation_that_stands_alone_is_replaced_by_the_same() {
    let cells = |cells: &[&str]| {
        let start = Definitions::default().with_cell("trait T { const N: usize; }\nstruct A;");
        cells.iter().fold(start, |definitions, cell| definitions.with_cell(cell)).hashes()
    };
    let once = "impl T for A { const N: usize = 1; }";
    assert_eq!(cells(&["impl T for A { const N: usize = 2; }", once]), cells(&[once]));
}
