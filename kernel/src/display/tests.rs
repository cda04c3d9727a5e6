use super::errors::errors;
use super::frame::frame;
use super::*;
use expect_test::{Expect, expect};
use machine_protocol::command::SlotOutput;
use machine_protocol::status::SlotErrorKind;
use machine_protocol::status::SourceState;
use machine_protocol::status::{DeadLetter, ErrorLine, Settings, SlotStatus, SourceStatus, State};
use polars::prelude::{DataFrame, df};

/// A status with markup wherever a user could write some.
pub fn example_status() -> Status {
    let slot = |number: usize| SlotStatus { slot: format!("f{number}"), ..SlotStatus::default() };
    let mut slots: Vec<SlotStatus> = (0..8).map(slot).collect();
    slots[0] = SlotStatus {
        revision: 1,
        code: "|m: &Value| {\n    m[\"<b>text</b>\"].clone()\n}".into(),
        cell: 3,
        takes: vec!["&Value".into()],
        gives: "Value".into(),
        ok: 4_200,
        p50_ns: 850,
        p99_ns: 12_400,
        ..slot(0)
    };
    slots[1] = SlotStatus {
        revision: 7,
        code: "|x: f64| \"<script>alert(1)</script>\".len() as f64 + x".into(),
        takes: vec!["f64".into(), "Option<&str>".into()],
        gives: "Vec<f64>".into(),
        ok: 4_064,
        errored: 135,
        skipped: 1,
        p50_ns: 1_250_000,
        p99_ns: 2_000_000_000,
        mismatch: "f1 takes f64, but f0 gives Value".into(),
        ..slot(1)
    };
    Status {
        machine: "main".into(),
        running: true,
        state: State::Running,
        last_oid: "65f0c0de0123456789abcdef".into(),
        last_processed_time: "2024-03-12T20:54:54.123Z".into(),
        processed: 4_200,
        errored: 135,
        queue_size: 12,
        queue_capacity: 1_024,
        accepted: 4_213,
        refused: 2,
        discarded: 0,
        drops: machine_protocol::status::Drops::default(),
        policy: machine_protocol::command::Policy::Reject,
        in_flight: 1,
        rate: 12_345.6,
        workers: 1,
        load: Some(machine_protocol::status::Load { busy: 0.25, idle: 0.65, blocked: 0.1 }),
        waiting_puts: 0,
        source: SourceStatus { state: SourceState::Running, taken: 4_213, ..SourceStatus::default() },
        waiting_for_slot: false,
        slots,
        outputs: Vec::new(),
        in_hand: String::new(),
        errors: vec![ErrorLine {
            slot: "f1".into(),
            oid: "65f0c0de0123456789abcde0".into(),
            err: "<script>alert(2)</script>\nsecond line".into(),
            errtime: "2024-03-12T20:54:54Z".into(),
            revision: 7,
        }],
        dead_letters: 100,
        dead_letters_dropped: 35,
        retried: 0,
        retried_passed: 0,
        reordered: 0,
        out_of_order: 0,
    }
}

pub fn dead_letters() -> Vec<DeadLetter> {
    let letter = |number: u32, input: &str| DeadLetter {
        oid: format!("65f0c0de0123456789abcde{number}"),
        time: "2024-03-12T20:54:54Z".into(),
        slot: "f1".into(),
        revision: 7,
        error: "every <i>31st</i>\nmessage".into(),
        kind: SlotErrorKind::Error,
        input: input.into(),
        outputs: "{}".into(),
        failed: "2024-03-12T20:54:55.000Z".into(),
        retries: 0,
    };
    vec![letter(1, "{\"text\":\"<script>alert(3)</script>\"}"), letter(0, &format!("\"{}\"", "long ".repeat(50)))]
}

