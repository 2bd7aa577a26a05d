"""A local page to drop an image on: the five likeliest classes, and where the net looked.

    python -m cnn_jax.tools.serve --workdir=RUN
    python -m cnn_jax.tools.serve --workdir=resnet50.tv_in1k --port=9000

Needs starlette and uvicorn: pip install "cnn_jax[serve]". This machine alone can reach the page,
unless --host says otherwise; then anyone who reaches the machine can use it. Uploads are neither
written nor kept, and are refused beyond --max_megabytes and --max_megapixels. Ctrl-C ends it.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence

from absl import flags

from cnn_jax import cli
from cnn_jax.errors import UserError, out_of_range, printable


def listen(host: str, port: int) -> socket.socket:
    """A socket that is bound; raises `UserError`."""
    if not 0 <= port < 65536:  # of which the system would take the last 16 bits
        raise out_of_range("--port", port, ">= 0 and < 65536")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except (socket.gaierror, UnicodeError) as error:  # of the host
        raise UserError(
            f"--host={host!r} is no address of this machine: choose 127.0.0.1, or 0.0.0.0 for all"
        ) from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(
            f"--host={host} --port={port} cannot be listened on ({reason}): choose another port; "
            "--port=0 takes one that is free"
        ) from error
    return bound


def main(argv: Sequence[str]) -> None:
    del argv
    for flag in (MEGABYTES, MEGAPIXELS):
        if flag.value <= 0:
            raise out_of_range(f"--{flag.name}", flag.value, "> 0")
    try:
        import uvicorn  # pyright: ignore[reportMissingImports]

        from cnn_jax.inference import web
    except ImportError as error:
        raise UserError(f'serve needs {error.name}: pip install "cnn_jax[serve]"') from error
    from cnn_jax.inference.answering import Answerer
    from cnn_jax.inference.loading import load
    from cnn_jax.runtime.progress import ProgressBar

    bound = listen(HOST.value, PORT.value)
    answerer = Answerer.of(load(WORKDIR.value), int(1e6 * MEGAPIXELS.value))
    with ProgressBar("compiling"):
        answerer.warm_up()
    is_local = HOST.value in web.LOOPBACK
    app = web.make_app(answerer, int(1e6 * MEGABYTES.value), web.LOOPBACK if is_local else ("*",))
    print(printable(repr(answerer.net)))
    name = f"[{HOST.value}]" if ":" in HOST.value else HOST.value
    print(f"http://{name}:{bound.getsockname()[1]}/    (Ctrl-C ends it)", flush=True)
    if not is_local:
        print("warning: everyone who reaches this machine can use it", flush=True)
    config = uvicorn.Config(
        app, log_level="error", access_log=False, server_header=False, limit_concurrency=256
    )
    uvicorn.Server(config).run(sockets=[bound])


if __name__ == "__main__":  # flags only here, so that the tools can be imported side by side
    WORKDIR = flags.DEFINE_string("workdir", None, "A run, or a folder of weights.", required=True)
    HOST = flags.DEFINE_string("host", "127.0.0.1", "Address to listen on.")
    PORT = flags.DEFINE_integer("port", 8000, "Port; 0 takes one that is free.")
    MEGABYTES = flags.DEFINE_float("max_megabytes", 20.0, "Of an upload.")
    MEGAPIXELS = flags.DEFINE_float("max_megapixels", 25.0, "Of an image.")
    cli.run(main)
