"""Metrics for OpenTelemetry: what a collector receives is what the engine has counted."""

import json
import socket
import tempfile
import threading
from collections.abc import Iterator
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_CUMULATIVE, Metric
from test_command_line import PATIENCE, PROGRAM, Machine, machine  # noqa: F401

# `google.rpc.Status` with the message "no".
NO = b"\x12\x02no"
# Long enough that only the export at the end takes place.
NEVER = "600000"


class Collector:
    """An HTTP server that keeps what it is sent, and answers as it is told."""

    def __init__(self, port: int = 0) -> None:
        self.received: Queue[tuple[str, Message, ExportMetricsServiceRequest]] = Queue()
        self.answers: list[tuple[int, bytes]] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                request = ExportMetricsServiceRequest.FromString(body)
                # Strict: a field that the schema does not have is an error.
                stripped = ExportMetricsServiceRequest.FromString(body)
                stripped.DiscardUnknownFields()
                assert stripped == request and stripped.ByteSize() == len(body)
                collector.received.put((self.path, self.headers, request))
                status, answer = collector.answers.pop(0) if collector.answers else (200, b"")
                self.send_response(status)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def next(self) -> dict[str, Metric]:
        """The metrics of the next request, by name."""
        return metrics(self.received.get(timeout=PATIENCE)[2])

    def close(self) -> None:
        """Hangs up."""
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A collector of a test's own."""
    collector = Collector()
    yield collector
    collector.close()


@pytest.fixture(scope="module")
def squares() -> Path:
    """A pipeline at a place that stays from run to run, so that it stays compiled."""
    directory = Path(tempfile.gettempdir()) / "machine-pipelines-otlp"
    directory.mkdir(exist_ok=True)
    file = directory / "squares.rs"
    if not file.is_file() or file.read_text() != PROGRAM:
        file.write_text(PROGRAM)
    return file


def metrics(request: ExportMetricsServiceRequest) -> dict[str, Metric]:
    """The metrics of a request by name."""
    [resource] = request.resource_metrics
    [scope] = resource.scope_metrics
    assert scope.scope.name == "machine"
    found = {metric.name: metric for metric in scope.metrics}
    assert len(found) == len(scope.metrics)
    return found


def numbers(metric: Metric) -> dict[tuple[str, ...], float]:
    """The points of a sum or gauge by the values of their attributes."""
    data = getattr(metric, metric.WhichOneof("data"))
    return {
        tuple(attribute.value.string_value for attribute in point.attributes): getattr(point, point.WhichOneof("value"))
        for point in data.data_points
    }


def test_the_last_export_is_what_the_engine_has_counted(machine: Machine, squares: Path, collector: Collector) -> None:
    machine.environment |= {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url + "/", "OTEL_METRIC_EXPORT_INTERVAL": NEVER,
        "OTEL_EXPORTER_OTLP_HEADERS": "api-key=a%20secret", "OTEL_SERVICE_NAME": "squares",
        "OTEL_RESOURCE_ATTRIBUTES": "team=blue,service.name=other",
    }
    ran = machine("run", "--json", squares, "--", 1000)
    assert ran.returncode == 0, ran.stderr
    [status] = json.loads(ran.stdout)
    path, headers, request = collector.received.get(timeout=PATIENCE)
    assert collector.received.empty()
    assert (path, headers["Content-Type"], headers["api-key"]) == ("/v1/metrics", "application/x-protobuf", "a secret")
    attributes = {it.key: it.value.string_value for it in request.resource_metrics[0].resource.attributes}
    assert (attributes["service.name"], attributes["team"]) == ("squares", "blue")
    assert attributes["service.instance.id"]

    found = metrics(request)
    assert status["accepted"] == 1000
    counted = {
        "machine_received_messages_total": {("main",): status["accepted"]},
        "machine_processed_messages_total": {
            ("main", "ok"): status["processed"] - status["errored"], ("main", "errored"): status["errored"],
        },
        "machine_refused_messages_total": {("main",): status["refused"]},
        "machine_discarded_messages_total": {
            ("main", "cleared", "true"): 0, ("main", "in_flight", "true"): 0, ("main", "oldest", "false"): 0, ("main", "newest", "false"): 0,
        },
        "machine_queue_messages": {("main",): 0},
        "machine_queue_capacity_messages": {("main",): status["queue_capacity"]},
        "machine_workers": {("main",): status["workers"]},
        "machine_dead_letters": {("main",): status["dead_letters"]},
        "machine_slot_messages_total": {
            ("main", "f0", "ok"): 999, ("main", "f0", "errored"): 1, ("main", "f0", "skipped"): 0,
            ("main", "f0", "none"): 0,
        },
        "machine_slot_errors_total": {("main", "f0"): 1},
    }
    assert {name: numbers(found[name]) for name in counted} == counted
    for name, metric in found.items():
        kind = metric.WhichOneof("data")
        assert (kind == "sum") == name.endswith("_total"), name
        if kind == "sum":
            assert metric.sum.is_monotonic and metric.sum.aggregation_temporality == AGGREGATION_TEMPORALITY_CUMULATIVE
            assert all(0 < point.start_time_unix_nano < point.time_unix_nano for point in metric.sum.data_points)

    slot = status["slots"][0]
    histogram = found["machine_slot_duration_seconds"].histogram
    [point] = histogram.data_points
    assert histogram.aggregation_temporality == AGGREGATION_TEMPORALITY_CUMULATIVE
    assert list(point.bucket_counts)[:len(slot["durations"])] == slot["durations"]
    assert point.count == sum(slot["durations"]) == sum(point.bucket_counts) > 0
    assert point.sum == pytest.approx(slot["timed_ns"] / 1e9)
    bounds = list(point.explicit_bounds)
    assert len(bounds) + 1 == len(point.bucket_counts) and bounds == sorted(bounds) and bounds[0] == 128e-9


