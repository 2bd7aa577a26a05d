"""One page of HTML about a run, or several side by side, that needs no network.

    python -m cnn_jax.tools.report RUN --out=report.html
    python -m cnn_jax.tools.report RUN RUN ... --out=comparison.html

The page opens from the disk, light and dark, and on a phone: figures with the paper's beside them,
curves, mistakes as pictures, confusions, classes, calibration, first-layer filters, gradient flow,
and how it was made. Of several runs it begins with what differs between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cnn_jax import cli
from cnn_jax.errors import UserError
from cnn_jax.runtime.result_files import write_result

MANY = 100  # runs


def main(argv: Sequence[str]) -> None:
    out = Path(OUT.value)
    size = write_report(argv[1:], out)
    print(f"{out}: {size / 1e3:,.0f} kB")


def write_report(folders: Sequence[str], out: Path) -> int:
    """The page of these workdirs; its size in bytes. `UserError` where one holds no run."""
    from cnn_jax.analysis.report_page.page import make_page
    from cnn_jax.analysis.report_page.run_folder import RunFolder

    if not folders:
        raise UserError("name the workdirs of the runs: cnn_jax report RUN [RUN ...]")
    content = make_page([RunFolder.read(folder) for folder in folders]).encode()
    write_result("the page", out, content)
    return len(content)


if __name__ == "__main__":  # flags only here, so that the tools can be imported side by side
    OUT = cli.define_file("out", "report.html", "The page.")
    cli.run(main, operands=MANY)
