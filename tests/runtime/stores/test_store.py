"""Requests to a store: made again, or one line that says what to do."""

import pytest

from cnn_jax.errors import UserError
from cnn_jax.runtime.stores import copies
from cnn_jax.runtime.stores.copies import copy_folder, in_words, local_copy, with_copies
from cnn_jax.runtime.stores.store import Store, StoreError, is_address, split_address
from tests.support.memory_store import MemoryFiles, memory_store


def test_addresses():
    assert is_address("s3://b/x")
    assert is_address("gs:/b/x")  # as a path has it
    assert not is_address("runs/s3")
    assert not is_address("C:\\runs")
    assert split_address("workdir", "S3://b/x/y/") == ("s3", "b/x/y")
    with pytest.raises(UserError, match=r"'az://b/x' is unknown; choices: s3://BUCKET/PATH, gs:"):
        split_address("workdir", "az://b/x")
    for bad in ("s3://", "s3://b/../c", "s3://b//c"):
        with pytest.raises(UserError, match="names no place: s3://BUCKET/PATH"):
            split_address("workdir", bad)


def test_a_missing_driver_is_one_line(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"needs s3fs: pip install 'cnn_jax\[cloud\]'"):
        Store.open("workdir", "s3://b/x")


def test_what_fails_for_the_moment_is_asked_again(monkeypatch, capsys):
    pauses = []
    monkeypatch.setattr("time.sleep", pauses.append)
    files, answers = MemoryFiles(), [OSError("503"), TimeoutError("slow"), OSError("reset"), None]

    def fail(request):
        if answers and (error := answers.pop(0)):
            raise error

    files.fail = fail
    memory_store(files).write("a", b"1")
    assert pauses == [0.1, 0.5, 2.0]
    assert files.objects["bucket/run/a"][0] == b"1"
    assert "writing a failed (reset): once more" in capsys.readouterr().err


def test_what_lasts_is_one_line_at_once(monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: pytest.fail("waited"))
    files = MemoryFiles()
    error = PermissionError("Access Denied")

    def fail(request):
        raise error

    files.fail = fail
    with pytest.raises(StoreError, match=r"failed \(Access Denied\): see to its credentials"):
        memory_store(files).write("a", b"1")
    error = type("NoCredentialsError", (Exception,), {})("Unable to locate credentials")
    with pytest.raises(StoreError, match="see to its credentials"):
        memory_store(files).entries()


def test_create_is_true_once():
    files = MemoryFiles()
    assert memory_store(files).create("a", b"1")
    assert not memory_store(files).create("a", b"2")
    assert memory_store(files).create("a", b"1")  # the first try's answer was lost: it was ours


@pytest.fixture
def stored(monkeypatch, tmp_path):
    """A store with two files, at every address; where its copies are."""
    files = MemoryFiles()
    for name in ("photos/a/1.png", "photos/b/2.png"):
        files.pipe_file(f"bucket/{name}", name.encode())
    monkeypatch.setenv("CNN_JAX_STORES", str(tmp_path))
    monkeypatch.setattr(copies, "fetched", {})
    monkeypatch.setattr(copies, "addresses", {})

    def open_store(key, place):
        _, root = split_address(key, place)
        return Store(files, root, f"s3://{root}")

    monkeypatch.setattr(copies.Store, "open", open_store)
    return files


def test_a_copy_follows_its_store(stored, monkeypatch):
    folder = local_copy("workdir", "s3://bucket/photos")
    assert folder == str(copy_folder("s3://bucket/photos", "read"))
    there = {name: known.size for name, known in copies.local_files(folder).items()}
    assert there == {"a/1.png": 14, "b/2.png": 14}
    assert in_words(f"{folder}/a/1.png is bad") == "s3://bucket/photos/a/1.png is bad"
    stored.rm_file("bucket/photos/a/1.png")
    stored.pipe_file("bucket/photos/b/2.png", b"new")
    assert local_copy("workdir", "s3://bucket/photos") == folder  # within a minute, as it was
    assert len(copies.local_files(folder)) == 2
    monkeypatch.setattr(copies, "FRESH", -1.0)
    local_copy("workdir", "s3://bucket/photos")
    assert {name: known.size for name, known in copies.local_files(folder).items()} == {
        "b/2.png": 3
    }
    with pytest.raises(UserError, match=r"workdir='s3://bucket/none': nothing is there"):
        local_copy("workdir", "s3://bucket/none")


def test_a_copy_that_has_no_room_is_refused(stored, monkeypatch):
    import shutil

    monkeypatch.setattr(shutil, "disk_usage", lambda place: shutil._ntuple_diskusage(9, 9, 27))
    with pytest.raises(UserError, match=r"has 28 bytes to copy to .*, where 27 are free"):
        local_copy("workdir", "s3://bucket/photos")


def test_a_command_reads_copies(stored):
    copy = local_copy("", "s3://bucket/photos")
    words = ["--workdir=s3://bucket/photos", "--top=3", "s3://bucket/photos", "here.png"]
    assert with_copies(words) == [f"--workdir={copy}", "--top=3", copy, "here.png"]
    assert with_copies(["--workdir", "s3://bucket/photos"]) == ["--workdir", copy]
    written = ["--out=s3://bucket/x", "--out", "s3://bucket/x"]  # refused where it is written
    assert with_copies(written) == written
