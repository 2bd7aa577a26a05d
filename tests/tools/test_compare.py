"""Means over seeds, folds as one look at every image, and what is no repetition."""

import json

import pytest

from cnn_jax.errors import UserError
from cnn_jax.tools import compare
from cnn_jax.training.metrics import wilson_interval


@pytest.fixture
def make_run(tmp_path):
    def make(name, accuracy, examples=100, **config):
        folder = tmp_path / name
        folder.mkdir()
        values = {
            "name": "net",
            "data.name": "digits",
            "seed": 0,
            "model.activation": "tanh",
            "data.folds": None,
        }
        (folder / "config.json").write_text(json.dumps(values | config))
        report = {"split": "test", "protocol": "single_crop", "examples": examples}
        report |= {"accuracy": accuracy, "loss": 1 - accuracy}
        (folder / "report.json").write_text(json.dumps(report))
        return compare.read_run(folder)

    return make


def test_seeds_are_one_row_and_other_keys_name_theirs(make_run):
    runs = [make_run(f"tanh-{seed}", 0.8 + seed / 50, seed=seed) for seed in range(3)]
    runs.append(make_run("relu", 0.9, **{"model.activation": "relu", "data.threads": 3}))
    rows = compare.group(runs)
    assert [row["row"] for row in rows] == ["model.activation=tanh", "model.activation=relu"]
    assert rows[0]["runs"] == 3
    assert rows[0]["accuracy"] == pytest.approx(0.82)
    assert rows[0]["accuracy_deviation"] == pytest.approx(0.02)
    assert "accuracy_interval" not in rows[0]  # three looks at the same images
    assert rows[1]["accuracy_interval"] == wilson_interval(0.9, 100)
    text = compare.table(rows).splitlines()
    assert text[0].startswith(
        "model.activation=tanh   3 run(s), test: accuracy 0.8200 ± 0.0200 (mean 0.7703"
    )
    # 4.302653 is t of two degrees of freedom: the half is t s / sqrt(3), with s = 0.02.
    assert rows[0]["accuracy_mean_interval"] == pytest.approx((0.770317, 0.869683), abs=1e-6)
    assert compare.mean_interval([0.0, 0.5, 1.0], 1.0) == (0.0, 1.0)
    assert "accuracy 0.9000 (0.8256 to 0.9448 by 100 images), loss 0.1000" in text[1]


def test_one_run_a_row_says_nothing_of_seeds(make_run):
    rows = [make_run(name, 0.9, **{"model.activation": name}) for name in ("tanh", "relu")]
    assert compare.ONE_EACH in compare.table(compare.group(rows)).splitlines()
    assert compare.ONE_EACH not in compare.table(compare.group(rows[:1]))
    rows.append(make_run("again", 0.8, seed=1))
    assert compare.ONE_EACH not in compare.table(compare.group(rows))


def test_all_folds_are_one_look_at_every_image(make_run):
    runs = [
        make_run(f"{fold}", accuracy, examples, **{"data.folds": 2, "data.fold": fold})
        for fold, accuracy, examples in ((0, 0.9, 10), (1, 0.5, 30))
    ]
    (row,) = compare.group(runs)
    assert row["row"] == "net on digits"
    assert row["accuracy"] == (9 + 15) / 40
    assert row["accuracy_interval"] == wilson_interval(24 / 40, 40)
    assert "accuracy_interval" not in compare.group([*runs[:1]])[0]  # a fold is missing


def test_another_protocol_is_another_row_and_an_open_key_is_not():
    def run(name, protocol="single_crop", **config):
        report = {"split": "test", "protocol": protocol, "examples": 10, "loss": 3.0 * len(name)}
        return compare.Run(name, {"name": "net", **config}, report)

    runs = [run("a", seed=0), run("bb", seed=1, remat=None), run("cccc", seed=2)]
    runs.append(run("c", "ten_crop", seed=0))
    rows = compare.group(runs)
    assert [row["row"] for row in rows] == ["protocol=single_crop", "protocol=ten_crop"]
    assert [row["runs"] for row in rows] == [3, 1]
    # Student's t of two degrees of freedom is 4.302653; the deviation of 3, 6, 12 is sqrt(21).
    half = 4.302653 * 7**0.5
    assert rows[0]["loss_mean_interval"] == pytest.approx((0.0, 7.0 + half), abs=1e-3)


def test_what_is_no_run_or_one_run_twice_is_an_error(make_run, tmp_path):
    with pytest.raises(UserError, match=r"holds no report.json: .* cnn_jax evaluate --workdir="):
        compare.read_run(tmp_path)
    (tmp_path / "report.json").write_text('{"split": "test"}')
    with pytest.raises(UserError, match=r"report.json cannot be read .it has no key 'protocol'"):
        compare.read_run(tmp_path)
    runs = [make_run("a", 0.5), make_run("b", 0.5)]
    with pytest.raises(UserError, match=r"/a and .*/b are one run twice \(seed=0\): leave one"):
        compare.group(runs)


@pytest.mark.parametrize("accuracies", [(0.5, 0.5), (0.5, 0.6), (0.5, 0.5, 0.5)])
def test_runs_that_say_little_have_no_interval(make_run, accuracies):
    """Two, or all alike: an interval of no width would seem certain."""
    runs = [make_run(f"{seed}", accuracy, seed=seed) for seed, accuracy in enumerate(accuracies)]
    rows = compare.group(runs)
    assert rows[0]["accuracy_mean_interval"] is None
    text = compare.table(rows)
    assert f"{rows[0]['accuracy_deviation']:.4f} (no interval of the mean), loss" in text
    assert "no interval of the mean: it takes 3 runs or more, not all alike\n" in text
