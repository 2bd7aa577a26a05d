"""A net's intermediate results over a split, by name, streamed to files and kept for the next time.

A folder of features holds one `.npy` a point of the net, float32 [N, C] where maps are pooled (the
mean of each) and [N, H, W, C] where they are whole; `labels.npy` and `ids.npy` in the same order;
and `features.json`, written last: without it the folder does not count.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.data.dataset import Split
from cnn_jax.data.loading.device_dataset import BatchSource
from cnn_jax.errors import UserError, nearest
from cnn_jax.models.variables import Tree, flatten
from cnn_jax.runtime import sharding
from cnn_jax.runtime.progress import ProgressBar
from cnn_jax.runtime.regular_files import read_json_object
from cnn_jax.runtime.sharding import Devices, InFlight
from cnn_jax.transfer import stage_names
from cnn_jax.transfer.freezing import stage_name

HEADER = "features.json"
ALL_STAGES = "all"


@dataclasses.dataclass(frozen=True)
class CapturePoints:
    """Where a net can be read: name -> shape of one example's result, from the image to the head.

    A name is a module's path or that of a pool between two.
    """

    shapes: dict[str, tuple[int, ...]]
    training_only: tuple[str, ...]  # heads that evaluation does not compute
    net: str = ""  # registered; its stages are known by their published names too

    @classmethod
    def of(cls, model: nn.Module, image_shape: tuple[int, ...], net: str = "") -> CapturePoints:
        """By an abstract trace: nothing is computed."""
        images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
        variables = jax.eval_shape(model.init, jax.random.key(0), images)
        shapes: dict[str, tuple[int, ...]] = {}

        def record_shapes(variables: Tree, images: jax.Array) -> jax.Array:
            output, captured = capture(model, variables, images, lambda *_: True)
            # The order of a traced dictionary is lost outside of the trace.
            shapes.update({name: value.shape[1:] for name, value in captured.items()})
            return output.logits

        jax.eval_shape(record_shapes, variables, images)
        called = {name.partition("/")[0] for name in shapes}
        training_only = (name for name in variables["params"] if name not in called)
        return cls(shapes, tuple(training_only), net)

    @property
    def top_level(self) -> list[str]:
        """Those that are no part of another."""
        return [name for name in self.shapes if "/" not in name]

    @property
    def stage_ends(self) -> list[str]:
        """The last point of every stage, without the head and what only prepares it."""
        by_stage = {stage_name(name): name for name in self.top_level if "Dropout" not in name}
        return list(by_stage.values())[:-1]

    def resolve(self, names: Iterable[str]) -> list[str]:
        """Names of points, of stages (their last point), or "all" (every stage's) as points."""
        out = []
        for name in names:
            if not isinstance(name, str):
                raise UserError(f"stage={name!r} is no name; choices: {self.choices()}")
            members = [point for point in self.top_level if stage_name(point) == name]
            heads = [head for head in self.training_only if name.partition("/")[0] == head]
            if name == ALL_STAGES:
                out += self.stage_ends
            elif name in self.shapes:
                out.append(name)
            elif members:
                out.append(members[-1])
            elif heads:
                raise UserError(f"stage={name!r} is a head that only training computes")
            else:
                out.append(self.resolve_published(name))
        return list(dict.fromkeys(out))

    def resolve_published(self, name: str) -> str:
        """The point that torchvision, timm or the paper calls `name`; raises `UserError`."""
        equal, before = stage_names.published_points(self.net)
        if (point := before.get(name)) in self.shapes:
            raise UserError(
                f"stage={name!r} is {point} and a non-linearity behind it, which is no point of "
                f"its own here: name {point}, and apply it"
            )
        if found := stage_names.find_point(name, self.shapes, equal):
            return found
        raise UserError(
            f"stage={name!r} is unknown{nearest(name, [*self.shapes, *equal])}; choices: "
            f"{self.choices()}"
        )

    def choices(self) -> str:
        """The names that a user is told of."""
        top = [point for point in self.top_level if "Dropout" not in point]
        names = dict.fromkeys([ALL_STAGES, *map(stage_name, top), *top])
        return ", ".join(names) + stage_names.hint(self.net)


def capture(
    model: nn.Module,
    variables: Tree,
    images: jax.Array,
    selects: Callable[[nn.Module, str], bool],
    mutable: Sequence[str] = (),
) -> tuple[Any, dict[str, jax.Array]]:
    """(output, intermediate results by name) of an evaluation.

    Of modules those that the filter `selects`; pools always. `mutable` are other collections that
    may change: "auxiliary" runs the training-only heads.
    """
    output, state = model.apply(
        variables,
        images,
        train=False,
        capture_intermediates=selects,
        mutable=["intermediates", *mutable],
    )
    sown = flatten(state.get("intermediates", {}))
    values = {name.removesuffix("/__call__"): calls[0] for name, calls in sown.items()}
    return output, {n: x for n, x in values.items() if n != "__call__" and hasattr(x, "shape")}


def at_points(points: Iterable[str]) -> Callable[[nn.Module, str], bool]:
    """The filter of `capture` that selects the modules at these paths."""
    paths = frozenset(points)
    return lambda module, method: method == "__call__" and "/".join(module.path) in paths


def make_extract_step(
    model: nn.Module,
    normalise: Callable[[jax.Array], jax.Array],
    points: Sequence[str],
    pooled: bool,
    devices: Devices,
) -> Callable[[Tree, BatchSource], dict[str, jax.Array]]:
    """(variables, source of a batch) -> {"id", and each point's float32 results}, compiled."""
    selects = at_points(points)

    def place(array: jax.Array) -> jax.Array:
        return jax.lax.with_sharding_constraint(array, devices.batch_sharding)

    def step(variables: Tree, source: BatchSource) -> dict[str, jax.Array]:
        batch = source.batch(jnp.int32(0), 0, place)
        images = normalise(batch["image"].astype(jnp.float32))
        _, captured = capture(model, variables, images, selects)
        out = {name: captured[name].astype(jnp.float32) for name in points}
        if pooled:
            out = {n: x.mean((1, 2)) if x.ndim == 4 else x for n, x in out.items()}
        return {"id": batch["id"], **out}

    return sharding.jit_forward(step, out_shardings=devices.replicated)


@dataclasses.dataclass(frozen=True)
class FeatureFolder:
    """A folder of features."""

    folder: Path

    @property
    def header(self) -> dict[str, Any]:
        """What features.json says; nothing where the folder is not whole."""
        try:
            return read_json_object(self.folder / HEADER)
        except (OSError, ValueError):
            return {}

    def path(self, point: str) -> Path:
        return self.folder / f"{point.replace('/', '.')}.npy"

    def read(self, point: str) -> np.ndarray:
        """One point's results [N, ...], mapped from the file."""
        return np.load(self.path(point), mmap_mode="r", allow_pickle=False)

    @property
    def labels(self) -> np.ndarray:
        return np.load(self.folder / "labels.npy", allow_pickle=False)

    @property
    def ids(self) -> np.ndarray:
        return np.load(self.folder / "ids.npy", allow_pickle=False)

    def write(
        self,
        step: Callable[[Tree, BatchSource], dict[str, jax.Array]],
        variables: Tree,
        batches: Iterable[tuple[BatchSource, np.ndarray]],
        split: Split,
        shapes: dict[str, tuple[int, ...]],
        about: dict[str, Any],
        max_in_flight: int = 2,
    ) -> None:
        """Adds points by one pass over a split, batch after batch to the disk.

        `shapes` are those of one example's results by point; `about` goes into the header, beside
        the points that the folder has by now.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        files = {}
        for point, shape in shapes.items():
            partial = self.path(point).with_suffix(".partial")
            whole = (len(split), *shape)
            files[point] = np.lib.format.open_memmap(partial, "w+", np.float32, whole)
        ids, in_flight, pending = [], InFlight(max_in_flight), []

        def write_batch(result: dict[str, jax.Array], mask: np.ndarray) -> None:
            result = jax.device_get(result)
            first = sum(map(len, ids))
            ids.append(result["id"][mask])
            for point, file in files.items():
                file[first : first + len(ids[-1])] = result[point][mask]

        with ProgressBar(f"features of {about.get('split', 'a split')}", len(split)) as bar:
            for source, mask in batches:
                pending.append((step(variables, source), mask))
                in_flight.add(pending[-1][0])
                if len(pending) > max_in_flight:
                    write_batch(*pending.pop(0))
                    bar.reach(sum(map(len, ids)))
            for result, mask in pending:
                write_batch(result, mask)
        if not np.array_equal(np.concatenate(ids), split.ids):
            raise RuntimeError("extraction did not see every example once")
        for point, file in files.items():
            file.flush()
            os.replace(self.path(point).with_suffix(".partial"), self.path(point))
        np.save(self.folder / "labels.npy", split.labels)
        np.save(self.folder / "ids.npy", split.ids)
        points = self.header.get("points", {}) | {
            point: {"file": self.path(point).name, "shape": [len(split), *shape]}
            for point, shape in shapes.items()
        }
        partial = self.folder / f"{HEADER}.partial"
        partial.write_text(json.dumps({**about, "points": points}, indent=1) + "\n")
        os.replace(partial, self.folder / HEADER)


def content_hash(split: Split) -> str:
    """Of a split's labels and ids, and of its images: streamed ones by name, size and time."""
    digest = hashlib.sha256(split.labels.tobytes() + split.ids.tobytes())
    if split.in_memory:
        digest.update(np.ascontiguousarray(split.images).data)
        return digest.hexdigest()
    source = split.images.source
    for row in range(len(split)):
        name = split.images.name(row)
        digest.update(name.encode())
        if root := getattr(source, "root", None):
            stat = Path(root, name).stat()
            digest.update(f"{stat.st_size} {stat.st_mtime_ns}".encode())
    return digest.hexdigest()


def cache_key(identity: dict[str, Any]) -> str:
    """A folder's name for what its features depend on."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:24]
