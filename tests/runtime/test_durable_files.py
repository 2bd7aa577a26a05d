"""What a run writes is on disk before it counts: a power cut leaves the old file or the new one."""

import errno
import os

import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.data.normalization import InputStatistics
from cnn_jax.errors import UserError
from cnn_jax.runtime import checkpoints, checksums, statistics_file, workdir
from cnn_jax.runtime.checkpoints import Checkpoints
from cnn_jax.runtime.metric_writers import Writers

STATISTICS = InputStatistics(shift=np.zeros(1, np.float32), scale=np.ones(1, np.float32))
WRITES = {
    "config.json": lambda folder: workdir.write_json(folder / "config.json", {}),
    "SHA256SUMS": checksums.write_checksums,
    "constants.npz": STATISTICS.write,
    statistics_file.FILE: lambda folder: statistics_file.save(folder, 1, {}),
}


@pytest.fixture
def order(monkeypatch):
    """ "fsync" and the names of what takes its place, as they come."""
    order, fsync, replace = [], os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda file: (order.append("fsync"), fsync(file)))
    monkeypatch.setattr(
        os, "replace", lambda old, new: (order.append(os.path.basename(new)), replace(old, new))
    )
    return order


@pytest.mark.parametrize("name", WRITES)
def test_a_file_is_on_disk_before_it_takes_its_place(tmp_path, order, name):
    WRITES[name](tmp_path)
    assert order == ["fsync", name]
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("name", [*WRITES][:1] + [*WRITES][2:])  # a save has hashes of its own
def test_a_disk_that_fails_is_a_line_and_leaves_the_old_file(tmp_path, monkeypatch, name, call):
    WRITES[name](tmp_path)
    old = (tmp_path / name).read_bytes()

    def fail(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(UserError, match=f"{name} could not be written"):
        WRITES[name](tmp_path)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [(name, old)]


def test_rows_are_on_disk_before_a_checkpoint_counts_them(tmp_path, order):
    writers = Writers(tmp_path, total_steps=10)
    writers.row({"step": 1})
    size = (tmp_path / "metrics.jsonl").stat().st_size
    assert (writers.sync(), order) == (size, ["fsync"])
    writers.close()


def test_a_save_counts_once_its_hashes_are_written(tmp_path, monkeypatch):
    """Until then a restart takes it away."""
    seen, write = [], checkpoints.write_checksums
    saves = Checkpoints(tmp_path)

    def noted(folder):
        seen.append((saves.steps(), saves.mark(1).exists()))
        write(folder)

    monkeypatch.setattr(checkpoints, "write_checksums", noted)
    saves.save(1, {"x": jnp.zeros(3)}, {}, best=1)
    saves.close()
    assert seen == [([], True)]
    assert (saves.steps(), saves.mark(1).exists()) == ([1], False)
