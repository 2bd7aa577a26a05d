"""Arrays from anywhere: whole ones are read, all others are a `ValueError` in few words."""

import pickle
import zipfile

import numpy as np
import pytest

from cnn_jax.runtime.array_files import read_npy, read_npz
from tests.faults.hostile_files import Evil, npy


def test_whole_arrays(tmp_path):
    arrays = {"a": np.arange(6.0).reshape(2, 3), "b": np.int32(7)}
    np.savez(tmp_path / "whole.npz", **arrays)
    np.save(tmp_path / "whole.npy", arrays["a"])
    found = read_npz(tmp_path / "whole.npz")
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
    np.testing.assert_array_equal(read_npy(tmp_path / "whole.npy"), arrays["a"])


def test_an_archive_that_grows_is_refused_by_what_it_claims(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "bomb.npz", a=np.zeros(100_000))
    assert (tmp_path / "bomb.npz").stat().st_size < 2_000
    monkeypatch.setattr(np, "load", lambda *_, **__: pytest.fail("it was opened"))
    with pytest.raises(ValueError, match=r"^it claims 800,128 bytes, more than 5,000$"):
        read_npz(tmp_path / "bomb.npz", most=5_000)


@pytest.mark.parametrize(
    "content",
    [
        npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1073741824,)}"),
        npy("{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4)}"),
        npy("(" * 500),
        npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", pickle.dumps(Evil())),
        pickle.dumps(Evil()),
        b"",
    ],
)
def test_what_is_no_array_is_a_value_error(tmp_path, content):
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(ValueError, match=r"."):
        read_npy(tmp_path / "a.npy")
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("a.npy", content)
    with pytest.raises(ValueError, match=r"."):
        read_npz(tmp_path / "a.npz")


def test_a_member_that_is_no_array(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("shift", b"text")
    with pytest.raises(ValueError, match=r"^'shift' is no array of numbers$"):
        read_npz(tmp_path / "a.npz")
