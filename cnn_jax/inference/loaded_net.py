"""A trained net with all that its use needs: what `cnn_jax.load` returns."""

from __future__ import annotations

import dataclasses
import functools
import numbers
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32
from ml_collections import ConfigDict

from cnn_jax.analysis import stages, tables
from cnn_jax.data.dataset import Task
from cnn_jax.data.images.decode import BadImageError
from cnn_jax.data.images.lazy_images import summarize_bad
from cnn_jax.errors import UserError, printable
from cnn_jax.inference.image_stream import (
    NamedImage,
    Prepared,
    batches,
    find_images,
    prepare_ahead,
)
from cnn_jax.inference.other_data import data_name, images_of, labelled_images
from cnn_jax.inference.predictions import Predictions, Report
from cnn_jax.inference.preparation import ImagePreparation
from cnn_jax.models.layers import Output
from cnn_jax.models.variables import Tree
from cnn_jax.runtime import sharding
from cnn_jax.runtime.malloc import give_freed_memory_back
from cnn_jax.runtime.progress import ProgressBar
from cnn_jax.training import losses, metrics, reporting
from cnn_jax.training.eval_step import OUTPUTS, mean_of_views
from cnn_jax.training.experiment import sliding
from cnn_jax.transfer.features import ALL_STAGES, CapturePoints, at_points, capture

if TYPE_CHECKING:
    from cnn_jax.inference.explanation import Explanation

BATCH_SIZE = 64
IN_FLIGHT = 1  # batches that are computed while others are read
TRIM_EVERY = 256  # images: what is freed in pieces between large blocks is given back


