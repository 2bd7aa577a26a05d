"""Published weights by name, "resnet50.tv_in1k": fetched once, held to their hash, converted, kept.

The names are timm's, of its repositories at Hugging Face, whose net is one of ours. The table
`pretrained.csv` has what timm says of each (its pretrained configurations and
results-imagenet.csv): top-1 and top-5 of the 50,000 validation images, by the middle crop of
`image_size` pixels after the shorter side was resized to `resize`, or, where `resize` is 0, of the
whole image squashed to a square.
"""

from __future__ import annotations

import csv
import dataclasses
import functools
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cnn_jax import models
from cnn_jax.data import imagenet
from cnn_jax.errors import UserError, unknown
from cnn_jax.runtime.json_shape import check_shape
from cnn_jax.runtime.progress import ProgressBar
from cnn_jax.runtime.regular_files import read_json_object
from cnn_jax.runtime.stores.copies import local_copy
from cnn_jax.transfer.weights import DESCRIPTION, TENSORS, sha256

TABLE = Path(__file__).with_name("pretrained.csv")
SITE = "https://huggingface.co"  # unless HF_ENDPOINT names a mirror
FILE = "model.safetensors"
CACHE = "~/.cache/cnn_jax/weights"  # unless CNN_JAX_WEIGHTS names another folder
TIMEOUT = 30  # seconds without an answer or a byte
LARGEST = 2 << 30  # bytes; the largest file has a third of it
NAME = re.compile(r"[a-z0-9_]+\.[a-z0-9_]+")
TENSORFLOW_PADDING = (
    "it pads unevenly, as TensorFlow does, and ours evenly: timm's {} is our net (cnn_jax weights)"
)
# Nets of other libraries that are called as ours and are others, and what to do instead.
OTHER_FORMS = {
    "googlenet": "torchvision's GoogLeNet has 3x3 convolutions for the paper's 5x5, BatchNorm and "
    "no LRN: import its file with --model=googlenet_torchvision",
    "alexnet": "torchvision's AlexNet has one tower and no LRN: import its file with "
    "--model=alexnet_torchvision",
    **{f"tf_efficientnet_b{i}": TENSORFLOW_PADDING.format("efficientnet_b5") for i in (6, 7)},
    **{f"tf_efficientnet_b{i}": TENSORFLOW_PADDING.format(f"efficientnet_b{i}") for i in range(6)},
    "tf_mobilenetv3_large_100": TENSORFLOW_PADDING.format("mobilenetv3_large_100"),
    "tf_mobilenetv3_small_100": TENSORFLOW_PADDING.format("mobilenetv3_small_100"),
}


@dataclasses.dataclass(frozen=True)
class Pretrained:
    """One row of the table."""

    name: str
    model: str
    licence: str
    top1: float  # percent
    top5: float
    image_size: int
    resize: int
    interpolation: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    megaparameters: float

    @property
    def net(self) -> str:
        """As timm calls it."""
        return self.name.partition(".")[0]

    @property
    def protocol(self) -> str:
        """How the figure was measured, in words."""
        cut = f"middle {self.image_size} of {self.resize}"
        whole = f"squashed to {self.image_size}"
        return f"{cut if self.resize else whole}, {self.interpolation}"

    @property
    def megabytes(self) -> float:
        """Of the file, about: four bytes a parameter."""
        return 4 * self.megaparameters

    def preprocessing(self) -> dict[str, Any]:
        """What they expect of an image, as `weights.json` has it."""
        keys = ("image_size", "resize", "interpolation", "mean", "std")
        fit = "crop" if self.resize else self.interpolation
        return {**{key: getattr(self, key) for key in keys}, "fit": fit}

    def figures(self) -> dict[str, Any]:
        return {
            "accuracy": self.top1 / 100,
            "top5_accuracy": self.top5 / 100,
            "data": "ImageNet (ILSVRC 2012), validation",
            "protocol": self.protocol,
            "measured_by": "timm, results-imagenet.csv",
        }


@functools.cache
def table() -> dict[str, Pretrained]:
    """Every name, with what is known of it."""
    kinds: dict[str, Callable[[str], Any]] = {
        **dict.fromkeys(("top1", "top5", "megaparameters"), float),
        **dict.fromkeys(("image_size", "resize"), int),
        **dict.fromkeys(("mean", "std"), lambda text: tuple(map(float, text.split()))),
    }
    with open(TABLE, newline="") as file:
        rows = [
            Pretrained(**{key: kinds.get(key, str)(value) for key, value in row.items()})
            for row in csv.DictReader(file)
        ]
    return {row.name: row for row in rows}


def find(path: str, key: str) -> Pretrained | None:
    """The row that `path` names; None for a path. Raises `UserError` for a tag that is unknown."""
    if not NAME.fullmatch(path) or Path(path).exists():
        return None
    if path in table():
        return table()[path]
    net = path.partition(".")[0]
    if net in OTHER_FORMS:
        raise UserError(f"{key}={path!r}: {OTHER_FORMS[net]}")
    if tags := [row.name for row in table().values() if net in (row.model, row.net)]:
        raise unknown(key, path, tags)
    if net in models.REGISTRY:
        raise UserError(
            f"{key}={path!r}: no published weights of {net} are known by name (cnn_jax weights "
            "lists those that are); import a file: cnn_jax import_weights"
        )
    return None


def locate(path: str, key: str) -> Path:
    """The folder of weights or the run that `path` is; a name or an address is fetched first."""
    row = find(path, key)
    return Path(local_copy(key, path)).expanduser() if row is None else folder_of(row)


def cached(row: Pretrained) -> Path:
    """Where the converted weights are, or will be."""
    return Path(os.environ.get("CNN_JAX_WEIGHTS") or CACHE).expanduser() / row.name


