"""Prepares data once: a tfds set as ArrayRecord, or the hashes of a folder's files.

    python -m cnn_jax.tools.prepare mnist --data_dir=DIR          (extra `prepare`: TensorFlow)
    python -m cnn_jax.tools.prepare folder:PATH --manifest=FILE

The hashes are SHA-256 in the format of sha256sum; `--config.data.verify=FILE` holds the files to
them: most JPEGs with a flipped bit decode without a word.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from cnn_jax import cli
from cnn_jax.errors import UserError


def main(argv: Sequence[str]) -> None:
    if len(argv) != 2:
        raise UserError("name one set: python -m cnn_jax.tools.prepare NAME, or folder:PATH")
    kind, _, path = argv[1].partition(":")
    if kind == "folder":
        if not MANIFEST.value:
            raise UserError(f"{argv[1]}: a folder needs no preparing; --manifest=FILE hashes it")
        write_manifest(path, Path(MANIFEST.value))
    else:
        prepare(argv[1].removeprefix("tfds:"), Path(DATA_DIR.value).expanduser())


def write_manifest(folder_path: str, manifest: Path) -> None:
    """Writes the SHA-256 of every image file of a folder."""
    from cnn_jax.data.sources import image_folder
    from cnn_jax.data.sources.manifest import file_hashes, manifest_line

    hashes = file_hashes(image_folder.list_folder(folder_path))
    lines = [manifest_line(digest, name) for name, digest in hashes]
    try:
        manifest.write_bytes("".join(lines).encode(errors="surrogateescape"))
    except OSError as error:
        raise UserError(f"--manifest={manifest} cannot be written: {error.strerror}") from error
    print(f"{len(lines)} hashes in {manifest}; check them with --config.data.verify={manifest}")


def prepare(name: str, data_dir: Path) -> None:
    """Downloads and writes a tfds set as ArrayRecord; the one place that needs TensorFlow."""
    for package in ("tensorflow", "tensorflow_datasets"):
        if importlib.util.find_spec(package) is None:
            raise UserError(
                f"preparing {name!r} needs {package}, which is not installed: "
                "pip install 'cnn_jax[prepare]' (training does not need it)"
            )
    import tensorflow_datasets as tfds  # pyright: ignore[reportMissingImports]

    try:
        builder = tfds.builder(name, data_dir=data_dir, file_format="array_record")
    except tfds.core.DatasetNotFoundError as error:
        raise UserError(f"tensorflow-datasets has no set {name!r}") from error
    config = tfds.download.DownloadConfig(manual_dir=SOURCE.value)
    builder.download_and_prepare(download_config=config)
    print(f"{name} is prepared in {builder.data_dir}: --config.data.name=tfds:{name}")


if __name__ == "__main__":  # flags only here, so that the tools can be imported side by side
    DATA_DIR = flags.DEFINE_string("data_dir", "~/.cache/cnn_jax/data", "Where prepared sets lie.")
    MANIFEST = flags.DEFINE_string("manifest", None, "File for the hashes of a folder's files.")
    SOURCE = flags.DEFINE_string(
        "source", None, "Folder of the set's own files, not to download them."
    )
    cli.run(main, operands=1)
