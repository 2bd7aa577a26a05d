"""Published weights by name, from a loopback server: whole, held to their hash, or not at all."""

import contextlib
import hashlib
import http.server
import json
import threading
import typing
from pathlib import Path

import flax.linen as nn
import numpy as np
import pytest
from PIL import Image as PillowImage
from safetensors.numpy import save

import cnn_jax
from cnn_jax import models
from cnn_jax.data import imagenet
from cnn_jax.data.dataset import Split, Task
from cnn_jax.errors import UserError
from cnn_jax.inference.other_data import relabelled
from cnn_jax.inference.preparation import of_record
from cnn_jax.models.layers import ConvUnit, Output, global_pool
from cnn_jax.models.registry import Net
from cnn_jax.tools import weights as tool
from cnn_jax.transfer import import_record, importer, pretrained
from cnn_jax.transfer.importer import strip_tensor_names
from cnn_jax.transfer.initial_weights import check_source, fit_head, read_trained_weights
from cnn_jax.transfer.layouts import from_torch
from cnn_jax.transfer.pretrained import Pretrained
from cnn_jax.transfer.weight_maps import MAPS
from cnn_jax.transfer.weight_maps.name_map import NameMap
from cnn_jax.transfer.weight_options import form_of_weights
from tests.support.random_weights import tensor

ROW = Pretrained(
    *("tiny.test_in1k", "tiny", "cc0-1.0", 61.5, 83.25, 8, 10, "bicubic"),
    *((0.5, 0.25, 0.5), (0.5, 0.25, 0.5), 0.005),
)
SHAPES = {
    "conv.weight": (4, 3, 3, 3),
    **{f"bn.{name}": (4,) for name in ("weight", "bias", "running_mean", "running_var")},
    "fc.weight": (1000, 4),
    "fc.bias": (1000,),
}


class Tiny(nn.Module):
    """3x3 convolution, BatchNorm, ReLU, mean, dense."""

    num_classes: int = 1000
    gain: float = 1.0
    dtype: typing.Any = None

    @nn.compact
    def __call__(self, images, train=False):
        x = ConvUnit(train, activation="relu", dtype=self.dtype)(images, 4, 3, name="conv")
        return Output(nn.Dense(self.num_classes, name="fc")(self.gain * global_pool("avg", x)))


class Site(http.server.BaseHTTPRequestHandler):
    """Sends on to where the file lies, as Hugging Face does; `site.fault` names what goes wrong."""

    def do_GET(self):
        site, content = self.server, self.server.content
        site.paths.append(self.path)
        digest = hashlib.sha256(content).hexdigest()
        if self.path.startswith("/timm/"):
            if site.fault == "gone":
                return self.send_error(404)
            self.send_response(302)
            self.send_header("Location", "/store/file")
            named = "0" * 64 if site.fault == "other hash" else digest
            self.send_header("X-Linked-Etag", f'"{named}"')
            self.send_header("X-Linked-Size", str(len(content)))
            return self.end_headers()
        self.send_response(200)
        sent = content[:100] if site.fault in ("truncated", "short") else content
        self.send_header("Content-Length", str(len(sent if site.fault == "short" else content)))
        self.end_headers()
        return self.wfile.write(sent)

    def log_message(self, *_):
        pass


@pytest.fixture
def site(monkeypatch, tmp_path):
    monkeypatch.setitem(models.REGISTRY, "tiny", Net(Tiny, {}, (8, 8, 3)))
    names = {"conv": "conv", "conv_norm": "bn", "fc": "fc"}
    monkeypatch.setitem(MAPS, "tiny", lambda: NameMap("timm", names, {"gain": 2.0}))
    monkeypatch.setattr(pretrained, "table", lambda: {ROW.name: ROW})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        server.content = save({name: tensor(name, shape) for name, shape in SHAPES.items()})
        server.fault, server.paths = "", []
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("CNN_JAX_WEIGHTS", str(tmp_path / "kept"))
        yield server
        server.shutdown()


def kept(tmp_path):
    return sorted(path.name for path in (tmp_path / "kept").iterdir())


