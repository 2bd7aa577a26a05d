"""Labels that are kept beside the records: whole, or read anew."""

import numpy as np
import pytest

from cnn_jax.data.sources.tfds_records import read_labels


class Records:
    """Five records of a set, and how often one was read."""

    def __init__(self, folder):
        self.folder, self.reads = folder, 0

    def __len__(self):
        return 5

    def record(self, number):
        self.reads += 1
        return {"label": number % 3}


def damaged_files(whole):
    yield b""
    yield whole[: len(whole) // 2]
    yield whole[:-4]
    yield b"no array"


@pytest.mark.parametrize("which", range(4))
def test_half_a_file_of_labels_is_read_anew_and_replaced(tmp_path, which):
    records, kept = Records(tmp_path), tmp_path / "cnn_jax_labels.npy"
    labels = read_labels(records, "label")
    assert labels.tolist() == [0, 1, 2, 0, 1]
    whole = kept.read_bytes()
    assert read_labels(records, "label").tolist() == labels.tolist()
    assert records.reads == 5
    kept.write_bytes(list(damaged_files(whole))[which])
    assert read_labels(records, "label").tolist() == labels.tolist()
    assert records.reads == 10
    assert kept.read_bytes() == whole
    assert [path.name for path in tmp_path.iterdir()] == [kept.name]


def test_a_killed_writer_leaves_no_half_of_a_file(tmp_path, monkeypatch):
    """Another process reads the name at any moment: it is not there, or it is whole."""
    kept, seen = tmp_path / "cnn_jax_labels.npy", []

    def killed(stream, labels):
        stream.write(b"half")
        seen.append(kept.exists())
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        read_labels(Records(tmp_path), "label")
    assert (seen, kept.exists()) == ([False], False)


def test_labels_of_another_kind_are_not_taken(tmp_path):
    records = Records(tmp_path)
    for other in (np.zeros(5, np.float32), np.zeros((5, 1), np.int32), np.zeros(4, np.int32)):
        np.save(tmp_path / "cnn_jax_labels.npy", other)
        assert read_labels(records, "label").tolist() == [0, 1, 2, 0, 1]