def url_of(row: Pretrained) -> str:
    site = (os.environ.get("HF_ENDPOINT") or SITE).rstrip("/")
    return f"{site}/timm/{row.name}/resolve/main/{FILE}"


def folder_of(row: Pretrained) -> Path:
    """The folder of the converted weights, made the first time; raises `UserError`."""
    folder = cached(row)
    if is_kept(row):
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"CNN_JAX_WEIGHTS={str(folder.parent)!r} can be no folder ({error.strerror}): "
            "name another"
        ) from error
    with tempfile.TemporaryDirectory(prefix=f".{row.name}.", dir=folder.parent) as place:
        file = Path(place) / FILE
        digest = download(url_of(row), file)
        check_held(row, digest)
        made = Path(place) / "converted"
        try:
            convert(row, file, digest, made)
        except UserError as error:
            raise UserError(f"{url_of(row)} is not the published file: {error}") from error
        held_path(row).write_text(f"{digest}\n")
        shutil.rmtree(folder, ignore_errors=True)  # of no whole description
        try:
            made.rename(folder)
        except OSError:
            if not is_kept(row):  # another process was first
                raise
    return folder


def held_path(row: Pretrained) -> Path:
    """Where the hash of the first file stays, also without its weights."""
    return cached(row).with_name(f"{row.name}.sha256")


def check_held(row: Pretrained, digest: str) -> None:
    """Raises `UserError` where an earlier download was another file."""
    path = held_path(row)
    if path.exists() and (first := path.read_text().strip()) != digest:
        raise UserError(
            f"{url_of(row)} has changed: SHA-256 {digest}, and {first} when it was first fetched; "
            f"where the new file is wanted, remove {path}"
        )


def convert(row: Pretrained, file: Path, digest: str, out: Path) -> None:
    """Raises `UserError` for a file that is not this net's."""
    from cnn_jax.transfer import import_record, importer  # which knows this file

    with ProgressBar(f"converting {row.name}"):
        imported = importer.import_weights(row.model, file)
        source = {
            "names": f"timm, {row.name}",
            "url": url_of(row),
            "file": FILE,
            "sha256": digest,
        }
        names = imagenet.class_names()
        if imported.net.num_classes != len(names):  # pyright: ignore[reportAttributeAccessIssue]
            raise UserError(f"{url_of(row)} is not {row.name}: it does not tell {len(names)} apart")
        record = import_record.describe(imported, source, published=row, classes=names)
        import_record.save_imported(out, imported, record)


def download(url: str, path: Path) -> str:
    """The SHA-256 of the file at `url`, which then is at `path`, whole; raises `UserError`.

    It is held to the hash and the length that the server names, where it does.
    """
    import requests

    advice = "try again, set HF_ENDPOINT to a mirror, or name a run or a folder of weights instead"
    print(f"downloading {url}", flush=True)
    try:
        with requests.get(url, stream=True, timeout=TIMEOUT) as answer:
            if answer.status_code != 200:
                raise UserError(
                    f"{url} answers {answer.status_code} ({answer.reason}): the file has moved or "
                    f"is not given to all; {advice}"
                )
            heads = [one.headers for one in (*answer.history, answer)]
            size = length_of(heads)
            received = write_stream(answer, path, size)
    except (requests.RequestException, OSError) as error:
        raise UserError(f"{url} could not be downloaded ({innermost(error)}); {advice}") from error
    if size is not None and received != size:
        raise UserError(f"{url} ended after {received:,} of {size:,} bytes; {advice}")
    digest = sha256(path)
    tags = (h.get("X-Linked-Etag", "").strip('"').removeprefix('W/"') for h in heads)
    named = next((tag for tag in tags if re.fullmatch("[0-9a-f]{64}", tag)), digest)
    if digest != named:
        raise UserError(
            f"{url} is not the file that its server names: SHA-256 {digest}, expected {named}; "
            f"nothing was kept; {advice}"
        )
    return digest


def length_of(heads: Sequence[Mapping[str, str]]) -> int | None:
    """Of the file, as the first of the answers on the way to it names it, or the last one."""
    named = [head.get("X-Linked-Size", "") for head in heads]
    if "Content-Encoding" not in heads[-1]:
        named.append(heads[-1].get("Content-Length", ""))
    return next((int(text) for text in named if text.isdigit()), None)


def write_stream(answer: Any, path: Path, size: int | None) -> int:
    """How many bytes came; raises `UserError` beyond `LARGEST`."""
    received = 0
    with open(path, "wb") as file, ProgressBar(path.name, size, is_bytes=True) as bar:
        for chunk in answer.iter_content(1 << 20):
            received += len(chunk)
            if received > LARGEST:
                raise UserError(f"{answer.url} has more than {LARGEST:,} bytes, as no weights have")
            file.write(chunk)
            bar.advance(len(chunk))
    return received


def innermost(error: BaseException) -> str:
    """What went wrong at the bottom: "Connection refused" rather than the layers around it."""
    while error.__context__ is not None:
        error = error.__context__
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def is_kept(row: Pretrained) -> bool:
    """Whether the converted weights are here already."""
    return (cached(row) / TENSORS).is_file() and kept_source(row) is not None


def kept_sha256(row: Pretrained) -> str:
    """That of the file which was downloaded; "" where there is none."""
    return (kept_source(row) or {}).get("sha256") or ""


def kept_source(row: Pretrained) -> dict[str, Any] | None:
    """Where the kept weights are from; None where none are, or their description is damaged."""
    try:
        found = read_json_object(cached(row) / DESCRIPTION)
        check_shape(found, {"source": {"sha256?": str}})
    except (OSError, ValueError):
        return None
    return found["source"]