def test_one_line_fetches_once_and_loads(site, tmp_path, capsys):
    net = cnn_jax.load("tiny.test_in1k")
    assert site.paths == ["/timm/tiny.test_in1k/resolve/main/model.safetensors", "/store/file"]
    assert "downloading http://127.0.0.1" in capsys.readouterr().out
    assert net.classes[0] == "tench"
    assert len(net.classes) == 1000
    own = net.preparation
    assert (own.resize.size, own.resize.resize, own.resize.interpolation) == (8, 10, "bicubic")
    np.testing.assert_allclose(own.statistics.shift, 255 * np.float32([0.5, 0.25, 0.5]))
    state = {name: tensor(name, shape) for name, shape in SHAPES.items()}
    np.testing.assert_array_equal(net.variables["params"]["fc"]["kernel"], state["fc.weight"].T)
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    assert net.predict(image).probabilities.shape == (1, 1000)
    record = json.loads((tmp_path / "kept/tiny.test_in1k/weights.json").read_text())
    assert record["figures"]["accuracy"] == 0.615
    assert record["figures"]["protocol"] == "middle 8 of 10, bicubic"
    assert record["licence"] == "cc0-1.0"
    assert record["source"]["sha256"] == hashlib.sha256(site.content).hexdigest()
    cnn_jax.load("tiny.test_in1k")
    assert len(site.paths) == 2  # no second download
    assert kept(tmp_path) == ["tiny.test_in1k", "tiny.test_in1k.sha256"]


def test_training_begins_with_it(site):
    assert form_of_weights(ROW.name) == {"gain": 2.0}  # before it is fetched
    check_source(ROW.name)
    assert not site.paths
    weights = read_trained_weights(ROW.name)
    assert weights.flat["params/conv/kernel"].shape == (3, 3, 3, 4)
    assert form_of_weights(ROW.name) == {"gain": 2.0}


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("gone", "answers 404 (Not Found): the file has moved or is not given to all; try again"),
        ("truncated", "could not be downloaded"),
        ("short", "ended after 100 of"),
        ("large", "has more than 50 bytes, as no weights have"),
        ("other hash", "is not the file that its server names: SHA-256"),
        ("broken", "is no whole .safetensors file"),
        ("other net", "does not fit tiny"),
        ("ten classes", "it does not tell 1000 apart"),
    ],
)
def test_what_goes_wrong_is_said_and_nothing_stays(site, tmp_path, monkeypatch, fault, words):
    site.fault = fault
    good = site.content
    if fault == "broken":
        site.content = b"\x10\0\0\0\0\0\0\0{no json at all}"
    elif fault == "other net":
        site.content = save({"layer.weight": np.zeros((2, 2), np.float32)})
    elif fault == "ten classes":
        shapes = SHAPES | {"fc.weight": (10, 4), "fc.bias": (10,)}
        site.content = save({name: tensor(name, shape) for name, shape in shapes.items()})
    elif fault == "large":
        monkeypatch.setattr(pretrained, "LARGEST", 50)
    with pytest.raises(UserError) as error:
        cnn_jax.load("tiny.test_in1k")
    assert words in str(error.value)
    assert "\n" not in str(error.value)
    assert kept(tmp_path) == []
    site.fault, site.content = "", good
    monkeypatch.setattr(pretrained, "LARGEST", 2**20)
    assert len(cnn_jax.load("tiny.test_in1k").classes) == 1000  # the next try is a new one


def test_the_length_of_a_file_on_the_way():
    """The first that names the file's; that of the answer is of what is sent, unless compressed."""
    own, sent = {"X-Linked-Size": "7", "Content-Length": "3"}, {"Content-Length": "5"}
    assert pretrained.length_of([own, sent]) == 7
    assert pretrained.length_of([{"Content-Length": "3"}, sent]) == 5
    assert pretrained.length_of([sent | {"Content-Encoding": "gzip"}]) is None


def test_a_file_that_changed_is_refused(site, tmp_path):
    folder = pretrained.folder_of(ROW)
    for path in folder.iterdir():
        path.unlink()
    site.content = save({name: 2 * tensor(name, shape) for name, shape in SHAPES.items()})
    with pytest.raises(UserError, match=r"has changed: SHA-256 .* remove .*tiny.test_in1k.sha256"):
        pretrained.folder_of(ROW)
    (tmp_path / "kept/tiny.test_in1k.sha256").unlink()  # as it says
    assert pretrained.folder_of(ROW) == folder


