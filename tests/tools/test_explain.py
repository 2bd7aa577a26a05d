"""The tool that explains a net, on random weights: every kind of picture, and its errors."""

import jax
import numpy as np
import pytest
from PIL import Image

from cnn_jax import models
from cnn_jax.analysis.explanations.subject import load_subject
from cnn_jax.errors import UserError
from cnn_jax.models.variables import fresh_variables
from cnn_jax.tools import explain
from cnn_jax.transfer.weights import save_weights
from configs.base import base
from tests.support.folders import encoded, picture


@pytest.fixture(scope="module")
def subject(tmp_path_factory):
    """LeNet-5 with ReLU for the digits, untrained."""
    folder = tmp_path_factory.mktemp("explained") / "weights"
    config = base("tiny", "digits", image_size=32)
    config.model.update({"name": "lenet5", "activation": "relu"})
    params = fresh_variables(models.create("lenet5", 10), 0, (32, 32, 1))["params"]
    save_weights(folder, jax.tree.map(np.asarray, params), {}, {"model": "lenet5"})
    return load_subject(config, None, str(folder))


def size_of(path):
    with Image.open(path) as image:
        return image.size


@pytest.mark.heavy
def test_pictures(subject, tmp_path, capsys):
    images, names = subject.first(1)
    assert names == [f"test 0: {subject.net.experiment.dataset.test.labels[0]}"]
    explain.explain_classes(subject, images, names, tmp_path / "a.png", guided=True)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(names[0])
    assert lines[1].startswith("sanity check, Grad-CAM: ")
    assert lines[2].startswith("sanity check, guided backpropagation: ")
    explain.explain_filters(subject, tmp_path / "b.png")
    explain.explain_maps(subject, images[0], names[0], tmp_path / "c.png")
    explain.explain_patches(subject, tmp_path / "d.png", "c1", channels=2)
    assert all(min(size_of(tmp_path / f"{name}.png")) > 100 for name in "abcd")
    with pytest.raises(UserError, match=r"^the picture could not be written to "):
        explain.explain_filters(subject, tmp_path / "nowhere" / "b.png")


def test_files_come_as_the_net_sees_them(subject, tmp_path):
    (tmp_path / "photo.jpg").write_bytes(encoded(picture(0)))
    images, names = subject.read([str(tmp_path / "photo.jpg")])
    assert (images.shape, names) == ((1, 32, 32, 1), ["photo.jpg"])
    np.testing.assert_allclose(subject.probabilities(images).sum(), 1, rtol=1e-5)
    (tmp_path / "text.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"text.png is no image that can be read: not a JPEG"):
        subject.read([str(tmp_path / "text.png")])
    with pytest.raises(UserError, match=r"gone.png: No such file or directory$"):
        subject.read([str(tmp_path / "gone.png")])


def test_images_are_found_before_a_net_is_loaded(tmp_path):
    """A folder stands for those in it; a picture holds so many."""
    for name in ("b.jpg", "a.png", "below/c.jpg", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    wanted = [str(tmp_path / name) for name in ("below/c.jpg", "a.png", "b.jpg", "below/c.jpg")]
    assert explain.find_paths([wanted[0], str(tmp_path)], "classes") == wanted
    assert explain.find_paths([wanted[1]], "maps") == wanted[1:2]
    assert explain.find_paths([], "filters") == []
    for words, kind, message in (
        ([tmp_path / "gone.png"], "classes", r"images='.*gone.png': there is no such file or fol"),
        ([tmp_path] * 17, "classes", r"--kind=classes has no room for 51 image\(s\): name 50 at"),
        ([tmp_path], "maps", r"--kind=maps has no room for 3 image\(s\): name 1 at most"),
        ([wanted[1]], "filters", r"--kind=filters has no room for 1 image\(s\): leave them out"),
    ):
        with pytest.raises(UserError, match=message):
            explain.find_paths([*map(str, words)], kind)


def test_a_net_must_be_named():
    with pytest.raises(UserError, match=r"^name the net: --workdir=RUN, or --weights=DIR with"):
        load_subject(None, None, None)
