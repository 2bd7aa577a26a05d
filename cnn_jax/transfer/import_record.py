"""What `weights.json` says of imported weights: the net, its classes, where they are from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cnn_jax.data import imagenet
from cnn_jax.errors import UserError
from cnn_jax.runtime.regular_files import read_regular
from cnn_jax.transfer.importer import ImportedNet, preprocessing_record
from cnn_jax.transfer.pretrained import Pretrained
from cnn_jax.transfer.weights import save_weights

IMAGENET, NONE = "imagenet", "none"  # for --classes


def describe(
    imported: ImportedNet,
    source: dict[str, Any],
    transform_input: bool = False,
    published: Pretrained | None = None,
    classes: tuple[str, ...] = (),
    licence: str = "",
) -> dict[str, Any]:
    """The description; of a `published` file with its preprocessing, figure and licence."""
    is_whole = not {*imported.head} - {*imported.params} and not imported.headless
    preprocessing = preprocessing_record(imported, transform_input)
    figures = None
    if published is not None:
        preprocessing |= published.preprocessing()
        figures, licence = published.figures(), licence or published.licence
    return {
        "model": imported.model,
        "num_classes": imported.net.num_classes if is_whole else None,  # pyright: ignore[reportAttributeAccessIssue]
        "options": imported.options,
        "classes": list(classes) if is_whole and classes else None,
        "source": source,
        "preprocessing": preprocessing,
        "figures": figures,
        "licence": licence or None,
    }


def read_classes(words: str, count: int) -> tuple[str, ...]:
    """The names of --classes=FILE|imagenet|none; "" is ImageNet's where there are a thousand.

    A file has one name a line, in the order of the outputs. Raises `UserError`.
    """
    own = imagenet.class_names()
    if words == NONE or (not words and count != len(own)):
        return ()
    names = own
    if words not in ("", IMAGENET):
        try:
            text = read_regular(Path(words).expanduser()).decode()
        except OSError as error:
            raise UserError(
                f"--classes={words!r} cannot be read ({error.strerror}); choices: a file with a "
                f"name a line, {IMAGENET}, {NONE}"
            ) from error
        except UnicodeDecodeError as error:
            raise UserError(f"--classes={words!r} is no text in UTF-8") from error
        names = tuple(line.strip() for line in text.splitlines() if line.strip())
    if len(names) != count or len({*names}) != count:
        twice = next((name for name in names if names.count(name) > 1), None)
        what = f"{twice!r} twice" if twice else f"{len(names)} classes"
        raise UserError(f"--classes={words!r} names {what}, and the head tells {count} apart")
    return names


def save_imported(out: Path, imported: ImportedNet, description: dict[str, Any]) -> int:
    """Writes the folder; returns the number of parameters."""
    variables = imported.variables()
    save_weights(out, variables["params"], variables.get("batch_stats", {}), description)
    return sum(value.size for value in imported.params.values())


def source_of(imported: ImportedNet, path: Path, digest: str) -> dict[str, Any]:
    """Which file the weights are from."""
    return {"names": imported.names.library, "file": path.name, "sha256": digest}
