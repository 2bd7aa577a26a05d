"""A workdir in a store: what is whole there stays whole, whenever the process ends."""

import datetime
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest

from cnn_jax.errors import UserError
from cnn_jax.runtime.checkpoints import Checkpoints
from cnn_jax.runtime.checksums import CHECKSUMS, damage, write_checksums
from cnn_jax.runtime.stores import lease
from cnn_jax.runtime.stores.copies import Copy, local_files
from cnn_jax.runtime.stores.lease import Lease
from cnn_jax.runtime.stores.mirror import Mirror
from cnn_jax.runtime.stores.store import StoreError
from tests.support.memory_store import Killed, MemoryFiles, memory_store


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr("cnn_jax.runtime.stores.store.PAUSES", (0.0, 0.0, 0.0))


def write(folder, step, content):
    """A save of a step as Orbax and `Checkpoints` leave it: files, and then their hashes."""
    save = folder / f"checkpoints/{step:08d}"
    shutil.rmtree(save, ignore_errors=True)
    (save / "state/d").mkdir(parents=True)
    (save / "state/d/numbers").write_text(content)
    (save / "meta").write_text(content[:1])
    write_checksums(save)


def opened(files, folder):
    mirror = Mirror(memory_store(files), folder, Lease(memory_store(files)))
    mirror.open()
    return mirror


def saved(folder):
    """{step: content} of all whole saves, after a start has tidied up."""
    checkpoints = Checkpoints(folder)
    checkpoints.tidy()
    return {
        step: (checkpoints.path(step) / "state/d/numbers").read_text()
        for step in checkpoints.steps()
        if damage(checkpoints.path(step)) is None
    }


def names(files):
    """Of all objects but leases."""
    found = {name.removeprefix("bucket/run/") for name in files.objects}
    return {name for name in found if not name.startswith(".lease/")}


def test_another_machine_has_what_was_published(tmp_path):
    files = MemoryFiles()
    mirror = opened(files, tmp_path / "a")
    (tmp_path / "a/config.json").write_text("{}")
    (tmp_path / "a/.lock").touch()
    write(tmp_path / "a", 10, "ten")
    mirror.close()
    other = opened(files, tmp_path / "b")
    assert saved(tmp_path / "b") == {10: "ten"}
    assert (tmp_path / "b/config.json").read_text() == "{}"
    assert names(files) == {
        "config.json",
        "checkpoints/00000010/SHA256SUMS",
        "checkpoints/00000010/meta",
        "checkpoints/00000010/state/d/numbers",
    }
    other.close()


def test_what_has_not_changed_is_not_sent_or_fetched_again(tmp_path):
    files = MemoryFiles()
    mirror = opened(files, tmp_path)
    write(tmp_path, 10, "ten")
    mirror.publish()
    before = files.changes
    mirror.publish()
    assert files.changes == before
    mirror.close()
    fetched = []
    files.fail = lambda request: fetched.append(request)
    Copy(memory_store(files), tmp_path).pull()
    assert fetched == ["find"]


STEPS = {
    "a first save": ({}, {10: "ten"}),
    "a second": ({10: "ten"}, {10: "ten", 20: "twenty"}),
    "an older one goes": ({10: "ten", 20: "twenty"}, {20: "twenty", 30: "thirty"}),
    "the same step again": ({10: "ten"}, {10: "other"}),
    "the last two": ({10: "ten", 20: "twenty"}, {10: "ten", 20: "other"}),
    "all but one go": ({10: "ten", 20: "twenty", 30: "thirty"}, {30: "thirty"}),
}


@pytest.mark.parametrize("case", STEPS)
def test_a_kill_before_any_request_loses_no_save(tmp_path, case):
    """Every save of before is there or that of after; the newest of both is never missing."""
    before, after = STEPS[case]
    for kill_at in range(1000):
        files, place = MemoryFiles(), tmp_path / f"{kill_at}"
        mirror = opened(files, place / "a")
        for step, content in before.items():
            write(place / "a", step, content)
        mirror.publish()
        for step, content in after.items():
            if before.get(step) != content:
                write(place / "a", step, content)
        for step in set(before) - set(after):
            shutil.rmtree(place / f"a/checkpoints/{step:08d}")
        files.kill_at = files.changes + kill_at
        ended = True
        try:
            mirror.publish()
        except Killed:
            ended = False
        mirror.abandon()
        files.kill_at = None
        next_one = opened(files, place / "b")
        there = saved(place / "b")
        for step, content in there.items():
            assert content in (before.get(step), after.get(step)), (kill_at, step)
        kept = set(before) & set(after)
        assert kept <= set(there), kill_at
        newest = max(before, default=None)
        assert newest is None or max(there) >= newest, kill_at
        next_one.close()  # which leaves the store as the disk is
        assert {name for name in names(files) if "/." in name} == set()
        assert {name.split("/")[1] for name in names(files)} == {f"{step:08d}" for step in there}
        if ended:
            assert there == after
            return
    raise AssertionError("never to an end")


