"""What makes data this data, wherever its files lie and however their place is spelled."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Int32

from cnn_jax.errors import UserError, nearest

if TYPE_CHECKING:
    from cnn_jax.data.dataset import Split, Task


def identify(task: Task, splits: dict[str, Split]) -> dict[str, Any]:
    """Ordered class names, and of each split the number of examples and a hash, for JSON.

    The hash is of the labels and, of arrays, of the images before they are resized; of photographs,
    of their names in the source; of prepared records, of set, version and row.
    """
    return {
        "classes": [composed(name) for name in task.classes],
        "splits": {
            name: {"examples": len(split), "sha256": split_hash(split)}
            for name, split in splits.items()
        },
    }


def split_hash(split: Split) -> str:
    images = split.images if split.originals is None else split.originals
    digest = hashlib.sha256(split.labels.tobytes())
    if isinstance(images, np.ndarray):
        digest.update(f"{images.dtype} {images.shape} ".encode())
        digest.update(np.ascontiguousarray(images).data)
    else:
        names = [getattr(images.source, "set_name", "")] + example_names(split)
        digest.update("\0".join(names).encode(errors="surrogateescape"))
    return digest.hexdigest()


def example_names(split: Split) -> list[str]:
    """Of photographs and records, as their source calls them."""
    images = split.images if split.originals is None else split.originals
    return [composed(images.name(row)) for row in range(len(split))]


def label_map(
    theirs: Sequence[str], ours: Sequence[str], what: str, trained: str
) -> Int32[np.ndarray, " k"]:
    """Our label of each of their classes, which are told by name.

    Raises `UserError` for classes that we do not have: `what` has them, `trained` does not.
    """
    own = [*map(composed, ours)]
    unknown = [name for name in theirs if composed(name) not in own]
    if unknown:
        shown = ", ".join(own[:8]) + (", ..." if len(own) > 8 else "")
        raise UserError(
            f"{what} has {len(unknown)} class(es), {unknown[0]!r} the first"
            f"{nearest(unknown[0], own)}, that {trained} was not trained on; its {len(own)} are "
            f"{shown}"
        )
    return np.array([own.index(composed(name)) for name in theirs], np.int32)


def composed(name: str) -> str:
    """Systems differ in how they store accents."""
    return unicodedata.normalize("NFC", name)
