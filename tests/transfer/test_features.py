"""Features are the net's own activations; probes on them do what training the head does."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import data, models, train
from cnn_jax.analysis.explanations import grad_cam
from cnn_jax.analysis.trained_net import load_trained_net
from cnn_jax.data.dataset import Split
from cnn_jax.errors import UserError
from cnn_jax.runtime import sharding
from cnn_jax.tools import probe as probe_tool
from cnn_jax.transfer import stage_names
from cnn_jax.transfer.features import CapturePoints, FeatureFolder
from cnn_jax.transfer.probes import linear_probe, neighbour_probe
from configs.base import base


def config_of(name, size, **options):
    config = base("tiny", "digits", image_size=size)
    config.update({"epochs": 3.0, "batch_size": 64, "devices": 2, "eval_batch_size": 100})
    config.model.update({"name": name, **options})
    return config


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A small trained net: (config, workdir)."""
    config = config_of("mlp", 8, hidden=(24,), norm="batch")
    folder = tmp_path_factory.mktemp("trained") / "run"
    train.train_and_evaluate(config, folder)
    return config, folder


@pytest.mark.heavy
def test_features_are_the_net_s_own_activations(tmp_path):
    """In the batches of evaluation, the last of them not full; programs differ in rounding only."""
    from cnn_jax.transfer.weights import save_weights

    config = config_of("lenet5", 32)
    model = models.create("lenet5", 10)
    variables = model.init(jax.random.key(1), jnp.zeros((1, 32, 32, 1)))
    save_weights(tmp_path / "weights", variables["params"], {}, {"model": "lenet5"})
    net = load_trained_net(config, None, str(tmp_path / "weights"))
    dataset = net.experiment.dataset
    points = net.resolve(["c1", "c3", "f6"])
    whole = net.write_features(tmp_path / "whole", "test", points, pooled=False)
    pooled = net.write_features(tmp_path / "pooled", "test", points)
    normalise = net.experiment.step_spec.normalise

    @sharding.jit
    def own(images):
        capture = {"capture_intermediates": True, "mutable": ["intermediates"]}
        return model.apply(variables, normalise(images), **capture)[1]["intermediates"]

    captured = own(dataset.test.images[:100].astype(np.float32))
    for name in points:
        expected = np.asarray(captured[name]["__call__"][0])
        np.testing.assert_allclose(whole.read(name)[:100], expected, rtol=1e-6, atol=1e-6)
        if expected.ndim == 4:
            expected = expected.mean((1, 2))
        np.testing.assert_allclose(pooled.read(name)[:100], expected, rtol=1e-6, atol=1e-6)
    assert whole.labels.tolist() == dataset.test.labels.tolist()
    assert whole.ids.tolist() == dataset.test.ids.tolist()
    assert whole.header["points"]["c1"] == {"file": "c1.npy", "shape": [359, 28, 28, 6]}


@pytest.mark.parametrize("batches", [[0, 1, 1], [0, 1], [1, 0, 2]])
def test_a_batch_that_is_lost_doubled_or_moved_is_refused(batches, tmp_path):
    """No header is written, without which the folder does not count."""
    split = Split(np.zeros((30, 1, 1, 1), np.uint8), np.zeros(30, np.int32), np.arange(30))
    parts = [(np.arange(i, i + 10), np.ones(10, bool)) for i in (0, 10, 20)]

    def write(parts):
        folder = FeatureFolder(tmp_path)
        step = lambda _, ids: {"id": ids, "c1": np.float32(ids)[:, None]}  # noqa: E731
        folder.write(step, {}, parts, split, {"c1": (1,)}, {})
        return folder

    with pytest.raises(RuntimeError, match="extraction did not see every example once"):
        write([parts[i] for i in batches])
    assert not (tmp_path / "features.json").exists()
    assert write(parts).read("c1").ravel().tolist() == [*range(30)]


@pytest.mark.parametrize("name", ["c1", "labels", "ids"])
def test_features_are_no_pickles(name, tmp_path):
    """An array of objects is a pickle, which runs what it likes."""
    np.save(tmp_path / f"{name}.npy", np.array([{}], object), allow_pickle=True)
    folder = FeatureFolder(tmp_path)
    with pytest.raises(ValueError, match=r"allow_pickle=False|Array can't be memory-mapped"):
        folder.read("c1") if name == "c1" else getattr(folder, name)


