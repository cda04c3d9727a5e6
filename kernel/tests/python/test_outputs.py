"""What leaves a machine, as a notebook and as subscribers of libzmq see it."""

import json
import time
from pathlib import Path

import pytest
import zmq
from conftest import Notebook


def json_of(notebook: Notebook, magic: str) -> dict:
    """What a magic shows."""
    [shown] = notebook.must(magic).shown("application/json")
    return shown if isinstance(shown, dict) else json.loads(shown)


def outputs(notebook: Notebook) -> list[dict]:
    """Where the machine's outputs go, from its status."""
    return json_of(notebook, "%status --json")["outputs"]


def subscriber(endpoint: str, prefix: str, high_water_mark: int = 1000) -> zmq.Socket:
    """A SUB socket of libzmq."""
    socket = zmq.Context.instance().socket(zmq.SUB)
    socket.setsockopt(zmq.RCVHWM, high_water_mark)
    socket.setsockopt(zmq.RCVTIMEO, 20_000)
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.HEARTBEAT_IVL, 100)
    socket.subscribe(prefix)
    socket.connect(endpoint)
    return socket


def wait_for(notebook: Notebook, subscribers: int) -> None:
    """Waits until so many are subscribed."""
    end = time.monotonic() + 20
    while outputs(notebook)[-1]["subscribers"] != subscribers:
        assert time.monotonic() < end, outputs(notebook)


@pytest.mark.parametrize("endpoint", ["", "tcp://127.0.0.1:*"])
def test_subscribers_of_libzmq_get_what_they_ask_for(shared: Notebook, endpoint: str) -> None:
    shared.must("MACHINE[0] = |x: f64| x * x;")
    shared.must('MACHINE[1] = |y: f64| if y == 4.0 { Err("four") } else { Ok(vec![y; 100]) };')
    shared.must(f'let sink = MACHINE.publish("{endpoint}")?;')
    [at] = [output["endpoint"] for output in outputs(shared)]
    assert at in shared.must("sink.endpoint()").text
    everything, nothing = subscriber(at, ""), subscriber(at, "0")
    one_slot = subscriber(at, "f1.")
    wait_for(shared, 3)
    shared.must("for x in 0..1000 { MACHINE.put_wait(f64::from(x))?; }\nMACHINE.drain();")
    oids = []
    for x in range(1000):
        oid, body = everything.recv_multipart()
        got = json.loads(body)
        oids.append(oid.decode())
        assert got[:2] == [float(x), float(x * x)] and len(got) == 9
        topic, slot = one_slot.recv_multipart()
        assert topic.decode() == f"f1.{oids[-1]}" and json.loads(slot) == got[2]
        if x == 2:
            assert got[2] == {"_exception": {"exc_value": "four", "exc_type": "Error", "task": "f1"}}
    assert oids == sorted(oids) and len(set(oids)) == 1000 and all(len(oid) == 24 for oid in oids)
    with pytest.raises(zmq.Again):
        nothing.recv(zmq.NOBLOCK)
    [output] = outputs(shared)
    assert (output["sent"], output["lost"], output["waiting"]) == (2000, 0, 0)
    for socket in (everything, nothing, one_slot):
        socket.close()
    wait_for(shared, 0)
    shared.must("MACHINE.clear_outputs();")
    assert outputs(shared) == []


def test_a_slow_subscriber_of_libzmq_loses_nothing_if_waited_for(shared: Notebook) -> None:
    shared.must('let sink = MACHINE.publish("")?.high_water_mark(100)?.no_loss()?;')
    slow = subscriber(outputs(shared)[-1]["endpoint"], "", high_water_mark=10)
    wait_for(shared, 1)
    request = shared.send("for x in 0..20_000 { MACHINE.put_wait(x)?; }\nMACHINE.drain();")
    for x in range(20_000):
        assert json.loads(slow.recv_multipart()[1])[0] == x
    assert shared.wait(request).ok
    assert outputs(shared)[-1]["lost"] == 0
    slow.close()
    shared.must("MACHINE.clear_outputs();")


def test_outputs_in_a_cell(shared: Notebook) -> None:
    shared.must("MACHINE[0] = |x: f64| x + 0.5;\nMACHINE[1].clear()?;")
    shared.must("let outs = MACHINE.outputs()?;")
    shared.must("for x in 0..3 { MACHINE.put(f64::from(x))?; }\nMACHINE.drain();")
    ran = shared.must(
        "for out in outs.timeout(std::time::Duration::ZERO) {\n"
        '    println!("{} {} {:?}", out.input::<f64>()?, out.get::<f64>(0)?, out.error(7));\n}'
    )
    assert ran.stream() == "0 0.5 None\n1 1.5 None\n2 2.5 None\n"
    shared.must('let printing = MACHINE.on_output(|out| println!("got {}", out.get::<f64>(0).unwrap_or_default()))?;')
    request = shared.send("MACHINE.put(7.0)?; MACHINE.drain(); std::thread::sleep(std::time::Duration::from_secs(1));")
    assert "got 7.5\n" in shared.wait(request).stream()
    shared.must("printing.stop();")


def test_an_interrupt_ends_the_wait_for_an_output(shared: Notebook) -> None:
    request = shared.send('println!("begun"); for out in MACHINE.outputs()? { println!("{}", out.oid); }')
    shared.wait_for(request, lambda ran: "begun" in ran.stream())
    shared.interrupt()
    shared.wait(request)
    assert shared.must("1 + 1").shown() == ["2"]


@pytest.mark.parametrize("transport", ["tcp", "ipc"])
def test_a_source_hears_a_publisher_of_libzmq_that_asks_whether_it_lives(
    notebook: Notebook, tmp_path: Path, transport: str
) -> None:
    publisher = zmq.Context.instance().socket(zmq.XPUB)
    publisher.setsockopt(zmq.LINGER, 0)
    publisher.setsockopt(zmq.RCVTIMEO, 20_000)
    publisher.setsockopt(zmq.HEARTBEAT_IVL, 20)
    publisher.setsockopt(zmq.HEARTBEAT_TIMEOUT, 5_000)
    publisher.bind("tcp://127.0.0.1:*" if transport == "tcp" else f"ipc://{tmp_path}/feed")
    endpoint = publisher.getsockopt_string(zmq.LAST_ENDPOINT)
    notebook.must('let hears = Machine::builder("hears").start()?;\nhears[0].set(|x: u64| x + 1)?;')
    notebook.must(f'hears.source(source::zmq_sub("{endpoint}").topic("a"))?;')
    assert publisher.recv() == b"\x01a"
    for number in range(100):
        publisher.send_multipart([b"b", b"not wanted"])
        publisher.send_multipart([b"a", b"between", str(number).encode()])
        # Longer than some heartbeats in all.
        time.sleep(0.005)
    publisher.send_multipart([b"a", b"no JSON"])
    end = time.monotonic() + 20
    while (status := json_of(notebook, "%status hears --json"))["processed"] < 100 or not status["source"]["errors"]:
        assert time.monotonic() < end, status
    publisher.close()
    source = status["source"]
    assert (status["processed"], status["errored"], source["errors"], source["reconnects"]) == (100, 0, 1, 0), status
