"""A run is evaluated by its own config on any data of its classes; what it wrote stays."""

import json
import re
import shutil

import numpy as np
import pytest

import cnn_jax
from cnn_jax import load, train
from cnn_jax.errors import UserError
from cnn_jax.runtime.checkpoints import Checkpoints
from cnn_jax.training.evaluation import evaluate_only
from tests.support.folders import config_of, make

COUNTS = {"ash": 6, "elm": 4, "oak": 5}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """(images, workdir, report) of a run that is done."""
    top = tmp_path_factory.mktemp("evaluation")
    images = make(top / "images", COUNTS, splits=("train", "test"))
    report = train.train_and_evaluate(config_of(images), top / "run")
    return images, top / "run", report


@pytest.fixture
def folder(run, tmp_path):
    """The workdir, which a test may add to."""
    return shutil.copytree(run[1], tmp_path / "run")


def contents(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "reports" not in path.parts and path.suffix != ".png"
    }


def reports(folder):
    return sorted(str(path.parent.relative_to(folder)) for path in folder.rglob("report.json"))


@pytest.mark.heavy
def test_own_data_elsewhere_gives_the_same_report(run, folder, tmp_path):
    images, _, report = run
    before = contents(folder)
    assert evaluate_only(config_of(images), folder) == report
    assert contents(folder) == before
    copy = shutil.copytree(images, tmp_path / "copy")
    found = evaluate_only(config_of(f"{copy}/"), folder)
    assert found == report | {"dataset": f"folder:{copy}/"}
    assert reports(folder) == ["."]


@pytest.mark.heavy
def test_other_data_of_the_same_classes(run, folder, tmp_path):
    """The run's test images as one heap are all evaluated, with the same figures."""
    images, _, report = run
    before = contents(folder)
    other = tmp_path / "other"
    shutil.copytree(images / "test", other)
    found = evaluate_only(config_of(other), folder)
    assert found["confusion_matrix"] == report["confusion_matrix"]
    assert found["loss"] == pytest.approx(report["loss"], rel=1e-6)
    assert found["examples"] == 15
    shutil.rmtree(other / "ash")
    alone = shutil.copytree(other / "elm", tmp_path / "alone/elm")
    found = evaluate_only(config_of(alone.parent), folder)  # one class is enough to measure
    assert found["confusion_matrix"] == [[0] * 3, report["confusion_matrix"][1], [0] * 3]
    found = evaluate_only(config_of(other), folder)
    assert found["confusion_matrix"] == [[0, 0, 0], *report["confusion_matrix"][1:]]
    assert [*found["classes"]] == ["ash", "elm", "oak"]
    assert contents(folder) == before
    kept = reports(folder)[1:]
    assert len({*kept}) == 3  # by what it holds
    assert sorted(name[:14] for name in kept) == ["reports/alone-", *["reports/other-"] * 2]


@pytest.mark.heavy
def test_one_report_a_protocol(run, folder):
    images, _, _ = run
    before = contents(folder)
    config = config_of(images)
    config.protocol = "ten_crop(9)"
    found = evaluate_only(config, folder)
    assert contents(folder) == before
    assert reports(folder) == [".", "reports/test-ten_crop_9"]
    written = json.loads((folder / "reports/test-ten_crop_9/report.json").read_text())
    assert (written, found["protocol"]) == (found, "ten_crop(9)")
    (folder / "report.json").unlink()  # of a run that did not end: training's place stays free
    evaluate_only(config, folder)
    assert reports(folder) == ["reports/test-ten_crop_9"]


@pytest.mark.heavy
def test_keys_of_training_alone_are_free(run, folder):
    images, _, report = run
    config = config_of(images)
    config.update({"epochs": 9.0, "batch_size": 3, "seed": 5, "early_stopping_patience": 2})
    config.optimizer.name, config.augment, config.eval_batch_size = "momentum", ("cutout(2)",), 2
    found = evaluate_only(config, folder)
    assert found["confusion_matrix"] == report["confusion_matrix"]
    config.data.image_size, config.model.name = 12, "mlp"
    with pytest.raises(
        UserError,
        match=r"trained with other values of data.image_size \(8 there, 12 here\), model.name "
        r"\('perceptron' there, 'mlp' here\); leave --config and these keys out",
    ):
        evaluate_only(config, folder)


def test_other_data_need_the_statistics_of_training(run, folder, tmp_path):
    """They normalise the images: lost ones come back with the run's own data."""
    images, _, report = run
    other = shutil.copytree(images / "test", tmp_path / "other")
    kept = (folder / "constants.npz").read_bytes()
    with np.load(folder / "constants.npz") as found:
        np.savez(folder / "constants.npz", **{name: 2 * found[name] for name in found})
    with pytest.raises(UserError, match=r"constants.npz: the values of this run are not those"):
        evaluate_only(config_of(other), folder)
    (folder / "constants.npz").unlink()
    with pytest.raises(UserError, match=r"is missing, .* evaluate the run on 'folder:.*' once"):
        evaluate_only(config_of(other), folder)
    evaluate_only(config_of(images), folder)
    assert (folder / "constants.npz").read_bytes() == kept
    found = evaluate_only(config_of(other), folder)
    assert found["confusion_matrix"] == report["confusion_matrix"]


