"""Lookahead: weights that are pulled back to their own moving average every few steps.

Zhang, Lucas, Hinton, Ba 2019, "Lookahead optimizer: k steps forward, 1 step back"; with the rising
decay of Jordan 2024, "94% on CIFAR-10 in 3.29 seconds on a single GPU", sec. 3.4, and his code.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from cnn_jax.data.transform_spec import parse_spec
from cnn_jax.errors import UserError, out_of_range, within
from cnn_jax.models.variables import Tree
from cnn_jax.runtime.clock import Clock

LIMITS = {
    "every_steps": ">= 1",
    "decay": ">= 0 and < 1",
    "power": ">= 0",
    "from_epoch": ">= 0",
}


@dataclasses.dataclass(frozen=True)
class Lookahead:
    """Slow weights, of which training goes on every `every_steps` steps, and which are evaluated.

    Up to step `first` they are the fast ones.
    """

    every_steps: int
    decay: float  # of `every_steps` steps, at the end of the run
    power: float
    first: int
    total_steps: int

    def __call__(self, step: jax.Array, fast: Tree, slow: Tree) -> tuple[Tree, Tree]:
        """(fast, slow) weights after `step` updates, from the fast ones then and the slow before.

        The slow ones become rho slow + (1 - rho) fast, rho = decay (step / total) ** power.
        """
        follows = step <= self.first
        meets = jnp.logical_not(follows) & (step % self.every_steps == 0)
        rho = self.decay * (step / self.total_steps).astype(jnp.float32) ** self.power

        def new_slow(f: jax.Array, s: jax.Array) -> jax.Array:
            return jnp.where(follows, f, jnp.where(meets, s + (1 - rho) * (f - s), s))

        slow = jax.tree.map(new_slow, fast, slow)
        return jax.tree.map(lambda f, s: jnp.where(meets, s, f), fast, slow), slow


def lookahead(
    every_steps: int = 5, decay: float = 0.95, power: float = 3.0, from_epoch: float = 3.0
) -> dict[str, float]:
    """The numbers of `config.lookahead`; `decay` is of one step."""
    return {"every_steps": every_steps, "decay": decay, "power": power, "from_epoch": from_epoch}


def check(config: ConfigDict) -> None:
    """Raises `UserError` for a `config.lookahead` that says nothing, or beside another average."""
    text = config.get("lookahead")
    if not text:
        return
    numbers = parse_spec("lookahead", text, {"lookahead": lookahead}, leading=0).arguments
    for key, limits in LIMITS.items():
        if not within(numbers[key], limits):
            raise out_of_range(f"lookahead={text!r}: {key}", numbers[key], limits)
    others = {
        "average_decay": (config.average_decay, "average_decay=0.0"),
        "optimizer.name": (
            config.optimizer.name == "schedule_free" and "schedule_free",
            "optimizer.name='nesterov'",
        ),
    }
    for key, (value, choice) in others.items():
        if value:
            raise UserError(
                f"{key}={value!r} averages the weights, and lookahead={text!r} does: choose "
                f"{choice}, or leave lookahead out"
            )


def make_lookahead(config: ConfigDict, clock: Clock) -> Lookahead | None:
    """That of a config, None where it has none."""
    text = config.get("lookahead")
    if not text:
        return None
    check(config)
    numbers = parse_spec("lookahead", text, {"lookahead": lookahead}, leading=0).arguments
    every = int(numbers["every_steps"])
    first = (clock.step_at(numbers["from_epoch"]) // every + 1) * every
    return Lookahead(
        every, numbers["decay"] ** every, float(numbers["power"]), first, clock.total_steps
    )
