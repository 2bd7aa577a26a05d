"""A folder of class folders, or of `train`, `val` and `test` folders of class folders.

Everything is in one order on every machine: by the path's code points, composed (NFC), because
systems differ in how they store and list accents.
"""

from __future__ import annotations

import dataclasses
import os
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int32

from cnn_jax.data.dataset import SplitName, Task
from cnn_jax.data.images.decode import SUFFIXES
from cnn_jax.errors import UserError, printable
from cnn_jax.runtime.regular_files import open_regular

UNREAD_SUFFIXES = (".gif", ".bmp", ".tif", ".tiff", ".heic", ".avif", ".jp2", ".jxl")
SPLIT_FOLDERS: dict[SplitName, tuple[str, ...]] = {
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}


@dataclasses.dataclass(frozen=True)
class FolderSource:
    """Image files of one folder, by number; an `EncodedSource`."""

    root: str
    paths: tuple[str, ...]  # relative to the root, as the file system spells them
    task: Task
    labels: Int32[np.ndarray, " n"]
    splits: Mapping[str, np.ndarray] | None  # numbers of the files by split, or None: one heap

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, number: int, max_bytes: int = -1) -> bytes:
        path = os.path.join(self.root, self.paths[number])
        # Without a buffer: a third of what Path.read_bytes costs.
        with open(open_regular(path), "rb", buffering=0) as file:
            return file.read(max_bytes)

    def name(self, number: int) -> str:
        return self.paths[number]


LabelledFiles = list[tuple[str, int]]  # (path relative to the root, class)


def list_folder(path: str) -> FolderSource:
    """Lists a folder and reads no file; raises `UserError` for what cannot be trained on."""
    key, root = f"data.name='folder:{path}'", Path(path).expanduser()
    if not root.is_dir():
        reason = "that is a file, not a folder" if root.exists() else "there is no such folder"
        raise UserError(f"{key}: {reason} ({root.absolute()})")
    folders, unread = split_folders(root), []
    if folders is None:
        splits, classes = None, class_folders(root, key)
        files = labelled_files(root, "", classes, classes, unread)
    else:
        classes, files, splits = class_folders(root / folders["train"], key), [], {}
        for split, folder in folders.items():
            names = class_folders(root / folder, key)
            if extra := sorted(set(names) - set(classes)):
                raise UserError(
                    f"{key}: class {extra[0]!r} of {folder}/ is not among the {len(classes)} "
                    f"classes of {folders['train']}/"
                )
            first = len(files)
            files += labelled_files(root, folder, names, classes, unread)
            splits[split] = np.arange(first, len(files))
    labels = np.array([label for _, label in files], np.int32)
    check_classes(classes, labels if splits is None else labels[splits["train"]], key)
    if unread:
        print(
            f"warning: {printable(key)}: {len(unread)} files are of a kind that is not read, "
            f"{min(unread)} the first; read are {', '.join(SUFFIXES)}",
            file=sys.stderr,
            flush=True,
        )
    task, paths = Task("classification", classes), tuple(path for path, _ in files)
    return FolderSource(os.fspath(root.absolute()), paths, task, labels, splits)


def check_classes(classes: Sequence[str], labels: np.ndarray, key: str) -> None:
    """Raises `UserError` where there are no two classes, or one without an image to train on."""
    if len(classes) < 2:
        raise UserError(f"{key}: one class ({classes[0]!r}) leaves nothing to tell apart")
    counts = np.bincount(labels, minlength=len(classes))
    if not counts.any():
        raise UserError(f"{key}: no images ({', '.join(SUFFIXES)}) in any class folder")
    if not counts.all():
        raise UserError(f"{key}: class folder {classes[int(counts.argmin())]!r} holds no image")


def labelled_files(
    root: Path, folder: str, names: tuple[str, ...], classes: tuple[str, ...], unread: list[str]
) -> LabelledFiles:
    """The image files of the class folders `names` in `folder`, each with its class."""
    files = []
    for name in names:
        label = classes.index(name)
        files += [(file, label) for file in image_files(root, Path(folder, name), unread)]
    return files


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


def split_folders(root: Path) -> dict[SplitName, str] | None:
    """{split: folder} where the folders are named as splits, `train` among them; else None."""
    folders = {}
    for name in subfolders(root):
        split = next((s for s, names in SPLIT_FOLDERS.items() if name.lower() in names), None)
        if split is None or split in folders:
            return None
        folders[split] = name
    return {s: folders[s] for s in SPLIT_FOLDERS if s in folders} if "train" in folders else None


def class_folders(root: Path, key: str) -> tuple[str, ...]:
    names = subfolders(root)
    if not names:
        raise UserError(f"{key}: {root} holds no class folders; one folder a class is wanted")
    return tuple(names)


def image_files(root: Path, folder: Path, unread: list[str]) -> list[str]:
    """Paths, relative to `root`, of the image files in one of its folders, at any depth, in order.

    Those of kinds that are not read are added to `unread`.
    """
    files = []
    for parent, below, names in os.walk(root / folder, followlinks=True):
        below[:] = [name for name in below if not leads_back(parent, name)]
        relative = Path(parent).relative_to(root)
        paths = [(relative / name).as_posix() for name in names if not name.startswith(".")]
        files += [path for path in paths if path.lower().endswith(SUFFIXES)]
        unread += [path for path in paths if path.lower().endswith(UNREAD_SUFFIXES)]
    return sorted(files, key=composed)


def leads_back(folder: str, name: str) -> bool:
    """Whether a subfolder is a link to where it lies in: its files would come again and again."""
    link = os.path.join(folder, name)
    return os.path.islink(link) and Path(os.path.realpath(folder)).is_relative_to(
        os.path.realpath(link)
    )