@dataclasses.dataclass(frozen=True, repr=False)
class LoadedNet:
    """A net, its weights, and the way from an image to its answer.

    On one device, whatever number of them it was trained on.
    """

    name: str  # registered
    model: nn.Module
    variables: dict[str, Tree]
    task: Task
    preparation: ImagePreparation
    config: ConfigDict  # of the run; of weights alone, one with their preprocessing and defaults
    source: str  # in words: where the weights are from

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.preparation.image_shape))
        what = f"{len(self.task.classes)} classes" if self.classes else self.task.unit or "a number"
        return printable(
            f"<{self.name}: {shape} to {what}, {self.preparation}; from {self.source}>"
        )

    @property
    def classes(self) -> tuple[str, ...]:
        """Their names, in the order of the outputs; none for a net that gives a number."""
        return self.task.classes

    @property
    def protocol(self) -> str:
        """How images are read: "single_crop", "ten_crop(256)", ..."""
        return str(self.preparation)

    def predict(self, images: Any, batch_size: int = BATCH_SIZE) -> Predictions:
        """Of arrays, Pillow images, paths, folders, or a sequence of such.

        Arrays are uint8, one image [H, W] or [H, W, C] or several [N, H, W, C]. Files that cannot
        be read are named on stderr and left out; `UserError` where that leaves none.
        """
        found, bad = find_images(images), {}
        parts = list(self.predict_batches(found, bad, batch_size))
        if bad and not parts:
            raise UserError(f"no image can be read: {summarize_bad([*bad.items()])}")
        if bad:
            line = f"warning: {len(bad)} of {len(found)} images left out: "
            print(printable(line + summarize_bad([*bad.items()])), file=sys.stderr)
        names = [name for part in parts for name in part.names]
        return Predictions(names, self.task, np.concatenate([p.outputs for p in parts]), bad)

    def predict_batches(
        self,
        images: Sequence[NamedImage],
        bad: dict[str, str],
        batch_size: int = BATCH_SIZE,
        on_bad: Callable[[str, str], None] = lambda name, reason: None,
    ) -> Iterator[Predictions]:
        """`predict`, a batch at a time: memory does not grow with the number of images.

        What cannot be read is put into `bad`, with the reason, and given to `on_bad`.
        """

        def note(name: str, error: BadImageError) -> None:
            bad[name] = str(error)
            on_bad(name, str(error))
            bar.advance()

        with ProgressBar("predicting", len(images)) as bar:
            for names, logits in self.run(self.logits_step, images, batch_size, note):
                yield Predictions(names, self.task, self.answers(logits))
                bar.advance(len(names))

    def answers(self, logits: np.ndarray) -> Float32[np.ndarray, "n k"]:
        """Probabilities, or numbers in the task's unit."""
        if self.task.kind == "regression":
            return (logits[:, :1] * self.task.std + self.task.mean).astype(np.float32)
        logits = logits[:, : len(self.classes)].astype(np.float64)
        shares = np.exp(logits - logits.max(-1, keepdims=True))
        return (shares / shares.sum(-1, keepdims=True)).astype(np.float32)

    def evaluate(
        self,
        data: str | os.PathLike | None = None,
        protocol: str | None = None,
        batch_size: int = BATCH_SIZE,
    ) -> Report:
        """The report of the net on `data`, by its own protocol unless another is given.

        `data` is named as `config.data.name` is: "folder:OTHER" for every image of a folder of
        class folders, which are told by name; a path is such a folder. A set that has splits is
        evaluated on its test split; None is the run's own. Raises `UserError` for classes that the
        net does not have.
        """
        own = self if protocol is None else self.by_protocol(protocol)
        data = None if data is None else data_name(data)
        labelled = labelled_images(self.config, self.task, data)

        def refuse(name: str, error: BadImageError) -> None:
            raise UserError(f"{name} cannot be used ({error}); mend or remove it")

        images, logits = images_of(labelled), []
        with ProgressBar("evaluating", len(images)) as bar:
            for names, part in own.run(own.logits_step, images, batch_size, refuse):
                logits.append(part)
                bar.advance(len(names))
        figures = own.figures(np.concatenate(logits), labelled.split.labels)
        names = (labelled.name, own.protocol, data or self.config.data.name)
        return Report(
            reporting.describe(self.config, self.task, figures, names, labelled.name_of)[0]
        )

    def figures(self, logits: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
        """What an evaluation keeps of every example."""
        outputs, truth = jnp.asarray(logits), jnp.asarray(labels)
        loss = losses.make_loss(self.config, self.task)(Output(outputs), truth)["loss"]
        kept = metrics.example_figures(self.task, outputs, truth)
        return jax.device_get({"label": truth, "loss": loss, OUTPUTS: outputs, **kept})

    def by_protocol(self, protocol: str) -> LoadedNet:
        """The same net that reads images by another protocol."""
        return dataclasses.replace(self, preparation=self.preparation.with_protocol(protocol))

    def features(
        self, stage: str, images: Any = None, pooled: bool = True, batch_size: int = BATCH_SIZE
    ) -> np.ndarray | dict[str, np.ndarray]:
        """float32 [N, C] at a stage, the mean of each map; [N, H, W, C] where not `pooled`.

        Of images as `predict` takes them, by the single crop; None is the test split of the run's
        own data. The stage "all" gives every stage's, by name.
        """
        points = self.points.resolve([stage])
        if images is None:
            images = images_of(labelled_images(self.config, self.task, None))
        else:
            images = find_images(images)
        single, parts = dataclasses.replace(self.preparation, protocol=None), []

        def refuse(name: str, error: BadImageError) -> None:
            raise UserError(f"{name} cannot be used ({error}); mend or remove it")

        step = self.features_step(tuple(points), pooled)
        with ProgressBar("features", len(images)) as bar:
            own = dataclasses.replace(self, preparation=single)
            for names, part in own.run(step, images, batch_size, refuse):
                parts.append(part)
                bar.advance(len(names))
        out = {point: np.concatenate([part[point] for part in parts]) for point in points}
        return out if stage == ALL_STAGES else out[points[0]]

    def explain(
        self, image: Any, stage: str = "", classes: Sequence[str] = (), top: int = 1
    ) -> Explanation:
        """Where the net looked in one image, as `predict` takes it: Grad-CAM at a stage.

        Of the classes named, or the `top` likeliest. The stage is named as here, by torchvision,
        timm or the paper; "" is the last that has maps. Raises `UserError`.
        """
        from cnn_jax.inference.explanation import explain  # which knows this class

        return explain(self, image, stage, classes, top)

    @functools.cached_property
    def points(self) -> CapturePoints:
        """Where the net can be read."""
        return CapturePoints.of(self.model, self.preparation.image_shape, self.name)

    def summary(self) -> None:
        """Prints the net stage by stage."""
        summary = stages.summarize(self.model, self.preparation.image_shape)
        tables.print_table(tables.STAGE_COLUMNS, [tables.stage_row(x) for x in summary.stages])
        print("\n" + "\n".join(tables.totals(summary, None)))
        print(f"\n{self!r}")

    def run(
        self,
        step: Callable[..., Any],
        images: Sequence[NamedImage],
        batch_size: int,
        on_bad: Callable[[str, BadImageError], None],
    ) -> Iterator[tuple[list[str], Any]]:
        """(names, what `step` gives of them) batch after batch, read ahead of the device."""
        if not isinstance(batch_size, numbers.Integral) or batch_size < 1:
            raise UserError(f"batch_size={batch_size!r} is out of range: choose a number >= 1")
        size = max(1, min(batch_size, len(images)) // self.preparation.views)
        waiting: list[tuple[Prepared, Any]] = []

        def taken() -> tuple[list[str], Any]:
            batch, result = waiting.pop(0)
            count = len(batch.names)
            return batch.names, jax.tree.map(lambda x: x[:count], jax.device_get(result))

        prepared = batches(prepare_ahead(images, self.preparation), size, on_bad)
        for number, batch in enumerate(prepared, 1):
            waiting.append((batch, step(self.variables, batch.groups)))
            if len(waiting) > IN_FLIGHT:
                yield taken()
            if number == 1 or number * size % TRIM_EVERY < size:  # the first has compiled
                give_freed_memory_back()
        while waiting:
            yield taken()

    @functools.cached_property
    def logits_step(self) -> Callable[..., jax.Array]:
        """(variables, groups of uint8 views) -> logits [B, K], compiled.

        Of a protocol the logarithms of the mean probabilities.
        """
        by_views = self.preparation.protocol is not None
        slides = self.preparation.protocol is not None and self.preparation.protocol.slides
        model = sliding(self.model) if slides else self.model
        normalise = self.preparation.normalise

        def apply(variables: Tree, images: jax.Array) -> jax.Array:
            output: Any = model.apply(variables, images, train=False)
            return output.logits

        def logits(variables: Tree, groups: tuple[jax.Array, ...]) -> jax.Array:
            if by_views:
                return mean_of_views(lambda x: apply(variables, normalise(x)), groups)
            return apply(variables, normalise(groups[0].astype(jnp.float32))).astype(jnp.float32)

        return sharding.jit_forward(logits)

    def features_step(
        self, points: tuple[str, ...], pooled: bool
    ) -> Callable[..., dict[str, jax.Array]]:
        """(variables, groups of one uint8 view) -> results by point, compiled."""
        selects, normalise = at_points(points), self.preparation.normalise

        def features(variables: Tree, groups: tuple[jax.Array, ...]) -> dict[str, jax.Array]:
            images = normalise(groups[0].astype(jnp.float32))
            _, captured = capture(self.model, variables, images, selects)
            out = {name: captured[name].astype(jnp.float32) for name in points}
            return {n: x.mean((1, 2)) if pooled and x.ndim == 4 else x for n, x in out.items()}

        return sharding.jit_forward(features)
