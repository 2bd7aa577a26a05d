"""What a program ends with is whole, or the old file is left, and a line says why."""

import pytest

from cnn_jax.analysis.explanations.pictures import saved_figure
from cnn_jax.errors import UserError
from cnn_jax.runtime import result_files


def test_old_file_stays_where_the_new_one_cannot_be_written(tmp_path, monkeypatch):
    place = tmp_path / "page.html"
    place.write_text("old")

    def full(path, data):
        with open(path, "wb") as file:
            file.write(data[:2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(UserError, match=r"the page could not be written to .*page\.html \(No sp"):
        result_files.write_result("the page", place, "new")
    assert place.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_link_and_device_stay_what_they_are(tmp_path):
    (tmp_path / "file").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    result_files.write_json(tmp_path / "link", [1])
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "[\n 1\n]\n"
    with pytest.raises(UserError, match="the figures could not be written to /dev/full"):
        result_files.write_json("/dev/full", [1])
    result_files.write_result("nothing", "/dev/null", "text")


def test_picture_is_where_it_was_named(tmp_path):
    """matplotlib adds an ending to a name that has none, and the line that says where is wrong."""
    for name, start in (("plain", b"\x89PNG"), ("x.svg", b"<?xml"), ("x.PDF", b"%PDF")):
        with saved_figure(tmp_path / name, (1, 1)):
            pass
        assert (tmp_path / name).read_bytes().startswith(start)
    with pytest.raises(UserError, match=r"x\.txt"), saved_figure(tmp_path / "x.txt", (1, 1)):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plain", "x.PDF", "x.svg"]
