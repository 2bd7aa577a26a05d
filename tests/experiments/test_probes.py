"""What claims measure on nets, against values worked by hand."""

import json
import math
import os
import types

import jax
import numpy as np
import pytest

from cnn_jax import data
from cnn_jax.models import googlenet
from cnn_jax.models.variables import fresh_variables
from cnn_jax.runtime.checkpoints import Checkpoints
from cnn_jax.training.experiment import make_experiment
from experiments.probes import (
    counts,
    halves,
    invariances,
    last_weights,
    members,
    similarity,
    target,
    trained,
    untrained,
)
from experiments.runner import Cache, Job, perform, perform_all


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A perceptron after half an epoch of digits."""
    job = Job("perceptron:digits", {"epochs": 0.5, "eval_every_epochs": 0.5, "seed": 1})
    folder = tmp_path_factory.mktemp("probes") / "run"
    from cnn_jax.train import train_and_evaluate

    config = job.make_config()
    return config, folder, train_and_evaluate(config, str(folder))


@pytest.mark.heavy
def test_probes_read_the_last_weights(run):
    config, folder, report = run
    assert Checkpoints(folder, 2).latest_valid() is not None
    figures = trained.on_train(config, folder)
    assert figures["accuracy gap"] == pytest.approx(
        figures["train accuracy"] - 100 * report["accuracy"]
    )
    assert figures["loss gap"] == pytest.approx(report["loss"] - figures["train loss"])
    assert trained.calibration(config, folder)["log loss"] == pytest.approx(
        report["loss"], rel=1e-5
    )
    changed = trained.shifts(config, folder)
    assert 0 < changed["changed by 1 px"] <= changed["changed by 4 px"] <= 100


@pytest.mark.heavy
def test_a_run_is_performed_and_its_workdir_goes(tmp_path):
    job = Job(
        "perceptron:digits",
        {"epochs": 0.5, "eval_every_epochs": 0.5, "seed": 1, "data.split_seed": 1},
        "experiments.probes.untrained:parameters",
    )
    cache = Cache(tmp_path)
    record = perform(job, cache, "")
    assert cache.find(job) == record
    assert record["probe"] == {"parameters": 8 * 8 * 10 + 10}
    assert record["report"]["accuracy"] > 0.2
    assert record["evaluations"][-1]["step"] == record["steps"]
    assert record["validation_examples"] == 144
    assert not (cache.place(job) / "workdir").exists()


def test_a_diverged_run_is_said_to_be_one(tmp_path):
    changes = {"optimizer.name": "sgd", "optimizer.learning_rate": 1e30, "epochs": 0.5, "seed": 1}
    record = perform(Job("mlp:digits", changes), Cache(tmp_path), "")
    assert record["diverged"] is True


@pytest.mark.heavy
def test_shortcuts_carry_the_gradient_where_plain_blocks_lose_it():
    """Without BatchNorm; a residual net's blocks add up, so that its gradient does not shrink."""
    flow = {}
    for name in ("plain20_cifar", "resnet20_cifar"):
        changes = {"batch_size": 8, "data.image_size": 8, "model.name": name, "seed": 0}
        config = Job("resnet20_cifar:digits", changes | {"model.norm": "none"}).make_config()
        flow[name] = untrained.signal_flow(config, None)["first over last"]
    assert 0 < flow["plain20_cifar"] < flow["resnet20_cifar"]
    assert flow["resnet20_cifar"] > 1


@pytest.mark.slow
def test_jobs_go_to_processes_and_one_that_fails_leaves_the_others_going(tmp_path):
    probe = "experiments.probes.untrained:parameters"
    good = Job("perceptron:digits", {"seed": 0}, probe, trained=False)
    bad = Job("perceptron:digits", {"batch_size": 10**6}, probe, trained=False)
    cache = Cache(tmp_path)
    core = min(os.sched_getaffinity(0))
    records = [record for _, record in perform_all([bad, good], cache, "", [core], math.inf)]
    assert "batch_size=1000000" in records[0]["failed"]
    assert records[1]["probe"] == cache.find(good)["probe"] == {"parameters": 650.0}
    assert cache.find(bad) is None
    assert list(perform_all([good], cache, "", [core], -math.inf)) == []


