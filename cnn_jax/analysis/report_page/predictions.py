"""The parts of the page about what the net predicts: mistakes, confusions, classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cnn_jax.analysis.report_page.markup import (
    folded,
    image,
    interval,
    number,
    percent,
    png_of,
    section,
    table,
    text,
)
from cnn_jax.analysis.report_page.run_folder import RunFolder

COUNTED = 20  # classes whose confusion matrix is a table of counts
OPEN_CLASSES = 30  # up to so many the table by class is open
CONFUSIONS = 12  # pairs that are named


def mistakes(run: RunFolder) -> str:
    """The images with the largest losses."""
    rows = run.report.get("top_losses")
    if not rows:
        return ""
    picture = run.picture("top_losses.png")
    shown = image(picture, "the images with the largest losses", "mistakes") if picture else ""
    header = ["image", "is", "was taken for", "loss"]
    lines = [[r["image"], r["label"], r["predicted"], number(r["loss"])] for r in rows]
    named = folded(f"{len(rows)} names", table(header, lines))
    hint = "Look here first: a wrong label, a broken image, or what the net has not understood."
    return section("Largest losses", shown + named, hint)


def confusion(run: RunFolder) -> str:
    """Counts of truth against prediction, and the pairs that are confused most."""
    matrix, names = run.report.get("confusion_matrix"), list(run.report.get("classes") or {})
    if not matrix:
        return ""
    counts = np.array(matrix)
    shares = counts / np.maximum(1, counts.sum(1, keepdims=True))
    if len(names) <= COUNTED:
        content = counted_matrix(counts, shares, names)
    else:
        grey = (255 * (1 - np.sqrt(np.clip(shares, 0, 1)))).astype(np.uint8)
        content = image(png_of(grey), "confusion matrix, a pixel a cell", "pixels")
    wrong = counts * (1 - np.eye(len(names), dtype=int))
    order = np.argsort(-wrong, axis=None, kind="stable")[:CONFUSIONS]
    pairs = [divmod(int(i), len(names)) for i in order if wrong.flat[i]]
    rows = [[names[t], names[p], int(wrong[t, p]), percent(shares[t, p])] for t, p in pairs]
    if rows:
        content += table(["is", "was taken for", "times", "of its class"], rows, "numbers")
    hint = "A row is what the images show, a column what was predicted."
    return section("Confusions", content, hint)


def counted_matrix(counts: np.ndarray, shares: np.ndarray, names: Sequence[str]) -> str:
    head = "".join(f"<th><span>{text(name)}</span></th>" for name in names)
    rows = []
    for i, name in enumerate(names):
        cells = "".join(
            f'<td class="{"hit" if i == j else "miss"}" style="--s:{shares[i, j]:.3f}" '
            f'title="{text(f"{name} taken for {names[j]}")}">{n or ""}</td>'
            for j, n in enumerate(counts[i].tolist())
        )
        rows.append(f'<tr><th scope="row">{text(name)}</th>{cells}</tr>')
    return (
        f'<div class="wide"><table class="matrix"><thead><tr><th></th>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def classes(run: RunFolder) -> str:
    """Recall with its interval, precision, F1 and number of examples by class."""
    found = run.report.get("classes")
    if not found:
        return ""
    rows = [
        [name, f"{100 * row['recall']:.1f}", interval(row.get("recall_interval")),
         f"{100 * row['precision']:.1f}", f"{100 * row['f1-score']:.1f}", f"{row['support']:,.0f}"]
        for name, row in sorted(found.items(), key=lambda item: item[1]["recall"])
        if row["support"]
    ]  # fmt: skip
    absent = [name for name, row in found.items() if not row["support"]]
    rows += [[name, "", "", "", "", "0"] for name in absent]
    header = ["class", "recall, %", "95 % interval", "precision, %", "F1, %", "examples"]
    shown = folded(
        f"{len(rows)} classes", table(header, rows, "numbers"), len(rows) <= OPEN_CLASSES
    )
    return section("By class", shown, "The worst recall first.")
