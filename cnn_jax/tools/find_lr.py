"""Which learning rate a config trains well with: the range test, a suggestion, and a picture.

    python -m cnn_jax.tools.find_lr --config=configs/lenet5.py:mnist --out=rates.png

A fresh net trains for --steps while its rate rises from --first to --last. Suggested is a third of
the rate at which the smoothed loss is lowest; diverging are the rates by which it has risen again
by half of what it had fallen, or to that of a guess (Smith 2017). Beside it the picture has what
four rates make of the loss: too low, good, too high, diverging; --notrends leaves that out, and its
time.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from cnn_jax import cli
from cnn_jax.errors import UserError
from cnn_jax.runtime.result_files import write_json

if TYPE_CHECKING:
    import numpy as np

    from cnn_jax.analysis.rate_finder import RangeTest

INK, GOOD, BAD = "#4c72b0", "#55a868", "#c44e52"


def main(argv: Sequence[str]) -> None:
    from cnn_jax.analysis.rate_finder import RateFinder
    from cnn_jax.training import config_checks

    del argv
    if CONFIG.value is None:
        raise UserError("--config is missing: name a file, like --config=configs/lenet5.py")
    if FIRST.value >= LAST.value:
        raise UserError(f"--first={FIRST.value:g} must be under --last={LAST.value:g}")
    config_checks.check(CONFIG.value)  # as given: the test has a schedule of its own
    finder = RateFinder(CONFIG.value, STEPS.value)
    result = finder.range_test(FIRST.value, LAST.value)
    print(in_words(result))
    trends = {}
    if TRENDS.value:
        trends = {name: (r, finder.losses_at(r)) for name, r in trend_rates(result).items()}
    title = f"{CONFIG.value.model.name} on {CONFIG.value.data.name}, {CONFIG.value.optimizer.name}"
    draw(result, trends, title, Path(OUT.value))
    print(f"the picture is {OUT.value}")
    if JSON.value:
        write_json(JSON.value, as_json(result))


def in_words(result: RangeTest) -> str:
    """What was found, and the flag to paste."""
    if not result.learns:
        return (
            f"nothing is learnt at rates from {result.rates[0]:.2g} to {result.rates[-1]:.2g}: "
            "the loss wavers more than it falls; try more --steps"
        )
    edge = result.diverging
    diverging = (
        f"diverging from {edge:.2g} on" if edge else "nowhere diverging: try a higher --last"
    )
    return (
        f"the loss is lowest at {result.lowest:.2g}; {diverging}\n"
        f"suggested: --config.optimizer.learning_rate={result.suggested:g}"
    )


def trend_rates(result: RangeTest) -> dict[str, float]:
    """A rate of each kind."""
    rates = {"too low": result.suggested / 100, "good": result.suggested, "too high": result.lowest}
    if result.diverging:
        rates["too high"] = (result.lowest * result.diverging) ** 0.5
        rates["diverging"] = 3 * result.diverging
    return rates


def as_json(result: RangeTest) -> dict[str, Any]:
    return {
        "suggested": result.suggested,
        "lowest": result.lowest,
        "diverging": result.diverging,
        "learns": result.learns,
        "rates": result.rates.tolist(),
        "losses": result.losses.tolist(),
    }


def draw(
    result: RangeTest, trends: dict[str, tuple[float, np.ndarray]], title: str, out: Path
) -> None:
    """Loss against rate, and beside it loss against step at four rates."""
    from cnn_jax.analysis.explanations.pictures import saved_figure

    smoothed = result.smoothed
    low = float(smoothed.min())
    high = max(float(smoothed[0]), float(result.losses[0]))
    limits = (low - 0.1 * (high - low), high + 0.6 * (high - low))
    panels = 1 + bool(trends)
    with saved_figure(out, (5.2 * panels, 3.6)) as figure:
        axes = figure.subplots(1, panels, squeeze=False)[0]
        axes[0].plot(result.rates, result.losses, color=INK, alpha=0.25, lw=0.8)
        axes[0].plot(result.rates, smoothed, color=INK, label="loss, smoothed")
        axes[0].set(xscale="log", xlabel="learning rate", ylabel="training loss", ylim=limits)
        label = f"suggested: {result.suggested:g}"
        axes[0].axvline(result.suggested, color=GOOD, label=label)
        if result.diverging:
            right = float(result.rates[-1])
            axes[0].axvspan(result.diverging, right, color=BAD, alpha=0.15, label="diverging")
        axes[0].set_title(title, fontsize=9)
        axes[0].legend(frameon=False, fontsize=8)
        for name, (rate, losses) in trends.items():
            axes[1].plot(moving_mean(losses), label=f"{name}: {rate:.2g}")
        if trends:
            axes[1].set(xlabel="step", yscale="log")  # a loss that diverges is far away
            axes[1].set_title("the loss at four rates", fontsize=9)
            axes[1].legend(frameon=False, fontsize=8)


def moving_mean(values: np.ndarray) -> np.ndarray:
    """Each value with up to four neighbours on either side."""
    import numpy as np

    return np.array([values[max(0, i - 4) : i + 5].mean() for i in range(len(values))])


if __name__ == "__main__":  # flags only here, so that the tools can be imported side by side
    CONFIG = cli.define_config()
    STEPS = flags.DEFINE_integer("steps", 300, "Steps of the range test.", lower_bound=20)
    FIRST = flags.DEFINE_float("first", 1e-6, "The lowest rate.", lower_bound=1e-12)
    LAST = flags.DEFINE_float("last", 10.0, "The highest rate.")
    TRENDS = flags.DEFINE_bool("trends", True, "Also train at four rates.")
    OUT = cli.define_picture("out", "rates.png")
    JSON = cli.define_file("json", None, "File for the figures as JSON.")
    cli.run(main)
