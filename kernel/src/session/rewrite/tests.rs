//! What cells become, and that nothing of the user's is lost or moved to another line.

use super::*;
use expect_test::{Expect, expect};

/// How a `?` finds the text of an error.
const TEXT: &str = "|value| { use ::machine::cell::{ByDisplay as _, ByDebug as _, ByName as _}; (&&value).text() }";

static NONE: Exports = Exports::new();
const INFER: Form<'static> = Form { errors: ErrorText::Best, variables: Variables::AsWritten, statics: &NONE };

#[track_caller]
fn check(source: &str, expected: Expect) {
    let rewritten = rewrite(source, 7, "", INFER);
    expected.assert_eq(&rewritten.edited.text.replace(TEXT, "…"));
    assert_eq!(rewritten.edited.text.lines().count(), source.lines().count(), "lines moved");
    assert_kept(&rewritten.edited);
}

/// Each character of the source is there, and maps back to itself.
#[track_caller]
fn assert_kept(edited: &Edited) {
    for (at, character) in edited.source.char_indices() {
        // These two are replaced where they are part of what is rewritten.
        if character != '?' && character != '=' {
            let there = edited.to_text(at);
            assert_eq!(edited.text.get(there..).and_then(|rest| rest.chars().next()), Some(character), "at {at}");
            assert_eq!(edited.to_source(there), at);
        }
    }
}