pub fn example_outputs() -> Outputs {
    let slot = |slot: usize| SlotOutput { slot, args: vec![], output: None, error: None, nanos: 0, revision: 0 };
    Outputs {
        oid: "65f0c0de0123456789abcdef".into(),
        input: "14.0".into(),
        slots: vec![
            SlotOutput { args: vec!["14.0".into()], output: Some("196.0".into()), nanos: 59, revision: 1, ..slot(0) },
            SlotOutput {
                args: vec!["196.0".into(), "14.0".into()],
                error: Some("<script>alert(4)</script>".into()),
                nanos: 4_400,
                revision: 2,
                ..slot(1)
            },
            SlotOutput { error: Some("skipped: needs f1".into()), revision: 1, ..slot(2) },
            slot(3),
            SlotOutput { output: Some("196.0".into()), ..slot(4) },
        ],
    }
}

fn text(display: &Display) -> &str {
    display.data["text/plain"].as_str().unwrap()
}

/// With a line end after each element's end, to be readable.
fn html(display: &Display) -> String {
    let html = display.data["text/html"].as_str().unwrap();
    assert!(!html.contains("<script"), "unescaped: {html}");
    html.replace("</tr>", "</tr>\n")
        .replace("<br>", "<br>\n")
        .replace("</p>", "</p>\n")
        .replace("</thead>", "</thead>\n")
}

#[track_caller]
fn check(display: &Display, expected_text: &Expect, expected_html: &Expect) {
    expected_text.assert_eq(text(display));
    expected_html.assert_eq(&html(display));
}