def config_of(name, **changes):
    named = {key.replace("__", "."): value for key, value in changes.items()}
    return Job(name, named).make_config()


def test_counts_are_those_of_the_papers():
    """VGG-16's fc6, fc7 and fc8 of 138,357,544 parameters; an MLP is dense throughout."""
    vgg = counts.whole_net(config_of("vgg16:imagenet2012"), None)
    dense = 512 * 49 * 4096 + 4096 + 4096 * 4096 + 4096 + 4096 * 1000 + 1000
    assert vgg["parameters"] == 138_357_544
    assert vgg["parameters in dense layers"] == pytest.approx(100 * dense / 138_357_544)
    mlp = counts.whole_net(config_of("mlp:digits"), None)
    assert (mlp["parameters"], mlp["parameters in dense layers"]) == (64 * 300 + 300 + 3010, 100)


def test_three_3x3_and_one_7x7_have_the_same_field():
    blocks = [
        counts.last_block(config_of("vgg16:imagenet2012", model__stacked=stacked), None)
        for stacked in (True, False)
    ]
    assert [block["weights"] for block in blocks] == [27 * 512**2, 49 * 512**2]
    # Six positions of a map that is sixteen times smaller than the image, and the pool's one.
    assert {block["field growth"] for block in blocks} == {6 * 16 + 8}


@pytest.mark.heavy
def test_reductions_by_hand():
    """Table 1 of the paper: channels into each module, and the side of its map."""
    inputs = (192, 256, 480, 512, 512, 512, 528, 832, 832)
    reduced = naive = 0
    for channels, side, widths in zip(
        inputs, (28,) * 2 + (14,) * 5 + (7,) * 2, googlenet.TABLE.values(), strict=True
    ):
        one, reduce3, three, reduce5, five, pooled = widths
        narrow = channels * (one + reduce3 + reduce5 + pooled)
        reduced += side**2 * (narrow + 9 * reduce3 * three + 25 * reduce5 * five)
        naive += side**2 * channels * (one + 9 * three + 25 * five)
    found = counts.reductions(config_of("googlenet:imagenet2012"), None)
    assert found == {"modules": 9.0, "reduced over naive": reduced / naive}


def test_last_figures_and_statistics_of_a_net_without_norms(run):
    config, folder, report = run
    figures = last_weights.test_figures(config, folder)
    assert figures["last accuracy"] == pytest.approx(100 * report["accuracy"])
    assert figures["last loss"] == pytest.approx(report["loss"])
    figures = last_weights.small_batch_statistics(config, folder)
    assert figures["population less batch"] == 0
    assert figures["accuracy by the batch"] == pytest.approx(100 * report["accuracy"], abs=2)


@pytest.mark.heavy
def test_units_that_no_image_activates_are_dead(monkeypatch):
    experiment = make_experiment(config_of("lenet5:digits", model__activation="relu"))
    variables = fresh_variables(experiment.step_spec.model, 0, (32, 32, 1))
    images = experiment.dataset.test.images[:40]
    monkeypatch.setattr(last_weights, "BATCH", 20)  # alive is what any batch makes positive
    before = last_weights.alive(experiment, variables, images)
    assert before.shape == (6 + 16 + 120 + 84,)
    inputs = experiment.step_spec.normalise(np.float32(images))
    _, state = experiment.step_spec.model.apply(
        variables, inputs, capture_intermediates=True, mutable=["intermediates"]
    )
    signals = [state["intermediates"][unit]["__call__"][0] for unit in last_weights.UNITS]
    positive = [np.any(np.asarray(s) > 0, axis=tuple(range(s.ndim - 1))) for s in signals]
    assert (before == np.concatenate(positive)).all()
    variables["params"]["f6"]["bias"] = variables["params"]["f6"]["bias"].at[:5].set(-1e6)
    after = last_weights.alive(experiment, variables, images)
    assert not after[-84:-79].any()
    assert (after[:-84] == before[:-84]).all()
    assert (after[-79:] == before[-79:]).all()


