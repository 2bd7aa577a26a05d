"""Pictures of claims: the runs of every variant, and the paired differences with their interval."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cnn_jax.runtime.result_files import write_picture
from experiments.claim import Claim

MANY = 100.0  # the largest over the smallest value of an axis that powers of ten suit
TICKS = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0)


def draw(result: dict[str, Any], claim: Claim, path: Path) -> None:
    """Left the measure of every run, lines joining a seed; right the effect and the margin.

    A run that ended before what is measured is an open triangle at its last step.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (runs, effect) = plt.subplots(
        1, 2, figsize=(8, 3.4), width_ratios=(2, 1), layout="constrained"
    )
    names = list(result["variants"])
    values = [result["variants"][name]["values"] for name in names]
    for seed in zip(*values, strict=True):
        runs.plot(range(len(names)), seed, "o-", color="tab:blue", alpha=0.4, lw=0.8, ms=4)
    for i, name in enumerate(names):
        mean = result["variants"][name]["mean"]
        runs.plot([i - 0.2, i + 0.2], [mean, mean], color="black", lw=2)
        bounds = result["variants"][name].get("bounds", [])
        ended = [value for value, bound in zip(values[i], bounds, strict=False) if bound]
        runs.plot([i] * len(ended), ended, "^", color="white", mec="tab:red", ms=8, zorder=3)
    if any("bounds" in arm for arm in result["variants"].values()):
        runs.set_title("triangles: not reached when the run ended", fontsize=8, color="tab:red")
    runs.set_xticks(range(len(names)), names, rotation=20 if len(names) > 3 else 0, fontsize=8)
    runs.set_xlim(-0.5, len(names) - 0.5)
    runs.set_ylabel(f"{result['measure']}, {result['unit']}", fontsize=8)
    if claim.rule.ratio:
        scale_by_factors(runs)
    draw_effect(effect, result, claim)
    figure.suptitle(f"{result['verdict']}: {claim.statement}", fontsize=9, wrap=True)
    write_picture(figure, path, dpi=110, metadata={"Software": None})
    plt.close(figure)


def draw_effect(panel: Any, result: dict[str, Any], claim: Claim) -> None:
    rule, effect = claim.rule, result["effect"]
    differences = [rule.unlog(value) for value in result["differences"]]
    mean, low, high = (rule.unlog(effect[key]) for key in ("mean", "low", "high"))
    if len(claim.contrast) > 1:
        ends = rule.unlog(-rule.log(rule.margin)), rule.margin
        panel.axhspan(*ends, color="tab:gray", alpha=0.25, label="margin")
        panel.axhline(rule.unlog(0.0), color="black", lw=0.8)
    if rule.threshold is not None:
        panel.axhline(rule.threshold, color="tab:red", ls="--", lw=1, label="claimed")
    panel.plot([0] * len(differences), differences, "o", color="tab:blue", alpha=0.4, ms=4)
    panel.errorbar(
        [0.3], [mean], [[mean - low], [high - mean]], fmt="o", color="black", capsize=4,
        label="mean, 95 %",
    )  # fmt: skip
    if rule.ratio:
        scale_by_factors(panel)
    panel.set_xlim(-0.5, 0.8)
    panel.set_xticks([])
    unit = "factor" if rule.ratio else result["unit"]
    panel.set_ylabel(f"effect, {unit}", fontsize=8)
    panel.legend(
        frameon=False, fontsize=7, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.02)
    )


def scale_by_factors(panel: Any) -> None:
    """A logarithmic axis, with plain numbers where it spans less than two powers of ten."""
    from matplotlib import ticker

    panel.set_yscale("log")
    low, high = panel.get_ylim()
    if high / low < MANY:
        panel.yaxis.set_major_locator(ticker.LogLocator(subs=TICKS))
        panel.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:,g}"))
        panel.yaxis.set_minor_locator(ticker.NullLocator())
