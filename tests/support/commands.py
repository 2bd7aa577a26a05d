"""The real command `python -m cnn_jax.main ...` as processes of its own, started fast.

A server imports the libraries once and forks a process for every command: it has its own command
line, output, environment and exit status, and can be killed, but starts seconds sooner. Programs
compiled by one are read from a cache by the next.
"""

from __future__ import annotations

import atexit
import dataclasses
import functools
import multiprocessing
import os
import runpy
import shutil
import signal
import socket
import sys
import tempfile
from multiprocessing.process import BaseProcess
from pathlib import Path

from cnn_jax.ops.cpu_kernels.compile import library
from tests.support.quick_compilation import xla_flags

ROOT = Path(__file__).parents[2]
CONFIG = "tests/support/tiny_config.py"


@functools.cache
def scratch() -> Path:
    """A folder that goes with this process, made when it is asked for: forked ones have none."""
    folder = Path(tempfile.mkdtemp(prefix="cnn_jax_commands_"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(
    ["cnn_jax.train", "orbax.checkpoint", "matplotlib.pyplot", "sklearn.model_selection"]
)


@dataclasses.dataclass
class Command:
    """One process under way, with its output in files."""

    process: BaseProcess
    outputs: Path

    def wait(self, timeout: float = 240) -> int:
        """The exit status, as a shell has it."""
        self.process.join(timeout)
        if self.process.is_alive():
            self.kill()
            raise TimeoutError(f"no end after {timeout} s:\n{self.out}\n{self.err}")
        return self.status

    @property
    def status(self) -> int:
        code = self.process.exitcode
        return code if code >= 0 else 128 - code

    def send(self, signum: int) -> None:
        """Nothing happens to a process that has ended."""
        if self.process.is_alive():
            os.kill(self.process.pid, signum)

    def kill(self) -> None:
        self.send(signal.SIGKILL)
        self.process.join()

    @property
    def out(self) -> str:
        return (self.outputs / "out").read_text()

    @property
    def err(self) -> str:
        return (self.outputs / "err").read_text()


def start(
    *words: object,
    program: str = "cnn_jax.main",
    devices: int = 1,
    cwd: Path = ROOT,
    file_limit: int = 0,
    to_be_killed: bool = False,
    **variables: str,
) -> Command:
    """Starts `python -m program words...` with environment `variables`; or `python program.py`.

    `file_limit` is the size in bytes beyond which a write fails. Such a process, and one that is
    `to_be_killed`, reads compiled programs but writes none: half of one would harm the others.
    """
    library()  # on a machine where it is not kept yet, the command would say so, and be limited
    outputs = Path(tempfile.mkdtemp(dir=scratch()))
    for name in ("out", "err"):
        (outputs / name).touch()
    argv = [program, *map(str, words)]
    arguments = (argv, outputs, devices, cwd, file_limit, to_be_killed, variables)
    process = SERVER.Process(target=_run, args=arguments)
    process.start()
    return Command(process, outputs)


def _run(
    argv: list[str],
    outputs: Path,
    devices: int,
    cwd: Path,
    file_limit: int,
    to_be_killed: bool,
    variables: dict[str, str],
) -> None:
    import jax

    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(outputs / name, os.O_WRONLY), number)
    sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w", buffering=1)
    os.environ.update(variables)
    os.environ["XLA_FLAGS"] = xla_flags(devices)
    compiled = os.environ.get("CNN_JAX_TEST_CACHE", str(outputs.parent / "compiled"))
    jax.config.update("jax_compilation_cache_dir", compiled)
    write = 1e9 if file_limit or to_be_killed else 0.0  # seconds of compilation worth a write
    jax.config.update("jax_persistent_cache_min_compile_time_secs", write)
    os.chdir(cwd)
    if file_limit:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))
    sys.argv = argv
    if argv[0].endswith(".py"):
        runpy.run_path(argv[0], run_name="__main__")
    else:
        runpy.run_module(argv[0], run_name="__main__", alter_sys=True)


def together(words: list[str], processes: int = 2, **variables: str) -> list[Command]:
    """Several processes of one run."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    return [
        start(
            *words,
            "--distributed",
            JAX_COORDINATOR_ADDRESS=address,
            JAX_NUM_PROCESSES=str(processes),
            JAX_PROCESS_ID=str(index),
            **variables,
        )
        for index in range(processes)
    ]
