"""The page on which an image is dropped: a small server that keeps nothing.

An upload is the bare bytes of one file, as the body of a POST: no name of a file is ever read, and
nothing is written to disk. At most `AT_ONCE` uploads are in memory, and one image is computed at a
time; others wait.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import anyio  # pyright: ignore[reportMissingImports]
from starlette.applications import Starlette  # pyright: ignore[reportMissingImports]
from starlette.middleware import Middleware  # pyright: ignore[reportMissingImports]
from starlette.middleware.trustedhost import (  # pyright: ignore[reportMissingImports]
    TrustedHostMiddleware,
)
from starlette.requests import ClientDisconnect, Request  # pyright: ignore[reportMissingImports]
from starlette.responses import JSONResponse, Response  # pyright: ignore[reportMissingImports]
from starlette.routing import Route  # pyright: ignore[reportMissingImports]

from cnn_jax.data.images.decode import BadImageError
from cnn_jax.inference.answering import Answerer

PAGE = Path(__file__).with_name("page")  # a folder
FILES = {
    "/": ("page.html", "text/html"),
    "/page.js": ("page.js", "text/javascript"),
    "/page.css": ("page.css", "text/css"),
}
AT_ONCE = 4  # uploads in memory
SECONDS = 30.0  # that an upload may take
LOOPBACK = ("127.0.0.1", "localhost", "::1")
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src data: blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Refused(Exception):
    """An upload that is not taken: (status, why)."""


def make_app(answerer: Answerer, max_bytes: int, hosts: tuple[str, ...] = LOOPBACK) -> Starlette:
    """The page, and what answers its uploads; requests for other `hosts` are refused."""
    uploads, computing = anyio.Semaphore(AT_ONCE), anyio.CapacityLimiter(1)

    def page(request: Request) -> Response:
        name, kind = FILES[request.url.path]
        return Response((PAGE / name).read_bytes(), media_type=kind, headers=HEADERS)

    def about(request: Request) -> Response:
        del request
        names = {"net": repr(answerer.net), "classes": len(answerer.net.classes)}
        return said(names | {"max_bytes": max_bytes, "max_pixels": answerer.max_pixels})

    async def predict(request: Request) -> Response:
        try:
            check_head(request, max_bytes)
            async with uploads:
                content = await asyncio.wait_for(read_body(request, max_bytes), SECONDS)
                record = await anyio.to_thread.run_sync(answerer, content, limiter=computing)
            return said(record)
        except Refused as refusal:
            return refused(*refusal.args)
        except BadImageError as error:
            return refused(422, f"this file cannot be used: {error}")
        except TimeoutError:
            return refused(408, f"the upload took longer than {SECONDS:.0f} seconds")
        except ClientDisconnect:
            return refused(400, "the upload ended early")
        except MemoryError:
            return refused(413, "this image needs more memory than there is")

    routes = [Route(path, page) for path in FILES]
    routes += [Route("/about", about), Route("/predict", predict, methods=["POST"])]
    only = Middleware(TrustedHostMiddleware, allowed_hosts=[*hosts], www_redirect=False)
    return Starlette(routes=routes, middleware=[only], exception_handlers={Exception: failed})


def said(record: dict[str, Any], status: int = 200) -> Response:
    return JSONResponse(record, status, HEADERS)


def refused(status: int, reason: str) -> Response:
    """One line, in which nothing that was uploaded stands."""
    return said({"error": reason}, status)


async def failed(request: Request, error: Exception) -> Response:
    """A fault of ours is said as such, without its traceback."""
    del request
    return refused(500, f"a fault of this program ({type(error).__name__})")


def check_head(request: Request, max_bytes: int) -> None:
    """Raises `Refused` by what can be known before the upload."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind.startswith("multipart/") or kind == "application/x-www-form-urlencoded":
        raise Refused(415, "send the bytes of one image as the body, not a form")
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise Refused(403, "uploads come from this page alone")
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > max_bytes:
        raise Refused(413, f"more than {max_bytes:,} bytes")


async def read_body(request: Request, max_bytes: int) -> bytes:
    """The upload; raises `Refused` as soon as it is too long."""
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > max_bytes:
            raise Refused(413, f"more than {max_bytes:,} bytes")
    return bytes(content)
