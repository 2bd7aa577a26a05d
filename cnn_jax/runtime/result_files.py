"""Files that a program ends with: their place is seen to before the work, and they are whole."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cnn_jax.errors import UserError, check_local, not_written

# By their names' endings; matplotlib has them all.
PICTURES = (".png", ".svg", ".pdf", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".eps", ".ps")


def check_place(key: str, place: str | Path, endings: Sequence[str] = ()) -> None:
    """Raises `UserError` where no file can be written; one that is there may be replaced.

    With `endings`, like ".png", a name must have one of them: it says the format. A name without an
    ending is left to the writer.
    """
    check_local(key, place)
    path = Path(place).expanduser()
    named = f"{key}={str(place)!r}"
    try:
        if path.is_dir():
            raise UserError(f"{named} is a folder: name a file in it")
        if not path.parent.is_dir():
            raise UserError(f"{named}: there is no folder {path.parent}: make it, or name another")
    except OSError as error:  # a name too long
        raise UserError(f"{named} can be no file ({error.strerror})") from error
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise UserError(f"{named} may not be written: name another place")
    if endings and path.suffix and path.suffix.lower() not in endings:
        raise UserError(f"{named}: its format is unknown; choices: {', '.join(endings)}")


def check_folder(key: str, place: str | Path) -> None:
    """Raises `UserError` where no folder is, and none can be made."""
    check_local(key, place)
    path = Path(place).expanduser()
    there = next(p for p in (path, *path.absolute().parents) if os.path.lexists(p))
    if not there.is_dir():
        raise UserError(f"{key}={str(place)!r}: {there} is a file: name a folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UserError(f"{key}={str(place)!r} may not be written: name another place")


def write_result(what: str, place: str | Path, content: str | bytes | bytearray) -> None:
    """`what`, whole, or `UserError` and the old file; a device or pipe is written as it is."""
    path = Path(place).expanduser()
    data = content.encode() if isinstance(content, str) else content
    if path.exists() and not path.is_file():
        write(what, path, path, data)
        return
    path = path.resolve()  # a link stays one
    partial = path.with_name(f".{path.name[:200]}.{os.getpid()}.partial")
    try:
        write(what, path, partial, data)
        os.replace(partial, path)
    except OSError as error:
        raise not_written(what, path, error) from error
    finally:
        partial.unlink(missing_ok=True)


def write(what: str, path: Path, own: Path, data: bytes | bytearray) -> None:
    try:
        own.write_bytes(data)
    except OSError as error:
        raise not_written(what, path, error) from error


def write_json(place: str | Path, values: Any) -> None:
    """Figures as JSON."""
    write_result("the figures", place, json.dumps(values, indent=1) + "\n")


def write_picture(figure: Any, out: Path, dpi: int, **options: Any) -> None:
    """A matplotlib figure in the format that the name ends with, .png where it has no ending.

    `options` are those of `savefig`.
    """
    content = io.BytesIO()
    try:
        figure.savefig(content, format=out.suffix[1:].lower() or "png", dpi=dpi, **options)
    except ValueError as error:  # an ending that is none of a picture
        raise not_written("the picture", out, error) from error
    write_result("the picture", out, content.getvalue())
