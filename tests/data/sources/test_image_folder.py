"""Folders of images: listing, splits, bad files, and the real paintings."""

import hashlib
import json
import os
import shutil
import unicodedata

import numpy as np
import pytest
from PIL import Image

from cnn_jax import data
from cnn_jax.data.dataset import SPLIT_NAMES
from cnn_jax.data.images.resize import ResizeSpec
from cnn_jax.data.sources import folder_layout, image_folder
from cnn_jax.data.sources.image_folder import list_folder
from cnn_jax.errors import UserError
from cnn_jax.tools.prepare import write_manifest
from configs.base import base
from tests.support.folders import encoded, make, picture


def config_of(root, **changes):
    config = base("test", f"folder:{root}", image_size=16).data
    config.update(changes)
    return config


def test_a_heap_is_split_by_class_and_every_file_is_in_one_part(tmp_path):
    found = data.load(config_of(make(tmp_path, {"ash": 20, "oak": 10, "yew": 30})))
    assert found.task.classes == ("ash", "oak", "yew")
    counts = {p: np.bincount(found.split(p).labels).tolist() for p in found.parts}
    assert counts == {"train": [16, 8, 24], "validation": [2, 1, 3], "test": [2, 1, 3]}
    names = [name for part in found.parts.values() for name in part]
    files = tmp_path.rglob("*.jpg")
    assert sorted(names) == sorted(p.relative_to(tmp_path).as_posix() for p in files)
    assert found.train.images.shape == (48, 16, 16, 3)


def test_the_split_is_the_same_whatever_the_order_of_the_file_system(tmp_path, monkeypatch):
    root = make(tmp_path, {"élan": 12, "zoo": 12, "Bär": 12})
    here = data.load(config_of(root)).parts
    listdir, walk = os.listdir, os.walk
    backwards = lambda path: sorted(listdir(path))[::-1]  # noqa: E731
    monkeypatch.setattr(folder_layout, "entries", backwards)
    monkeypatch.setattr(
        os, "walk", lambda p, **k: ((f, d, sorted(n)[::-1]) for f, d, n in walk(p, **k))
    )
    assert data.load(config_of(root)).parts == here
    digest = hashlib.sha256(json.dumps(here, sort_keys=True).encode()).hexdigest()
    assert digest[:12] == "2069eaef2a0b"


def test_split_folders_are_taken_as_they_are(tmp_path):
    make(tmp_path, {"a": 4, "b": 6}, splits=("train", "val", "test"))
    found = data.load(config_of(tmp_path))
    assert [len(found.split(p)) for p in ("train", "validation", "test")] == [10, 10, 10]
    assert (found.parts or {})["test"][0] == "test/a/a_00.jpg"  # recorded, as of a heap
    assert found.reported == "test"
    shutil.rmtree(tmp_path / "test")
    found = data.load(config_of(tmp_path, validation=2.0))
    assert [len(found.split(p)) for p in ("train", "validation", "test")] == [10, 10, 0]
    assert found.reported == "validation"
    assert found.layout == (
        "2 classes: train/ is train, val/ is validation (train 10, validation 10); "
        "there is no test/: the report is on validation"
    )
    (tmp_path / "imagenet2012").symlink_to(tmp_path)  # of which `val` is what is reported
    config = config_of(tmp_path, validation=2.0, name="imagenet2012", dir=str(tmp_path))
    assert [len(data.load(config).split(p)) for p in SPLIT_NAMES] == [8, 2, 10]


def test_names_that_are_not_ascii_and_files_in_depth(tmp_path):
    make(tmp_path, {"Dürer": 3, unicodedata.normalize("NFD", "Goyä"): 3})
    deeper = tmp_path / "Dürer" / "später"
    deeper.mkdir()
    (deeper / "Grüße.JPEG").write_bytes(encoded(picture(9)))
    (tmp_path / "Dürer" / ".hidden.jpg").write_bytes(b"no image")
    (tmp_path / "Dürer" / "notes.txt").write_text("no image")
    found = image_folder.list_folder(str(tmp_path))
    assert np.bincount(found.labels).tolist() == [4, 3]
    assert found.name(3) == "Dürer/später/Grüße.JPEG"


BAD = {
    "empty.jpg": b"",
    "text.jpg": b"not an image at all",
    "cut.jpg": encoded(picture(1))[:-300],
    "cut.png": encoded(picture(2), "PNG")[:200],
}


@pytest.fixture
def spoilt(tmp_path):
    make(tmp_path, {"a": 9, "b": 9})
    for name, content in BAD.items():
        (tmp_path / "a" / name).write_bytes(content)
    (tmp_path / "a" / "gone.jpg").symlink_to(tmp_path / "nowhere")
    (tmp_path / "b" / "one.png").write_bytes(encoded(picture(0)[:1, :1], "PNG"))
    return tmp_path


