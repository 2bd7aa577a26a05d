"""A folder of class folders, or of `train`, `val` and `test` folders of class folders.

Everything is in one order on every machine: by the path's code points, composed (NFC), because
systems differ in how they store and list accents.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int32

from cnn_jax.data.dataset import SplitName, Task
from cnn_jax.data.identity import composed
from cnn_jax.data.images.decode import SUFFIXES
from cnn_jax.data.sources.folder_layout import (
    entries,
    find_layout,
    is_seen,
    listed,
    subfolders,
)
from cnn_jax.errors import UserError, printable
from cnn_jax.runtime.regular_files import open_regular, read_regular
from cnn_jax.runtime.stores.copies import local_copy

UNREAD_SUFFIXES = (
    *(".gif", ".bmp", ".tif", ".tiff", ".heic", ".heif", ".avif", ".jp2", ".jxl", ".ico"),
    *(".ppm", ".pgm", ".pnm", ".tga", ".psd", ".svg", ".dng", ".cr2", ".nef", ".arw"),
)
# How an image begins whose name does not say that it is one.
SIGNATURES = re.compile(rb"\xff\xd8\xff|\x89PNG\r\n|RIFF....WEBP|GIF8|II\*\0|MM\0\*", re.DOTALL)


@dataclasses.dataclass(frozen=True, repr=False)
class FolderSource:
    """Image files of one folder, by number; an `EncodedSource`."""

    root: str
    paths: tuple[str, ...]  # relative to the root, as the file system spells them
    task: Task
    labels: Int32[np.ndarray, " n"]
    splits: Mapping[str, np.ndarray] | None  # numbers of the files by split, or None: one heap
    folders: Mapping[SplitName, str] = dataclasses.field(default_factory=dict)  # by split

    def __len__(self) -> int:
        return len(self.paths)

    def __repr__(self) -> str:
        return f"<{len(self):,} files of {self.root}, {self.task}>"

    def read(self, number: int, max_bytes: int = -1) -> bytes:
        path = os.path.join(self.root, self.paths[number])
        return read_regular(path, first=max_bytes)

    def name(self, number: int) -> str:
        return self.paths[number]


LabelledFiles = list[tuple[str, int]]  # (path relative to the root, class)


def list_folder(path: str) -> FolderSource:
    """Lists a folder and reads no file; raises `UserError` for what cannot be trained on."""
    key = f"data.name='folder:{path}'"
    if not path:
        raise UserError(f"{key} names no folder: write folder:PATH")
    root = Path(local_copy("data.name=folder", path)).expanduser()
    if not root.is_dir():
        reason = "that is a file, not a folder" if root.exists() else "there is no such folder"
        raise UserError(f"{key}: {reason} ({root.absolute()})")
    layout, unread = find_layout(root, key), loose_images(root, "")
    folders = layout.splits
    if not folders:
        splits, classes = None, class_folders(root, key)
        files = labelled_files(root, "", classes, classes, unread)
    else:
        classes, files, splits = class_folders(root / folders["train"], key), [], {}
        for split, folder in folders.items():
            names = class_folders(root / folder, key, folder)
            if extra := sorted({*map(composed, names)} - {*map(composed, classes)}):
                raise UserError(
                    f"{key}: class {extra[0]!r} of {folder}/ is not among the {len(classes)} "
                    f"classes of {folders['train']}/"
                )
            first = len(files)
            unread += loose_images(root, folder)
            files += labelled_files(root, folder, names, classes, unread)
            splits[split] = np.arange(first, len(files))
    labels = np.array([label for _, label in files], np.int32)
    check_classes(classes, labels if splits is None else labels[splits["train"]], key)
    if layout.left_out:
        warn(f"{key}: {listed(layout.left_out)} left out: no split is called so")
    if unread:
        warn(f"{key}: {describe_unread(root, unread)}")
    task, paths = Task("classification", classes), tuple(path for path, _ in files)
    return FolderSource(os.fspath(root.absolute()), paths, task, labels, splits, folders)


def warn(line: str) -> None:
    print(f"warning: {printable(line)}", file=sys.stderr, flush=True)


def describe_unread(root: Path, unread: Sequence[str]) -> str:
    """How many files of each kind that look like images are left out, and the first of them."""
    kinds = Counter(left_out_kind(root / path) for path in unread).most_common()
    return (
        f"{len(unread)} file(s) that look like images are left out, {min(unread)} the first "
        f"({', '.join(f'{count} {kind}' for kind, count in kinds)}); "
        f"read are {', '.join(SUFFIXES)} in class folders"
    )


def left_out_kind(path: Path) -> str:
    if leads_nowhere(path):
        return "link to nothing"
    suffix = path.suffix.lower()
    return "in no class folder" if suffix in SUFFIXES else suffix or "without a suffix"


def check_classes(classes: Sequence[str], labels: np.ndarray, key: str) -> None:
    """Raises `UserError` for a class without an image to train on."""
    counts = np.bincount(labels, minlength=len(classes))
    if not counts.any():
        raise UserError(f"{key}: no images ({', '.join(SUFFIXES)}) in any class folder")
    if not counts.all():
        raise UserError(f"{key}: class folder {classes[int(counts.argmin())]!r} holds no image")


def labelled_files(
    root: Path, folder: str, names: tuple[str, ...], classes: tuple[str, ...], unread: list[str]
) -> LabelledFiles:
    """The image files of the class folders `names` in `folder`, each with its class."""
    files, known = [], [*map(composed, classes)]
    for name in names:
        label = known.index(composed(name))
        files += [(file, label) for file in image_files(root, Path(folder, name), unread)]
    return files


def class_folders(root: Path, key: str, split: str = "") -> tuple[str, ...]:
    """Their names; `split` is the folder of a split that may be moved away. Raises `UserError`."""
    names = subfolders(root)
    if not names:
        advice = "one folder a class is wanted"
        if split:
            advice = f"its images have no labels: move {split}/ elsewhere"
        raise UserError(f"{key}: {root} holds no class folders; {advice}")
    for first, second in itertools.pairwise(names):  # in the order of their composed names
        if composed(first) == composed(second):
            raise UserError(
                f"{key}: the class folders {first!a} and {second!a} of {root} have one name, "
                "stored in two ways: make them one"
            )
    return tuple(names)


def image_files(root: Path, folder: Path, unread: list[str]) -> list[str]:
    """Paths, relative to `root`, of the image files in one of its folders, at any depth, in order.

    Those that look like images and are not read are added to `unread`.
    """
    files = []
    for parent, below, names in os.walk(root / folder, followlinks=True):
        below[:] = [name for name in below if is_seen(name) and not leads_back(parent, name)]
        relative = Path(parent).relative_to(root)
        for name in filter(is_seen, names):
            path = (relative / name).as_posix()
            if path.lower().endswith(SUFFIXES):
                files.append(path)
            elif looks_like_image(root / path) or leads_nowhere(root / path):
                unread.append(path)
    return sorted(files, key=composed)


def loose_images(root: Path, folder: str) -> list[str]:
    """Paths of the images that lie beside the class folders, and so in no class.

    A link to nothing was perhaps a class.
    """
    paths = [Path(folder, name) for name in entries(root / folder) if is_seen(name)]
    files = [path for path in paths if not (root / path).is_dir()]
    return [
        path.as_posix()
        for path in files
        if path.name.lower().endswith(SUFFIXES)
        or looks_like_image(root / path)
        or leads_nowhere(root / path)
    ]


def looks_like_image(path: Path) -> bool:
    """By its name, or by how it begins."""
    if path.name.lower().endswith(UNREAD_SUFFIXES):
        return True
    try:
        with open(open_regular(path), "rb", buffering=0) as file:
            return bool(SIGNATURES.match(file.read(16)))
    except OSError:
        return False


def leads_nowhere(path: Path) -> bool:
    return path.is_symlink() and not path.exists()


def leads_back(folder: str, name: str) -> bool:
    """Whether a subfolder is a link to where it lies in: its files would come again and again."""
    link = os.path.join(folder, name)
    return os.path.islink(link) and Path(os.path.realpath(folder)).is_relative_to(
        os.path.realpath(link)
    )
