"""The parts of the page's HTML; every word from outside is escaped here."""

from __future__ import annotations

import base64
import html
import io
import math
from collections.abc import Iterable, Sequence

import numpy as np

from cnn_jax.errors import printable


def text(value: object) -> str:
    """Any text as HTML shows it, on one line."""
    return html.escape(printable(str(value)))


def number(value: float) -> str:
    """Four digits, as people write them."""
    if not math.isfinite(value):
        return "not finite"
    if value and not 1e-3 <= abs(value) < 1e5:
        mantissa, _, exponent = f"{value:.2e}".partition("e")
        return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    return f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"


def percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def interval(pair: Sequence[float] | None) -> str:
    """ "92.6 to 97.0", of shares, or nothing."""
    return f"{100 * pair[0]:.1f} to {100 * pair[1]:.1f}" if pair else ""


def duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def section(title: str, content: str, hint: str = "") -> str:
    """A part with a heading, and a sentence on how to read it; "" without content."""
    if not content:
        return ""
    words = f'<p class="hint">{text(hint)}</p>' if hint else ""
    return f"<section><h2>{text(title)}</h2>{words}{content}</section>"


def folded(summary: str, content: str, is_open: bool = False) -> str:
    """What is seen when it is asked for."""
    opened = " open" if is_open else ""
    return f"<details{opened}><summary>{text(summary)}</summary>{content}</details>"


def table(header: Sequence[object], rows: Iterable[Sequence[object]], style: str = "") -> str:
    """The first column is a heading."""
    top = "".join(f"<th>{text(cell)}</th>" for cell in header)
    body = "".join(
        f'<tr><th scope="row">{text(row[0])}</th>'
        + "".join(f"<td>{text(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    head = f"<thead><tr>{top}</tr></thead>" if top else ""
    return f'<div class="wide"><table class="{style}">{head}<tbody>{body}</tbody></table></div>'


def tiles(pairs: Iterable[tuple[str, str]]) -> str:
    """Large figures, each with what it is: (words, figure)."""
    cells = "".join(f"<div><b>{text(value)}</b><span>{text(k)}</span></div>" for k, value in pairs)
    return f'<div class="tiles">{cells}</div>'


def image(png: bytes, words: str, style: str = "") -> str:
    data = base64.b64encode(png).decode()
    return f'<img class="{style}" alt="{text(words)}" src="data:image/png;base64,{data}">'


def png_of(pixels: np.ndarray) -> bytes:
    """uint8 [H, W] or [H, W, 3] as the bytes of a file."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", optimize=True)
    return stream.getvalue()