@pytest.mark.parametrize("text", ["[1]", '{"a', "{}", '{"source": 3}', '{"source": {"sha256": 1}}'])
def test_damaged_kept_weights_are_fetched_again(site, text):
    folder = pretrained.folder_of(ROW)
    (folder / "weights.json").write_text(text)
    assert pretrained.kept_sha256(ROW) == ""
    assert pretrained.folder_of(ROW) == folder
    assert len(pretrained.kept_sha256(ROW)) == 64


def test_a_place_for_weights_that_is_a_file(monkeypatch, site, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("CNN_JAX_WEIGHTS", str(tmp_path / "file"))
    with pytest.raises(UserError, match=r"CNN_JAX_WEIGHTS='.*/file' can be no folder \(File ex"):
        pretrained.folder_of(ROW)


def test_no_server(monkeypatch, site):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UserError, match=r"could not be downloaded \(.*refused.*HF_ENDPOINT"):
        cnn_jax.load("tiny.test_in1k")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("resnet50.tv_1k", "is unknown (did you mean 'resnet50.tv_in1k'"),
        ("googlenet.tv_in1k", "has 3x3 convolutions for the paper's 5x5"),
        ("resnet50_v1_5.x", "choices: resnet50.a1_in1k"),
        ("mobilenet_v3_small.x", "did you mean 'mobilenetv3_small_100.lamb_in1k'"),
        ("tf_efficientnet_b0.in1k", "pads unevenly, as TensorFlow does"),
        ("tf_efficientnet_b7.ns_jft_in1k", "timm's efficientnet_b5 is our net"),
        ("lenet5.x", "no published weights of lenet5 are known by name"),
        ("runs.old", "there is no such folder"),
    ],
)
def test_other_names_say_what_to_do(name, words):
    with pytest.raises(UserError) as error:
        cnn_jax.load(name)
    assert words in str(error.value)


def test_the_table_is_of_our_nets():
    rows = pretrained.table()
    assert len(rows) > 70
    for name, row in rows.items():
        assert pretrained.NAME.fullmatch(name)
        assert row.model in MAPS, name
        assert 60 < row.top1 < row.top5 < 100
        assert row.resize >= row.image_size >= 160 or row.resize == 0
        assert row.interpolation in ("bilinear", "bicubic")
        assert len(row.mean) == len(row.std) == 3
        assert row.licence
    nets = {row.model for row in rows.values()}
    assert {"mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large", "convnext_tiny"} <= nets
    assert {f"efficientnet_b{i}" for i in range(6)} <= nets
    own = rows["resnet50.tv_in1k"]
    assert (own.model, own.top1, own.resize) == ("resnet50_v1_5", 76.156, 256)
    assert own.preprocessing()["mean"] == (0.485, 0.456, 0.406)


def test_an_image_is_squashed_where_the_figure_was_measured_so():
    """As Pillow does it, the whole image; other rows have the middle crop."""
    row = pretrained.table()["efficientnet_b5.sw_in12k_ft_in1k"]
    assert row.protocol == "squashed to 448, bicubic"
    record = row.preprocessing() | {"image_size": 6}
    image = np.random.default_rng(0).integers(0, 256, (9, 15, 3), np.uint8)
    (seen,) = of_record(record, Path())(image)
    expected = PillowImage.fromarray(image).resize((6, 6), PillowImage.Resampling.BICUBIC)
    np.testing.assert_array_equal(seen, np.asarray(expected))
    assert ROW.preprocessing()["fit"] == "crop"


def test_the_table_is_printed(site, capsys):
    tool.tables.print_table(tool.COLUMNS, [tool.row_of(ROW)])
    printed = capsys.readouterr().out.splitlines()[-1].split()
    assert printed[:6] == ["tiny.test_in1k", "tiny", "61.50", "%", "83.25", "%"]
    assert printed[-1] == "-"
    digest = hashlib.sha256(site.content).hexdigest()
    with contextlib.redirect_stdout(None):
        pretrained.folder_of(ROW)
    assert tool.row_of(ROW)[-1] == digest[:12]