@pytest.mark.heavy
def test_a_run_is_whole_whatever_head_it_began_with(trained, tmp_path):
    """`init.head` is of the weights that training began with, and not of what it left."""
    config, folder = trained
    tuned = config.copy_and_resolve_references()
    tuned.init["from"], tuned.init.head, tuned.epochs = str(folder), "drop", 1.0
    train.train_and_evaluate(tuned, tmp_path)
    net = load_trained_net(tuned, str(tmp_path), None)
    assert net.resolve(["output"]) == ["output"]
    assert not net.initial_weights.randomly_initialised
    fresh = load_trained_net(tuned, None, None)  # the weights that it is to begin with
    with pytest.raises(UserError, match=r"stage='output' has no trained weights"):
        fresh.resolve(["output"])


@pytest.mark.heavy
def test_a_probe_reads_the_images_once(trained, tmp_path, monkeypatch):
    config, folder = trained
    net = load_trained_net(config, str(folder), None)
    rows = probe_tool.probe_stages(net, ["all"], tmp_path)
    assert [row["stage"] for row in rows] == ["hidden1", "norm1"]
    monkeypatch.setattr(type(net), "write_features", lambda *_, **__: pytest.fail("read again"))
    assert probe_tool.probe_stages(net, ["all"], tmp_path) == rows
    probe_tool.plot_probes(rows, "title", tmp_path / "probe.png")
    assert (tmp_path / "probe.png").stat().st_size > 5000
    assert probe_tool.format_probes(rows).splitlines()[2].startswith("hidden1")
    other = config.copy_and_resolve_references()
    other.data.normalisation = "none"
    before, after = net.identity("test", True), load_trained_net(other, str(folder), None)
    assert json.dumps(before) != json.dumps(after.identity("test", True))


@pytest.mark.slow
def test_a_probe_does_what_training_the_head_does(trained, tmp_path):
    """On the inputs of the head: both are a linear classifier of the same features."""
    config, folder = trained
    net = load_trained_net(config, str(folder), None)
    head = config.copy_and_resolve_references()
    head.init.update({"from": str(folder), "head": "drop"})
    head.freeze, head.epochs, head.schedule.gamma = ("hidden1", "norm1"), 20.0, 0.85
    head.optimizer.learning_rate = 0.02
    by_training = train.train_and_evaluate(head, tmp_path / "head")["accuracy"]
    rows = probe_tool.probe_stages(net, ["Dropout_0"], tmp_path / "cache", neighbours=False)
    assert rows[0]["linear"]["accuracy"] == pytest.approx(by_training, abs=0.02)
    assert by_training > 0.85


@pytest.mark.heavy
def test_linear_probe_chooses_by_validation():
    """Pixels of digits against the same classifier by hand; noise features want a penalty."""
    from sklearn.linear_model import LogisticRegression

    dataset = data.load(config_of("mlp", 8).data)
    parts = [
        (s.images.reshape(len(s), -1).astype(np.float32), s.labels)
        for s in (dataset.train, dataset.validation, dataset.test)
    ]
    probe = linear_probe(*parts, strengths=(0.01,))
    mean, std = parts[0][0].mean(0), parts[0][0].std(0)
    x, z = ((p[0] - mean) / np.where(std > 0, std, 1) for p in (parts[0], parts[2]))
    expected = LogisticRegression(C=0.01, max_iter=500).fit(x, parts[0][1])
    assert probe.accuracy == pytest.approx(expected.score(z, parts[2][1]), abs=0.003)
    assert probe.chosen == 0.01
    near = neighbour_probe(*parts)
    assert near.accuracy > 0.95
    rng = np.random.default_rng(0)
    noisy = [(np.concatenate([x, rng.normal(size=(len(x), 400))], 1), y) for x, y in parts]
    few = (noisy[0][0][:200], noisy[0][1][:200])
    assert linear_probe(few, *noisy[1:]).chosen <= 0.1


