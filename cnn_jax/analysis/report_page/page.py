"""The page itself: head, style sheet and parts in order."""

from __future__ import annotations

from collections.abc import Sequence

from cnn_jax.analysis.report_page import comparison, predictions, sections
from cnn_jax.analysis.report_page.markup import text
from cnn_jax.analysis.report_page.run_folder import RunFolder, read_weights
from cnn_jax.analysis.report_page.style import STYLE


def make_page(runs: Sequence[RunFolder]) -> str:
    """The page of a run, or of several: what tells them apart first, then each alone."""
    if len(runs) == 1:
        title, parts = runs[0].title, run_parts(runs[0])
    else:
        title = f"{len(runs)} runs: {', '.join(dict.fromkeys(run.title for run in runs))}"
        parts = [
            comparison.side_by_side(runs),
            comparison.differences(runs),
            sections.curves(runs),
            comparison.recall_by_class(runs),
            "<h2>Each run</h2>",
            *(
                f'<details class="run"><summary><b>{text(run.name)}</b>: {text(run.title)}'
                f"</summary>{''.join(run_parts(run))}</details>"
                for run in runs
            ),
        ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<title>{text(title)}</title><meta name="color-scheme" content="light dark">'
        f"<style>{STYLE}</style></head><body><h1>{text(title)}</h1>{''.join(parts)}</body></html>\n"
    )


def run_parts(run: RunFolder) -> list[str]:
    """All there is about one run."""
    weights = read_weights(run)
    return [
        sections.about(run),
        sections.headline(run, weights),
        sections.curves([run]),
        predictions.mistakes(run),
        predictions.confusion(run),
        predictions.classes(run),
        sections.calibration(run),
        sections.filters(weights),
        sections.flow(run),
        sections.provenance(run),
    ]
