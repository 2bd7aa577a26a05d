"""Which folder serves as what: one heap of class folders, or a folder of them for each split."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from cnn_jax.data.dataset import SplitName
from cnn_jax.data.identity import composed
from cnn_jax.errors import UserError

SPLIT_FOLDERS: dict[SplitName, tuple[str, ...]] = {
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
LAYOUTS = "read are CLASS/ or train/CLASS/ with val/CLASS/ and test/CLASS/"
# What systems and archivers leave behind; names that begin with a dot are hidden.
SYSTEM_FOLDERS = (
    *("__macosx", "@eadir", "#recycle", "$recycle.bin", "lost+found", "__pycache__"),
    "system volume information",
)


@dataclasses.dataclass(frozen=True)
class Layout:
    """The folder of each split, none where there is one heap; and what belongs to neither."""

    splits: Mapping[SplitName, str]
    left_out: tuple[str, ...] = ()


def find_layout(root: Path, key: str) -> Layout:
    """As the folders are named; raises `UserError` where the names can be read in two ways.

    `train` beside another split makes splits: a class may be called `train` too.
    """
    by_split: dict[SplitName, list[str]] = {}
    others = []
    for name in subfolders(root):
        split = split_of(name)
        if split is None:
            others.append(name)
        else:
            by_split.setdefault(split, []).append(name)
    if "train" not in by_split or (len(by_split) == 1 and others):
        check_is_a_heap(root, key)
        return Layout({})
    for split, names in by_split.items():
        if len(names) > 1:
            raise UserError(f"{key}: {listed(names)} are all {split}: keep one; {LAYOUTS}")
    folders: dict[SplitName, str] = {s: by_split[s][0] for s in SPLIT_FOLDERS if s in by_split}
    for folder in folders.values():
        check_no_splits_below(root / folder, key)
    return Layout(folders, tuple(others))


def check_no_splits_below(root: Path, key: str) -> None:
    """Raises `UserError` where class folders hold splits of their own."""
    for name in subfolders(root):
        below = [n for n in entries(root / name) if split_of(n) and (root / name / n).is_dir()]
        if len(below) > 1:
            raise UserError(
                f"{key}: {name}/ would be a class, and holds {listed(sorted(below))}: "
                f"splits stand above the classes, in the folder that is named; {LAYOUTS}"
            )


def check_is_a_heap(root: Path, key: str) -> None:
    """Raises `UserError` where class folders are splits by their names, and hold folders only."""
    check_no_splits_below(root, key)
    found: dict[str, str] = {}
    for name in subfolders(root):
        words = (name, *re.split(r"[\W_]+", name.lower()))
        split = next(filter(None, map(split_of, words)), None)
        if split and subfolders(root / name) and not holds_files(root / name):
            found[split] = name
    if len(found) > 1 or any(map(split_of, found.values())):
        many = len(found) > 1
        would = "would be classes, and hold" if many else "would be a class, and holds"
        raise UserError(
            f"{key}: {listed(found.values())} {would} folders alone, as splits do: rename "
            f"{'them' if many else 'it'}, or name the folder that holds the classes; {LAYOUTS}"
        )


def holds_files(folder: Path) -> bool:
    return any(is_seen(name) and not Path(folder, name).is_dir() for name in entries(folder))


def split_of(name: str) -> SplitName | None:
    return next((s for s, names in SPLIT_FOLDERS.items() if name.lower() in names), None)


def listed(folders: Iterable[str]) -> str:
    return ", ".join(f"{name}/" for name in folders)


def is_seen(name: str) -> bool:
    """Whether a name is neither hidden nor one that a system makes."""
    return not name.startswith(".") and name.lower() not in SYSTEM_FOLDERS


def subfolders(root: Path) -> list[str]:
    """The names of the folders in a folder, in order; hidden and system folders left out."""
    try:
        names = [name for name in entries(root) if is_seen(name) and Path(root, name).is_dir()]
    except OSError as error:
        raise UserError(f"{root} cannot be read: {error.strerror}") from error
    return sorted(names, key=composed)


def entries(root: Path) -> list[str]:
    """What a folder holds, in whatever order the file system gives it."""
    return os.listdir(root)