def test_a_damaged_copy_is_fetched_again(tmp_path):
    files = MemoryFiles()
    mirror = opened(files, tmp_path)
    write(tmp_path, 10, "ten")
    mirror.publish()
    numbers = tmp_path / "checkpoints/00000010/state/d/numbers"
    numbers.write_text("net")
    mirror.fetch("00000010")
    assert numbers.read_text() == "ten"
    numbers.write_text("net")
    mirror.abandon()
    opened(files, tmp_path).close()
    assert saved(tmp_path) == {10: "ten"}


def test_damage_in_the_store_is_set_aside_there_too(tmp_path, capsys):
    files = MemoryFiles()
    mirror = opened(files, tmp_path / "a")
    write(tmp_path / "a", 10, "ten")
    mirror.close()
    files.pipe_file("bucket/run/checkpoints/00000010/state/d/numbers", b"net")
    mirror = opened(files, tmp_path / "b")
    checkpoints = Checkpoints(tmp_path / "b", mirror=mirror)
    with pytest.raises(UserError, match=r"every checkpoint in .* is damaged"):
        checkpoints.latest_valid()
    mirror.close()
    assert f"checkpoints/00000010.damaged/{CHECKSUMS}" in names(files)
    assert f"checkpoints/00000010/{CHECKSUMS}" not in names(files)
    assert "state/d/numbers has changed" in capsys.readouterr().err


def test_a_save_that_cannot_be_published_ends_the_run_and_older_ones_stay(tmp_path):
    files = MemoryFiles()
    mirror = opened(files, tmp_path / "a")
    write(tmp_path / "a", 10, "ten")
    mirror.publish()

    def fail(request):
        if request in ("pipe_file", "put_file"):
            raise OSError("503 Slow Down")

    files.fail = fail
    write(tmp_path / "a", 20, "twenty")
    with pytest.raises(StoreError, match=r"s3://bucket/run: writing .* failed \(503 Slow Down\)"):
        mirror.publish()
    mirror.abandon()
    files.fail = lambda request: None
    opened(files, tmp_path / "b").close()
    assert saved(tmp_path / "b") == {10: "ten"}


def test_names_that_climb_are_refused(tmp_path):
    files = MemoryFiles()
    files.pipe_file("bucket/run/../../evil", b"x")
    with pytest.raises(UserError, match=r"'../../evil' can be no file here"):
        Copy(memory_store(files), tmp_path / "copy").pull()
    assert [*local_files(tmp_path)] == []


# Leases.


def test_a_workdir_that_is_in_use_is_refused(monkeypatch):
    monkeypatch.setattr(lease, "RENEWAL", 0.02)
    files = MemoryFiles()
    first = Lease(memory_store(files))
    first.take()
    with pytest.raises(UserError, match=r"workdir='s3://bucket/run' is in use by process \d+ of"):
        Lease(memory_store(files)).take()
    first.give_back()
    second = Lease(memory_store(files))
    second.take()
    assert second.number == 2
    second.give_back()


def test_a_silent_holder_is_replaced_and_writes_no_more(tmp_path, monkeypatch):
    files = MemoryFiles()
    monkeypatch.setattr(lease, "RENEWAL", 1000.0)  # frozen, or cut off
    mirror = opened(files, tmp_path)
    files.offset = datetime.timedelta(seconds=lease.SILENCE)
    second = Lease(memory_store(files))
    second.take()
    write(tmp_path, 10, "ten")
    with pytest.raises(StoreError, match=r"was taken over by process \d+ of .* it ends here"):
        mirror.publish()
    assert names(files) == set()
    mirror.abandon()
    second.abandon()


def test_a_holder_known_to_be_dead_is_replaced_at_once():
    files = MemoryFiles()
    first = Lease(memory_store(files))
    first.take()
    first.abandon()  # as a kill does: of this process's number, and no lease of its own
    second = Lease(memory_store(files))
    second.take()
    assert second.number == first.number + 1
    second.give_back()


def test_of_many_at_once_one_takes_it(monkeypatch):
    monkeypatch.setattr(lease, "RENEWAL", 0.02)
    files = MemoryFiles()

    def take(_):
        own = Lease(memory_store(files))
        try:
            own.take()
        except UserError:
            return None
        return own

    with ThreadPoolExecutor(8) as pool:
        holders = [own for own in pool.map(take, range(8)) if own]
    assert len(holders) == 1
    holders[0].give_back()
