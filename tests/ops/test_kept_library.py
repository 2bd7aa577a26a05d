"""A kept library is loaded only where it is whole, and where nobody else could write it."""

import ctypes
import os
import shutil
import stat
import time
from pathlib import Path

import jax
import pytest

from cnn_jax.ops.cpu_kernels import compile, kept_library

pytestmark = pytest.mark.skipif(
    jax.default_backend() != "cpu" or not (shutil.which("c++") or shutil.which("clang++")),
    reason="no C++ compiler, or no CPU",
)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The folder of a small library, and the bytes that were loaded, by path."""
    sources = tmp_path / "sources"
    sources.mkdir()
    (sources / "ffi_targets.cc").write_text('extern "C" int answer() { return 42; }\n')
    monkeypatch.setattr(compile, "SOURCES", sources)
    monkeypatch.setattr(compile, "FLAGS", ("-shared", "-fPIC"))
    monkeypatch.setattr(compile, "FOLDER", str(tmp_path / "native"))
    return tmp_path / "native" / compile.processor_kind()


@pytest.fixture
def loaded(monkeypatch):
    """The path and the bytes of every library that is loaded."""
    found = []

    class Library(ctypes.CDLL):
        def __init__(self, path):
            with open(path, "rb") as stream:
                found.append((path, stream.read()))

    monkeypatch.setattr(compile.ctypes, "CDLL", Library)
    return found


def kept(folder):
    (path,) = folder.glob("*.so")
    return path


def cut(path):
    os.truncate(path, path.stat().st_size // 2)


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def pipe(path):
    path.unlink()
    os.mkfifo(path)


def folder(path):
    path.unlink()
    path.mkdir()


def no_hash(path):
    kept_library.hash_file(path).unlink()


@pytest.mark.parametrize("damage", [cut, flip, pipe, folder, no_hash])
def test_a_damaged_library_is_compiled_anew(damage, cache, loaded, capfd):
    compile.open_library()
    compile.open_library()
    assert capfd.readouterr().err.count("compiling") == 1
    damage(kept(cache))
    compile.open_library()
    error = capfd.readouterr().err
    assert f"warning: {kept(cache)} is not what was written: it is compiled anew\n" in error
    compile.open_library()
    assert not capfd.readouterr().err
    assert len({content for _, content in loaded}) == 1, "a damaged one was loaded"
    assert len(list(cache.iterdir())) == 2


def test_it_is_written_at_once_and_to_disk(cache, monkeypatch):
    order = []
    fsync, replace = os.fsync, kept_library.Path.replace
    monkeypatch.setattr(os, "fsync", lambda f: (order.append("fsync"), fsync(f)))

    def replace_and_note(source, target):
        order.append(target.suffix)
        return replace(source, target)

    monkeypatch.setattr(kept_library.Path, "replace", replace_and_note)
    assert compile.open_library().answer() == 42
    assert order == ["fsync", ".sha256", "fsync", ".so"]
    assert stat.S_IMODE(kept(cache).stat().st_mode) == 0o600
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700


@pytest.mark.parametrize("which", ["", ".."])
@pytest.mark.parametrize("mode", [0o777, 0o770])
def test_a_folder_that_others_write_to_is_not_used(which, mode, cache, loaded, capfd):
    compile.open_library()
    path = kept(cache)
    (cache / which).resolve().chmod(mode)
    compile.open_library()
    place = (cache / which).resolve()
    assert f"compiled at every start: {place} can be written by other" in capfd.readouterr().err
    assert [name == str(path) for name, _ in loaded] == [True, False]
    assert not os.path.exists(loaded[-1][0])


def test_nor_is_that_of_another_user(cache, loaded, capfd, monkeypatch):
    compile.open_library()
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    compile.open_library()
    assert f"{cache.parent} belongs to another user: remove it" in capfd.readouterr().err
    assert not loaded[-1][0].startswith(str(cache))


def compiler(tmp_path, monkeypatch, text):
    script = tmp_path / "compiler"
    script.write_text(f"#!/bin/sh\n{text}\n")
    script.chmod(0o700)
    monkeypatch.setenv("CXX", str(script))
    return script


def is_running(pid):
    try:  # nobody may have waited for what has ended
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_compiler_that_does_not_end_is_ended(cache, tmp_path, monkeypatch, capfd):
    script = compiler(tmp_path, monkeypatch, f"sleep 60 & echo $! > {tmp_path}/pid; wait")
    monkeypatch.setattr(compile, "MOST_SECONDS", 0.5)
    begun = time.monotonic()
    assert compile.library.__wrapped__() is None
    assert time.monotonic() - begun < 20
    assert f"do not compile: {script} ran for more than 0.5 s\n" in capfd.readouterr().err
    child = int((tmp_path / "pid").read_text())
    while is_running(child):
        assert time.monotonic() - begun < 20
    assert not list(cache.iterdir())


def test_a_message_in_another_encoding_is_shown(cache, tmp_path, monkeypatch, capfd):
    compiler(tmp_path, monkeypatch, "printf 'caf\\351: error: no\\n' >&2; exit 1")
    assert compile.library.__wrapped__() is None
    assert "do not compile: caf\ufffd: error: no\n" in capfd.readouterr().err


def test_what_was_not_used_for_long_goes(cache, loaded):
    compile.open_library()
    path = kept(cache)
    long_ago = time.time() - (kept_library.UNUSED_DAYS + 1) * 86400
    for name in ("old.so", "old.so.sha256"):
        (cache / name).touch()
        os.utime(cache / name, (long_ago, long_ago))
    (cache / "new.so").touch()
    (cache / "tmp_killed").mkdir()
    os.utime(cache / "tmp_killed", (long_ago, long_ago))
    os.utime(path, (long_ago, long_ago))
    compile.open_library()  # which uses it
    kept_library.remove_unused(cache)
    names = {path.name, kept_library.hash_file(path).name, "new.so"}
    assert {p.name for p in cache.iterdir()} == names