@pytest.mark.heavy
def test_names_of_points(trained):
    config, folder = trained
    resnet = CapturePoints.of(models.create("resnet18"), (64, 64, 3))
    assert resnet.stage_ends == [
        *("conv1_norm", "pool1", "layer1_1", "layer2_1", "layer3_1", "layer4_1", "global_pool")
    ]
    points = resnet.resolve(["layer3", "layer1_0/conv1", "layer3_1"])
    assert points == ["layer3_1", "layer1_0/conv1"]
    assert resnet.shapes["pool1"] == (16, 16, 64)
    with pytest.raises(UserError, match=r"'layer5' is unknown .*choices: all, conv1, pool1"):
        resnet.resolve(["layer5"])
    google = CapturePoints.of(models.create("googlenet"), (64, 64, 3))
    with pytest.raises(UserError, match="'auxiliary_4a' is a head that only training computes"):
        google.resolve(["auxiliary_4a"])
    dropped = config.copy_and_resolve_references()
    dropped.init.head = "drop"
    assert load_trained_net(dropped, str(folder), None).resolve(["output"]) == ["output"]
    with pytest.raises(UserError, match="name the weights: --workdir=RUN or --weights=DIR"):
        load_trained_net(config, None, None)
    with pytest.raises(UserError, match=r"^workdir='nowhere' holds no run: train first, or name a"):
        load_trained_net(None, "nowhere", None)
    with pytest.raises(UserError, match=r"^--config is missing: name a file"):
        load_trained_net(None, None, "weights")


RESNET = ["conv1_norm", "pool1", *(f"layer{i}_{j}" for i in (1, 2, 3, 4) for j in (0, 1, 2))]
STAGES_ELSEWHERE = [
    ("resnet50_v1_5", RESNET, {"layer4.1": "layer4_1", "layer4": "layer4_2", "maxpool": "pool1"}),
    ("resnet50", RESNET, {"conv5_x": "layer4_2", "layer3[-1]": "layer3_2", "Layer2.0": "layer2_0"}),
    ("resnet50", RESNET, {"conv6_x": None, "layer5": None, "layer4[-2]": None, "layer40": None}),
    ("resnet20_cifar", RESNET[:-3], {"conv4_x": None}),  # whose paper has other names
    ("inception_v3", ["mixed_7b", "mixed_7c"], {"Mixed_7c": "mixed_7c", "mixed7b": "mixed_7b"}),
    ("googlenet", ["inception_5a", "inception_5b"], {"inception (5b)": "inception_5b"}),
    ("vgg16", ["conv5_2", "conv5_3"], {"features.28": "conv5_3", "features.29": None}),
    ("convnext_tiny", ["stage4_1", "stage4_2"], {"stages.3": "stage4_2", "features.7": "stage4_2"}),
    ("mobilenet_v2", ["bottleneck16", "bottleneck17"], {"blocks.6": "bottleneck17"}),
    ("lenet5", ["c1", "c3"], {"C3": "c3", "c5": None}),
    ("none", ["layer1_11", "layer11_1"], {"layer1.11": "layer1_11", "layer111": None}),
]


@pytest.mark.parametrize(("net", "points", "found"), STAGES_ELSEWHERE)
def test_stages_by_the_names_of_others(net, points, found):
    equal, _ = stage_names.published_points(net)
    assert {name: stage_names.find_point(name, points, equal) for name in found} == found


def test_a_stage_of_others_whose_non_linearity_lies_behind_a_point():
    shapes = {"conv_first_norm": (4, 4, 8), "bottleneck1": (4, 4, 8)}
    net = CapturePoints(shapes, (), "mobilenet_v2")
    with pytest.raises(UserError, match=r"'features\.0' is conv_first_norm and a non-linearity"):
        net.resolve(["features.0"])
    assert net.resolve(["features.1", "blocks.0.0"]) == ["bottleneck1"]
    assert grad_cam.choose_stage(shapes, "features.0", "mobilenet_v2") == "conv_first_norm"
    with pytest.raises(UserError) as error:
        net.resolve(["layer4"])
    assert str(error.value) == (
        "stage='layer4' is unknown; choices: all, conv_first, bottleneck1, conv_first_norm "
        "(the names of torchvision and timm serve too)"
    )
