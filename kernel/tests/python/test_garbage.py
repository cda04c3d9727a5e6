"""Garbage on every socket: it is ignored, nothing of it is executed, and the kernel still answers."""

import hashlib
import hmac
import json
import random
import socket
import unittest
import uuid

import zmq
from conftest import KERNEL_NAME
from jupyter_client.manager import start_new_kernel

DELIMITER = b"<IDS|MSG>"


def frames(key: bytes, code: str, msg_type: str = "execute_request", signature: bytes | None = None) -> list[bytes]:
    header = {"msg_id": uuid.uuid4().hex, "msg_type": msg_type, "session": "s", "username": "u", "version": "5.3"}
    parts = [json.dumps(it).encode() for it in (header, {}, {}, {"code": code, "silent": False})]
    right = hmac.new(key, b"".join(parts), hashlib.sha256).hexdigest().encode()
    return [DELIMITER, right if signature is None else signature, *parts]


class Garbage(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.km, cls.kc = start_new_kernel(kernel_name=KERNEL_NAME)
        cls.context = zmq.Context()

    @classmethod
    def tearDownClass(cls):
        cls.kc.stop_channels()
        cls.km.shutdown_kernel(now=True)
        cls.context.destroy(linger=0)

    def count(self) -> int:
        """The execution count after one more cell; grows by one a cell."""
        reply = self.kc.execute_interactive("%lsmagic", timeout=10, output_hook=lambda _: None)
        self.assertEqual(reply["content"]["status"], "ok")
        return reply["content"]["execution_count"]

    def send(self, port: int, kind: int, messages: list[list[bytes]]):
        peer = self.context.socket(kind)
        peer.connect(f"tcp://127.0.0.1:{port}")
        for message in messages:
            peer.send_multipart(message)
        # What is sent after it on the same connection comes after it: the last message says that all was read.
        if kind == zmq.XSUB:
            peer.send(b"\x01")
        elif port == self.km.get_connection_info()["hb_port"]:
            peer.send_multipart([b"", b"ping"])
        else:
            peer.send_multipart(frames(self.km.session.key, "", "kernel_info_request"))
        answers = port != self.km.get_connection_info()["stdin_port"]
        if answers:
            self.assertTrue(peer.poll(5000), f"port {port} does not answer any more")
        peer.close(linger=1000)

    def ports(self):
        info = self.km.get_connection_info()
        return [info[name] for name in ("shell_port", "control_port", "stdin_port", "hb_port")], info["iopub_port"]

    def check(self, messages: list[list[bytes]]):
        before = self.count()
        ports, iopub = self.ports()
        for port in ports:
            self.send(port, zmq.DEALER, messages)
        self.send(iopub, zmq.XSUB, messages)
        self.assertEqual(self.count(), before + 1, "something of it was executed")
        self.assertTrue(self.kc.is_alive())
        self.heart_beats()

    def heart_beats(self):
        beat = self.context.socket(zmq.REQ)
        beat.connect(f"tcp://127.0.0.1:{self.km.get_connection_info()['hb_port']}")
        beat.send(b"ping")
        self.assertTrue(beat.poll(5000), "the heart has stopped")
        self.assertEqual(beat.recv(), b"ping")
        beat.close(linger=0)

    def test_random_frames(self):
        source = random.Random(1)
        self.check([[source.randbytes(source.randrange(60)) for _ in range(source.randrange(1, 9))] for _ in range(100)])

    def test_wrongly_signed(self):
        key = self.km.session.key
        signatures = [b"", b"0" * 64, b"not hexadecimal", b"\xff" * 64, frames(b"another key", "x")[1]]
        self.check([frames(key, 'panic!("executed");', signature=it) for it in signatures])

    def test_a_signature_of_other_content(self):
        good = frames(self.km.session.key, "1")
        self.check([[*good[:-1], json.dumps({"code": "2"}).encode()]])

    def test_truncated(self):
        good = frames(self.km.session.key, "1")
        self.check([good[:length] for length in range(1, len(good))])

    def test_rightly_signed_nonsense(self):
        key = self.km.session.key
        bad = []
        for parts in ([b"[]"] * 4, [b"{"] * 4, [b"\xff\xfe"] * 4, [b"{}"] * 4, [b"null"] * 4):
            bad.append([DELIMITER, hmac.new(key, b"".join(parts), hashlib.sha256).hexdigest().encode(), *parts])
        self.check([*bad, frames(key, "1", msg_type="no_such_request"), frames(key, "1", msg_type="\u0000")])

    def test_bytes_that_are_not_zeromq(self):
        ports, iopub = self.ports()
        source = random.Random(2)
        before = self.count()
        for port in [*ports, iopub]:
            for data in (b"GET / HTTP/1.1\r\n\r\n", source.randbytes(200), b"\xff" + b"\0" * 8 + b"\x7f", b""):
                with socket.create_connection(("127.0.0.1", port)) as peer:
                    peer.sendall(data)
        self.assertEqual(self.count(), before + 1)
        self.heart_beats()
