"""Labels that are kept beside a tfds set: taken where they are whole, else read anew."""

import numpy as np
import pytest

from cnn_jax.data.sources.tfds_records import read_labels

LABELS = [2, 0, 1, 1]
KEPT = "cnn_jax_labels.npy"


class Records:
    """A set of four records, and how many were read."""

    def __init__(self, folder):
        self.folder, self.reads = str(folder), 0

    def __len__(self):
        return len(LABELS)

    def record(self, number):
        self.reads += 1
        return {"label": LABELS[number]}


@pytest.fixture
def kept(tmp_path):
    assert read_labels(Records(tmp_path), "label").tolist() == LABELS
    assert [path.name for path in tmp_path.iterdir()] == [KEPT]
    return tmp_path / KEPT


def test_they_are_read_once(kept):
    records = Records(kept.parent)
    assert (read_labels(records, "label").tolist(), records.reads) == (LABELS, 0)


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-5]),
        lambda path: path.write_bytes(b""),
        lambda path: np.save(path, np.int32(LABELS[:3])),
        lambda path: np.save(path, np.int64(LABELS)),
    ],
    ids=["cut", "empty", "too few", "another type"],
)
def test_what_is_not_whole_is_written_anew(kept, change):
    whole = kept.read_bytes()
    change(kept)
    records = Records(kept.parent)
    assert (read_labels(records, "label").tolist(), records.reads) == (LABELS, 4)
    assert kept.read_bytes() == whole


class Harmful:
    """What a pickle may do: it calls a function of its choice, here one that leaves a file."""

    def __init__(self, place):
        self.place = str(place)

    def __reduce__(self):
        return (open, (self.place, "w"))


def test_a_pickle_is_not_opened(kept, tmp_path):
    mark = tmp_path / "ran"
    np.save(kept, np.array([Harmful(mark)] * 4, object), allow_pickle=True)
    assert read_labels(Records(kept.parent), "label").tolist() == LABELS
    assert not mark.exists()
