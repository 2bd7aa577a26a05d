"""What is no file, or too large a one, is an error at once: nothing waits, nothing fills memory."""

import os
import stat
import tracemalloc

import pytest

from cnn_jax import data
from cnn_jax.data import normalization
from cnn_jax.data.sources import official
from cnn_jax.data.sources.image_folder import looks_like_image
from cnn_jax.errors import UserError
from cnn_jax.runtime import report_pictures, workdir
from cnn_jax.runtime.regular_files import open_regular, read_json_object, read_regular
from cnn_jax.transfer import weights
from cnn_jax.transfer.initial_weights import read_trained_weights
from configs.base import base
from tests.support.folders import make


@pytest.fixture
def special(tmp_path):
    """{name: path} of what a path may be that is no file to be read."""
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "device.jpg").symlink_to("/dev/zero")
    with open(tmp_path / "holes.jpg", "wb") as file:
        file.truncate(6 << 30)
    (tmp_path / "folder.jpg").mkdir()
    return {path.stem: path for path in tmp_path.iterdir()}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("pipe", "not a regular file"),
        ("device", "not a regular file"),
        ("folder", "not a regular file"),
        ("holes", "6,442,450,944 bytes, more than 268,435,456"),
    ],
)
def test_what_is_no_file_is_an_error_at_once(special, name, reason):
    open_files = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None
    with pytest.raises(OSError, match=reason):
        open_regular(special[name])
    if open_files is not None:
        assert len(os.listdir("/proc/self/fd")) == open_files


def test_a_file_is_read_whole(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "file")
    (tmp_path / "file").write_bytes(b"content")
    assert stat.S_ISLNK(os.lstat(tmp_path / "link").st_mode)
    assert read_regular(tmp_path / "link") == b"content"


def test_what_is_taken_of_the_memory_is_the_file_and_not_what_is_asked(tmp_path):
    (tmp_path / "file").write_bytes(b"content")
    tracemalloc.start()
    try:
        assert read_regular(tmp_path / "file", first=64 << 20) == b"content"
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    assert read_regular(tmp_path / "file", first=3) == b"con"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 200_000, "it is nested too deeply"),
        ("[1]", "it holds a list, not values by key"),
        ("null", "it holds a NoneType, not values by key"),
        ('{"b": 1}', "it has no key 'a'"),
        ("{", "Expecting property name"),
    ],
)
def test_what_is_no_object_of_json_is_a_value_error(tmp_path, text, said):
    (tmp_path / "file.json").write_text(text)
    with pytest.raises(ValueError, match=said):
        read_json_object(tmp_path / "file.json", "a")


def test_a_pipe_among_photographs_is_not_looked_into(tmp_path):
    """Whoever has it open may have written what an image begins with."""
    os.mkfifo(tmp_path / "pipe")
    descriptor = os.open(tmp_path / "pipe", os.O_RDWR)
    try:
        os.write(descriptor, b"GIF89a")
        assert not looks_like_image(tmp_path / "pipe")
    finally:
        os.close(descriptor)
    (tmp_path / "file").write_bytes(b"GIF89a")
    assert looks_like_image(tmp_path / "file")


@pytest.mark.parametrize("name", ["pipe", "device", "holes"])
def test_such_an_image_is_named_and_can_be_left_out(tmp_path, special, name):
    root = make(tmp_path / "photos", {"a": 12, "b": 12})
    special[name].rename(root / "a" / "odd.jpg")
    config = base("test", f"folder:{root}", image_size=8)
    with pytest.raises(UserError, match=r"a/odd\.jpg"):
        data.load(config.data)
    config.data.skip_bad = True
    dataset = data.load(config.data)
    assert sum(map(len, (dataset.train, dataset.validation, dataset.test))) == 24


def test_other_files_of_a_user_are_opened_so_too(special):
    for name in ("pipe", "device", "holes"):
        path = special[name]
        with pytest.raises(UserError, match="cannot be read"):
            official.unpack(path, ["train"])
        if name != "holes":
            with pytest.raises(OSError, match="not a regular file"):
                weights.sha256(path)
        with pytest.raises(UserError, match="cannot be read"):
            report_pictures.read_rows(path)
        path.rename(constants := path.with_name(normalization.FILE))
        with pytest.raises(UserError, match=r"constants\.npz is damaged \("):
            normalization.InputStatistics.read(path.parent)
        constants.rename(path.with_name("config.json"))
        with pytest.raises(UserError, match=r"config\.json cannot be read"):
            workdir.read_config(path.parent)
        (path.parent / "checkpoints").mkdir(exist_ok=True)
        why = r"config\.json cannot be read \(" if name == "holes" else "is neither a workdir"
        with pytest.raises(UserError, match=rf"init.from=.*{why}"):
            read_trained_weights(str(path.parent), "init.from")