def test_halves_of_the_classes_and_what_is_taken_over():
    config = config_of("lenet5:digits")
    whole = data.load(config.data)
    upper = halves.of_classes(whole, range(5, 10))
    assert upper.task.classes == whole.task.classes[5:]
    assert sorted(set(upper.test.labels)) == [0, 1, 2, 3, 4]
    rows = np.flatnonzero(whole.train.labels >= 5)
    assert (upper.train.ids == whole.train.ids[rows]).all()
    some = halves.some_images(upper, 20, seed=3)
    assert len(set(some.train.ids)) == 20
    stages = ("c1", "norm_c1", "output")
    tree = {"params": {stage: {"kernel": np.ones(2)} for stage in stages}}
    fill = halves.filler(types.SimpleNamespace(variables=tree), ("c1",))
    mine = {stage: {"kernel": jax.numpy.zeros(2)} for stage in stages}
    filled = fill(mine, "params/")
    assert filled["c1"]["kernel"].tolist() == filled["norm_c1"]["kernel"].tolist() == [1, 1]
    assert filled["output"]["kernel"].tolist() == [0, 0]


def test_stages_are_frozen_where_that_is_asked(monkeypatch):
    seen = []

    def stop(config, dataset):
        seen.append((config.freeze, config.epochs, config.model.num_classes))
        raise LookupError

    monkeypatch.setattr(halves, "make_experiment", stop)
    config = config_of("lenet5:digits")
    upper = halves.of_classes(data.load(config.data), range(5, 10))
    for frozen in (True, False):
        with pytest.raises(LookupError):
            halves.train(config, upper, {"epochs": 3.0}, None, 2, frozen)
    assert seen == [(("c1", "c3"), 3.0, 5), ((), 3.0, 5)]


def test_gains_by_what_is_taken_over(monkeypatch):
    """Each training has a power of two for its accuracy, so that no two sums are the same."""
    trained_on, fitted = [], []

    def train(config, dataset):
        trained_on.append((config.data.name, dataset.task.classes))
        return None, None

    def fit(config, dataset, *args, **options):
        fitted.append((dataset.task.classes, len(dataset.train), *args, *options.values()))
        return 2.0 ** len(fitted)

    for module in (halves, similarity):
        monkeypatch.setattr(module, "train", train)
        monkeypatch.setattr(module, "fit", fit)
    config = config_of("lenet5:digits")
    lower, upper = (tuple(map(str, classes)) for classes in (range(5), range(5, 10)))
    figures = halves.transfer(config, None)
    assert trained_on == [("digits", lower)]
    assert {row[:2] for row in fitted[:8]} == {(upper, halves.FEW)}
    assert [row[4:] for row in fitted[1:5]] == [(kept, True) for kept in (1, 2, 3, 4)]
    expected = {
        "first frozen less all frozen": 4.0 - 32,
        "gain": 64.0 - 2,
        "gain, long": 256.0 - 128,
        "gain, many": 1024.0 - 512,
        "gain, short less long": 64.0 - 2 - 256 + 128,
        "gain, few less many": 64.0 - 2 - 1024 + 512,
    }
    assert {key: figures[key] for key in expected} == expected
    trained_on.clear()
    fitted.clear()
    monkeypatch.setattr(similarity, "DIFFERENT", "digits_too")
    load = data.load
    monkeypatch.setattr(
        data, "load", lambda c: load(c) if c.name == "digits" else load(config.data)
    )
    found = similarity.sources(config, None)
    assert trained_on == [("digits", lower)] * 2
    assert {row[:2] for row in fitted} == {(upper, halves.FEW)}
    assert found["similar less different"] == 4 - 8
    assert found["different less scratch"] == 8 - 2