@pytest.mark.parametrize("streaming", [False, True])
def test_bad_files_stop_the_run_and_are_named_and_counted(spoilt, streaming):
    with pytest.raises(UserError) as error:
        data.load(config_of(spoilt, streaming=streaming))
    said = str(error.value)
    assert ("5 of 24 files" if not streaming else "of 24 files cannot be used") in said
    assert "a/empty.jpg (zero bytes)" in said
    assert "a/text.jpg (not a JPEG, PNG or WebP image)" in said
    assert "a/gone.jpg (No such file or directory)" in said
    assert said.endswith("or set data.skip_bad=True")
    assert "\n" not in said


@pytest.mark.parametrize("streaming", [False, True])
def test_bad_files_are_skipped_when_the_config_says_so(spoilt, streaming, capsys):
    found = data.load(config_of(spoilt, streaming=streaming, skip_bad=True))
    assert "5 of 24 files" in capsys.readouterr().err
    assert sum(map(len, found.parts.values())) == 19
    assert not {f"a/{name}" for name in (*BAD, "gone.jpg")} & {
        name for names in found.parts.values() for name in names
    }
    assert found.train.images[0].shape == (16, 16, 3)


def test_a_link_back_to_its_own_folder_is_not_followed(tmp_path):
    root = make(tmp_path / "images", {"a": 3, "b": 3})
    (root / "a" / "again").symlink_to(root / "a")
    (root / "b" / "all").symlink_to(root)
    make(tmp_path / "elsewhere", {"more": 2})
    (root / "b" / "more").symlink_to(tmp_path / "elsewhere" / "more")
    assert np.bincount(image_folder.list_folder(str(root)).labels).tolist() == [3, 5]


def test_images_of_other_kinds_are_counted_and_named(tmp_path, capsys):
    root = make(tmp_path, {"a": 9, "b": 9})
    for name in ("b/z.BMP", "a/scan.tiff", "a/.hidden.gif", "a/notes.txt"):
        (root / name).write_bytes(b"x")
    assert len(data.load(config_of(root)).train) > 0
    said = capsys.readouterr().err
    assert "2 file(s) that look like images are left out, a/scan.tiff the first" in said
    assert "(1 .bmp, 1 .tiff); read are .jpg" in said.replace("1 .tiff, 1 .bmp", "1 .bmp, 1 .tiff")


def test_links_to_nothing_are_counted_and_named(tmp_path, capsys):
    """A class on a disk that is not there; a class's folder in one."""
    root = make(tmp_path, {"a": 9, "b": 9})
    (root / "c").symlink_to(tmp_path / "nowhere")
    (root / "a" / "more").symlink_to(tmp_path / "nowhere")
    assert list_folder(str(root)).task.classes == ("a", "b")
    said = capsys.readouterr().err
    assert "2 file(s) that look like images are left out, a/more the first (2 link to not" in said


def test_one_name_in_two_ways_is_one_class(tmp_path):
    """As a copy from another system has it; one folder with both is refused."""
    make(tmp_path, {"caf\u00e9": 6, "tea": 6}, splits=("train",))
    make(tmp_path, {"cafe\u0301": 3, "tea": 2}, splits=("test",))
    source = list_folder(str(tmp_path))
    assert np.bincount(source.labels[source.splits["test"]]).tolist() == [3, 2]
    make(tmp_path, {"cafe\u0301": 2}, splits=("train",))
    if len(os.listdir(tmp_path / "train")) == 3:  # a system that keeps them apart
        with pytest.raises(UserError, match=r"'cafe\\u0301' and 'caf\\xe9' of .* have one name"):
            list_folder(str(tmp_path))


def test_a_split_without_labels_is_refused_and_may_be_moved_away(tmp_path):
    root = make(tmp_path / "photos", {"a": 9, "b": 9}, splits=("train",))
    (root / "test").mkdir()
    (root / "test" / "1.jpg").write_bytes(b"")
    with pytest.raises(UserError, match=r"test holds no .* have no labels: move test/ elsewhere$"):
        list_folder(str(root))
    (root / "test").rename(tmp_path / "test")
    assert len(list_folder(str(root))) == 18


def test_a_pixel_cap(tmp_path):
    make(tmp_path, {"a": 9, "b": 9})
    with pytest.raises(UserError, match=r"18 of 18 .*52x40 pixels, over data.max_pixels=1000"):
        data.load(config_of(tmp_path, max_pixels=1000))


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({}, "holds no class folders"),
        ({"a": 3}, r"one class \('a'\) leaves nothing to tell apart"),
        ({"a": 3, "b": 0}, "class folder 'b' holds no image"),
        ({"a": 0, "b": 0}, "no images .* in any class folder"),
        ({"a": 30, "b": 2}, r"class 'b' has 2 usable image\(s\), fewer than the 3 splits"),
    ],
)
def test_folders_that_cannot_be_trained_on(tmp_path, counts, message):
    with pytest.raises(UserError, match=message):
        data.load(config_of(make(tmp_path, counts)))


