"""One image at a time for a page: the likeliest classes, and where the net looked for each."""

from __future__ import annotations

import base64
import dataclasses
import io
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from cnn_jax.analysis.explanations import grad_cam as cam
from cnn_jax.data.images.decode import decode
from cnn_jax.data.images.resize import Image
from cnn_jax.data.images.room import in_room
from cnn_jax.errors import UserError
from cnn_jax.inference.loaded_net import LoadedNet

TOP = 5
WARM, OPAQUE = (255, 72, 0), 190  # of a map where it is highest: its colour, and alpha of 255


@dataclasses.dataclass(frozen=True)
class Answerer:
    """A net, the stage whose maps are shown (none of a dense net), and what an image may hold."""

    net: LoadedNet
    stage: str | None
    maps_of: Callable[..., np.ndarray] | None
    max_pixels: int

    @classmethod
    def of(cls, net: LoadedNet, max_pixels: int) -> Answerer:
        """Compiled when the first image comes; see `warm_up`."""
        try:
            if net.task.kind == "regression":
                raise UserError("a number has no class whose maps could be weighed")
            stage = cam.choose_stage(cam.map_shapes(net.model, net.preparation.image_shape))
        except UserError:
            return cls(net, None, None, max_pixels)
        return cls(net, stage, cam.compiled(cam.grad_cam, stage), max_pixels)

    def warm_up(self) -> None:
        """Compiles, so that the first image does not wait for it."""
        self.answer_pixels(np.zeros((*self.net.preparation.image_shape[:2], 3), np.uint8))

    def __call__(self, content: bytes) -> dict[str, Any]:
        """Of an encoded image; raises `BadImageError`."""
        own = self.net.preparation
        with in_room(lambda _: content, self.max_pixels, own.min_side) as (_, header):
            return self.answer_pixels(decode(content, own.min_side, header=header))

    def answer_pixels(self, pixels: Image) -> dict[str, Any]:
        """uint8 [H, W, 3] -> what the page shows, as JSON holds it."""
        net = self.net
        groups = tuple(view[None] for view in net.preparation(pixels))
        outputs = net.answers(np.asarray(net.logits_step(net.variables, groups)))[0]
        seen = net.preparation.resize(pixels)
        record: dict[str, Any] = {"image": data_url(seen), "stage": self.stage}
        if net.task.kind == "regression":
            return record | {"value": float(outputs[0]), "unit": net.task.unit}
        order = np.argsort(-outputs, kind="stable")[:TOP]
        top = [{"class": net.classes[i], "probability": float(outputs[i])} for i in order]
        for row, over in zip(top, self.overlays(seen, order), strict=False):
            row["map"] = over
        return record | {"top": top}

    def overlays(self, seen: Image, classes: np.ndarray) -> list[str]:
        """A picture for each class, transparent where its Grad-CAM is zero."""
        if self.maps_of is None:
            return []
        images = jnp.repeat(jnp.asarray(seen, jnp.float32)[None], len(classes), 0)
        images = self.net.preparation.normalise(images)
        maps = self.maps_of(self.net.model, self.net.variables, images, classes)
        return [data_url(warm(one)) for one in cam.enlarge(maps, *seen.shape[:2])]


def warm(values: np.ndarray) -> np.ndarray:
    """[H, W] >= 0 -> uint8 [H, W, 4]: one colour, as opaque as the map is high."""
    share = np.clip(values / max(float(values.max()), 1e-12), 0, 1)
    out = np.empty((*values.shape, 4), np.uint8)
    out[..., :3], out[..., 3] = WARM, np.round(OPAQUE * share)
    return out


def data_url(pixels: np.ndarray) -> str:
    """A PNG in the text of a page."""
    from PIL import Image as PillowImage

    stream = io.BytesIO()
    PillowImage.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(stream, "PNG")
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"