def test_timms_vgg_is_torchvisions():
    names = MAPS["vgg16"]()
    state = {
        f"{module}.weight": np.zeros(1)
        for module in ("features.0", "pre_logits.fc1", "pre_logits.fc2", "head.fc")
    }
    modules = {name.rpartition(".")[0] for name in strip_tensor_names(state, names)[0]}
    assert modules == {"features.0", "classifier.0", "classifier.3", "classifier.6"}
    kernel = np.random.default_rng(0).standard_normal((5, 2, 3, 4)).astype(np.float32)
    found = from_torch(kernel, (24, 5), (2, 3, 4))
    np.testing.assert_array_equal(found, from_torch(kernel.reshape(5, 24), (24, 5), (2, 3, 4)))
    np.testing.assert_array_equal(found[:, 1].reshape(3, 4, 2), kernel[1].transpose(1, 2, 0))


def test_imagenets_folders_are_its_classes_in_words():
    wnids, names = [*imagenet.names_by_wnid()], imagenet.class_names()
    assert wnids == sorted(wnids)
    assert len({*names}) == len(names) == 1000
    assert dict(zip(wnids, names, strict=True))["n02123045"] == "tabby"
    assert imagenet.in_words(wnids[:3]) == names[:3]
    assert imagenet.in_words(["n01440764", "cat"]) == ("n01440764", "cat")
    split = Split(np.zeros((2, 1, 1, 3), np.uint8), np.int32([0, 1]), np.arange(2, dtype=np.int32))
    theirs = Task("classification", ("n02123045", "n01440764"))
    found = relabelled(split, theirs, Task("classification", names), "folder:val")
    assert [names[label] for label in found.labels] == ["tabby", "tench"]


def test_a_head_of_imagenet_stays_for_imagenets_folders(site):
    weights = read_trained_weights(ROW.name)
    wnids = tuple(imagenet.names_by_wnid())
    assert fit_head(weights, "auto", "folder:x", wnids, {})[1:] == ("", "")
    assert "of other classes" in fit_head(weights, "auto", "folder:x", wnids[:9], {})[1]


def test_a_net_without_its_head_has_no_classes(site, tmp_path):
    """Where the head is left out, or the file has none; whole it has those that are named."""
    names, file = imagenet.class_names(), tmp_path / "tiny.safetensors"

    def record(imported):
        found = import_record.describe(imported, {}, classes=names)
        return found["num_classes"], found["classes"]

    file.write_bytes(site.content)
    whole = importer.import_weights("tiny", file)
    assert record(whole) == (1000, [*names])
    assert record(whole.without_head()) == (None, None)
    file.write_bytes(save({k: tensor(k, s) for k, s in SHAPES.items() if not k.startswith("fc")}))
    assert record(importer.import_weights("tiny", file, drop_head=True)) == (None, None)


def test_classes_of_an_import(tmp_path):
    assert import_record.read_classes("", 1000) == imagenet.class_names()
    assert import_record.read_classes("", 10) == import_record.read_classes("none", 1000) == ()
    file = tmp_path / "classes.txt"
    file.write_text("cat\n\ndög\n")
    assert import_record.read_classes(str(file), 2) == ("cat", "dög")
    for words, count, error in [
        (str(file), 3, "names 2 classes, and the head tells 3 apart"),
        ("imagenet", 10, "names 1000 classes, and the head tells 10 apart"),
        (str(tmp_path / "none.txt"), 2, "cannot be read (No such file or directory); choices"),
    ]:
        with pytest.raises(UserError) as raised:
            import_record.read_classes(words, count)
        assert error in str(raised.value)
    file.write_text("cat\ncat\n")
    with pytest.raises(UserError, match="names 'cat' twice"):
        import_record.read_classes(str(file), 2)


def test_timms_epsilon_is_known_before_its_file():
    """Where timm's net has another than torchvision's, and than ours by default."""
    assert form_of_weights("mobilenetv3_small_100.lamb_in1k")["epsilon"] == 1e-5
    assert models.REGISTRY["mobilenet_v3_small"].options()["epsilon"].default == 1e-3
    for model in ("mobilenet_v3_large", "efficientnet_b7"):
        own, timms = MAPS[model]().forms
        assert ("epsilon" in own.options, timms.options) == (False, {"epsilon": 1e-5})
