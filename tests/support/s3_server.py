"""A real S3 server on loopback, moto's, which can be made to fail."""

import contextlib
import itertools
import threading
from collections.abc import Iterator

from cnn_jax.runtime.stores.store import Store

BUCKET = "runs"
BUSY = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"


class Unsteady:
    """A WSGI application whose every `every`th answer is not what was asked for.

    In turn it is a 503 before the request is looked at, and a 500 after it was carried out.
    """

    def __init__(self, application):
        self.application, self.every, self.failed = application, 0, 0
        self.count = itertools.count(1)

    def __call__(self, environ, start_response):
        if not self.every or next(self.count) % self.every:
            return self.application(environ, start_response)
        self.failed += 1
        if self.failed % 2:
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        else:
            [*self.application(environ, lambda *answer: None)]
        status = "503 Slow Down" if self.failed % 2 else "500 Internal Server Error"
        headers = [("Content-Type", "application/xml"), ("Content-Length", str(len(BUSY)))]
        start_response(status, headers)
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else BUSY]


@contextlib.contextmanager
def serving() -> Iterator[tuple[Unsteady, dict[str, str]]]:
    """The server, with an empty bucket, and the environment with which a process finds it."""
    from moto.moto_server.werkzeug_app import (
        DomainDispatcherApplication,
        MotoRequestHandler,
        create_backend_app,
    )
    from werkzeug.serving import make_server

    application = Unsteady(DomainDispatcherApplication(create_backend_app))

    class Quiet(MotoRequestHandler):
        def log(self, *words):
            pass

    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    variables = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    try:
        yield application, variables
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def make_bucket(place: str) -> Store:
    """The store at an address whose bucket is made, by this process's environment."""
    store = Store.open("workdir", place)
    bucket = store.root.partition("/")[0]
    if not store.files.exists(bucket):
        store.files.mkdir(bucket)
    return store
