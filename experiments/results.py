"""The committed results of claims: one JSON file each, and the texts made of them.

results/NAME.json          laptop scale      results/NAME.gpu.json, results/NAME.paper.json
results/placebo/NAME.json  both arms equal   results/NAME.md, NAME.png: the page and its picture
"""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

from cnn_jax.errors import UserError
from cnn_jax.runtime.result_files import write_json, write_result
from experiments import claim as claims
from experiments import plots
from experiments.claim import SCALES, Claim
from experiments.protocol import Settings
from experiments.statistics import ALPHA, CONTRADICTED, NOT_DECIDED, SUPPORTED, holm

FOLDER = Path(__file__).parent / "results"
README = Path(__file__).parent / "README.md"
PLACEBO = "placebo"


def path_of(name: str, settings: Settings, folder: Path = FOLDER) -> Path:
    suffix = "" if settings.scale == SCALES[0] else f".{settings.scale}"
    return folder / (PLACEBO if settings.placebo else "") / f"{name}{suffix}.json"


def write(path: Path, result: dict[str, Any], claim: Claim) -> None:
    """Keeps a result and, of one that is no placebo's, its picture.

    The picture comes first: a result that is there is whole. Raises `UserError` where the protocol
    was changed in silence.
    """
    result = result | {"deviations": [dataclasses.asdict(d) for d in claim.deviations]}
    if path.exists():
        before = json.loads(path.read_text())
        changed = before["fingerprint"] != result["fingerprint"]
        if changed and len(claim.deviations) <= len(before["deviations"]):
            raise UserError(
                f"{path.stem}: the protocol is not that of {path}: add a dated Deviation to the "
                "claim that says what was changed, and why"
            )
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.parent.name != PLACEBO:
        plots.draw(result, claim, path.with_suffix(".png"))
    write_json(path, result)


def read_all(folder: Path = FOLDER) -> dict[tuple[str, str], dict[str, Any]]:
    """{(claim, scale): result}, in the order of the course."""
    results = {}
    for name in claims.names():
        for scale in SCALES:
            path = path_of(name, Settings(scale), folder)
            if path.exists():
                results[name, scale] = json.loads(path.read_text())
    return results


def adjusted(results: dict[tuple[str, str], dict[str, Any]]) -> dict[tuple[str, str], float]:
    """p by Holm's procedure over all results."""
    labels = {f"{name} {scale}": (name, scale) for name, scale in results}
    p = holm({label: results[key]["effect"]["p"] for label, key in labels.items()})
    return {labels[label]: value for label, value in p.items()}


def effect_text(result: dict[str, Any], claim: Claim) -> str:
    """The mean effect with its interval, in the measure's unit or as a factor."""
    effect, unlog = result["effect"], claim.rule.unlog
    mean, low, high = (unlog(effect[key]) for key in ("mean", "low", "high"))
    if claim.rule.ratio:
        return f"x {mean:.3g} ({low:.3g} to {high:.3g})"
    single = len(claim.contrast) == 1
    sign = "" if single else "+"
    bounds = f"{low:{sign}.2f} to {high:{sign}.2f}"
    return f"{mean:{sign}.2f} ({bounds}) {result['unit']}"


def verdict_text(result: dict[str, Any], p_adjusted: float) -> str:
    verdict = result["verdict"]
    if verdict == NOT_DECIDED and (ended := result.get("ended")):
        count, runs = sum(ended.values()), len(result["seeds"]) * len(ended)
        return f"{verdict}: {count} of {runs} runs ended before what is measured"
    if verdict == NOT_DECIDED:
        needed = result["seeds_needed"]
        if needed is None:
            return f"{verdict}: more than 1,000 seeds"
        return f"{verdict}: about {max(needed, result['effect']['n'] + 1)} seeds"
    if verdict in (SUPPORTED, CONTRADICTED) and p_adjusted >= ALPHA:
        return f"{verdict} (alone; not among all claims)"
    return verdict


def p_text(p: float) -> str:
    return "< 0.0001" if p < 1e-4 else f"{p:.2g}"


def index(results: dict[tuple[str, str], dict[str, Any]] | None = None) -> str:
    """The README: every claim in the order of the course, decided or not."""
    results = read_all() if results is None else results
    p = adjusted(results)
    decided = sum(result["verdict"] != NOT_DECIDED for result in results.values())
    lines = [
        *HEADER.format(claims=len(claims.names()), results=len(results), decided=decided)
        .strip()
        .splitlines(),
        "",
    ]
    chapter = ""
    for name in claims.names():
        claim = claims.load(name)
        if claim.chapter != chapter:
            chapter = claim.chapter
            lines += ["", f"## {chapter}", "", *TABLE]
        keys = [(name, scale) for scale in SCALES if (name, scale) in results]
        for key in keys:
            lines.append(row(name, claim, key[1], results[key], p[key]))
        if not keys:
            lines.append(
                f"| {claim.statement} `{name}` | {claim.source}: {claim.published} | not run yet | "
                f"| {'/'.join(claim.scales)} | | |"
            )
    return "\n".join(lines) + "\n"


def row(name: str, claim: Claim, scale: str, result: dict[str, Any], p: float) -> str:
    changed = "".join(f"; changed {d['date']}: {d['what']}" for d in result["deviations"])
    page = f"results/{path_of(name, Settings(scale)).stem}.md"
    cells = [
        f"[{claim.statement}]({page}) `{name}`{changed}",
        f"{claim.source}: {claim.published}",
        effect_text(result, claim),
        f"{result['effect']['n']}",
        scale,
        f"**{verdict_text(result, p)}**",
        f"{result['minutes']:.1f}",
    ]
    return "| " + " | ".join(cells) + " |"


