"""The live display on the wire: comms, as a front end with widgets speaks them."""

import json
from pathlib import Path

import pytest
from conftest import Notebook, parent

TICKS = "MACHINE.source((1..).map(|n: u64| { std::thread::sleep(std::time::Duration::from_millis(2)); n }))?;"


def said(notebook: Notebook, comm: str, condition, timeout: float = 60.0) -> dict:
    """What the model is told, put together, once it fulfils a condition."""
    import time

    state: dict = {}
    end = time.monotonic() + timeout
    while not condition(state):
        message = notebook.client.get_iopub_msg(timeout=max(0.1, end - time.monotonic()))
        notebook.published.setdefault(parent(message), []).append(message)
        if message["msg_type"] == "comm_msg" and message["content"]["comm_id"] == comm:
            state |= message["content"]["data"].get("state", {})
    return state


def send(notebook: Notebook, comm: str, data: dict, kind: str = "comm_msg", **content: object) -> str:
    """Sends a message of a comm; the request's id."""
    message = notebook.client.session.msg(kind, {"comm_id": comm, "data": data, **content})
    notebook.client.shell_channel.send(message)
    return message["header"]["msg_id"]


def watch(notebook: Notebook) -> tuple[str, dict]:
    """Shows the display; its comm, and the model that was opened."""
    ran = notebook.must("%watch")
    [data] = [m["content"]["data"] for m in ran.messages if m["msg_type"] == "execute_result"]
    # It belongs to no request.
    opened = [m for m in notebook.published.get("", []) if m["msg_type"] == "comm_open"]
    notebook.published[""] = []
    comm = data["application/vnd.jupyter.widget-view+json"]["model_id"]
    assert {"text/html", "text/plain"} <= set(data)
    return comm, opened[0] if opened else {}


def test_a_model_is_opened_once_and_told_what_the_engine_counts(notebook: Notebook) -> None:
    notebook.must("MACHINE[0] = |n: u64| if n % 10 == 0 { Err(\"ten\") } else { Ok(n) };")
    comm, opened = watch(notebook)
    content = opened["content"]
    assert (content["comm_id"], content["target_name"]) == (comm, "jupyter.widget")
    assert opened["metadata"]["version"].startswith("2.")
    state = content["data"]["state"]
    assert state["_model_module"] == state["_view_module"] == "anywidget"
    assert state["now"]["processed"] == 0 and state["plan"][0]["slot"] == "f0"
    # Shown twice it is still one.
    assert watch(notebook) == (comm, {})

    # While a cell runs.
    request = notebook.send("for n in 1..=100_u64 { MACHINE.put_wait(n)?; }\nMACHINE.drain();\n"
                            "std::thread::sleep(std::time::Duration::from_secs(3));")
    state = said(notebook, comm, lambda state: state.get("now", {}).get("processed") == 100
                 and len(state.get("letters", [])) == 10 and state.get("series"))
    assert not [m for m in notebook.published.get(request, []) if m["msg_type"] == "execute_reply"]
    assert state["now"]["errored"] == 10 and state["letters"][0]["error"] == "ten"
    assert notebook.wait(request).ok

    # Between cells, and its buttons.
    notebook.must(TICKS)
    said(notebook, comm, lambda state: state.get("now", {}).get("processed", 0) > 120)
    send(notebook, comm, {"method": "custom", "content": {"do": "pause"}})
    said(notebook, comm, lambda state: state.get("now", {}).get("state") == "paused")
    status = json.loads(notebook.must("%status --json").shown()[0])
    assert status["state"] == "paused"


def test_a_front_end_that_comes_anew_finds_the_model(notebook: Notebook) -> None:
    comm, _ = watch(notebook)
    notebook.client.comm_info(reply=False)
    info = notebook.client.get_shell_msg(timeout=60)
    assert info["content"]["comms"] == {comm: {"target_name": "jupyter.widget"}}

    send(notebook, "asks", {}, "comm_open", target_name="jupyter.widget.control")
    request = send(notebook, "asks", {"method": "request_states"})
    found: dict = {}
    while not found:
        message = notebook.client.get_iopub_msg(timeout=60)
        assert message["msg_type"] != "comm_close"
        if message["msg_type"] == "comm_msg" and parent(message) == request:
            found = message["content"]["data"]
    assert found["method"] == "update_states" and list(found["states"]) == [comm]
    assert found["states"][comm]["model_name"] == "AnyModel"
    assert found["states"][comm]["state"]["machine"] == "main"

    send(notebook, comm, {}, "comm_close")
    notebook.client.comm_info(reply=False)
    assert notebook.client.get_shell_msg(timeout=60)["content"]["comms"] == {}
    assert watch(notebook)[0] != comm


def test_an_alert_is_told_when_it_begins_and_when_it_ends(notebook: Notebook) -> None:
    notebook.must("%pause\n%alert waiting > 5")
    assert "waiting > 5" in notebook.must("%alerts").text
    request = notebook.send("for n in 0..10_u64 { MACHINE.put(n)?; }")
    notebook.wait_for(request, lambda ran: "alert: main: waiting > 5 (waiting is 10)" in ran.stream("stderr"))
    notebook.must("%start")
    notebook.wait_for(request, lambda ran: "alert over: main: waiting > 5 (waiting is 0" in ran.stream("stderr"))
    assert notebook.must("%alert --clear").ok
    assert json.loads(notebook.must("%alerts --json").shown()[0])["alerts"] == []


@pytest.mark.parametrize(("magic", "told"), [
    ("%alert qeue > 1", "did you mean queue?"),
    ("%alert f99.errors > 1", "main has no slot f99; it has f0 to f7"),
    ("%alert", "expected for example"),
    ("%watch mian", "did you mean main?"),
    ("%report /no/such/place/x.html", "cannot write /no/such/place/x.html"),
])
def test_mistakes_are_told_in_one_line(shared: Notebook, magic: str, told: str) -> None:
    ran = shared.run(magic)
    assert not ran.ok and told in ran.reply["evalue"] and "\n" not in ran.reply["evalue"]


def test_a_report_is_one_page(shared: Notebook, tmp_path: Path) -> None:
    shared.must("MACHINE[0] = |text: &str| Err::<u8, _>(text.to_owned());\nMACHINE.put(\"<script>\".to_owned())?;\nMACHINE.drain();")
    shared.must(f"%report {tmp_path}/report.html")
    page = (tmp_path / "report.html").read_text()
    assert "&lt;script&gt;" in page and "<script" not in page and "http" not in page
