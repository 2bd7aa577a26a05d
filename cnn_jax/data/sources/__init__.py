"""Where images come from: each file gives an `ImageSource`, chosen by `config.data.name`."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from cnn_jax.data.dataset import EncodedSource
from cnn_jax.data.sources import image_folder, official, sklearn_digits
from cnn_jax.data.sources.array_source import ArraySource
from cnn_jax.errors import UserError, unknown

EMBEDDED: dict[str, Callable[[], ArraySource]] = {
    "digits": sklearn_digits.digits,
    "digits_angle": sklearn_digits.digits_angle,
}
REGISTERED: dict[str, Callable[[], ArraySource | EncodedSource]] = {}  # by users
IMAGENET = "imagenet2012"
GIVEN = "given"  # what a run calls the dataset that it got from Python


def names() -> list[str]:
    """Every dataset that `config.data.name` may name."""
    return [*EMBEDDED, *official.SETS, *REGISTERED, IMAGENET, "folder:PATH", "tfds:NAME"]


def register(name: str, open_source: Callable[[], ArraySource | EncodedSource]) -> None:
    """Adds a dataset under a name of its own, from any file: `--config=lenet5:NAME` takes it.

    `open_source` is called where the data is loaded, and may take its time. Raises `UserError` for
    a name that is taken, or is none.
    """
    taken = {word.partition(":")[0] for word in names()} - {*REGISTERED}
    if name in {*taken, GIVEN} or REGISTERED.get(name, open_source) is not open_source:
        raise UserError(f"the name {name!r} of a dataset is taken: choose another")
    if not isinstance(name, str) or not re.fullmatch(r"\w+", name):
        raise UserError(f"the name {name!r} of a dataset: choose letters, digits and _")
    if not callable(open_source):
        raise UserError(
            f"dataset {name!r}: a function that gives the source is wanted: lambda: source"
        )
    REGISTERED[name] = open_source


def open_source(config: ConfigDict) -> ArraySource | EncodedSource:
    """The source that `config.name` names; raises `UserError` where there is none."""
    kind, _, argument = config.name.partition(":")
    if kind in EMBEDDED:
        return EMBEDDED[kind]()
    if config.name in REGISTERED:
        return checked_source(REGISTERED[config.name](), f"data.name={config.name!r}")
    if kind == GIVEN:
        raise UserError(
            "data.name='given': this run got its dataset from Python, and has no name for it; name "
            "other data, or give it there again"
        )
    if kind in official.SETS:
        return official.read(kind, config.dir, config.download, config.mirror)
    if kind == "folder":
        return image_folder.list_folder(argument)
    if kind == IMAGENET:
        return open_imagenet(config, argument)
    if kind == "tfds":
        return open_prepared(argument, config.dir)
    raise unknown("data.name", config.name, names())


def checked_source(source: Any, label: str) -> ArraySource | EncodedSource:
    """`source`; raises `UserError` for anything that is none, which users give."""
    if all(hasattr(source, name) for name in ("task", "labels", "splits")):
        return source
    raise UserError(
        f"{label}: a {type(source).__name__} is no source of images: "
        "cnn_jax.data.from_arrays(images, labels) makes one"
    )


def open_imagenet(config: ConfigDict, prepared: str) -> EncodedSource:
    """ImageNet as folders of images, or as prepared by tensorflow-datasets."""
    folder, prepared = Path(config.dir).expanduser() / IMAGENET, prepared or IMAGENET
    if (folder / "train").is_dir():
        return image_folder.list_folder(str(folder))
    if not (folder.parent / prepared).is_dir():
        raise UserError(
            f"data.name={config.name!r}: data.dir={config.dir!r} holds neither a folder "
            f"{IMAGENET}/ with train/ and val/ of class folders nor a set prepared by "
            "tensorflow-datasets; the images are not free to download: see image-net.org"
        )
    return open_prepared(prepared, config.dir)


def open_prepared(name: str, data_dir: str) -> EncodedSource:
    from cnn_jax.data.sources import tfds_records  # slow to import, and an extra

    return tfds_records.open_prepared(name, data_dir)