def test_a_collector_that_cannot_be_reached_is_told_once_and_holds_nothing_up(machine: Machine, squares: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    machine.environment |= {
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"http://127.0.0.1:{port}/here", "OTEL_METRIC_EXPORT_INTERVAL": "50",
    }
    process = machine.start("run", squares)
    # A message a millisecond, so many exports have failed by then.
    machine.wait_for(process, lambda status: status["processed"] > 500)
    collector = Collector(port)
    try:
        first = collector.next()
        # What was not taken before is in it, and the failures are counted.
        assert numbers(first["machine_received_messages_total"])["main",] > 500
        assert numbers(first["machine_exports_total"])["failed",] > 1
        sent = 0
        while sent < 2:
            sent = numbers(collector.next()["machine_exports_total"])["sent",]
    finally:
        process.terminate()
        _, told = process.communicate(timeout=PATIENCE)
        collector.close()
    lines = [line for line in told.splitlines() if "metrics" in line]
    assert lines[0].startswith(f"warning: metrics cannot be exported to http://127.0.0.1:{port}/here: "), told
    assert lines[1:] == [f"warning: metrics are exported to http://127.0.0.1:{port}/here again"], told


def test_a_collector_that_is_busy_is_asked_again_and_one_that_refuses_is_not(
    machine: Machine, squares: Path, collector: Collector,
) -> None:
    collector.answers = [(503, b""), (503, b"busy"), (200, b""), (400, NO)]
    machine.environment |= {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_METRIC_EXPORT_INTERVAL": "5000",
    }
    process = machine.start("run", squares)
    try:
        tries = [numbers(collector.next()["machine_exports_total"]) for _ in range(4)]
        # Thrice the same request, and the next one, which is not repeated.
        assert tries == [{("sent",): 0, ("failed",): 0}] * 3 + [{("sent",): 1, ("failed",): 0}]
        assert numbers(collector.next()["machine_exports_total"]) == {("sent",): 1, ("failed",): 1}
    finally:
        process.terminate()
        _, told = process.communicate(timeout=PATIENCE)
    assert f"metrics cannot be exported to {collector.url}/v1/metrics: HTTP status 400: no\n" in told


@pytest.mark.parametrize(("variables", "told"), [
    ({"OTEL_EXPORTER_OTLP_ENDPOINT": "https://127.0.0.1:1"}, "TLS, which is not supported"),
    ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "http/protobuf"),
    ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"}, ""),
])
def test_what_is_not_exported_is_said(machine: Machine, squares: Path, variables: dict, told: str) -> None:
    machine.environment |= variables
    ran = machine("run", squares, "--", 10)
    assert ran.returncode == 0, ran.stderr
    lines = [line for line in ran.stderr.splitlines() if "OTEL" in line or "exported" in line]
    assert len(lines) == (1 if told else 0) and all(told in line for line in lines), ran.stderr
