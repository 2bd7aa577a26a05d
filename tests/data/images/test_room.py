"""Memory is bounded by pixels, whatever the number of threads and of bad files."""

import threading
import types

import numpy as np
import pytest

from cnn_jax.data.images import resize, room
from cnn_jax.data.images.decode import BadImageError, Header
from cnn_jax.data.images.lazy_images import LazyImages, refuse_bad
from cnn_jax.data.images.resize import ResizeSpec, convert_channels
from cnn_jax.data.sources.image_folder import list_folder
from cnn_jax.errors import UserError
from cnn_jax.inference import image_stream
from tests.support.folders import encoded, make, picture

ROWS = ResizeSpec(8, "bilinear", 3)


@pytest.mark.parametrize(("first", "second", "waits"), [(6, 4, False), (6, 5, True), (1, 99, True)])
def test_who_finds_no_room_waits(first, second, waits):
    own, entered = room.Room(10), threading.Event()

    def enter():
        with own.hold(second):
            entered.set()

    with own.hold(first):
        thread = threading.Thread(target=enter)
        thread.start()
        assert entered.wait(0.05 if waits else 5) is not waits
    assert entered.wait(5)
    thread.join()
    assert own.taken == 0


@pytest.mark.parametrize(
    ("simple", "min_side", "pixels"),
    [(True, 0, 80_000), (True, 100, 20_000), (True, 101, 31_250), (False, 25, 80_000)],
)
def test_a_jpeg_takes_the_room_that_it_is_decoded_to(simple, min_side, pixels):
    assert room.decoded_pixels(Header(200, 400, 1, simple), min_side) == pixels


@pytest.mark.parametrize(("pixels", "taken"), [(16_000_000, 250_000), (16_004_000, 50_000_000)])
def test_a_very_large_jpeg_has_the_room_alone(pixels, taken):
    """A progressive one is held whole, however small it comes out."""
    header = Header(4000, pixels // 4000, 1, is_simple=True)
    with room.hold_room(header, min_side=500):
        assert room.ROOM.taken == taken


def test_a_net_makes_an_image_small_where_it_has_room(tmp_path):
    (tmp_path / "a.png").write_bytes(encoded(picture(0), "PNG"))
    taken = []

    def own(image):
        taken.append(room.ROOM.taken)
        return [image]

    own.max_pixels, own.min_side = 5_000, 8
    image_stream.named_file(str(tmp_path / "a.png")).views(own)
    assert taken == [40 * 52]
    assert room.ROOM.taken == 0


def test_a_large_file_is_read_alone(tmp_path, monkeypatch):
    photos = LazyImages(list_folder(str(make(tmp_path, {"a": 1, "b": 1}))), np.arange(2), ROWS)
    small = photos[0]
    monkeypatch.setattr(room, "LARGE_BYTES", 99)
    seen = []
    monkeypatch.setattr(ResizeSpec, "__call__", lambda self, image: seen.append(room.ROOM.taken))
    assert photos[0] is None
    assert seen == [room.ROOM.pixels]
    monkeypatch.undo()
    np.testing.assert_array_equal(photos[0], small)


def test_what_is_kept_of_a_bad_file_is_its_reason(tmp_path):
    """A traceback has frames, and they its content: a thousand files would stay in memory."""
    root = make(tmp_path, {"a": 1, "b": 1})
    (root / "a/bad.jpg").write_bytes(encoded(picture(1))[:300])
    photos = LazyImages(list_folder(str(root)), np.arange(3), ROWS)
    bad = [image for image in photos.decode_rows(range(3)) if isinstance(image, BadImageError)]
    own = types.SimpleNamespace(max_pixels=5_000, min_side=8)
    predicted = image_stream.prepare_ahead(image_stream.find_images(root / "a/bad.jpg"), own)
    bad += [error for _, error in predicted]
    (root / "a/bad.jpg").write_bytes(b"")
    for one in (*bad, photos.header(1)):
        assert isinstance(one, BadImageError)
        assert one.__traceback__ is None
        assert one.__context__ is None
    assert len(bad) == 2


def test_every_bad_file_is_named(capsys):
    bad = [(f"a/{number}\x1b.jpg", "zero bytes") for number in range(9)]
    with pytest.raises(UserError, match="and 4 more"):
        refuse_bad(bad, 20, "data", skip=False)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [rf"warning: a/{number}\x1b.jpg: zero bytes" for number in range(9)]
    refuse_bad(bad[:5], 20, "data", skip=True)
    assert len(capsys.readouterr().err.splitlines()) == 1  # which names them all


def test_grey_of_a_large_image(monkeypatch):
    image = picture(3)
    wanted = convert_channels(image, 1)
    monkeypatch.setattr(resize, "STRIP_PIXELS", 77)
    np.testing.assert_array_equal(convert_channels(image, 1), wanted)
