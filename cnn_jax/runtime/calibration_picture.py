"""The reliability diagram, and the risk at every coverage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cnn_jax.errors import printable
from cnn_jax.runtime.report_pictures import plain_pyplot, save_picture


def draw_calibration(report: dict[str, Any], out: Path) -> None:
    """Accuracy by confidence, before and after the temperature; risk by coverage."""
    plt, found = plain_pyplot(), report["calibration"]
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.8), layout="constrained")
    kinds = [("as trained", found, "C0")]
    if scaled := found.get("scaled"):
        kinds.append((f"at temperature {scaled['temperature']:.2f}", scaled, "C1"))
    left.plot([0, 1], [0, 1], ":", color="0.5")
    for name, of, colour in kinds:
        bins = [b for b in of["bins"] if b["examples"]]
        confidence, accuracy, counts = (
            [b[key] for b in bins] for key in ("confidence", "accuracy", "examples")
        )
        label = f"{name}: error {of['ece']:.4f}"
        left.plot(confidence, accuracy, "-", color=colour, lw=1, alpha=0.6)
        most = max(counts, default=1)
        sizes = [12 + 120 * count / most for count in counts]
        left.scatter(confidence, accuracy, sizes, color=colour, alpha=0.7, label=label)
    left.set(xlabel="confidence", ylabel="accuracy", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    left.set_title("reliability: on the dotted line confidence is accuracy", fontsize=9)
    for name, of, colour in kinds:
        shares = [point["examples"] / report["examples"] for point in of["coverage"]]
        risks = [point["risk"] for point in of["coverage"]]
        right.plot(shares, risks, ".-", color=colour, label=f"{name}: area {of['risk_area']:.4f}")
    right.set(xlabel="share answered, the most confident", ylabel="share of mistakes")
    right.set(xlim=(0, 1.02), ylim=(0, None))
    right.set_title("mistakes where only so many are answered", fontsize=9)
    for panel in (left, right):
        panel.grid(alpha=0.3)
        panel.legend(frameon=False, fontsize=8)
    where = f"{report.get('dataset', '')}, {report['split']}, {report['protocol']}"
    figure.suptitle(printable(where.removeprefix(", ")), fontsize=9)
    save_picture(figure, out)
