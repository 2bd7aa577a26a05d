"""A folder of class folders, or of `train`, `val` and `test` folders of class folders.

Everything is in one order on every machine: by the path's code points, composed (NFC), because
systems differ in how they store and list accents.
"""

from __future__ import annotations

import dataclasses
import os
import sys
import unicodedata
from pathlib import Path

import numpy as np

from cnn_jax.data.images.decode import SUFFIXES
from cnn_jax.errors import UserError

UNREAD = (".gif", ".bmp", ".tif", ".tiff", ".heic", ".avif", ".jp2", ".jxl")
SPLITS = {
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}


@dataclasses.dataclass(frozen=True)
class FolderSource:
    """Image files of one folder, by number."""

    root: str
    paths: tuple[str, ...]  # relative to the root, as the file system spells them

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, number: int, most: int = -1) -> bytes:
        path = os.path.join(self.root, self.paths[number])
        with open(path, "rb", buffering=0) as file:  # a third of what Path.read_bytes costs
            return file.read(most)

    def name(self, number: int) -> str:
        return self.paths[number]


@dataclasses.dataclass(frozen=True)
class Listing:
    """What lies in a folder: files in order, each with its class, and its split if it has any."""

    source: FolderSource
    classes: tuple[str, ...]
    labels: np.ndarray  # int32 [N]
    splits: dict[str, np.ndarray] | None  # numbers of the files by split, or None: one heap


def listing(path: str) -> Listing:
    """Lists a folder and reads no file; raises `UserError` for what cannot be trained on."""
    key, root = f"data.name='folder:{path}'", Path(path).expanduser()
    if not root.is_dir():
        wrong = "that is a file, not a folder" if root.exists() else "there is no such folder"
        raise UserError(f"{key}: {wrong} ({root.absolute()})")
    parts, left_out = split_folders(root), []
    if parts is None:
        classes = class_folders(root, key)
        files = [
            (f, label)
            for label, name in enumerate(classes)
            for f in images(root, (name,), left_out)
        ]
        splits = None
    else:
        classes, files, splits = class_folders(root / parts["train"], key), [], {}
        for split, folder in parts.items():
            found = class_folders(root / folder, key)
            if extra := sorted(set(found) - set(classes)):
                raise UserError(
                    f"{key}: class {extra[0]!r} of {folder}/ is not among the {len(classes)} "
                    f"classes of {parts['train']}/"
                )
            first = len(files)
            for name in found:
                label = classes.index(name)
                files += [(f, label) for f in images(root, (folder, name), left_out)]
            splits[split] = np.arange(first, len(files))
    if len(classes) < 2:
        raise UserError(f"{key}: one class ({classes[0]!r}) leaves nothing to tell apart")
    trained = range(len(files)) if splits is None else splits["train"]
    counts = np.bincount([files[i][1] for i in trained], minlength=len(classes))
    if not counts.any():
        raise UserError(f"{key}: no images ({', '.join(SUFFIXES)}) in any class folder")
    if not counts.all():
        raise UserError(f"{key}: class folder {classes[counts.argmin()]!r} holds no image")
    if left_out:
        print(
            f"warning: {key}: {len(left_out)} files are of a kind that is not read, "
            f"{min(left_out)} the first; read are {', '.join(SUFFIXES)}",
            file=sys.stderr,
            flush=True,
        )
    paths, labels = zip(*files, strict=True)
    return Listing(
        FolderSource(os.fspath(root.absolute()), paths), classes, np.int32(labels), splits
    )


def composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def subfolders(root: Path) -> list[str]:
    """The names of the folders in a folder, in order; hidden ones left out."""
    try:
        names = [n for n in entries(root) if not n.startswith(".") and Path(root, n).is_dir()]
    except OSError as error:
        raise UserError(f"{root} cannot be read: {error.strerror}") from error
    return sorted(names, key=composed)


def entries(root: Path) -> list[str]:
    """What a folder holds, in whatever order the file system gives it."""
    return os.listdir(root)


def split_folders(root: Path) -> dict[str, str] | None:
    """{split: folder} where the folders are named as splits, `train` among them; else None."""
    found = {}
    for name in subfolders(root):
        split = next((s for s, names in SPLITS.items() if name.lower() in names), None)
        if split is None or split in found:
            return None
        found[split] = name
    return {s: found[s] for s in SPLITS if s in found} if "train" in found else None


def class_folders(root: Path, key: str) -> tuple[str, ...]:
    names = subfolders(root)
    if not names:
        raise UserError(f"{key}: {root} holds no class folders; one folder a class is wanted")
    return tuple(names)


def images(root: Path, within: tuple[str, ...], left_out: list[str]) -> list[str]:
    """Paths, relative to `root`, of the image files in a class folder, at any depth, in order.

    Those of kinds that are not read are added to `left_out`.
    """
    found = []
    for folder, below, names in os.walk(root.joinpath(*within), followlinks=True):
        below[:] = [name for name in below if not leads_back(folder, name)]
        relative = Path(folder).relative_to(root)
        paths = [(relative / name).as_posix() for name in names if not name.startswith(".")]
        found += [path for path in paths if path.lower().endswith(SUFFIXES)]
        left_out += [path for path in paths if path.lower().endswith(UNREAD)]
    return sorted(found, key=composed)


def leads_back(folder: str, name: str) -> bool:
    """Whether a subfolder is a link to where it lies in: its files would come again and again."""
    link = os.path.join(folder, name)
    return os.path.islink(link) and Path(os.path.realpath(folder)).is_relative_to(
        os.path.realpath(link)
    )
