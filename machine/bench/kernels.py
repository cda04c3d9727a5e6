"""The kernel beside evcxr_jupyter, measured in turn in one run, through a real client.

    .venv/bin/python machine/bench/kernels.py [--rounds 5] [--peer PATH/TO/evcxr_jupyter]

The peer is installed with `cargo install evcxr_jupyter --version 0.22.0 --locked`; without it only the kernel is
measured. Prints the tables of RESULTS.md: medians over the rounds, and the ratio of each round's figures.
"""

import argparse
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

from jupyter_client import BlockingKernelClient
from jupyter_client.connect import write_connection_file

HERE = pathlib.Path(__file__).resolve().parent
CRATES = HERE.parent
ASSIGN = "MACHINE[0] = |x: f64| x * x + {n}.5;"
# What the assignment compiles, without the engine that evcxr_jupyter does not have.
ERASE = "std::mem::forget(machine::slot::Slot::erase(|x: f64| x * x + {n}.5));"


class Kernel:
    """A kernel process and a client of it."""

    def __init__(self, command):
        self.folder = tempfile.TemporaryDirectory()
        path, info = write_connection_file(str(pathlib.Path(self.folder.name) / "connection.json"))
        self.started = time.perf_counter()
        self.process = subprocess.Popen(
            [part.format(connection=path) for part in command],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
        )
        self.client = BlockingKernelClient()
        self.client.load_connection_info(info)
        self.client.start_channels()
        self.client.kernel_info()
        self.client.get_shell_msg(timeout=60)
        self.ready = time.perf_counter() - self.started

    def run(self, code):
        """Runs a cell; returns the seconds until its reply."""
        before = time.perf_counter()
        reply = self.client.execute(code, reply=True, timeout=300)
        if reply["content"]["status"] != "ok":
            sys.exit(f"{code!r} failed: {reply['content'].get('evalue')}")
        return time.perf_counter() - before

    def close(self):
        self.client.shutdown()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.client.stop_channels()
        self.folder.cleanup()


def cells(kernel, code, count):
    """The seconds of each of `count` cells that differ in a number."""
    return [kernel.run(code.format(n=n)) for n in range(count)]


def one_round(command, dep, first, assign):
    """One process from start to end; its figures in seconds."""
    kernel = Kernel(command)
    figures = {"kernel_info after process start": kernel.ready}
    if dep:
        kernel.run(dep)
    kernel.run(first.format(n=100))
    figures["first cell with a slot, after process start"] = time.perf_counter() - kernel.started
    kernel.run("1+1")
    figures["a cell `1+1`"] = statistics.median(cells(kernel, "{n}+1", 10))
    kernel.run(assign.format(n=101))
    figures["a cell that assigns a slot"] = statistics.median(cells(kernel, assign, 10))
    if assign is ASSIGN:
        for magic in ["%status", "%errors", "%slots", "%machines", "%lsmagic", '%put 1', "%call 2"]:
            figures[f"`{magic}`"] = statistics.median(cells(kernel, magic, 10))
        figures["`%status` while a cell runs, slowest of 20"] = while_running(kernel)
    kernel.close()
    return figures


def while_running(kernel):
    """The slowest of 20 `%status` during a cell of five seconds, in seconds."""
    client = kernel.client
    cell = client.execute("std::thread::sleep(std::time::Duration::from_secs(5));")
    time.sleep(2)  # the cell has compiled by then; if not, the figure is only the more honest
    times = []
    for _ in range(20):
        before = time.perf_counter()
        request = client.execute("%status")
        while client.get_shell_msg(timeout=30)["parent_header"]["msg_id"] != request:
            pass
        times.append(time.perf_counter() - before)
        time.sleep(0.1)
    while client.get_shell_msg(timeout=30)["parent_header"]["msg_id"] != cell:
        pass
    return max(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="processes of each kernel (default: 5)")
    parser.add_argument("--kernel", default=shutil.which("machine") or str(CRATES.parent / ".venv/bin/machine"))
    parser.add_argument("--peer", default=shutil.which("evcxr_jupyter"), help="evcxr_jupyter's executable")
    options = parser.parse_args()
    ours = ([options.kernel, "kernel", "--connection-file", "{connection}"], "", ASSIGN, ASSIGN)
    dep = f':dep machine = {{{{ package = "rust-machine", path = "{CRATES}/api" }}}}'.format()
    theirs = ([options.peer, "--control_file", "{connection}"], dep, ERASE, ERASE)
    rounds = []
    for number in range(options.rounds):
        print(f"round {number + 1} of {options.rounds} …", file=sys.stderr)
        rounds.append((one_round(*ours), one_round(*theirs) if options.peer else {}))
    print("| | kernel | evcxr_jupyter | ratio |\n|---|---:|---:|---:|")
    for name in rounds[0][0]:
        mine = [ours[name] for ours, _ in rounds]
        peer = [theirs[name] for _, theirs in rounds if name in theirs]
        row = f"| {name} | {statistics.median(mine):.3f} s |"
        if peer:
            ratio = statistics.median(a / b for a, b in zip(mine, peer))
            print(f"{row} {statistics.median(peer):.3f} s | {ratio:.2f} |")
        else:
            print(f"{row} | |")
    assign = statistics.median(r[0]["a cell that assigns a slot"] / r[1]["a cell `1+1`"] for r in rounds if r[1]) if options.peer else None
    if assign:
        print(f"\nA cell that assigns a slot, as a share of the peer's `1+1`: {assign:.2f}")


if __name__ == "__main__":
    main()