TABLE = (
    "| statement | published | here, with 95 % interval | n | scale | verdict | minutes |",
    "|---|---|---|---|---|---|---|",
)
HEADER = """
# What is said about these networks, and what came out

<!-- Generated by `python -m experiments.run --index`; do not edit. -->

Each line is a command, `python -m experiments.run NAME` with the name behind the statement, that
ends in one of four verdicts:
*supported*, *contradicted*, *no effect above the margin*, or *not decided here* with the number of
seeds that would decide. All arms of a claim share their seeds: data, order, augmentation and, where
shapes allow, initial weights. The rule, the margin, the seeds and what is tuned stand in the file
of the claim and were fixed before its first run; a later change is dated and shown. The last epoch
counts.
Verdicts are at 5 % for a claim alone; one that does not stand at 5 % among all of them (Holm) says
so. Minutes are of one core unless the page says otherwise. [statistics.py](statistics.py) has the
rules, [LOG.md](LOG.md) what did not work.

{claims} claims, {results} with results, {decided} of those decided. To run one:

    python -m experiments.run max_pooling --data_dir=PATH
    python -m experiments.run --all --budget=60      goes on where it was stopped
    python -m experiments.run max_pooling --dry_run  a training command a line
    python -m experiments.zoo --budget=60            accuracy against operations

[What that has measured so far](results/zoo.md).
"""


def page(name: str, scale: str, result: dict[str, Any], p_adjusted: float) -> str:
    """One claim: the picture, the numbers, the protocol."""
    claim, effect = claims.load(name), result["effect"]
    stem = path_of(name, Settings(scale)).stem
    deviation = math.nan if effect["n"] < 2 else effect["deviation"]
    lines = [
        f"# {claim.statement}",
        "",
        f"![{name}]({stem}.png)",
        "",
        f"**{verdict_text(result, p_adjusted)}**: {effect_text(result, claim)}, {effect['n']} "
        f"seeds, {effect['agree']:.0%} of them on the claim's side.",
        "",
        f"p {p_text(effect['p'])} (paired t), {p_text(effect['p_signs'])} (sign flips), "
        f"{p_text(p_adjusted)} among all claims (Holm); deviation of a difference {deviation:.3g}.",
        "",
        f"| variant | {result['measure']}, {result['unit']} | deviation | diverged | tuned | "
        "seconds a run |",
        "|---|---|---|---|---|---|",
    ]
    for variant, arm in result["variants"].items():
        chosen = ", ".join(f"{key.split('.')[-1]} {v:g}" for key, v in arm["chosen"].items())
        lines.append(
            f"| {variant} | {arm['mean']:.4g} | {arm['deviation']:.2g} | {arm['diverged']} | "
            f"{chosen} | {arm['seconds']:.0f} |"
        )
    lines += ["", *protocol_lines(name, claim, scale, result)]
    return "\n".join(lines) + "\n"


def protocol_lines(name: str, claim: Claim, scale: str, result: dict[str, Any]) -> list[str]:
    rule, size = claim.rule, claim.scales[scale]
    contrast = " ".join(f"{w:+g} x {v}" for v, w in claim.contrast.items()).removeprefix("+")
    threshold = "" if rule.threshold is None else f" than {rule.threshold:g}"
    changes = ", ".join(f"`{key}={value}`" for key, value in size.changes.items())
    lines = [
        f"- Said by: {claim.source}: {claim.published}",
        f"- Against it: {claim.contrary}",
        f"- Not shown here: {claim.cannot_show}",
        f"- Effect: {contrast} in {claim.measure.name}"
        + (", of logarithms" if rule.ratio else "")
        + f"; the claim: {rule.direction}{threshold}; margin {rule.margin:g}.",
        f"- Config: `{size.config or claim.config}` with {changes or 'no change'}. {size.note}",
    ]
    for variant, keys in claim.variants.items():
        text = ", ".join(f"`{key}={value}`" for key, value in keys.items()) or "as the config"
        lines.append(f"- {variant}: {text}")
    if claim.tuning:
        grid = ", ".join(f"{value:g}" for value in claim.tuning.grid)
        lines.append(
            f"- Tuned: `{claim.tuning.key}` of {grid}, by {claim.tuning.by.name} on "
            f"{claim.tuning.seeds} other seed(s); a best value at an end extends the grid."
        )
    if claim.bundle:
        lines.append(f"- More than one switch: {claim.bundle}")
    lines += [f"- Changed {d['date']}: {d['what']}" for d in result["deviations"]]
    given = "".join(f" --input={key}={key.upper()}" for key in claim.inputs)
    command = f"`python -m experiments.run {name} --scale={scale}{given}`"
    meaning = "; ".join(f"{key.upper()} is {what}" for key, what in claim.inputs.items())
    lines += ["", result["machine"], "", f"{command}, where {meaning}" if meaning else command]
    return lines


def write_texts() -> None:
    """The index and the pages."""
    results = read_all()
    p = adjusted(results)
    for (name, scale), result in results.items():
        path = path_of(name, Settings(scale)).with_suffix(".md")
        write_result("the page", path, page(name, scale, result, p[name, scale]))
    write_result("the index", README, index(results))
