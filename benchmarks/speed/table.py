"""What the rounds of `benchmarks.speed` say: speeds, ratios, the share of the limit, verdicts.

A row is one case of one task. Its first contender is this project, the others are what it is
compared with:

    {"case": {...}, "task": "train", "goal": 1.0, "parameters": n, "multiply_adds": n, ...,
     "machine": {...}, "limits": {"flops": a second, "bytes": a second},
     "contenders": {name: {"steps": n, "rounds": [[seconds, cpu_seconds], ...], "peak_bytes": n,
                           ...}}}
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Sequence
from typing import Any

from benchmarks.harness.machine import in_words

CLOCKS = {"cpu": 1, "wall": 0}  # by CPU second, by wall time -> the place in a round
COLUMNS = (
    *("net", "batch", "images/s", "theirs", "per CPU-s", "theirs", "ratio wall", "ratio CPU"),
    *("goal", "best of theirs", "start s", "compile s", "memory MB", "limit", ""),
)

# Passes over the net: of arithmetic; of every activation through memory (written, read, read again
# for the kernel's gradient, its own gradient written and read); of the parameters (two reads, the
# gradient, and Adam's four reads and three writes).
ARITHMETIC = {"train": 3, "loop": 3, "operate": 3, "infer": 1}
ACTIVATIONS = {"train": 5, "loop": 5, "operate": 5, "infer": 2}
PARAMETERS = {"train": 10, "loop": 10, "operate": 3, "infer": 1}


def judge(row: dict[str, Any], clocks: tuple[str, ...]) -> dict[str, Any]:
    """The row with what its rounds say; `goals_met` is None where it has none."""
    (_, ours), *others = row["contenders"].items()
    others = {name: result for name, result in others if "rounds" in result}
    case = row["case"]
    judged = {
        "images_per_second": {c: speed(ours, case["batch"], c) for c in clocks},
        "limit_share": bound(row) / seconds(ours, "wall"),
        "ratio": {c: best(ours, others, case["batch"], c) for c in clocks if others},
    }
    checks = []
    if others and row["goal"]:
        checks += [ratio["low"] >= row["goal"] for ratio in judged["ratio"].values()]
    if row["rate"]:
        checks.append(judged["images_per_second"]["wall"] >= row["rate"])
    return row | judged | {"goals_met": all(checks) if checks else None}


def best(ours: dict, others: dict[str, dict], batch: int, clock: str) -> dict[str, Any]:
    """Ours against the fastest of the others: the median of the rounds' ratios, with quartiles."""
    place = CLOCKS[clock]
    ratios = []
    for name, other in others.items():
        pairs = zip(other["rounds"], ours["rounds"], strict=True)
        scale = ours["steps"] / other["steps"]
        of_rounds = [scale * slow[place] / fast[place] for slow, fast in pairs]
        ratios.append(
            quartiles(of_rounds) | {"of": name, "other_speed": speed(other, batch, clock)}
        )
    return min(ratios, key=lambda ratio: ratio["median"])


def quartiles(values: list[float]) -> dict[str, float]:
    """Median and quartiles."""
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return {"median": median, "low": low, "high": high}


def seconds(result: dict[str, Any], clock: str) -> float:
    """Of a step, the median of the rounds."""
    return statistics.median(times[CLOCKS[clock]] for times in result["rounds"]) / result["steps"]


def speed(result: dict[str, Any], batch: int, clock: str) -> float:
    return batch / seconds(result, clock)


def bound(row: dict[str, Any]) -> float:
    """Seconds that a step needs at least: computing like a matrix product, or moving like a copy.

    Multiply-adds and activations are those of the logits; auxiliary heads are left out.
    """
    task, case, limits = row["task"], row["case"], row["limits"]
    flops = 2 * ARITHMETIC[task] * row["multiply_adds"] * case["batch"]
    width = 0.5 if case["dtype"] == "bfloat16" else 1.0  # of activations, against float32
    moved = ACTIVATIONS[task] * width * row["activation_bytes"] * case["batch"]
    moved += 4 * PARAMETERS[task] * row["parameters"]
    return max(flops / limits["flops"], moved / limits["bytes"])


def devices_of(rows: list[dict[str, Any]]) -> list[str]:
    """Of each row where it was measured, ", AMD EPYC, jax 0.12", as far as that differs."""
    devices = [row["machine"]["device"] for row in rows]
    versions = [".".join(row["machine"]["versions"]["jax"].split(".")[:2]) for row in rows]
    words = [""] * len(rows)
    if len(set(devices)) > 1:
        words = [", " + re.sub(r"\((R|TM)\)|( Processor| CPU)? @.*", "", name) for name in devices]
    if len(set(versions)) > 1:
        words = [f"{word}, jax {version}" for word, version in zip(words, versions, strict=True)]
    return words


def measured_on(rows: list[dict[str, Any]]) -> list[str]:
    """In words, each machine with what it can do and its rows, where there are several."""
    by_machine: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        results = row["contenders"].values()
        versions = {result["version"] for result in results if "version" in result}
        torch = "".join(f"; PyTorch {version}" for version in sorted(versions))
        words = f"{in_words(row['machine'])}; {row['machine']['cores_used']} used{torch}"
        by_machine.setdefault(words, []).append(row)
    lines = []
    for words, measured in by_machine.items():
        names = dict.fromkeys(row["case"]["name"] for row in measured)
        best: dict[str, dict[str, float]] = {}
        for row in measured:
            kind = best.setdefault(row["case"]["dtype"], dict.fromkeys(row["limits"], 0.0))
            kind |= {key: max(kind[key], value) for key, value in row["limits"].items()}
        for kind, limit in best.items():
            product, copy = limit["flops"] / 1e9, limit["bytes"] / 1e9
            words += f"; {kind} matrix product {product:,.0f} GFLOP/s, copy {copy:,.1f} GB/s"
        lines.append(f"{', '.join(names)}: {words}" if len(by_machine) > 1 else words)
    return lines


def cells(row: dict[str, Any]) -> list[str]:
    """A judged row for people, in the order of `COLUMNS`; "theirs" are of the best ratio."""
    case, ratios = row["case"], row["ratio"]
    name = next((r["of"] for r in ratios.values()), None)
    ours = next(iter(row["contenders"].values()))
    pair = (ours, row["contenders"][name]) if name else (ours,)

    def speeds(clock: str) -> list[str]:
        rate, ratio = row["images_per_second"].get(clock), ratios.get(clock)
        return [number(rate), number(ratio["other_speed"] if ratio else None)]

    def ratio(clock: str) -> str:
        r = ratios.get(clock)
        return f"{r['median']:.2f} ({r['low']:.2f}-{r['high']:.2f})" if r else ""

    def both(key: str, scale: float = 1.0) -> str:
        return " / ".join(number(scale * result[key]) for result in pair)

    return [
        f"{case['name']} {case['size']} px",
        str(case["batch"]),
        *speeds("wall"),
        *speeds("cpu"),
        ratio("wall"),
        ratio("cpu"),
        f"{row['goal']:g}" if row["goal"] else "",
        name or "",
        both("start_seconds"),
        both("compile_seconds"),
        both("peak_bytes", 1e-6),
        f"{row['limit_share']:.0%}",
        {True: "holds", False: "fails", None: ""}[row["goals_met"]],
    ]


def number(value: float | None) -> str:
    """Three digits that count."""
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def markdown(rows: list[list[str]], columns: Sequence[str] = COLUMNS) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
