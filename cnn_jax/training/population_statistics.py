"""BatchNorm's statistics over images of the trained net, in place of those that training averaged.

As in the release of He et al. 2015 (README, "the average, not moving average, on a sufficiently
large training batch after the training procedure") and in Ioffe & Szegedy 2015, algorithm 2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import unflatten_dict

from cnn_jax.data.dataset import Split
from cnn_jax.data.loading.device_dataset import BatchSource
from cnn_jax.data.loading.loaders import ReadOptions, eval_loader
from cnn_jax.errors import UserError
from cnn_jax.models.layers.batch_norm import BatchNorm
from cnn_jax.models.variables import Tree, flatten
from cnn_jax.runtime.progress import ProgressBar
from cnn_jax.runtime.rng_streams import rng_stream
from cnn_jax.runtime.sharding import Devices, jit_forward
from cnn_jax.training.compiled_steps import map_stats
from cnn_jax.training.train_state import TrainState
from cnn_jax.training.train_step import TrainStepSpec, Variables


def images_taken(count: int, examples: int, batch_size: int) -> int:
    """Of so many `examples`, for `count` asked: whole batches, one at least; 0 where 0 are."""
    return max(1, min(count, examples) // batch_size) * batch_size if count else 0


def population_statistics(
    state: TrainState,
    spec: TrainStepSpec,
    split: Split,
    devices: Devices,
    count: int,
    batch_size: int,
    options: ReadOptions,
) -> dict[str, np.ndarray]:
    """By path, over `count` images, whole batches, of the training `split`; see `replaced`.

    They are drawn by the seed, and seen without augmentation and dropout.
    A norm that was held to its population statistics to the end keeps them.
    """
    if not jax.tree.leaves(state.variables["batch_stats"]):
        refuse(count, spec.model)
    draw = np.random.default_rng(spec.seed).permutation(len(split))[:count]
    held = spec.plan.phases[-1].norms

    def moments(state: TrainState, source: BatchSource) -> Tree:
        batch = source.batch(state.step, batch_size, devices.shard_batch)
        if devices.replicas > 1:
            state = map_stats(lambda s: s.mean(0), state)
        images = spec.normalise(batch["image"].astype(jnp.float32))
        return batch_moments(spec, state.variables, images, held)

    step, found = jit_forward(moments, out_shardings=devices.replicated), []
    loader = eval_loader(split.take(draw), devices, batch_size, options)
    with ProgressBar("population statistics", total=count // batch_size) as bar:
        for source, _ in loader:
            found.append(jax.device_get(step(state, source)))
            bar.advance()
    return pooled(found)


def refuse(count: int, model: nn.Module) -> None:
    """Raises `UserError` where any are asked of a net that has no BatchNorm."""
    if count:
        name = type(model).__name__
        raise UserError(
            f"population_statistics={count}: {name} has no BatchNorm as it is configured; choose 0"
        )


def batch_moments(
    spec: TrainStepSpec, variables: Variables, images: jax.Array, held: frozenset[str]
) -> Tree:
    """Mean and biased variance of what each BatchNorm sees, as the net's `batch_stats`.

    Each normalises by them, all else is as in evaluation. Those that are `held` keep theirs.
    """

    def intercept(call: Callable, args: Any, kwargs: Any, context: Any) -> Any:
        module = context.module
        alone = not module.path
        if alone or not isinstance(module, BatchNorm) or "/".join(module.path) in held:
            return call(*args, **kwargs)
        # A copy that stands alone, so that it is not caught again; its running statistics become
        # the batch's.
        of_batch = module.clone(parent=None, use_running_average=False, momentum=0.0)
        y, new = of_batch.apply(module.variables, *args, **kwargs, mutable=["batch_stats"])
        for name, value in new["batch_stats"].items():
            module.put_variable("batch_stats", name, value)
        return y

    with nn.intercept_methods(intercept):
        rngs = {"dropout": rng_stream(spec.seed, "dropout")}
        _, new = spec.apply(variables, images, train=False, rngs=rngs, mutable=["batch_stats"])
    return new["batch_stats"]


def pooled(found: list[Tree]) -> dict[str, np.ndarray]:
    """Mean and variance over all batches, of those over each, by path."""
    flat = [flatten(tree) for tree in found]
    stacks = {path: np.stack([np.float64(tree[path]) for tree in flat]) for path in flat[0]}
    out = {}
    for path, stack in stacks.items():
        out[path] = stack.mean(0)
        if path.endswith("/var"):
            means = stacks[path.removesuffix("var") + "mean"]
            out[path] += np.square(means - means.mean(0)).mean(0)
    return out


def replaced(state: TrainState, values: dict[str, np.ndarray]) -> TrainState:
    """The state with these statistics, wherever it has some, on every replica the same."""

    def fill(stats: Tree) -> Tree:
        leaves = flatten(stats)
        new = {
            path: jax.device_put(
                np.broadcast_to(values[path].astype(leaf.dtype), leaf.shape), leaf.sharding
            )
            for path, leaf in leaves.items()
            if path in values
        }
        return unflatten_dict(leaves | new, sep="/")

    def fill_in(variables: Tree) -> Tree:
        return variables and {**variables, "batch_stats": fill(variables["batch_stats"])}

    return state.replace(
        batch_stats=fill(state.batch_stats),
        ema_variables=fill_in(state.ema_variables),
        frozen=fill_in(state.frozen),
    )
