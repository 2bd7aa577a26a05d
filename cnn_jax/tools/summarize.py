"""What a net is made of, what it costs and what it sees; or all nets in one table and chart.

    python -m cnn_jax.tools.summarize resnet50
    python -m cnn_jax.tools.summarize resnet50 --input_size=64 --num_classes=10 --layers
    python -m cnn_jax.tools.summarize alexnet --option=towers=1 --option=lrn=False --json
    python -m cnn_jax.tools.summarize googlenet --recipe
    python -m cnn_jax.tools.summarize --all --out=nets.png
    python -m cnn_jax.tools.summarize --list=nets

One row a stage: output, kernels, stride, parameters, multiply-adds, and of its output the receptive
field, the jump (pixels from one position to the next) and the padding (how far the first position
reaches out of the image). Memory is the activations that convolutions, dense layers and pools put
out for one image in float32. A position behind a flattening or a global pool sees the whole image.

--recipe: how the paper trained the net, beside the config that does so: a row for each key, with
the section, table or file that the paper's value is from, and every difference marked.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from absl import flags

from cnn_jax import models
from cnn_jax.analysis import chart, choices, recipes, tables
from cnn_jax.analysis.published import WHOLE_VAL, published_figures
from cnn_jax.analysis.stages import summarize
from cnn_jax.cli import run
from cnn_jax.errors import UserError
from cnn_jax.runtime.progress import ProgressBar


def main(argv: Sequence[str]) -> None:
    changed = OPTION.value or INPUT_SIZE.value or NUM_CLASSES.value
    one_net = len(argv) > 1 or changed or RECIPE.value
    if ALL.value:
        if one_net:
            raise UserError("--all takes no name, options, size or classes: every net as it stands")
        summarize_all(Path(OUT.value))
    elif LIST.value:
        if one_net:
            raise UserError(f"--list={LIST.value} takes no name, options, size or classes")
        print_list(LIST.value)
    elif len(argv) > 1 and RECIPE.value:
        if changed:
            raise UserError("--recipe takes no options, size or classes: the recipe as it stands")
        print_recipe(argv[1])
    elif len(argv) > 1:
        summarize_one(argv[1])
    else:
        raise UserError(f"name a net, or give --all; the nets: {', '.join(models.names())}")


def summarize_one(name: str) -> None:
    """One net as the flags have it."""
    options = parse_options(OPTION.value)
    module = models.create(name, NUM_CLASSES.value, **options)
    net = models.REGISTRY[name]
    height, width, channels = net.input_shape
    if INPUT_SIZE.value is not None:
        if INPUT_SIZE.value < 1:
            raise UserError(f"--input_size={INPUT_SIZE.value} is no number of pixels")
        height = width = INPUT_SIZE.value
    summary = summarize(module, (height, width, channels))
    # The published figures are of the net as the paper has it.
    changed = OPTION.value or NUM_CLASSES.value or INPUT_SIZE.value
    figures = None if changed else published_figures().get(name)
    if JSON.value:
        record = tables.summary_record(summary, figures)
        print(json.dumps({"name": name, "options": options, **record}))
        return
    print(", ".join([name, f"{height}x{width}x{channels}", *OPTION.value]) + "\n")
    if LAYERS.value:
        tables.print_table(tables.LAYER_COLUMNS, [tables.layer_row(x) for x in summary.layers])
    else:
        tables.print_table(tables.STAGE_COLUMNS, [tables.stage_row(x) for x in summary.stages])
    print("\n" + "\n".join(tables.totals(summary, figures)))
    if rows := choices.option_rows(net):
        print("\noptions: --option=KEY=VALUE here, --config.model.KEY=VALUE in training\n")
        tables.print_table(tables.OPTION_COLUMNS, rows)


def summarize_all(out: Path) -> None:
    """Every net in a table, and those with a published single-crop accuracy in the chart."""
    if out.suffix not in (".png", ".svg", ".pdf"):
        raise UserError(f"--out={out}: the chart is a .png, .svg or .pdf")
    rows, points = [], []
    with ProgressBar("nets", len(models.REGISTRY)) as bar:
        for name, net in models.REGISTRY.items():
            bar.describe(name)
            summary = summarize(models.create(name), net.input_shape)
            figures = published_figures().get(name)
            rows.append(tables.net_row(name, summary, figures))
            if figures and figures.crop_top1 is not None:
                size = (summary.multiply_adds, summary.inference_parameters)
                selected = figures.population != WHOLE_VAL
                points.append(
                    chart.ChartPoint(name, *size, figures.crop_top1, figures.crop_is_own, selected)
                )
            bar.advance()
        bar.describe("chart")
        chart.draw_chart(points, out)
    if JSON.value:
        print(json.dumps([dict(zip(tables.NET_COLUMNS, row, strict=True)) for row in rows]))
    else:
        tables.print_table(tables.NET_COLUMNS, rows)
        print(f"\nchart of {len(points)} nets: {out}")


def print_recipe(net: str) -> None:
    """The recipe of a net's paper beside the config, a row a key."""
    recipe, config = recipes.recipe_of(net)
    rows = recipes.recipe_rows(config, recipes.published_recipes()[recipe])
    if JSON.value:
        print(json.dumps({"config": recipe, "rows": [row._asdict() for row in rows]}))
        return
    of = "" if config.model.name == net else f", whose net is {config.model.name}"
    print(f"the recipe of --config={recipe}{of}\n")
    tables.print_table(tables.RECIPE_COLUMNS, recipes.grouped(rows))
    print("\n" + recipes.count_text(rows))


def print_list(kind: str) -> None:
    """All that a config may name of a kind, a line each; as JSON by name."""
    lines = choices.LISTS[kind]()
    if JSON.value:
        print(json.dumps(lines))
        return
    width = max(map(len, lines))
    for name, text in lines.items():
        print(f"{name:{width}}  {text}")


def parse_options(pairs: Iterable[str]) -> dict[str, Any]:
    """["lrn=False", "width=0.5"] -> {"lrn": False, "width": 0.5}."""
    options = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise UserError(f"--option={pair}: write KEY=VALUE")
        try:
            options[key] = ast.literal_eval(value)
        except (SyntaxError, ValueError):
            options[key] = value
    return options


if __name__ == "__main__":  # flags only here, so that the tools can be imported side by side
    INPUT_SIZE = flags.DEFINE_integer("input_size", None, "pixels a side; default: the paper's")
    NUM_CLASSES = flags.DEFINE_integer("num_classes", None, "logits; default: the paper's")
    OPTION = flags.DEFINE_multi_string("option", [], "KEY=VALUE, an option of the net; repeatable")
    LAYERS = flags.DEFINE_boolean("layers", False, "one row a layer instead of one a stage")
    JSON = flags.DEFINE_boolean("json", False, "print JSON")
    LIST = flags.DEFINE_enum(
        "list", None, list(choices.LISTS), "what a config may name, a line each"
    )
    RECIPE = flags.DEFINE_boolean("recipe", False, "how its paper trained it, beside the config")
    ALL = flags.DEFINE_boolean("all", False, "one row a net, and the chart")
    OUT = flags.DEFINE_string(
        "out", "nets.png", "with --all: where the chart goes (.png, .svg, .pdf)"
    )
    run(main, operands=1)