#[test]
fn a_final_expression_is_shown() {
    check(
        "1 + 1",
        expect![
            "machine::cell::enter(); match (1 + 1) { ref value => { ::machine::cell::last(); value.evcxr_display(); } } ::machine::cell::leave();"
        ],
    );
    check(
        "let x = 1;\nx // é",
        expect![[r"
        machine::cell::enter(); let x = 1;
        match (x) { ref value => { ::machine::cell::last(); value.evcxr_display(); } } ::machine::cell::leave(); // é"]],
    );
    check("let x = 1;", expect!["machine::cell::enter(); let x = 1; ::machine::cell::leave();"]);
}

#[test]
fn an_assignment_is_sugar() {
    check(
        "MACHINE[0] = |x: f64| x * x;",
        expect![[
            r#"machine::cell::enter(); ::machine::cell::assign(&MACHINE[0] , |x: f64| x * x, "|x: f64| x * x", 7, 1); ::machine::cell::leave();"#
        ]],
    );
    check(
        "MACHINE[4] = |x, _| {\n    x[\"a\"].clone()\n}",
        expect![[r#"
            machine::cell::enter(); ::machine::cell::assign(&MACHINE[4] , |x: &::machine::Value, _: ::machine::Ignored| {
                x["a"].clone()
            }, "|x, _| {\n    x[\"a\"].clone()\n}", 7, 1); ::machine::cell::leave();"#]],
    );
    check(
        "MACHINE[1] = async move |id| id.clone();",
        expect![[
            r#"machine::cell::enter(); ::machine::cell::assign(&MACHINE[1] , ::machine_async::slot(async move |id: &::machine::Value| id.clone()), "async move |id| id.clone()", 7, 1); ::machine::cell::leave();"#
        ]],
    );
    check("m[i] = f;", expect!["machine::cell::enter(); m[i] = f; ::machine::cell::leave();"]);
    check(
        "MACHINE[2] = f64::sqrt;",
        expect![[
            r#"machine::cell::enter(); ::machine::cell::assign(&MACHINE[2] , f64::sqrt, "f64::sqrt", 7, 1); ::machine::cell::leave();"#
        ]],
    );
}

#[test]
fn question_marks_and_loops_of_the_cell_itself() {
    check(
        "let a = \"1\".parse::<i32>()?;",
        expect![[
            r#"machine::cell::enter(); let a = ::machine::cell::tried("1".parse::<i32>(), …, 1); ::machine::cell::leave();"#
        ]],
    );
    check(
        "a??",
        expect![
            "machine::cell::enter(); match (::machine::cell::tried(::machine::cell::tried(a, …, 1), …, 1)) { ref value => { ::machine::cell::last(); value.evcxr_display(); } } ::machine::cell::leave();"
        ],
    );
    check(
        "for i in 0..3 {\n    f(i)?;\n}",
        expect![[r"
        machine::cell::enter(); for i in 0..3 { ::machine::cell::check();
            ::machine::cell::tried(f(i), …, 2);
        }; ::machine::cell::leave();"]],
    );
    check(
        "loop { break }",
        expect![
            "machine::cell::enter(); match (loop { ::machine::cell::check(); break }) { ref value => { ::machine::cell::last(); value.evcxr_display(); } } ::machine::cell::leave();"
        ],
    );
}

#[test]
fn items_and_other_blocks_are_left_alone() {
    for source in ["fn f() -> Option<()> { None?; }", "struct A;\nimpl A { fn f(&self) {} }", "use std::rc::Rc;", ""] {
        let rewritten = rewrite(source, 1, "", INFER);
        assert_eq!((rewritten.edited.text.as_str(), rewritten.runs), (source, false));
    }
    check(
        "let f = async { loop { g().await? } };",
        expect!["machine::cell::enter(); let f = async { loop { g().await? } }; ::machine::cell::leave();"],
    );
}

/// A cell with `§` where it looks whether it has been interrupted.
fn looks(source: &str) -> String {
    let rewritten = rewrite(source, 1, "", INFER);
    assert_kept(&rewritten.edited);
    let text = rewritten.edited.text.replace("::machine::cell::look();", "§").replace("machine::cell::look();", "§");
    let text = text.replace(" ::machine::cell::leave();", "").replace(TEXT, "…");
    text.replace("machine::cell::enter(); ", "")
        .replace("::machine::cell::check();", "check")
        .replace("::machine::cell::", "")
}

#[test]
fn loops_in_functions_and_closures_look_unless_they_end_in_time() {
    for (source, expected) in [
        ("fn f() { loop {} }", "fn f() { loop { §} }"),
        ("fn f() { while g() {} }", "fn f() { while g() { §} }"),
        ("fn f() { for i in 0..9 { g(i); } }", "fn f() { for i in 0..9 { § g(i); } }"),
        ("fn f() { for i in 0..n { s ^= i; } }", "fn f() { for i in 0..n { § s ^= i; } }"),
        ("struct A; impl A { fn f(&self) { loop {} } }", "struct A; impl A { fn f(&self) { loop { §} } }"),
        ("mod m { fn f() { loop {} } }", "mod m { fn f() { loop { §} } }"),
        ("{ fn f() { loop {} } f() };", "{ fn f() { loop { §} } f() };"),
        ("let f = || loop {};", "let f = || loop { §};"),
        ("let f = |x| { while x {} };", "let f = |x| { while x { §} };"),
        ("println!(\"{}\", f(|| loop {}));", "println!(\"{}\", f(|| loop { §}));"),
        // The loops of a function that calls itself, or only that.
        ("fn fib(n: u64) -> u64 { fib(n - 1) }", "fn fib(n: u64) -> u64 { § fib(n - 1) }"),
        (
            "struct T; impl T { fn walk(&self) { self.left.walk() } }",
            "struct T; impl T { fn walk(&self) { § self.left.walk() } }",
        ),
        // What is in memory, and only computed with.
        ("fn f() { for x in v { s += x * x.sqrt(); } }", "fn f() { for x in v { s += x * x.sqrt(); } }"),
        ("fn f() { for i in 0..n { s += a[i] * b[i]; } }", "fn f() { for i in 0..n { s += a[i] * b[i]; } }"),
        ("fn f() { for x in v { g(x); } }", "fn f() { for x in v { § g(x); } }"),
        ("fn f() { for x in v.cycle() { s += x; } }", "fn f() { for x in v.cycle() { § s += x; } }"),
        // What cannot look, or must not.
        ("const fn f() { loop {} }", "const fn f() { loop {} }"),
        ("extern \"C\" fn f() { loop {} }", "extern \"C\" fn f() { loop {} }"),
        ("#[memoize]\nfn f() { loop {} }", "#[memoize]\nfn f() { loop {} }"),
        ("#[inline]\nfn f() { loop {} }", "#[inline]\nfn f() { loop { §} }"),
        ("static A: L = L::new(|| loop {});", "static A: L = L::new(|| loop {});"),
        ("macro_rules! m { () => { loop {} } }", "macro_rules! m { () => { loop {} } }"),
        // Slots, sources and threads are on their own.
        ("m[0].set(|x| loop {})?;", "tried(m[0].set(|x| loop {}), …, 1);"),
        ("m.source(std::iter::from_fn(|| loop {}));", "m.source(std::iter::from_fn(|| loop {}));"),
        ("MACHINE.any((0..).map(|n| n));", "MACHINE.any((0..).map(|n| n));"),
        ("std::thread::spawn(|| loop {});", "std::thread::spawn(|| loop {});"),
    ] {
        assert_eq!(looks(source), expected, "{source}");
    }
    assert!(!looks("MACHINE[0] = |x: f64| loop {};").contains('§'));
}

#[test]
fn closures_look_that_iterators_call_for_numbers_or_without_end() {
    for (source, expected) in [
        ("let n = (0..).filter(|n| odd(n)).count();", "let n = (0..).filter(|n| { § odd(n) }).count();"),
        ("let n = (0..9).map(|n| { f(n) }).sum();", "let n = (0..9).map(|n| { § f(n) }).sum();"),
        ("let n = (0..).map(|n| n * n).sum();", "let n = (0..).map(|n| { § n * n }).sum();"),
        ("let n = (0..9).map(|n| n * n).sum();", "let n = (0..9).map(|n| n * n).sum();"),
        ("let n = repeat(1).map(|n| n).sum();", "let n = repeat(1).map(|n| { § n }).sum();"),
        ("let n = v.iter().cycle().map(|n| n).sum();", "let n = v.iter().cycle().map(|n| { § n }).sum();"),
        ("let n = (0..9).map(|i| v[i]).sum();", "let n = (0..9).map(|i| v[i]).sum();"),
        ("let n = v.iter().map(|n| n * 2).sum();", "let n = v.iter().map(|n| n * 2).sum();"),
    ] {
        assert_eq!(looks(source), expected);
    }
}

#[test]
fn what_waits_is_followed_by_a_look() {
    let recv = |what: &str| {
        format!("waiting({{ use {{IsChannel as _, IsOther as _}}; (&&Probe(&{what})).kind() }}, || {what}.recv())")
    };
    for (source, expected) in [
        ("sleep(a);\nput(1);", "sleep(a);\n§ put(1);".to_owned()),
        ("let x = 1;\nlet y = 2;", "let x = 1;\nlet y = 2;".to_owned()),
        ("if a { sleep(b); put(1); };", "if a { sleep(b); § put(1); };".to_owned()),
        ("fn f() { let s = c.status(); put(1); }", "fn f() { let s = c.status(); § put(1); }".to_owned()),
        ("for x in y { l.accept()?; }", "for x in y { check tried(l.accept(), …, 1); § };".to_owned()),
        ("let x = rx.recv();", format!("let x = {};", recv("rx"))),
        ("fn f() { self.a.rx.recv() }", format!("fn f() {{ {} }}", recv("self.a.rx"))),
        ("let x = rx.recv()?;", format!("let x = tried({}, …, 1);", recv("rx"))),
        ("fn f() { rx.recv().await }", "fn f() { rx.recv().await }".to_owned()),
        ("socket.recv(&mut b);", "socket.recv(&mut b);".to_owned()),
    ] {
        assert_eq!(looks(source), expected);
    }
}

#[test]
fn what_does_not_parse_is_passed_on() {
    for source in ["let x = ;", "fn f( {", "} fn g() {", "\"open", "🦀🦀"] {
        assert_eq!(rewrite(source, 1, "", INFER).edited.text, source);
    }
}

#[test]
fn commands_stay_in_front_of_the_prelude() {
    check(
        ":dep a = \"1\"\n\n// c\nlet x = 1;",
        expect![[r#"
        :dep a = "1"

        // c
        machine::cell::enter(); let x = 1; ::machine::cell::leave();"#]],
    );
    assert_eq!(rewrite(":dep a\nstruct A;", 1, "use b; ", INFER).edited.text, ":dep a\nuse b; struct A;");
}

#[test]
fn an_implementation_that_stands_alone_is_replaced_by_the_same() {
    let module = |code: &str| {
        let rewritten = rewrite(code, 1, "", INFER);
        assert_kept(&rewritten.edited);
        let text = rewritten.edited.text;
        text.split_once("mod __impl_").and_then(|(_, rest)| rest.split_once(" {} ")).map(|(name, _)| name.to_owned())
    };
    let first = module("impl A for B { fn a() {} }");
    assert!(first.is_some());
    assert_eq!(first, module("use x::*;\n#[doc = \"é\"] impl A for B { fn b() {} }"));
    for other in ["impl C for B {}", "impl A for D {}", "impl B { fn a() {} }"] {
        assert_ne!(first, module(other), "{other}");
    }
    assert_eq!(module("impl B { fn a() {} }"), module("impl B { fn a() {}\nfn b() {} }"));
    assert_ne!(module("impl B { fn a() {} }"), module("impl B { fn b() {} }"));
    assert_eq!(module("struct B;\nimpl A for B {}"), None);
}

#[test]
fn each_statement_and_item_says_where_it_is_from() {
    let source = "use a::b;\nfn f() {\n}\n/// d\n#[x] struct S;\nlet é = 1; f();\n\"é\"";
    let text = rewrite_with_places(source, 14, "", INFER).edited.text;
    let found: Vec<u32> = cell_lines::table(&text).iter().map(|start| start.line).collect();
    assert_eq!(found, [2, 5, 6, 7], "{text}");
    assert!(text.contains("fn/*cell 14 line 2*/ f()") && text.contains("#/*cell 14 line 5*/[x]"), "{text}");
    assert!(text.contains("let/*cell 14 line 6*/ é = 1; f/*cell 14 line 6*/();"), "{text}");
}

#[test]
fn a_path_at_the_start_is_no_command() {
    assert_eq!(rust_start("::std::mem::size_of::<u64>()"), 0);
    assert_eq!(rust_start(":dep a\n::a::b()"), 7);
    for (source, prelude) in [("::std::mem::size_of::<u64>()", ""), ("  ::a::b(", ""), ("::a::b(", "use p; ")] {
        let text = rewrite(source, 1, prelude, INFER).edited.text;
        assert!(!text.trim_start().starts_with(':'), "{text}");
    }
}

#[test]
fn completion_sees_the_types_of_parameters() {
    let edited = annotated("MACHINE[0] = |x| x.", "");
    assert_eq!(edited.text, "MACHINE[0] = |x: &::machine::Value| x.");
    assert_eq!(edited.to_text(19), edited.text.len());
}

#[test]
fn macros_that_take_expressions_are_looked_into() {
    let tried = |code: &str| {
        let edited = rewrite(
            code,
            1,
            "",
            Form { errors: ErrorText::Debug, variables: Variables::AsWritten, statics: &Exports::new() },
        );
        assert_kept(&edited.edited);
        let how = "|value| { use ::machine::cell::{ByDebug as _, ByName as _}; (&&value).text() }";
        let text = edited.edited.text.replace(how, "…").replace("::machine::cell::", "");
        let text = text.trim_start_matches("machine::cell::enter(); ").trim_end_matches(" leave();").to_owned();
        (text, edited.unseen)
    };
    for (code, expected) in [
        ("println!(\"{}\", a?);", "println!(\"{}\", tried(a, …, 1));"),
        ("write!(f, \"{b}\", b = a?)?;", "tried(write!(f, \"{b}\", b = tried(a, …, 1)), …, 1);"),
        ("let v = vec![a?; 3];", "let v = vec![tried(a, …, 1); 3];"),
        (
            "let s = format!(\"{:?}\", i.collect::<Result<Vec<_>, _>>()?);",
            "let s = format!(\"{:?}\", tried(i.collect::<Result<Vec<_>, _>>(), …, 1));",
        ),
        ("assert!(a? == 1);", "assert!(tried(a, …, 1) == 1, \"assertion failed: {}\", \"a? == 1\");"),
        ("assert!(a?, \"no {}\", b?);", "assert!(tried(a, …, 1), \"no {}\", tried(b, …, 1));"),
        ("println!(\"{}\", format!(\"{}\", a?));", "println!(\"{}\", format!(\"{}\", tried(a, …, 1)));"),
        (
            "let j = json!({\"a\": a?, (k): [1, b::<A, B>()?], \"c\": {\"d\": x::y()?}, \"e\": null});",
            "let j = json!({\"a\": tried(a, …, 1), (k): [1, tried(b::<A, B>(), …, 1)], \
             \"c\": {\"d\": tried(x::y(), …, 1)}, \"e\": null});",
        ),
        ("let j = json!(a?);", "let j = json!(tried(a, …, 1));"),
        ("println!(\"?\");", "println!(\"?\");"),
    ] {
        assert_eq!(tried(code), (expected.to_owned(), None), "{code}");
    }
    for (code, line) in [("\ndbg!(a?);", 2), ("mine! { a? }", 1), ("println!(\"{}\", $ ?);", 1)] {
        let (text, unseen) = tried(code);
        assert!(text.contains('?') && !text.contains("tried"), "{text}");
        assert_eq!(unseen, Some(line), "{code}");
    }
}

#[test]
fn a_variable_gets_the_type_that_is_plain_to_see() {
    let session = "use std::time::Instant;\nstruct Point { x: f64 }\nstruct Held<T = f32> { x: T }\n\
                   struct Duration<T>(T);\ntrait Sized2 { fn count<T>(&self) -> T; }\ntype Text = &'static str;";
    let names = Definitions::default().with_cell(session);
    let guessed = |code: &str| {
        let rewritten = rewrite(
            code,
            1,
            "",
            Form { errors: ErrorText::Best, variables: Variables::Plain(&names), statics: &Exports::new() },
        );
        assert_kept(&rewritten.edited);
        let text = rewritten.edited.text.replace(" ::machine::cell::leave();", "");
        (text.replace("machine::cell::enter(); ", "").replace(TEXT, "…"), rewritten.types)
    };
    for (code, expected) in [
        ("let mut total = 0i64;", "let mut total: i64 = 0i64;"),
        ("let x = -1.5;", "let x: f64 = -1.5;"),
        ("let s = \"a\";", "let s: &'static str = \"a\";"),
        ("let v = Vec::<f64>::new();", "let v: Vec<f64> = Vec::<f64>::new();"),
        ("let v = vec![1.0, 2.0];", "let v: Vec<f64> = vec![1.0, 2.0];"),
        (
            "let a = std::sync::Arc::new(Mutex::new(Vec::<u8>::new()));",
            "let a: std::sync::Arc<Mutex<Vec<u8>>> = std::sync::Arc::new(Mutex::new(Vec::<u8>::new()));",
        ),
        ("let t = Instant::now();", "let t: Instant = Instant::now();"),
        ("let n = a.len();", "let n: usize = a.len();"),
        ("let p = Point { x: 1.0 };", "let p: Point = Point { x: 1.0 };"),
        ("let b = a < b || c;", "let b: bool = a < b || c;"),
        ("let y = x as f32;", "let y: f32 = x as f32;"),
        ("let s = format!(\"{x}\");", "let s: String = format!(\"{x}\");"),
        ("let n = \"1\".parse::<u8>()?;", "let n: u8 = ::machine::cell::tried(\"1\".parse::<u8>(), …, 1);"),
    ] {
        assert_eq!(guessed(code), (expected.to_owned(), Types::Added), "{code}");
    }
    // Nothing to add, or something that only the compiler knows: then nothing is added at all.
    for (code, types) in [
        ("let x: u8 = f();", Types::Given),
        ("{ let x = f(); }", Types::Given),
        ("MACHINE.drain();", Types::Given),
        ("let x = f();", Types::Unknown),
        ("let x = 1i64; let y = f();", Types::Unknown),
        ("let mut i = 0; while i < n { i += 1; }", Types::Unknown),
        ("let (a, b) = (1i64, 2i64);", Types::Unknown),
        ("let v = Vec::new();", Types::Unknown),
        ("let v: Vec<_> = x.collect();", Types::Unknown),
        ("let m = HashMap::new();", Types::Unknown),
        ("let v = Vec::<_>::new();", Types::Unknown),
        ("let f = || 1;", Types::Unknown),
        ("let x = Some(1) else { return };", Types::Unknown),
        ("let e = Shape::Circle { r: 1.0 };", Types::Unknown),
        // What may have parameters, whose types the compiler alone infers.
        ("let h = Held { x: 1.0 };", Types::Unknown),
        ("let h = Held::new(1.0);", Types::Unknown),
        ("let d = Duration::from_secs(1);", Types::Unknown),
        ("let d = std::time::Duration::from_secs(1) + b;", Types::Unknown),
        ("let l = Library::new();", Types::Unknown),
        ("let i = time::Instant::now();", Types::Unknown),
        ("let m = HashMap::<u8, u8>::default();", Types::Unknown),
        // A function of the session's own may give whatever is wanted.
        ("let n = a.count();", Types::Unknown),
        // What other types are converted to.
        ("let r = a.parse::<&dyn Debug>()?;", Types::Unknown),
        ("let mut x = 1; let y: u64 = x;", Types::Unknown),
        ("let v = vec![1]; v.push(2u64);", Types::Unknown),
        ("let ref x = 1i64;", Types::Unknown),
        ("let x @ 0..9 = 1i64;", Types::Unknown),
    ] {
        let (text, found) = guessed(code);
        assert_eq!(found, types, "{code}");
        assert!(!text.contains(": i64") && !text.contains(": i32"), "{text}");
    }
}

/// Pieces of code put together at random: nothing is lost, and each kept character maps back.
#[test]
fn random_cells_map_back() {
    let pieces = [
        "let é = 1;",
        "MACHINE[1] = |a, _| a;",
        "f()?;",
        "for i in 0..2 { g(i)?; }",
        "// c\n",
        "\n",
        "x",
        "struct S;",
        "while a? { MACHINE[i] = |x: f64|\n x; }",
        "if b { c()? } else { d }",
        "\"🦀\";",
        "{ loop { break; } }",
        "fn f() { loop { sleep(é); rx.recv()?; } }",
        "let n = (0..).map(|é| é).sum();",
        "println!(\"{a}\", a = b?);",
        "assert!(c? == 1);",
        "json!({\"a\": [d?, {\"b\": e?}]});",
    ];
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..2_000 {
        let mut source = String::new();
        for _ in 0..6 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let pick = usize::try_from(state % 17).unwrap_or(0);
            source.push_str(pieces.get(pick).copied().unwrap_or_default());
            source.push(' ');
        }
        for rewritten in [rewrite(&source, 1, "use p; ", INFER), rewrite_with_places(&source, 1, "use p; ", INFER)] {
            assert_kept(&rewritten.edited);
            assert_eq!(rewritten.edited.text.lines().count(), source.lines().count());
        }
    }
}

#[test]
fn what_names_a_place_names_the_cell() {
    let cell = rewrite("let é = dbg!(1 + 1);\nprintln!(\"{} {:?}\", line!(), (file! (), column![]));", 7, "", INFER);
    assert_eq!(
        cell.edited.text,
        "machine::cell::enter(); let é = ::machine::dbg!(\"cell [7]:1:9\"; 1 + 1);\n\
         machine::cell::look(); println!(\"{} {:?}\", 2u32, (\"cell [7]\", 41u32)); ::machine::cell::leave();"
    );
    // Also where nothing else is edited.
    let function = rewrite("fn f() { g(S { at: line!() }) }", 7, "", INFER).edited;
    assert_eq!(function.text, "fn f() { g(S { at: 1u32 }) }");
    // Not another macro of that name, nor one that is used elsewhere.
    for source in ["fn f() { log::line!(); }", "macro_rules! m { () => { line!() } }", "fn f() { dbg![1]; line!(2); }"]
    {
        assert_eq!(rewrite(source, 7, "", INFER).edited.text, source);
    }
    assert_eq!(rewrite("fn f() { line!(); }", 0, "", INFER).edited.text, "fn f() { line!(); }", "a script");
}
