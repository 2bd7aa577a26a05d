"""The page takes whatever is dropped on it: an answer, or one line that says why not."""

import asyncio
import base64
import io
import os
import re
import struct
import sys
import tempfile
import threading
import time
import tracemalloc
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from cnn_jax.analysis.explanations import grad_cam as cam
from cnn_jax.data.dataset import Task
from cnn_jax.errors import UserError
from cnn_jax.tools import serve
from tests.support import folders
from tests.support.random_net import random_net

pytest.importorskip("starlette", reason="the extra serve is not installed")
pytest.importorskip("httpx", reason="httpx is not installed")
testclient = pytest.importorskip("starlette.testclient")

from cnn_jax.inference import web  # noqa: E402
from cnn_jax.inference.answering import Answerer, warm  # noqa: E402

MAX_BYTES, MAX_PIXELS = 200_000, 100_000


@pytest.fixture(scope="module")
def answerer():
    return Answerer.of(random_net("bn_lenet", 28, classes=8), MAX_PIXELS)


@pytest.fixture(scope="module")
def client(answerer):
    app = web.make_app(answerer, MAX_BYTES)
    with testclient.TestClient(app, "http://localhost", raise_server_exceptions=False) as opened:
        yield opened


@pytest.fixture(scope="module")
def photo():
    return folders.encoded(folders.picture(0), "PNG")


def pixels_of(url):
    head, _, text = url.partition(",")
    assert head == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))


@pytest.mark.heavy
def test_an_image_is_answered(client, answerer, photo):
    answer = client.post("/predict", content=photo)
    assert answer.status_code == 200
    record = answer.json()
    own = answerer.net.predict(Image.open(io.BytesIO(photo)))[0]
    assert [row["class"] for row in record["top"]] == [name for name, _ in own.top(5)]
    for row, (_, share) in zip(record["top"], own.top(5), strict=True):
        assert row["probability"] == pytest.approx(share, abs=1e-5)
        assert pixels_of(row["map"]).shape == (28, 28, 4)
    seen = pixels_of(record["image"])
    assert seen.shape == (28, 28)
    classes = np.array([answerer.net.classes.index(row["class"]) for row in record["top"]])
    images = jnp.repeat(jnp.float32(seen)[None, ..., None], 5, 0)
    images = answerer.net.preparation.normalise(images)
    maps = answerer.maps_of(answerer.net.model, answerer.net.variables, images, classes)
    for row, own_map in zip(record["top"], cam.enlarge(maps, 28, 28), strict=True):
        np.testing.assert_array_equal(pixels_of(row["map"]), warm(own_map))
    assert record["stage"] == answerer.stage


def test_a_map_is_as_opaque_as_it_is_high():
    found = warm(np.float32([[0, 1], [2, 4]]))
    assert found[..., 3].tolist() == [[0, 48], [95, 190]]
    assert warm(np.zeros((1, 2), np.float32))[..., 3].tolist() == [[0, 0]]


def test_nets_without_maps_or_classes(photo):
    dense = Answerer.of(random_net("mlp", 8), MAX_PIXELS)
    assert dense.stage is None
    assert "map" not in dense(photo)["top"][0]
    net = random_net("bn_lenet", 28, classes=1)
    number = type(net)(**{**vars(net), "task": Task("regression", unit="degrees", std=2.0)})
    record = Answerer.of(number, MAX_PIXELS)(photo)
    assert record["unit"] == "degrees"
    assert "top" not in record


def test_the_page_is_whole_and_asks_nobody_else(client):
    page = client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    script, style = client.get("/page.js").text, client.get("/page.css").text
    assert not re.search(r"https?://|//\w", page.text + style)
    assert "innerHTML" not in script
    ids = {*re.findall(r'at\("(\w+)"\)', script)}
    assert ids <= {*re.findall(r'id="(\w+)"', page.text)}
    about = client.get("/about").json()
    assert about["max_bytes"] == MAX_BYTES
    assert about["classes"] == 8


def test_other_hosts_and_other_pages_are_refused(client, photo):
    assert client.get("/", headers={"host": "evil.example"}).status_code == 400
    answer = client.post("/predict", content=photo, headers={"sec-fetch-site": "cross-site"})
    assert (answer.status_code, answer.json()) == (
        403,
        {"error": "uploads come from this page alone"},
    )
    assert client.get("/../../etc/passwd").status_code == 404
    assert client.get("/page/../web.py").status_code == 404


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, data=b""):
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    parts = chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + head + parts


