"""A real Ray cluster of one machine: nodes started by `ray start` on the loopback, each of which can be killed, none of which stays."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

LOOPBACK = "127.0.0.1"
MARK = "MADE_UP_CLUSTER_NODE"
MB = 2**20
# Ray takes the loopback for a mistake and listens on the machine's own address instead, unless it finds no other.
FIND_ADDRESS = "ray._private.services.get_node_ip_address"
START = f"""
import ray._private.services
{FIND_ADDRESS} = lambda address=None: "{LOOPBACK}"
from ray.scripts.scripts import main
main()
"""
LISTENS = "0A"
# At Ray's usual niceness of 15 workers starve on a busy machine; SPT_NOENV: who renames itself keeps its environment, and the mark.
QUIET = {
    "RAY_AUTH_MODE": "disabled",  # on the loopback alone; else a token in the home folder would be asked for
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",
    "OMP_NUM_THREADS": "1",
    "SPT_NOENV": "1",
}
RAYS_OWN = (8265, 52365, 10001)  # ports that Ray means to use for other things


@dataclass
class Node:
    """What `ray start` began: every process of it carries the mark in its environment."""

    mark: str

    def processes(self) -> list[int]:
        """Ids of its living processes."""
        return [
            pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _mark_of(pid) == self.mark
        ]

    def workers(self) -> list[int]:
        """Ids of its processes that run a task now."""
        return [pid for pid in self.processes() if b"ray::run_task" in _read(pid, "cmdline")]

    def kill(self) -> None:
        """kill -9 for all of it, as a machine leaves that loses its power."""
        while alive := self.processes():
            for pid in alive:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)


@dataclass
class Cluster:
    """A head without room for tasks, and worker nodes. `folder`: for Ray's own files, of a short path."""

    folder: Path
    address: str = ""
    nodes: list[Node] = field(default_factory=list)

    def start_head(self) -> None:
        """The node that keeps the books."""
        port = next(port for port in map(_free_port, range(9)) if port not in RAYS_OWN)
        self.address = f"{LOOPBACK}:{port}"
        self._start(
            "--head",
            f"--port={port}",
            "--num-cpus=0",
            "--include-dashboard=false",
            f"--temp-dir={self.folder}",
        )

    def add_node(self, cpus: int = 1) -> Node:
        """One more machine."""
        return self._start(f"--address={self.address}", f"--num-cpus={cpus}")

    def _start(self, *options: str) -> Node:
        node = Node(uuid.uuid4().hex)
        self.nodes.append(node)
        shared = (
            f"--node-ip-address={LOOPBACK}",
            f"--object-store-memory={100 * MB}",
            f"--memory={4000 * MB}",
        )
        quiet = {**QUIET, MARK: node.mark}
        ray = (sys.executable, "-c", START, "start")
        done = subprocess.run(
            [*ray, *options, *shared, "--num-gpus=0", "--disable-usage-stats"],
            env={**os.environ, **quiet},
            capture_output=True,
            text=True,
            timeout=90,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return node

    def listening(self) -> set[str]:
        """The addresses at which processes of the nodes can be reached, in the hexadecimal of /proc/net/tcp."""
        found = set()
        for pid in (pid for node in self.nodes for pid in node.processes()):
            sockets = {_link(file) for file in Path(f"/proc/{pid}/fd").glob("*")}
            for line in (_read(pid, "net/tcp") + _read(pid, "net/tcp6")).decode().splitlines():
                fields = line.split()
                if fields[3] == LISTENS and f"socket:[{fields[9]}]" in sockets:
                    found.add(fields[1].partition(":")[0])
        return found

    def stop(self) -> None:
        """Leaves no process."""
        for node in self.nodes:
            node.kill()


def _free_port(_attempt: int) -> int:
    with socket.socket() as free:
        free.bind((LOOPBACK, 0))
        return int(free.getsockname()[1])


def _link(file: Path) -> str:
    with suppress(OSError):
        return os.readlink(file)
    return ""


def _read(pid: int, file: str) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/{file}").read_bytes()
    return b""


def _mark_of(pid: int) -> str:
    marks = [v for v in _read(pid, "environ").split(b"\0") if v.startswith(MARK.encode() + b"=")]
    return marks[0].partition(b"=")[2].decode() if marks else ""
