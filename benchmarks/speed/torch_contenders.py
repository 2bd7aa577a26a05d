"""PyTorch's modes as contenders: who runs them, and how its threads wait."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import sys
from collections.abc import Sequence

from benchmarks.harness.interleave import Contender, Rounds
from benchmarks.harness.worker import WorkerError
from benchmarks.speed.cases import ON_CPU
from benchmarks.speed.contenders import measure
from benchmarks.speed.table import seconds
from cnn_jax.errors import UserError, unknown

WORKER = "benchmarks.speed.torch_worker"
MODES = {  # name -> what the worker is told
    "eager": {"compiled": False, "channels_last": False},
    "eager channels_last": {"compiled": False, "channels_last": True},
    "compiled": {"compiled": True, "channels_last": False},
    "compiled channels_last": {"compiled": True, "channels_last": True},
}
CPU_MODES = ("eager", "eager channels_last", "compiled")  # compiling chooses layouts of its own
GPU_MODES = ("eager channels_last", "compiled channels_last")


def torch_contender(python: str, setup: str) -> Contender:
    """By the interpreter `python`, or this one; raises `UserError` where it has no PyTorch.

    `setup` is a program that it must run first, or "".
    """
    if not python and importlib.util.find_spec("torch") is None:
        raise UserError(
            "--against=torch needs PyTorch: pip install -e '.[torch]', or name an interpreter "
            "that has it by --torch_python"
        )
    words = (os.path.abspath(setup),) if setup else ()
    contender = Contender((WORKER, *words), {}, python or sys.executable, may_fail=True)
    try:
        contender.worker().close()
    except (OSError, WorkerError) as error:
        raise UserError(f"--against=torch: {contender.python} cannot run it: {error}") from error
    return contender


def torch_modes(
    contender: Contender, names: Sequence[str], rounds: Rounds | None
) -> dict[str, Contender]:
    """Those of `MODES` that are named; given rounds, with the better way to wait on this CPU."""
    for name in names:
        if name not in MODES:
            raise unknown("--torch_modes", name, MODES)
    if rounds is not None:
        environment = {"OMP_WAIT_POLICY": wait_policy(contender, rounds)}
        contender = dataclasses.replace(contender, environment=environment)
    return {name: dataclasses.replace(contender, arguments=MODES[name]) for name in names}


def wait_policy(contender: Contender, rounds: Rounds) -> str:
    """How threads should wait for each other here, as the environment calls it.

    By default they spin, which is the faster on an idle machine, and several times slower where
    others use the cores too: whichever trains LeNet-5 the faster by wall time is taken.
    """
    eager = dataclasses.replace(contender, arguments=MODES["eager"]).at("train")
    contenders = {
        policy: dataclasses.replace(eager, environment={"OMP_WAIT_POLICY": policy})
        for policy in ("ACTIVE", "PASSIVE")
    }
    results = measure(ON_CPU[0], contenders, rounds)["contenders"]
    return min(results, key=lambda policy: seconds(results[policy], "wall"))
