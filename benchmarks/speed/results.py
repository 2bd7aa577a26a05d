"""The results' files: rows that take the places of the same ones, their table and their picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.speed import plots, table
from cnn_jax.errors import UserError
from cnn_jax.runtime.result_files import write_json, write_result

FILE = "results.json"
Sections = dict[str, list[dict[str, Any]]]  # name -> judged rows


def read(path: Path) -> Sections:
    """The rows of an earlier run; raises `UserError` where the file holds none."""
    if not path.exists():
        return {}
    try:
        saved = json.loads(path.read_text())
        merge([row for rows in saved.values() for row in rows], [])
    except (ValueError, AttributeError, LookupError, TypeError) as error:
        raise UserError(
            f"--out={path.parent}: {path.name} holds no rows of this program: move it away, or "
            "name another folder"
        ) from error
    return saved


def write(saved: Sections, sections: Sections, out: Path) -> None:
    """Table and picture are of these rows and of all that were saved."""
    merged = saved | {n: merge(saved.get(n, []), rows) for n, rows in sections.items()}
    write_json(out / FILE, merged)
    text = ""
    for name, rows in merged.items():
        cells = [table.cells(row) for row in rows]
        for line, device in zip(cells, table.devices_of(rows), strict=True):
            line[0] += device
        lines = table.markdown(cells)
        on = "\n".join(f"- {line}" for line in table.measured_on(rows))
        text += f"## {name}\n\n{on}\n\n{lines}\n"
    write_result("the table", out / "table.md", text)
    plots.draw_ratios(merged, out / "speed.png")


def merge(before: list[dict[str, Any]], rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """All rows, of which later ones take the places of the same before them."""
    return list({identity(row): row for row in (*before, *rows)}.values())


def identity(row: dict[str, Any]) -> tuple[Any, ...]:
    """What a row measured, on what device, and with which JAX."""
    case, machine = row["case"], row["machine"]
    of_case = (case[key] for key in ("name", "size", "batch", "dtype"))
    release = machine["versions"]["jax"].split(".")[:2]
    return (machine["device"], machine["cores_used"], *release, *of_case)


def same_row(row: dict[str, Any], saved: list[dict[str, Any]]) -> dict[str, Any] | None:
    """What the same commit has measured of the same on the same device, if it is there."""
    for other in saved:
        if identity(other) == identity(row) and commit(other) == commit(row):
            return other
    return None


def commit(row: dict[str, Any]) -> str:
    """Without the mark of changed files: the results themselves may lie among them."""
    return row["machine"]["commit"].removesuffix("+changes")
