"""Published weights that are taken by name: net, figure with its protocol, size, licence.

    python -m cnn_jax.tools.weights
    python -m cnn_jax.tools.weights resnet50 vgg        (a name or a net holds one of the words)
    python -m cnn_jax.tools.weights resnet50.tv_in1k --fetch

A name stands wherever a folder of weights does: `cnn_jax.load("resnet50.tv_in1k")`,
`--config.init.from=resnet50.tv_in1k`, `cnn_jax predict --workdir=resnet50.tv_in1k`. The file comes
from timm's repository at Hugging Face the first time, is held to the SHA-256 that the server names
and to that of the first download, converted, and kept in ~/.cache/cnn_jax/weights
(CNN_JAX_WEIGHTS names another folder, HF_ENDPOINT a mirror). Top-1 and top-5 are timm's, on the
50,000 validation images of ImageNet.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from absl import flags

from cnn_jax import cli
from cnn_jax.analysis import tables
from cnn_jax.errors import UserError
from cnn_jax.transfer import pretrained
from cnn_jax.transfer.pretrained import Pretrained

COLUMNS = ("name", "net", "top-1", "top-5", "protocol", "MB", "licence", "kept")


def row_of(one: Pretrained) -> list[str]:
    kept = pretrained.kept_sha256(one)[:12] or "-"
    figures = (f"{one.top1:.2f} %", f"{one.top5:.2f} %", one.protocol, f"{one.megabytes:.0f}")
    return [one.name, one.model, *figures, one.licence, kept]


def main(argv: Sequence[str]) -> None:
    words, rows = argv[1:], [*pretrained.table().values()]
    if FETCH.value:
        if not words:
            raise UserError("--fetch: name the weights, like resnet50.tv_in1k")
        found = [pretrained.find(word, "weights") for word in words]
        unknown = [word for word, one in zip(words, found, strict=True) if one is None]
        if unknown:
            raise UserError(
                f"weights={unknown[0]!r} is no name of weights: cnn_jax weights lists them"
            )
        rows = [one for one in found if one is not None]
        for one in rows:
            print(f"{one.name}: {pretrained.folder_of(one)}")
        return
    rows = [r for r in rows if not words or any(w in f"{r.name} {r.model}" for w in words)]
    if not rows:
        raise UserError(
            f"no name or net holds {' or '.join(map(repr, words))}: cnn_jax weights lists all"
        )
    tables.print_table(COLUMNS, [row_of(one) for one in rows])


if __name__ == "__main__":  # flags only here, so that the tools can be imported side by side
    FETCH = flags.DEFINE_bool("fetch", False, "Fetch and convert the named ones now.")
    cli.run(main, operands=sys.maxsize)
