"""Where a loaded net looked in an image: what `LoadedNet.explain` returns."""

from __future__ import annotations

import dataclasses
import functools
import html
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32

from cnn_jax.analysis.explanations import grad_cam as cam
from cnn_jax.data.images.decode import BadImageError
from cnn_jax.data.images.resize import Image
from cnn_jax.errors import UserError, unknown
from cnn_jax.inference.answering import data_url, warm
from cnn_jax.inference.image_stream import find_images

if TYPE_CHECKING:
    from cnn_jax.inference.loaded_net import LoadedNet


@dataclasses.dataclass(frozen=True, repr=False)
class Explanation:
    """Grad-CAM of one image for some classes; shows itself in a notebook."""

    image: Image  # uint8 [H, W, C], as the net saw it
    stage: str  # whose maps were weighed
    classes: tuple[str, ...]
    probabilities: Float32[np.ndarray, " k"]
    maps: Float32[np.ndarray, "k h w"]  # >= 0, of the image's size

    def __repr__(self) -> str:
        pairs = zip(self.classes, self.probabilities, strict=True)
        answers = ", ".join(f"{name} {share:.1%}" for name, share in pairs)
        return f"<Grad-CAM at {self.stage}: {answers}>"

    def _repr_html_(self) -> str:
        """The image under each class's map."""
        seen, height = data_url(self.image), max(160, self.image.shape[0])
        place = "position:absolute;inset:0;width:100%;height:100%;image-rendering:pixelated"
        cells = []
        for name, share, values in zip(self.classes, self.probabilities, self.maps, strict=True):
            layers = "".join(
                f'<img src="{x}" style="{place}">' for x in (seen, data_url(warm(values)))
            )
            cells.append(
                f'<figure style="display:inline-block;margin:4px"><div style="position:relative;'
                f'width:{height}px;height:{height}px">{layers}</div>'
                f"<figcaption>{html.escape(name)} {share:.1%}</figcaption></figure>"
            )
        return f"<div>{''.join(cells)}<br>Grad-CAM at {html.escape(self.stage)}</div>"


@functools.cache
def maps_at(stage: str) -> Callable[..., np.ndarray]:
    """Compiled once a stage and net."""
    return cam.compiled(cam.grad_cam, stage)


def explain(
    net: LoadedNet, image: Any, stage: str, classes: Sequence[str], top: int
) -> Explanation:
    """See `LoadedNet.explain`."""
    if net.task.kind == "regression":
        raise UserError("a number has no class whose maps could be weighed")
    shapes = cam.map_shapes(net.model, net.preparation.image_shape)
    stage = cam.choose_stage(shapes, stage, net.name)
    if isinstance(classes, str) or not isinstance(classes, Sequence):
        raise UserError(f"classes={classes!r}: a list of names is wanted")
    for name in classes:
        if name not in net.classes:
            raise unknown("classes", name, net.classes)
    found = find_images(image)
    if len(found) != 1:
        raise UserError(f"images: {len(found)} were given, and one is explained at a time")
    single = dataclasses.replace(
        net, preparation=dataclasses.replace(net.preparation, protocol=None)
    )
    try:
        (seen,) = found[0].views(single.preparation)
    except BadImageError as error:
        raise UserError(f"{found[0].name} cannot be used ({error})") from error
    shares = single.answers(np.asarray(single.logits_step(net.variables, (seen[None],))))[0]
    rows = [net.classes.index(name) for name in classes]
    rows = np.array(rows or np.argsort(-shares, kind="stable")[:top])
    images = jnp.repeat(jnp.asarray(seen, jnp.float32)[None], len(rows), 0)
    maps = maps_at(stage)(net.model, net.variables, net.preparation.normalise(images), rows)
    names = tuple(net.classes[row] for row in rows)
    return Explanation(seen, stage, names, shares[rows], cam.enlarge(maps, *seen.shape[:2]))
