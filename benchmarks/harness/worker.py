"""A program that is measured from outside: another process, called by lines of JSON over its pipes.

The parent's side is `Worker`. The child calls `serve`; it needs no more than the standard library,
so that the interpreter of another framework can be one. Children are called one at a time: what
runs beside a measurement is not of our making.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
NO_VARIABLES: Mapping = MappingProxyType({})


class Times(NamedTuple):
    """How long something took: by wall time, and of all threads of the process."""

    seconds: float
    cpu_seconds: float


class Stopwatch:
    """A stopwatch that runs from its making on."""

    def __init__(self):
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def read(self) -> Times:
        return Times(time.perf_counter() - self.wall, time.process_time() - self.cpu)


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def peak_memory() -> int:
    """Bytes: the most that this process has had in memory."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def serve(calls: dict[str, Callable[..., Any]]) -> None:
    """Answers until the pipe closes. What a call prints goes to stderr, not into the answers."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    answers.write(json.dumps({"value": "ready"}) + "\n")
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"value": calls[request["call"]](**request["with"])}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}".strip().splitlines()[0]}
        answers.write(json.dumps(answer) + "\n")


class WorkerError(RuntimeError):
    """A call that failed, or a worker that died: the last line of what it said."""


class Worker:
    """A child process of the module `name`, run by the interpreter `python`.

    `environment` is added to this process's own. `start_seconds` is the time from its start to its
    first answer: interpreter and imports.
    """

    def __init__(
        self,
        name: str,
        *words: str,
        python: str = sys.executable,
        environment: Mapping[str, str] = NO_VARIABLES,
    ):
        self.stderr = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115 - kept open
        watch = Stopwatch()
        self.process = subprocess.Popen(
            [python, "-m", name, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.stderr,
            text=True,
            cwd=ROOT,
            env={**os.environ, **environment},
        )
        assert self.process.stdin
        assert self.process.stdout
        self.stdin, self.stdout = self.process.stdin, self.process.stdout
        try:
            self._answer()
        except WorkerError:
            self.close()
            raise
        self.start_seconds = watch.read().seconds

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def call(self, call: str, **arguments: Any) -> Any:
        """The value of one call; raises `WorkerError`."""
        with contextlib.suppress(BrokenPipeError):  # it has died: its answer says of what
            self.stdin.write(json.dumps({"call": call, "with": arguments}) + "\n")
            self.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """Ends the process: by the end of its input, or by force where it does not heed that."""
        with contextlib.suppress(BrokenPipeError):
            self.stdin.close()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.stdout.close()
        self.stderr.close()

    def _answer(self) -> Any:
        line = self.stdout.readline()
        if not line:
            status = self.process.wait()
            self.stderr.seek(0)
            lines = self.stderr.read().strip().splitlines()
            raise WorkerError(lines[-1] if lines else f"ended with status {status}")
        answer = json.loads(line)
        if "error" in answer:
            raise WorkerError(answer["error"])
        return answer["value"]