def test_without_a_list_of_its_files_a_run_cannot_tell_its_data(run, folder, tmp_path):
    images, _, report = run
    copy = shutil.copytree(images, tmp_path / "copy")
    (folder / "split.json").unlink()
    with pytest.raises(UserError, match=r"split.json is missing, .* evaluate it on 'folder:.*'"):
        evaluate_only(config_of(copy), folder)
    evaluate_only(config_of(images), folder)
    assert evaluate_only(config_of(copy), folder) == report | {"dataset": f"folder:{copy}"}


def test_own_data_that_has_changed_is_refused(run, folder, tmp_path):
    images = shutil.copytree(run[0], tmp_path / "images")
    kept = json.loads((folder / "config.json").read_text())
    kept["data.name"] = f"folder:{images}"
    (folder / "config.json").write_text(json.dumps(kept))
    (images / "test/elm/elm_00.jpg").unlink(missing_ok=True)
    first = min((images / "test/elm").iterdir())
    first.unlink()
    with pytest.raises(UserError, match=r"\d file\(s\) went, test/elm/elm_0\d.jpg the first"):
        evaluate_only(config_of(images), folder)


@pytest.mark.heavy
def test_advice_where_the_classes_are_not_known(run, folder, tmp_path):
    """A run of an earlier version says what to do, and then it works."""
    from tests.training.test_data_identity import forget_data

    images, _, report = run
    other = shutil.copytree(images / "test", tmp_path / "other")
    for path in (folder / "checkpoints").iterdir():
        forget_data(path)
    (folder / "data.json").unlink()
    with pytest.raises(UserError, match=r"no names of its classes: evaluate it on 'folder:"):
        evaluate_only(config_of(other), folder)
    evaluate_only(config_of(images), folder)
    found = evaluate_only(config_of(other), folder)
    np.testing.assert_array_equal(found["confusion_matrix"], report["confusion_matrix"])


@pytest.mark.parametrize("name", ["config.json", "split.json", "constants.npz"])
def test_a_damaged_file_is_removed_as_advised_and_written_again(run, folder, name):
    images, _, report = run
    (folder / name).write_text("[]")
    with pytest.raises(UserError) as error:
        evaluate_only(config_of(images), folder)
    path, advice = str(folder / name), r": remove it, and it is (written|computed) again$"
    assert str(error.value).startswith(path)
    assert re.search(advice, str(error.value))
    (folder / name).unlink()
    assert evaluate_only(config_of(images), folder) == report
    assert (folder / name).exists() == (name != "config.json")


def test_a_damaged_save_is_named_and_another_evaluated(run, folder, capsys):
    saves = Checkpoints(folder)
    newest = saves.steps()[-1]
    file = max(saves.path(newest).rglob("*"), key=lambda path: path.is_file() * path.stat().st_size)
    file.write_bytes(file.read_bytes()[:-1])
    if len(saves.steps()) > 1:
        evaluate_only(config_of(run[0]), folder)
    else:
        with pytest.raises(UserError, match=r"every checkpoint in .* is damaged"):
            evaluate_only(config_of(run[0]), folder)
    assert f"warning: checkpoint {newest} is damaged: {file} has changed" in capsys.readouterr().err


@pytest.fixture
def kept(tmp_path):
    """(config, workdir) of a run that keeps the saves of all its evaluations."""
    config = config_of(make(tmp_path / "images", COUNTS, splits=("train", "validation")))
    config.update({"epochs": 3.0, "eval_every_epochs": 1.0})
    config.checkpoint.keep = 9
    train.train_and_evaluate(config, tmp_path / "run")
    return config, tmp_path / "run"


def test_any_save_is_evaluated_beside_the_best(kept):
    """Each save has the loss that it had in the log."""
    config, folder = kept
    rows = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    losses = {row["step"]: row["validation/loss"] for row in rows if "validation/loss" in row}
    steps = Checkpoints(folder).steps()
    assert len({*losses.values()}) == len(steps) == 3
    before = contents(folder)
    for step in steps:
        assert evaluate_only(config, folder, str(step))["loss"] == losses[step]
        assert cnn_jax.load(folder, step).evaluate()["loss"] == pytest.approx(losses[step])
    assert evaluate_only(config, folder, "newest")["step"] == steps[-1]
    names = sorted(f"reports/validation-single_crop-step_{step}" for step in steps)
    assert reports(folder) == [".", *names]
    assert contents(folder) == before


def test_a_save_that_is_not_there_or_not_whole(kept):
    config, folder = kept
    first, *_, last = Checkpoints(folder).steps()
    wrong = rf"checkpoint='99': .* holds the saves of steps {first}, .*{last}; choose .* 'newest'"
    uses = (lambda step: evaluate_only(config, folder, step), lambda step: load(folder, step))
    for use in uses:
        with pytest.raises(UserError, match=wrong):
            use("99")
    (Checkpoints(folder).path(first) / "meta/metadata").write_text("{}")
    for use in reversed(uses):  # an evaluation sets it aside
        with pytest.raises(UserError, match=rf"checkpoint={first}: that save in .* is damaged"):
            use(first)
