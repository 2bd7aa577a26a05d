"""PyTorch's modes as sides that take turns: who runs them, and how its threads wait."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import sys
from collections.abc import Sequence

from cnn_jax.errors import UserError, unknown
from experiments.speed_cases import ON_CPU
from experiments.speed_table import seconds
from experiments.turns import Pace, Side, measure
from experiments.worker import WorkerError

WORKER = "experiments.torch_worker"
MODES = {  # name -> what the worker is told
    "eager": {"compiled": False, "channels_last": False},
    "eager channels_last": {"compiled": False, "channels_last": True},
    "compiled": {"compiled": True, "channels_last": False},
    "compiled channels_last": {"compiled": True, "channels_last": True},
}
CPU_MODES = ("eager", "eager channels_last", "compiled")  # compiling chooses layouts of its own
GPU_MODES = ("eager channels_last", "compiled channels_last")


def torch_side(python: str, setup: str) -> Side:
    """By the interpreter `python`, or this one; raises `UserError` where it has no PyTorch.

    `setup` is a program that it must run first, or "".
    """
    if not python and importlib.util.find_spec("torch") is None:
        raise UserError(
            "--against=torch needs PyTorch: pip install -e '.[torch]', or name an interpreter "
            "that has it by --torch_python"
        )
    words = (os.path.abspath(setup),) if setup else ()
    side = Side((WORKER, *words), {}, python or sys.executable, may_fail=True)
    try:
        side.worker().close()
    except (OSError, WorkerError) as error:
        raise UserError(f"--against=torch: {side.python} cannot run it: {error}") from error
    return side


def torch_modes(side: Side, names: Sequence[str], pace: Pace | None) -> dict[str, Side]:
    """Those of `MODES` that are named; given a pace, with the better way to wait on this CPU."""
    for name in names:
        if name not in MODES:
            raise unknown("--torch_modes", name, MODES)
    if pace is not None:
        side = dataclasses.replace(side, environment={"OMP_WAIT_POLICY": waiting(side, pace)})
    return {name: dataclasses.replace(side, arguments=MODES[name]) for name in names}


def waiting(side: Side, pace: Pace) -> str:
    """How threads should wait for each other here, as the environment calls it.

    By default they spin, which is the faster on an idle machine, and several times slower where
    others use the cores too: whichever trains LeNet-5 the faster by the wall is taken.
    """
    eager = dataclasses.replace(side, arguments=MODES["eager"]).at("train")
    sides = {
        policy: dataclasses.replace(eager, environment={"OMP_WAIT_POLICY": policy})
        for policy in ("ACTIVE", "PASSIVE")
    }
    found = measure(ON_CPU[0], sides, pace)["sides"]
    return min(found, key=lambda policy: seconds(found[policy], "wall"))