#[test]
fn a_status() {
    check(
        &status(&example_status()),
        &expect![[r#"
            main running · 4,200 processed · 12,346/s · 1 worker · 25 % busy, 10 % blocked by full outputs
            queue 12 of 1,024 (1 %) · 4,213 accepted, 1 in flight, 2 refused, 0 discarded
            135 errored, 100 dead letters, 35 older ones dropped · last 65f0c0de0123456789abcdef at 2024-03-12 20:54:54.123 UTC · source running, 4,213 taken

            slot  code                                                   rev  cell       ok  errored  skipped     p50    p99  takes → gives
            f0    |m: &Value| { …                                          1  In [3]  4,200        0        0  850 ns  12 µs  &Value → Value
            f1    |x: f64| "<script>alert(1)</script>".len() as f64 + x    7          4,064      135        1  1.2 ms    2 s  f64, Option<&str> → Vec<f64>
            f2    (empty)
            f3    (empty)
            f4    (empty)
            f5    (empty)
            f6    (empty)
            f7    (empty)
            ! f1 takes f64, but f0 gives Value

            newest errors
            slot  time                     oid                       rev  error
            f1    2024-03-12 20:54:54 UTC  65f0c0de0123456789abcde0    7  <script>alert(2)</script>↵second line
        "#]],
        &expect![[r#"
            <p><strong>main</strong> <strong>running</strong> · 4,200 processed · 12,346/s · 1 worker · 25 % busy, 10 % blocked by full outputs<br>
            queue <meter min="0" max="1024" low="614" high="870" optimum="0" value="12"></meter> 12 of 1,024 (1 %) · 4,213 accepted, 1 in flight, 2 refused, 0 discarded<br>
            135 errored, 100 dead letters, 35 older ones dropped · last 65f0c0de0123456789abcdef at 2024-03-12 20:54:54.123 UTC · source running, 4,213 taken</p>
            <table><thead><tr><th style="text-align:left;white-space:nowrap">slot</th><th style="text-align:left">code</th><th style="text-align:right;white-space:nowrap">rev</th><th style="text-align:left;white-space:nowrap">cell</th><th style="text-align:left">takes → gives</th><th style="text-align:right;white-space:nowrap">ok</th><th style="text-align:right;white-space:nowrap">errored</th><th style="text-align:right;white-space:nowrap">skipped</th><th style="text-align:right;white-space:nowrap">p50</th><th style="text-align:right;white-space:nowrap">p99</th></tr>
            </thead>
            <tbody><tr><th style="text-align:left;white-space:nowrap">f0</th><td style="text-align:left"><details><summary><code>|m: &amp;Value| { …</code></summary><pre><code>|m: &amp;Value| {
                m[&quot;&lt;b&gt;text&lt;/b&gt;&quot;].clone()
            }</code></pre></details></td><td style="text-align:right;white-space:nowrap">1</td><td style="text-align:left;white-space:nowrap">In [3]</td><td style="text-align:left">&amp;Value → Value</td><td style="text-align:right;white-space:nowrap">4,200</td><td style="text-align:right;white-space:nowrap">0</td><td style="text-align:right;white-space:nowrap">0</td><td style="text-align:right;white-space:nowrap">850 ns</td><td style="text-align:right;white-space:nowrap">12 µs</td></tr>
            <tr><th style="text-align:left;white-space:nowrap">f1</th><td style="text-align:left"><code>|x: f64| &quot;&lt;script&gt;alert(1)&lt;/script&gt;&quot;.len() as f64 + x</code></td><td style="text-align:right;white-space:nowrap">7</td><td style="text-align:left;white-space:nowrap"></td><td style="text-align:left">f64, Option&lt;&amp;str&gt; → Vec&lt;f64&gt;<br>
            <strong>⚠ f1 takes f64, but f0 gives Value</strong></td><td style="text-align:right;white-space:nowrap">4,064</td><td style="text-align:right;white-space:nowrap">135</td><td style="text-align:right;white-space:nowrap">1</td><td style="text-align:right;white-space:nowrap">1.2 ms</td><td style="text-align:right;white-space:nowrap">2 s</td></tr>
            <tr><th style="text-align:left;white-space:nowrap">f2</th><td style="text-align:left" colspan="9"><em>empty: passes the previous output through</em></td></tr>
            <tr><th style="text-align:left;white-space:nowrap">f3</th><td style="text-align:left" colspan="9"><em>empty: passes the previous output through</em></td></tr>
            <tr><th style="text-align:left;white-space:nowrap">f4</th><td style="text-align:left" colspan="9"><em>empty: passes the previous output through</em></td></tr>
            <tr><th style="text-align:left;white-space:nowrap">f5</th><td style="text-align:left" colspan="9"><em>empty: passes the previous output through</em></td></tr>
            <tr><th style="text-align:left;white-space:nowrap">f6</th><td style="text-align:left" colspan="9"><em>empty: passes the previous output through</em></td></tr>
            <tr><th style="text-align:left;white-space:nowrap">f7</th><td style="text-align:left" colspan="9"><em>empty: passes the previous output through</em></td></tr>
            </tbody></table><details open><summary>newest errors</summary><table><thead><tr><th style="text-align:left;white-space:nowrap">slot</th><th style="text-align:left;white-space:nowrap">time</th><th style="text-align:left;white-space:nowrap">oid</th><th style="text-align:right;white-space:nowrap">rev</th><th style="text-align:left">error</th></tr>
            </thead>
            <tbody><tr><td style="text-align:left;white-space:nowrap">f1</td><td style="text-align:left;white-space:nowrap">2024-03-12 20:54:54 UTC</td><td style="text-align:left;white-space:nowrap"><code>65f0c0de0123456789abcde0</code></td><td style="text-align:right;white-space:nowrap">7</td><td style="text-align:left">&lt;script&gt;alert(2)&lt;/script&gt;
            second line</td></tr>
            </tbody></table></details>"#]],
    );
}

#[test]
fn a_new_machine() {
    let mut new = example_status();
    new.last_oid.clear();
    new.errors.clear();
    new.slots.iter_mut().for_each(|slot| *slot = SlotStatus { slot: slot.slot.clone(), ..SlotStatus::default() });
    new.source = SourceStatus::default();
    (new.processed, new.errored, new.queue_capacity, new.rate) = (0, 0, 0, 0.0);
    (new.dead_letters, new.dead_letters_dropped) = (0, 0);
    expect![[r"
        main running · 0 processed · 0.0/s · 1 worker · 25 % busy, 10 % blocked by full outputs
        queue 12 of 0 (0 %) · 4,213 accepted, 1 in flight, 2 refused, 0 discarded
        0 errored · no message yet · no source

        slot  code     rev  cell  ok  errored  skipped  p50  p99  takes → gives
        f0    (empty)
        f1    (empty)
        f2    (empty)
        f3    (empty)
        f4    (empty)
        f5    (empty)
        f6    (empty)
        f7    (empty)
    "]]
    .assert_eq(text(&status(&new)));
}

#[test]
fn slots_with_all_their_code() {
    check(
        &slots(&example_status()),
        &expect![[r#"
        f0  &Value → Value  revision 1  In [3]
            |m: &Value| {
                m["<b>text</b>"].clone()
            }
        f1  f64, Option<&str> → Vec<f64>  revision 7
            |x: f64| "<script>alert(1)</script>".len() as f64 + x
            ! f1 takes f64, but f0 gives Value
        f2  empty: passes the previous output through
        f3  empty: passes the previous output through
        f4  empty: passes the previous output through
        f5  empty: passes the previous output through
        f6  empty: passes the previous output through
        f7  empty: passes the previous output through
    "#]],
        &expect![[r#"
            <table><thead><tr><th style="text-align:left;white-space:nowrap">slot</th><th style="text-align:left">code</th><th style="text-align:right;white-space:nowrap">rev</th><th style="text-align:left;white-space:nowrap">cell</th><th style="text-align:left">takes → gives</th></tr>
            </thead>
            <tbody><tr><th style="text-align:left;white-space:nowrap">f0</th><td style="text-align:left"><pre><code>|m: &amp;Value| {
                m[&quot;&lt;b&gt;text&lt;/b&gt;&quot;].clone()
            }</code></pre></td><td style="text-align:right;white-space:nowrap">1</td><td style="text-align:left;white-space:nowrap">In [3]</td><td style="text-align:left">&amp;Value → Value</td></tr>
            <tr><th style="text-align:left;white-space:nowrap">f1</th><td style="text-align:left"><pre><code>|x: f64| &quot;&lt;script&gt;alert(1)&lt;/script&gt;&quot;.len() as f64 + x</code></pre></td><td style="text-align:right;white-space:nowrap">7</td><td style="text-align:left;white-space:nowrap"></td><td style="text-align:left">f64, Option&lt;&amp;str&gt; → Vec&lt;f64&gt;<br>
            <strong>⚠ f1 takes f64, but f0 gives Value</strong></td></tr>
            <tr><th style="text-align:left;white-space:nowrap">f2</th><td style="text-align:left" colspan="4"><em>empty: passes the previous output through</em></td></tr>
            <tr><th style="text-align:left;white-space:nowrap">f3</th><td style="text-align:left" colspan="4"><em>empty: passes the previous output through</em></td></tr>
            <tr><th style="text-align:left;white-space:nowrap">f4</th><td style="text-align:left" colspan="4"><em>empty: passes the previous output through</em></td></tr>
            <tr><th style="text-align:left;white-space:nowrap">f5</th><td style="text-align:left" colspan="4"><em>empty: passes the previous output through</em></td></tr>
            <tr><th style="text-align:left;white-space:nowrap">f6</th><td style="text-align:left" colspan="4"><em>empty: passes the previous output through</em></td></tr>
            <tr><th style="text-align:left;white-space:nowrap">f7</th><td style="text-align:left" colspan="4"><em>empty: passes the previous output through</em></td></tr>
            </tbody></table>"#]],
    );
}

#[test]
fn settings_and_calls_again_are_shown_where_there_are_some() {
    let mut with = example_status();
    let settings = Settings { timeout_ns: 2_000_000_000, retries: 3, backoff_ns: 100_000_000, concurrency: 8 };
    with.slots[0] = SlotStatus { settings, retried: 1_203, ..with.slots[0].clone() };
    with.slots[4].settings = Settings { timeout_ns: 1_000_000, ..Settings::default() };
    let (how, retried) = ("timeout 2s, 3 retries from 100ms, concurrency 8", "1,203");
    for (display, without) in [(status(&with), status(&example_status())), (slots(&with), slots(&example_status()))] {
        for form in [text(&display).to_owned(), html(&display)] {
            assert!(form.contains(how) && form.contains(retried) && form.contains("timeout 1ms"), "{form}");
        }
        assert!(!text(&without).contains("retr") && !html(&without).contains("settings"));
    }
    let line =
        |text: &str, begin: &str| text.lines().find(|line| line.starts_with(begin)).unwrap_or_default().to_owned();
    assert_eq!(line(text(&slots(&with)), "f4"), "f4  empty: passes the previous output through  timeout 1ms");
    assert_eq!(line(text(&status(&with)), "f4"), "f4    (empty) timeout 1ms");
}

#[test]
fn what_a_source_has_lived_through_is_not_told_as_its_state() {
    let mut status = example_status();
    status.source = SourceStatus { note: "Connection refused".into(), reconnects: 1, ..status.source };
    assert!(text(&self::status(&status)).contains("1 reconnects; earlier: Connection refused"));
    status.source.state = SourceState::Connecting;
    assert!(text(&self::status(&status)).contains("1 reconnects: Connection refused"));
}

#[test]
fn slots_as_a_frame() {
    let display = status_frame(&example_status());
    expect![[r#"
        <small>shape: (8, 12)</small><table border="1" class="dataframe"><thead><tr><th>slot</th><th>code</th><th>revision</th><th>cell</th><th>takes</th><th>gives</th><th>ok</th><th>errored</th><th>skipped</th><th>p50_ns</th><th>p99_ns</th><th>mismatch</th></tr>
        <tr><td>str</td><td>str</td><td>u64</td><td>u32</td><td>str</td><td>str</td><td>u64</td><td>u64</td><td>u64</td><td>u64</td><td>u64</td><td>str</td></tr>
        </thead>
        <tbody><tr><td style="text-align:left">f0</td><td style="text-align:left">|m: &amp;Value| {
            m[&quot;&lt;b&gt;text&lt;/b&gt;&quot;].clone()
        }</td><td style="text-align:right">1</td><td style="text-align:right">3</td><td style="text-align:left">&amp;Value</td><td style="text-align:left">Value</td><td style="text-align:right">4200</td><td style="text-align:right">0</td><td style="text-align:right">0</td><td style="text-align:right">850</td><td style="text-align:right">12400</td><td style="text-align:left"></td></tr>
        <tr><td style="text-align:left">f1</td><td style="text-align:left">|x: f64| &quot;&lt;script&gt;alert(1)&lt;/script&gt;&quot;.len() as f64 + x</td><td style="text-align:right">7</td><td style="text-align:right">0</td><td style="text-align:left">f64, Option&lt;&amp;str&gt;</td><td style="text-align:left">Vec&lt;f64&gt;</td><td style="text-align:right">4064</td><td style="text-align:right">135</td><td style="text-align:right">1</td><td style="text-align:right">1250000</td><td style="text-align:right">2000000000</td><td style="text-align:left">f1 takes f64, but f0 gives Value</td></tr>
        <tr><td style="text-align:left">f2</td><td style="text-align:left"></td><td style="text-align:right">0</td><td style="text-align:right">0</td><td style="text-align:left"></td><td style="text-align:left"></td><td style="text-align:right">0</td><td style="text-align:right">0</td><td style="text-align:right">0</td><td style="text-align:right">0</td><td style="text-align:right">0</td><td style="text-align:left"></td></tr>
        <tr><td style="text-align:left">f3</td><td style="text-align:left"></td><td style="text-align:right">0</td><td style="text-align:right">0</td><td style="text-align:left"></td><td style="text-align:left"></td><td style="text-align:right">0</td><td style="text-align:right">0</td><td style="text-align:right">0</td><td style="text-align:right">0</td><td style="text-align:right">0</td><td style="text-align:left"></td></tr>
        <tr><td style="text-align:left">f4</td><td style="text-align:left"></td><td style="text-align:right">0</td><td style="text-align:right">0</td><td style="text-align:left"></td><td style="text-align:left"></td><td style="text-align:right">0</td><td style="text-align:right">0</td><td style="text-align:right">0</td><td style="text-align:right">0</td><td style="text-align:right">0</td><td style="text-align:left"></td></tr>
        <tr><td style="text-align:left">f5</td><td style="text-align:left"></td><td style="text-align:right">0</td><td style="text-align:right">0</td><td style="text-align:left"></td><td style="text-align:left"></td><td style="text-align:right">0</td><td style="text-align:right">0</td><td style="text-align:right">0</td><td style="text-align:right">0</td><td style="text-align:right">0</td><td style="text-align:left"></td></tr>
        <tr><td style="text-align:left">f6</td><td style="text-align:left"></td><td style="text-align:right">0</td><td style="text-align:right">0</td><td style="text-align:left"></td><td style="text-align:left"></td><td style="text-align:right">0</td><td style="text-align:right">0</td><td style="text-align:right">0</td><td style="text-align:right">0</td><td style="text-align:right">0</td><td style="text-align:left"></td></tr>
        <tr><td style="text-align:left">f7</td><td style="text-align:left"></td><td style="text-align:right">0</td><td style="text-align:right">0</td><td style="text-align:left"></td><td style="text-align:left"></td><td style="text-align:right">0</td><td style="text-align:right">0</td><td style="text-align:right">0</td><td style="text-align:right">0</td><td style="text-align:right">0</td><td style="text-align:left"></td></tr>
        </tbody></table>"#]].assert_eq(&html(&display));
    assert!(text(&display).starts_with("shape: (8, 12)"));
}

#[test]
fn all_machines() {
    check(
        &machines(&[example_status()]),
        &expect![[r"
        machine  state    processed      rate  errored              queue  slots  workers  source
        main     running      4,200  12,346/s      135  12 of 1,024 (1 %)      8        1  running
    "]],
        &expect![[r#"
            <table><thead><tr><th style="text-align:left">machine</th><th style="text-align:left">state</th><th style="text-align:right;white-space:nowrap">processed</th><th style="text-align:right;white-space:nowrap">rate</th><th style="text-align:right;white-space:nowrap">errored</th><th style="text-align:left;white-space:nowrap">queue</th><th style="text-align:right;white-space:nowrap">slots</th><th style="text-align:right;white-space:nowrap">workers</th><th style="text-align:left">source</th></tr>
            </thead>
            <tbody><tr><td style="text-align:left">main</td><td style="text-align:left">running</td><td style="text-align:right;white-space:nowrap">4,200</td><td style="text-align:right;white-space:nowrap">12,346/s</td><td style="text-align:right;white-space:nowrap">135</td><td style="text-align:left;white-space:nowrap"><meter min="0" max="1024" low="614" high="870" optimum="0" value="12"></meter> 12 of 1,024 (1 %)</td><td style="text-align:right;white-space:nowrap">8</td><td style="text-align:right;white-space:nowrap">1</td><td style="text-align:left">running</td></tr>
            </tbody></table>"#]],
    );
}

#[test]
fn dead_letters_as_a_frame() {
    check(
        &errors(&dead_letters()),
        &expect![[r#"
            shape: (2, 7)
            oid                       time                     slot  revision  error                      input                                                         kind
            65f0c0de0123456789abcde1  2024-03-12 20:54:54 UTC  f1           7  every <i>31st</i>↵message  {"text":"<script>alert(3)</script>"}                          error
            65f0c0de0123456789abcde0  2024-03-12 20:54:54 UTC  f1           7  every <i>31st</i>↵message  "long long long long long long long long long long long lon…  error
        "#]],
        &expect![[r#"
            <small>shape: (2, 10)</small><table border="1" class="dataframe"><thead><tr><th>oid</th><th>time</th><th>slot</th><th>revision</th><th>error</th><th>input</th><th>kind</th><th>outputs</th><th>failed</th><th>retries</th></tr>
            <tr><td>str</td><td>datetime[ms]</td><td>str</td><td>u64</td><td>str</td><td>str</td><td>str</td><td>str</td><td>str</td><td>u32</td></tr>
            </thead>
            <tbody><tr><td style="text-align:left">65f0c0de0123456789abcde1</td><td style="text-align:left">2024-03-12 20:54:54</td><td style="text-align:left">f1</td><td style="text-align:right">7</td><td style="text-align:left">every &lt;i&gt;31st&lt;/i&gt;
            message</td><td style="text-align:left">{&quot;text&quot;:&quot;&lt;script&gt;alert(3)&lt;/script&gt;&quot;}</td><td style="text-align:left">error</td><td style="text-align:left">{}</td><td style="text-align:left">2024-03-12T20:54:55.000Z</td><td style="text-align:right">0</td></tr>
            <tr><td style="text-align:left">65f0c0de0123456789abcde0</td><td style="text-align:left">2024-03-12 20:54:54</td><td style="text-align:left">f1</td><td style="text-align:right">7</td><td style="text-align:left">every &lt;i&gt;31st&lt;/i&gt;
            message</td><td style="text-align:left"><span title="&quot;long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long &quot;">&quot;long long long long long long long long long long long long long long long long long long long lon…</span></td><td style="text-align:left">error</td><td style="text-align:left">{}</td><td style="text-align:left">2024-03-12T20:54:55.000Z</td><td style="text-align:right">0</td></tr>
            </tbody></table>"#]],
    );
    expect!["no dead letters"].assert_eq(text(&errors(&[])));
    let told = |letters, left_out| text(&all_errors(&machine::Errors { letters, left_out })).to_owned();
    expect!["no dead letters"].assert_eq(&told(Vec::new(), 0));
    let end = "\n2 of 5 dead letters shown; the others are too long to be told\n";
    assert!(told(dead_letters(), 3).ends_with(end));
    assert_eq!(told(Vec::new(), 3), "0 of 3 dead letters shown; the others are too long to be told");
}

#[test]
fn outputs_of_one_message() {
    check(
        &outputs(&example_outputs()),
        &expect![[r"
        message 65f0c0de0123456789abcdef in 14.0
        slot  args         output                         time  rev
        f0    14.0         196.0                         59 ns    1
        f1    196.0, 14.0  ! <script>alert(4)</script>  4.4 µs    2
        f2                 ! skipped: needs f1               –    1
        empty: f3, f4
    "]],
        &expect![[r#"
            <p>message <code>65f0c0de0123456789abcdef</code> in <code>14.0</code></p>
            <table><thead><tr><th style="text-align:left;white-space:nowrap">slot</th><th style="text-align:left">args</th><th style="text-align:left">output</th><th style="text-align:right;white-space:nowrap">time</th><th style="text-align:right;white-space:nowrap">rev</th></tr>
            </thead>
            <tbody><tr><th style="text-align:left;white-space:nowrap">f0</th><td style="text-align:left"><code>14.0</code></td><td style="text-align:left"><code>196.0</code></td><td style="text-align:right;white-space:nowrap">59 ns</td><td style="text-align:right;white-space:nowrap">1</td></tr>
            <tr><th style="text-align:left;white-space:nowrap">f1</th><td style="text-align:left"><code>196.0</code><br>
            <code>14.0</code></td><td style="text-align:left"><strong>⚠ &lt;script&gt;alert(4)&lt;/script&gt;</strong></td><td style="text-align:right;white-space:nowrap">4.4 µs</td><td style="text-align:right;white-space:nowrap">2</td></tr>
            <tr><th style="text-align:left;white-space:nowrap">f2</th><td style="text-align:left"></td><td style="text-align:left"><strong>⚠ skipped: needs f1</strong></td><td style="text-align:right;white-space:nowrap">–</td><td style="text-align:right;white-space:nowrap">1</td></tr>
            </tbody></table><p><small>empty: f3, f4</small></p>
        "#]],
    );
}

#[test]
fn a_long_frame_shows_head_and_tail() {
    let long = df!("n" => (0..1_000i64).collect::<Vec<_>>(), "name" => vec![Some("a<b"); 1_000]).unwrap();
    let shown = html(&frame(&long));
    assert!(shown.contains("shape: (1,000, 2)"));
    assert_eq!(shown.matches("<tr>").count(), 2 + 20 + 1);
    assert!(shown.contains("<tr><td>…</td><td>…</td></tr>"));
    assert!(shown.contains("a&lt;b") && !shown.contains("a<b"));
    assert!(text(&frame(&long)).starts_with("shape: (1_000, 2)"));
    assert!(html(&frame(&DataFrame::empty())).contains("shape: (0, 0)"));
}

#[test]
fn what_cells_show() {
    let of = |mime: &str, content: &str| from_show(mime, content).data;
    let json = serde_json::to_string(&example_status()).unwrap();
    assert_eq!(of(STATUS, &json), status(&example_status()).data);
    assert_eq!(of(ERRORS, r#"{"letters":[],"left_out":0}"#), errors(&[]).data);
    assert_eq!(of(OUTPUTS, "broken")["text/plain"], "broken");
    assert_eq!(of("text/plain", "42")["text/plain"], "42");
    assert_eq!(of("text/html", "<b>x</b>")["text/html"], "<b>x</b>");
    assert_eq!(of("text/html", "<b>x</b>")["text/plain"], "[text/html, 8 bytes]");
    assert_eq!(
        of("application/vnd.vegalite.v5+json", "{\"mark\":\"bar\"}")["application/vnd.vegalite.v5+json"]["mark"],
        "bar"
    );
    assert_eq!(of("application/json", "{").len(), 1);
}

#[test]
fn numbers_and_times_in_words() {
    for (number, expected) in [(0, "0"), (999, "999"), (1_000, "1,000"), (u64::MAX, "18,446,744,073,709,551,615")] {
        assert_eq!(grouped(number), expected);
    }
    for (nanos, expected) in [
        (0, "–"),
        (999, "999 ns"),
        (1_000, "1 µs"),
        (1_250, "1.2 µs"),
        (12_900, "12 µs"),
        (3_400_000, "3.4 ms"),
        (59_000_000_000, "59 s"),
        (125_000_000_000, "2 min 5 s"),
    ] {
        assert_eq!(text::nanos(nanos), expected);
    }
    for (rate, expected) in [(0.0, "0.0/s"), (1.55, "1.6/s"), (1_234.5, "1,235/s"), (f64::NAN, "NaN/s")] {
        assert_eq!(text::rate(rate), expected);
    }
    assert_eq!(cut("äöü", 3), "äöü");
    assert_eq!(cut("äöüß", 3), "äö…");
    assert_eq!(text::cut_error("äöüßäöüßäöüß (p.rs:1)", 20), "äöüßäöüßäö… (p.rs:1)");
    assert_eq!(text::cut_error("a long error (in parentheses)", 20), "a long error (in pa…");
    assert_eq!(text::cut_error("short (p.rs:1)", 20), "short (p.rs:1)");
    assert_eq!(one_line("a\nb\u{1b}[31m"), "a↵b\\u{1b}[31m");
    assert_eq!(text::time("yesterday"), "yesterday");
    assert_eq!(text::time("2024-03-12T20:54:54Z"), "2024-03-12 20:54:54 UTC");
    assert_eq!(text::time("2024-03-12T20:54:54.000Z"), "2024-03-12 20:54:54.000 UTC");
}

#[test]
fn rows_become_a_frame_with_the_columns_in_their_order() {
    let json = r#"[{"minute":"2014-06-01T12:00:00Z","tweets":3,"mean":0.5,"word":"<b>"},
                   {"minute":"2014-06-01T12:01:00Z","tweets":2,"mean":1,"word":null,"more":[1]}]"#;
    let shown = from_show(FRAME, json);
    let text = shown.data.get(PLAIN).and_then(Value::as_str).unwrap_or_default();
    let html = shown.data.get(HTML).and_then(Value::as_str).unwrap_or_default();
    for part in ["shape: (2, 5)", "2014-06-01 12:01:00", "datetime", "i64", "f64", "null", "[1]"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let at = |name: &str| html.find(&format!("<th>{name}</th>"));
    assert!(at("minute") < at("tweets") && at("mean") < at("word") && at("word") < at("more"), "{html}");
    assert!(html.contains("&lt;b&gt;") && !html.contains("<b>"), "{html}");
    // Nothing to show is an empty frame, and what is no list of rows is shown as it is.
    assert!(from_show(FRAME, "[]").data[PLAIN].as_str().is_some_and(|text| text.contains("(0, 0)")));
    assert_eq!(from_show(FRAME, "[1]").data[PLAIN], "[1]");
}

#[test]
fn errors_that_were_all_retried_with_success_say_so() {
    let mut shown = example_status();
    shown.retried_passed = 134;
    assert!(!text(&status(&shown)).contains("all retried"));
    shown.retried_passed = 135;
    assert!(text(&status(&shown)).contains("135 errored, all retried"), "{}", text(&status(&shown)));
}