def test_members_answer_by_the_mean_of_their_probabilities(tmp_path, monkeypatch):
    """The surest member is wrong about the first image, and the mean of all is right."""
    shares = iter([[[0.2, 0.8], [0.9, 0.1]], [[0.7, 0.3]] * 2, [[0.75, 0.25]] * 2])
    test = types.SimpleNamespace(images=None, labels=np.array([0, 0]))
    experiment = types.SimpleNamespace(dataset=types.SimpleNamespace(test=test))
    seeds = []
    monkeypatch.setattr(members, "train_and_evaluate", lambda own, _: seeds.append(own.seed))
    monkeypatch.setattr(members, "restore", lambda *_: (experiment, None))
    monkeypatch.setattr(members, "logits_of", lambda *_: np.log(next(shares)))
    figures = members.ensemble(config_of("perceptron:digits", seed=3), tmp_path)
    assert seeds == [3, 10_003, 20_003]
    assert figures == pytest.approx(
        {
            "together": 100,
            "mean alone": 250 / 3,
            "best alone": 100,
            "gain over the mean": 50 / 3,
            "gain over the best": 0,
        }
    )


def test_explanations_are_compared_with_those_of_a_random_net(monkeypatch):
    """The last row of each check is of a net that is random throughout."""
    alike = {"grad_cam": 0.25, "image_gradient": 0.5, "guided_backpropagation": 0.875}

    def check(method, *_):
        row = types.SimpleNamespace(rank_correlation=alike[method], ssim=alike[method] / 2)
        return types.SimpleNamespace(rows=[None, row])

    experiment = make_experiment(config_of("lenet5:digits"))
    state = types.SimpleNamespace(variables=None)
    monkeypatch.setattr(last_weights, "restore", lambda *_: (experiment, state))
    monkeypatch.setattr(last_weights, "logits_of", lambda *_: np.zeros((32, 10)))
    monkeypatch.setattr(last_weights.grad_cam, "compiled", lambda method, *_: method.__name__)
    monkeypatch.setattr(last_weights.sanity, "check", check)
    assert last_weights.sanity_checks(experiment.config, None) == {
        "grad-cam, rank correlation": 0.25,
        "grad-cam, SSIM": 0.125,
        "image gradient, rank correlation": 0.5,
        "image gradient, SSIM": 0.25,
        "guided, rank correlation": 0.875,
        "guided, SSIM": 0.4375,
        "guided less grad-cam": 0.625,
    }


@pytest.mark.slow
def test_members_differ_in_their_seed_and_their_mean_is_one_answer(tmp_path):
    config = config_of("perceptron:digits", epochs=0.2, eval_every_epochs=0.2, seed=3)
    figures = members.ensemble(config, tmp_path)
    assert (tmp_path / "2" / "report.json").exists()
    assert figures["gain over the mean"] == figures["together"] - figures["mean alone"]
    assert figures["mean alone"] < figures["best alone"] <= 100


def test_time_to_a_target_is_that_of_the_same_training(run, monkeypatch):
    """A target out of reach takes all steps, and leaves the weights of the run."""
    config, folder, _ = run
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    last = [row for row in rows if "validation/accuracy" in row][-1]
    never = target.time_to(config, 2.0)
    assert (never["reached"], never["steps"]) == (0.0, last["step"])
    assert never["accuracy"] == pytest.approx(100 * last["validation/accuracy"])
    assert never["processor seconds"] > 0
    often = config.copy_and_resolve_references().unlock()
    often.eval_every_epochs = 0.25
    soon = target.time_to(often.lock(), 0.0)
    assert (soon["reached"], soon["steps"]) == (1.0, 11)  # a quarter of 1,293 images, by 32


@pytest.mark.heavy
def test_with_batchnorm_the_scale_of_weights_has_no_effect():
    """Without, four layers make the logits 81 times as large where their biases are 0."""
    none = config_of("bn_lenet:digits", model__norm="none")
    assert invariances.weight_scale(none, None)["change of the logits"] == pytest.approx(8000)
    batch = invariances.weight_scale(config_of("bn_lenet:digits"), None)
    assert 0 < batch["change of the logits"] < 0.1
