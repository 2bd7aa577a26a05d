"""How to use trained weights for a dataset: what the textbooks say, beside what was measured on it.

    python -m cnn_jax.tools.advise --config=CONFIG --weights=DIR --minutes=20
    python -m cnn_jax.tools.advise --workdir=RUN --per_class=10

Five ways are tried on the config's own images: a linear classifier on the highest features, one on
lower features, fine-tuning of the last stage and the head, of everything, and training from
scratch. The classifiers come first and are cheap; the three trainings share what is left of the
time, and each counts with its best evaluation on the validation split, which decides. The test
split is looked at once for each way.

The rule of thumb (Karpathy, CS231n notes, "Transfer learning"): few similar images, a linear
classifier on the highest features; few different ones, on lower features; many similar ones,
fine-tune; many different ones, fine-tune everything or train from scratch. It names no numbers.
Here images are many from --many a class on, and similar where no stage below the highest gives a
linear classifier that is better by more than the standard error on validation.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags

from cnn_jax import cli
from cnn_jax.runtime.result_files import write_json
from cnn_jax.tools.probe import CACHE


def main(argv: Sequence[str]) -> None:
    from cnn_jax.analysis.transfer_advice import ImageCounts, advise

    del argv
    paths = WORKDIR.value, WEIGHTS.value
    counts = ImageCounts(PER_CLASS.value, MOST.value, MANY.value)
    result = advise(CONFIG.value, paths, MINUTES.value * 60, counts, Path(CACHE_DIR.value))
    print("\n" + format_advice(result))
    if OUT.value:
        write_json(OUT.value, result)


def margin(share: float, count: int) -> str:
    """ "93.06% ±4.2%", with half the 95 % interval of a share of `count` images."""
    from cnn_jax.training.metrics import half_width

    return f"{share:>7.2%} ±{half_width(share, count):4.1%}"


def format_advice(result: dict[str, Any]) -> str:
    """The table, what the rule says and what was measured."""
    width = max(len(row["way"]) for row in result["tried"])
    lines = [
        f"{result['model']} ({result['weights']}) for {result['dataset']}; accuracy by "
        f"{result['protocol']}",
        "",
        f"{'':{width}} {'validation':>13} {'test':>13} {'macro':>7} {'trained':>11} {'seconds':>8}",
    ]
    for row in sorted(result["tried"], key=lambda row: -row["validation"]):
        mark = " *" if row["way"] in result["rule"] else ""
        lines.append(
            f"{row['way']:{width}} {margin(row['validation'], result['validation_examples'])} "
            f"{margin(row['test'], result['test_examples'])} "
            f"{row['macro']:>7.2%} {row['trained']:>11,} {row['seconds']:>8.0f}  "
            f"{row['note']}{mark}"
        )
    size = f"{'many' if result['many'] else 'few'} images ({result['per_class']:g} a class)"
    kind = "similar to" if result["similar"] else "different from"
    lines += [
        "",
        f"* the rule of thumb for {size}, {kind} those of the weights: "
        f"{' or '.join(result['rule'])}",
        f"measured: {result['best']} is best on {result['validation_examples']:,} validation "
        f"images (standard error {result['standard_error']:.2%})",
        f"advice: {result['advice']}",
    ]
    if result["advice"] != result["best"]:
        lines[-1] += ", as good within the error and cheaper"
    if result["few_decide"]:
        lines.append(
            f"only {result['validation_examples']:,} validation images decide: the ways may well "
            "be in another order; hold out more (--config.data.validation), or trust the rule of "
            "thumb"
        )
    if any(row["note"].endswith("the time was over") for row in result["tried"]):
        lines.append("some trainings were cut short: more --minutes may change the order")
    return "\n".join(lines)


if __name__ == "__main__":  # flags only here, so that the tools can be imported side by side
    CONFIG = cli.define_config()
    WORKDIR = flags.DEFINE_string("workdir", None, "A run whose best checkpoint is used.")
    WEIGHTS = flags.DEFINE_string("weights", None, "A folder of imported weights.")
    MINUTES = flags.DEFINE_float("minutes", 20.0, "Time for all ways, about.", lower_bound=0.1)
    PER_CLASS = flags.DEFINE_integer("per_class", 0, "Training images a class; 0: all.", 0)
    MOST = flags.DEFINE_integer("most", 0, "Images a class of any split, at most; 0: all.", 0)
    MANY = flags.DEFINE_integer("many", 50, "From how many a class on images are many.", 1)
    CACHE_DIR = flags.DEFINE_string("cache", CACHE, "Where features are kept.")
    OUT = cli.define_file("out", None, "File for the result as JSON.")
    cli.run(main)