def test_there_is_no_folder(tmp_path):
    with pytest.raises(UserError, match="there is no such folder"):
        data.load(config_of(tmp_path / "nowhere"))
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="that is a file, not a folder"):
        data.load(config_of(tmp_path / "file"))


def test_a_class_that_only_the_test_split_has(tmp_path):
    make(tmp_path, {"a": 2, "b": 2}, splits=("train",))
    make(tmp_path, {"a": 2, "c": 2}, splits=("test",))
    with pytest.raises(UserError, match=r"class 'c' of test/ is not among the 2 classes of train/"):
        data.load(config_of(tmp_path))


def test_headers_are_read_without_the_rest_of_the_files(tmp_path, monkeypatch):
    """But one that stands behind a long comment is found all the same."""
    root = make(tmp_path, {"a": 9, "b": 9})
    content = encoded(picture(0), quality=95)
    comments = 2 * (b"\xff\xfe\xff\xff" + bytes(0xFFFD))
    (root / "a" / "late.jpg").write_bytes(content[:2] + comments + content[2:])
    (root / "b" / "long.jpg").write_bytes(content + bytes(1 << 20))
    read, whole = image_folder.FolderSource.read, []

    def noted(source, number, max_bytes=-1):
        found = read(source, number, max_bytes)
        if max_bytes < 0 or len(found) > max_bytes:
            whole.append(source.name(number))
        return found

    monkeypatch.setattr(image_folder.FolderSource, "read", noted)
    assert len(data.load(config_of(root, streaming=True)).train) == 16
    assert whole == ["a/late.jpg"]


def test_a_manifest_holds_files_to_their_bits(tmp_path):
    root = make(tmp_path / "images", {"a": 9, "b": 9})
    manifest = tmp_path / "SHA256SUMS"
    write_manifest(str(root), manifest)
    data.load(config_of(root, verify=str(manifest)))
    path = root / "a" / "a_03.jpg"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    (root / "b" / "b_00.jpg").unlink()
    reason = r"2 of 18 files are not as hashed: b/b_00.jpg \(gone\); a/a_03.jpg \(another SHA-256\)"
    with pytest.raises(UserError, match=reason):
        data.load(config_of(root, verify=str(manifest), skip_bad=True))
    for content, reason in (
        (b"# hashes\n", "line 1 is not 'SHA-256  FILE': # h"),
        (b"\xff", "line 1 is not 'SHA-256  FILE': \udcff"),
    ):
        manifest.write_bytes(content)
        with pytest.raises(UserError, match=reason):
            data.load(config_of(root, verify=str(manifest)))


@pytest.mark.parametrize("shape", [(40, 52), (52, 40), (16, 16), (10, 12)])
@pytest.mark.parametrize("how", ["crop", "pad", "bilinear"])
def test_fits_against_pillow(how, shape):
    image = picture(5, *shape)
    found = ResizeSpec(16, how, 3, 20)(image)
    height, width = shape
    if how == "bilinear":
        wanted = Image.fromarray(image).resize((16, 16), Image.Resampling.BILINEAR)
    elif how == "crop":
        h, w = max(20, round(height * 20 / min(shape))), max(20, round(width * 20 / min(shape)))
        top, left = (h - 16) // 2, (w - 16) // 2
        resized = Image.fromarray(image).resize((w, h), Image.Resampling.BILINEAR)
        wanted = resized.crop((left, top, left + 16, top + 16))
    else:
        share = min(1, 16 / max(shape))
        h, w = round(height * share), round(width * share)
        wanted = Image.new("RGB", (16, 16))
        resized = Image.fromarray(image).resize((w, h), Image.Resampling.BILINEAR)
        wanted.paste(resized, ((16 - w) // 2, (16 - h) // 2))
    np.testing.assert_array_equal(found, np.asarray(wanted))


def test_the_paintings(real_data):
    """777 files, 78 of them grey; 80/10/10 by class."""
    config = base("test", f"folder:{real_data / 'paintings'}", image_size=32).data
    found = data.load(config)
    assert [len(found.split(p)) for p in ("train", "validation", "test")] == [621, 78, 78]
    whole = sum((np.bincount(found.split(p).labels) for p in found.parts), np.zeros(10, int))
    assert whole.tolist() == [77, 63, 112, 70, 42, 70, 84, 63, 56, 140]
    for part, share in (("train", 0.8), ("validation", 0.1), ("test", 0.1)):
        off = np.abs(np.bincount(found.split(part).labels) - share * whole)
        assert off.max() < (2 if part == "train" else 1)
    grey = [(s.images == s.images[..., :1]).all((1, 2, 3)).sum() for s in (found.train, found.test)]
    assert (
        sum(grey)
        + (found.validation.images == found.validation.images[..., :1]).all((1, 2, 3)).sum()
        == 78
    )
    digest = hashlib.sha256(json.dumps(found.parts, sort_keys=True).encode()).hexdigest()
    assert digest[:12] == "1a527b071e16"