def bad_uploads(photo, count):
    """(content, headers) of `count` uploads, none of which is an image that can be used."""
    rng = np.random.default_rng(0)
    jpeg = folders.encoded(folders.picture(1), "JPEG")
    other = io.BytesIO()
    Image.new("RGB", (8, 8)).save(other, "GIF")
    form = {"content-type": "multipart/form-data; boundary=x"}
    name = b'--x\r\nContent-Disposition: form-data; name="f"; filename="../../%s"\r\n\r\n'
    kinds = [
        lambda: (b"", {}),
        lambda: (rng.bytes(int(rng.integers(1, 5000))), {}),
        lambda: (photo[: int(rng.integers(1, len(photo) // 2))], {}),
        lambda: (jpeg[: int(rng.integers(1, 300))], {}),
        lambda: (png(60_000, 60_000), {}),
        lambda: (png(400, 400, bytes(400 * 1201)), {}),  # all black, and over the limit of pixels
        lambda: (png(300, 300, b"\0" * 7), {}),  # of few of its rows
        lambda: (b"\x89PNG\r\n\x1a\n" + rng.bytes(100), {}),
        lambda: (b"\xff\xd8\xff\xe0" + rng.bytes(200), {}),
        lambda: (other.getvalue(), {"content-type": "image/png"}),
        lambda: (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", {}),
        lambda: (b"PK\x03\x04" + rng.bytes(500), {"content-type": "application/zip"}),
        lambda: (name % b"etc/passwd" + photo + b"\r\n--x--", form),
        lambda: (bytes(MAX_BYTES + 1), {}),
        lambda: (photo, {"content-length": str(10**12)}),
        lambda: (b"RIFF\x10\0\0\0WEBPVP8 " + rng.bytes(60), {"x-name": "../../../root"}),
    ]
    return [kinds[i % len(kinds)]() for i in range(count)]


def open_files():
    return len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0


@pytest.mark.parametrize("count", [48, pytest.param(500, marks=pytest.mark.slow)])
def test_bad_uploads(client, photo, count):
    client.post("/predict", content=photo)
    files, temporary = open_files(), {*Path(tempfile.gettempdir()).iterdir()}
    found = {}
    for content, headers in bad_uploads(photo, count):
        answer = client.post("/predict", content=content, headers=headers)
        found[answer.status_code] = found.get(answer.status_code, 0) + 1
        assert {*answer.json()} == {"error"}, content[:40]
        assert "Traceback" not in answer.text
        assert "passwd" not in answer.text
        assert "\n" not in answer.json()["error"]
    assert {*found} == {413, 415, 422}
    assert open_files() <= files
    mine = {path for path in Path(tempfile.gettempdir()).iterdir()} - temporary
    assert not [path for path in mine if path.is_file()]
    assert client.post("/predict", content=photo).status_code == 200


def test_fifty_at_once(client, photo):
    uploads = bad_uploads(photo, 25) + [(photo, {})] * 25
    order = np.random.default_rng(1).permutation(50)

    def send(i):
        content, headers = uploads[i]
        return i, client.post("/predict", content=content, headers=headers)

    tracemalloc.start()
    with ThreadPoolExecutor(50) as pool:
        answers = dict(pool.map(send, order))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [answers[i].status_code for i in range(25, 50)] == [200] * 25
    assert len({answers[i].text for i in range(25, 50)}) == 1
    assert {answers[i].status_code for i in range(25)} <= {413, 415, 422}
    assert peak < 50e6


def test_an_upload_of_unknown_length_ends_at_the_limit(client):
    answer = client.post("/predict", content=(bytes(MAX_BYTES // 10) for _ in range(11)))
    assert answer.request.headers.get("content-length") is None
    assert (answer.status_code, answer.json()["error"]) == (413, "more than 200,000 bytes")


def test_no_more_uploads_than_allowed_are_in_memory(photo, answerer, monkeypatch):
    now, most, lock = [0], [0], threading.Lock()
    read, reading = web.read_body, [0, 0]  # now, at most

    async def slowly(*arguments):
        reading[0] += 1
        reading[1] = max(reading)
        await asyncio.sleep(0.02)
        content = await read(*arguments)
        reading[0] -= 1
        return content

    monkeypatch.setattr(web, "read_body", slowly)

    class Slow(Answerer):
        def __call__(self, content):
            with lock:
                now[0] += 1
                most[0] = max(most[0], now[0])
            time.sleep(0.005)
            with lock:
                now[0] -= 1
            return {"top": []}

    app = web.make_app(Slow(**vars(answerer)), MAX_BYTES)
    with (
        testclient.TestClient(app, "http://localhost") as opened,
        ThreadPoolExecutor(12) as pool,
    ):
        assert {
            *pool.map(lambda _: opened.post("/predict", content=photo).status_code, range(12))
        } == {200}
    assert most == [1]  # computed one at a time
    assert reading[1] <= web.AT_ONCE


def test_a_fault_of_ours_is_one_line(answerer, photo):
    class Broken(Answerer):
        def __call__(self, content):
            raise ZeroDivisionError("secret")

    app = web.make_app(Broken(**vars(answerer)), MAX_BYTES)
    with testclient.TestClient(app, "http://localhost", raise_server_exceptions=False) as opened:
        answer = opened.post("/predict", content=photo)
    assert answer.status_code == 500
    assert answer.json() == {"error": "a fault of this program (ZeroDivisionError)"}


def test_a_port_that_is_taken():
    with serve.listen("127.0.0.1", 0) as bound:
        bound.listen()
        port = bound.getsockname()[1]
        with pytest.raises(UserError, match=rf"--port={port} cannot be listened on .*--port=0"):
            serve.listen("127.0.0.1", port)


def test_addresses_that_cannot_be_listened_on():
    for host in ("a b", ""):
        with pytest.raises(UserError, match=f"--host='{host}' is no address of this machine"):
            serve.listen(host, 0)
    for port in (99999, -1):
        with pytest.raises(UserError, match=f"--port={port} is out of range: choose a number >="):
            serve.listen("127.0.0.1", port)
