//! Magics about single messages.

use super::*;

#[test]
fn messages_are_shown_in_columns_with_what_is_not_shown() {
    let display = run_alone("%tap f1").unwrap();
    expect![[r#"
        shape: (3, 6)
        oid                       polarity  user.name   user.tags  f1.oid    f1
        65f0c0de0123456789abcde2       0.5  <b>eve</b>  ["a"]           7  null
        65f0c0de0123456789abcde1      -1.0  null        null         null  null
        65f0c0de0123456789abcde0      null  null        null         null   1.5
        3 of 20,000 messages shown; 3 kept ones match, 7,000 older ones fell out, 3,000 were not kept: the machine was too fast
    "#]].assert_eq(text_of(&display));
    let html = display.data["text/html"].as_str().unwrap();
    assert!(html.contains("&lt;b&gt;eve&lt;/b&gt;") && !html.contains("<b>"), "{html}");
    expect![[r"
        65f0c0de0123456789abcdef: dead letter, put 2024-03-12 20:54:54.004 UTC, waited 12 ms
        in 14.0
        slot  output             time  revision                   code
        f0    196.0             59 ns  2, In [3] (changed since)  |x: f64| x * x
        f1    ! too <b>big</b>      –  1                          check
    "]]
    .assert_eq(text_of(&run_alone("%explain 65f0c0de0123456789abcdef").unwrap()));
    expect!["8 of 10 passed, 2 failed again"].assert_eq(text_of(&run_alone("%retry").unwrap()));
    expect![[r"
        shape: (1, 2)
        oid                       a
        65f0c0de0123456789abcdef  1
        12 messages wait; 11 more than are shown
    "]]
    .assert_eq(text_of(&run_alone("%peek").unwrap()));
    expect!["Breakpoint set on main before f3 when x > 1; %held inspects the message, %continue resumes"]
        .assert_eq(text_of(&run_alone("%break f3 --where 'x > 1'").unwrap()));
    assert!(run_alone("%break --where 'x > 1'").unwrap_err().evalue.contains("needs a slot"));
    expect![[r"
        ⚠ A sample: 50 % of 20,000 messages (10,000). 7,000 older ones fell out. 3,000 were never kept, because the machine was too fast. %keep all keeps every message from then on.
        [plot: Distribution of in.polarity, 2 points] 2 of 20,000 messages; 1 kept ones without a number, 10,000 not kept
    "]].assert_eq(text_of(&run_alone("%plot in.polarity --kind hist").unwrap()));
    let display = run_alone("%plot in.polarity --by in.user.name").unwrap();
    assert!(display.data["application/vnd.vegalite.v5+json"]["data"]["values"].is_array());
    let svg = display.data["image/svg+xml"].as_str().unwrap();
    assert!(svg.starts_with("<svg") && svg.contains("&lt;b&gt;eve") && !svg.contains("<b>"), "{svg}");
    for (line, told) in [
        ("%plot", "needs what to draw"),
        ("%plot f9.x", "there is no f9: there is in, and f0 to f7"),
        ("%plot in.polarty", "there is in.oid, in.polarity, in.user; did you mean in.polarity?"),
        ("%plot in.user.name", "is no number: \"<b>eve</b>\""),
        ("%plot in.polarity --kind scatter", "needs what goes across"),
        ("%plot in.polarity --kind pie", "there is no plot pie: there is line, hist, scatter and bar"),
    ] {
        let error = run_alone(line).unwrap_err().evalue;
        assert!(error.contains(told), "{line}: {error}");
    }
    let error = run("%tap f1 --follow", &Interrupted(Table::default()), &Record::default(), &|_| Ok(None).into());
    assert!(error.is_ok(), "an interrupt ends the following, and the last state stays");
    let error = run("%retry", &Interrupted(Table::default()), &Record::default(), &|_| Ok(None).into()).unwrap_err();
    assert_eq!((error.ename.as_str(), error.evalue.contains("3 not yet tried")), ("KeyboardInterrupt", true));
}
