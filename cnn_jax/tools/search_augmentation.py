"""Which augmentation helps a dataset: a search by successive halving, judged on validation.

    python -m cnn_jax.tools.search_augmentation --config=configs/lenet5.py:mnist --minutes=20

Every policy (one transform, or none) trains on the same examples from the same starts, a start for
each seed. After each of three rungs the better half goes on, for as long as it has trained so far;
training without augmentation always goes on, and every difference is to it after as many steps. In
the end the transforms that helped are joined, the best first, and what lasted trains on for the
time left. What is better than none beyond the noise, on the validation split, is the line to paste;
where the steps were too few, or nothing is, that is said instead. The test split is never looked
at. Policies that the time does not suffice to begin are named.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from absl import flags

from cnn_jax import cli
from cnn_jax.errors import UserError
from cnn_jax.runtime.result_files import write_json


def main(argv: Sequence[str]) -> None:
    from cnn_jax.analysis.augmentation_search import COLOURS, SHAPES, AugmentationSearch

    del argv
    config = CONFIG.value
    if config is None:
        raise UserError("--config is missing: name a file, like --config=configs/lenet5.py")
    search = AugmentationSearch(config, EXAMPLES.value, SEEDS.value, MINUTES.value * 60)
    policies = POLICY.value or [*SHAPES, *(COLOURS if search.channels == 3 else ())]
    result = search.run([(), *((policy,) for policy in policies)])
    print("\n" + format_ranking(result))
    if OUT.value:
        write_json(OUT.value, result)


def format_ranking(result: dict[str, Any]) -> str:
    """The ranking as a table, and the line to paste."""
    names = {id(row): " + ".join(row["policy"]) or "none" for row in result["ranking"]}
    width = max(len("policy"), *map(len, names.values()))
    lines = [
        f"{result['config']} on {result['dataset']}: {result['training_examples']:,} training "
        f"examples, {result['seeds']} starts, judged on {result['validation_examples']:,} "
        f"by {result['protocol']}; {result['seconds']} s",
        f"{'policy':{width}} {'steps':>6} {'validation accuracy':>20} {'against none':>18}",
    ]
    for row in sorted(result["ranking"], key=lambda r: (-r["steps"], -r["validation_accuracy"])):
        accuracy = f"{row['validation_accuracy']:.2%} ± {row['deviation']:.2%}"
        gain = f"{row['gain']:+.2%} ± {row['gain_error']:.2%}" if row["policy"] else ""
        lines.append(f"{names[id(row)]:{width}} {row['steps']:>6} {accuracy:>20} {gain:>18}")
    lines.append(
        "(± of accuracy: deviation over starts; of the difference after as many steps: standard "
        "error, of starts and images)"
    )
    if result["not_tried"]:
        lines.append(
            f"not tried for want of time: {', '.join(result['not_tried'])}; "
            f"--minutes={result['minutes_needed']} is enough for all"
        )
    lines.append(result["verdict"])
    if result["augment"] is not None:
        policy = "".join(f'"{name}", ' for name in result["augment"]).rstrip()
        lines.append(f"config.augment = ({policy})")
    return "\n".join(lines)


if __name__ == "__main__":  # flags only here, so that the tools can be imported side by side
    CONFIG = cli.define_config()
    MINUTES = flags.DEFINE_float("minutes", 20.0, "Time for the search, about.", lower_bound=0.1)
    EXAMPLES = flags.DEFINE_integer("examples", 5000, "Training examples to search with.", 10)
    SEEDS = flags.DEFINE_integer("seeds", 3, "Starts of every policy.", lower_bound=2)
    OUT = cli.define_file("out", None, "File for the ranking as JSON.")
    POLICY = flags.DEFINE_multi_string("policy", [], "A transform to try; default: all that fit.")
    cli.run(main)
