"""Claims as data, the runs that they need, and what their command says and leaves."""

import dataclasses
import json
import math
import random
import shlex
import sys

import pytest
from absl import flags
from ml_collections import config_flags

from cnn_jax.cli import ConfigParser, subscripted
from cnn_jax.errors import UserError
from cnn_jax.runtime.workdir import flat
from experiments import claim as claims
from experiments import details, measures, plots, results, runner
from experiments.claim import Claim, Deviation, Scale, Tuning
from experiments.measures import ACCURACY, TRAIN_LOSS, probed, steps_to
from experiments.protocol import PLACEBO_SEEDS, Settings, Study
from experiments.run import run_studies, write
from experiments.runner import Cache, Job, as_flag, perform
from experiments.statistics import CONTRADICTED, NO_EFFECT, NOT_DECIDED, SUPPORTED, Rule

FIELDS = {
    "statement": "Maximum beats mean.",
    "chapter": "LeNet",
    "source": "somebody 2001, table 3",
    "published": "1 point",
    "contrary": "somebody else",
    "cannot_show": "other nets",
    "config": "lenet5:digits",
    "variants": {"avg": {"model.pooling": "avg"}, "max": {"model.pooling": "max"}},
    "contrast": {"max": 1, "avg": -1},
    "measure": ACCURACY,
    "rule": Rule("greater", margin=0.5),
    "seeds": 6,
    "scales": {"laptop": Scale({"epochs": 1.0})},
}
TUNING = Tuning("optimizer.learning_rate", (0.01, 0.1, 1.0), TRAIN_LOSS)


def make(**changes):
    return Claim(**{**FIELDS, **changes})


def record(accuracy, loss=1.0):
    row = {"step": 10, "test/accuracy": accuracy / 100, "train/loss": loss}
    return {"evaluations": [row], "log": [], "report": {}, "steps": 10, "seconds": 6.0}


def fake(job, folder, data_dir):
    """A trainer whose nets with maximum gain two points, and learn best at a rate of 10."""
    folder.mkdir(parents=True, exist_ok=True)
    noise = random.Random(f"{sorted(job.changes.items())}").uniform(-0.3, 0.3)
    gain = 2.0 * (job.changes.get("model.pooling") == "max")
    rate = job.changes.get("optimizer.learning_rate", 10.0)
    return record(90 + gain + noise, loss=abs(rate - 10))


def perform_here(cache, train=fake):
    return lambda jobs: ((job, perform(job, cache, "", train)) for job in jobs)


def verdict_of(study, folder, train=fake):
    cache = Cache(folder)
    done = run_studies([study], cache, perform_here(cache, train), lambda *_: None)
    return done[study.name]


def test_a_study_one_of_whose_runs_fails_is_given_up_and_others_go_on(tmp_path, capsys):
    """A wrong input is told once, not once a run."""
    variants = {name: {"model.pooling": name, "epochs": 3} for name in ("avg", "max")}
    wrong = Study("wrong", make(variants=variants, bundle="not these"), Settings())
    studies, cache, tried = [wrong, Study("right", make(), Settings())], Cache(tmp_path), []

    def perform_some(jobs):
        for job in jobs:
            tried.append(job)
            is_wrong = job.changes.get("epochs") == 3
            yield job, {"failed": "no such folder"} if is_wrong else perform(job, cache, "", fake)

    done = run_studies(studies, cache, perform_some, lambda *_: None)
    assert list(done) == ["right"]
    assert capsys.readouterr().out.count("no such folder") == 1
    assert len(tried) == 1 + 12


@pytest.mark.parametrize("name", claims.names())
def test_every_claim_can_be_run(name):
    """Every config, key and value exists, at every scale; only the inputs are not at hand."""
    claim = claims.load(name)
    for scale in claim.scales:
        study = Study(name, claim, Settings(scale, inputs={key: "x" for key in claim.inputs}))
        for variant in claim.variants:
            study.job(variant, 0, {}).make_config()
    if claim.probe:
        assert runner.probe_content(claim.probe)


@pytest.mark.parametrize("field", [name for name in FIELDS if name != "scales"])
def test_a_claim_that_lacks_a_field_is_refused(field):
    with pytest.raises(TypeError, match=field):
        Claim(**{name: value for name, value in FIELDS.items() if name != field})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"source": " "}, "source is empty"),
        ({"chapter": "lenets"}, "choices: Perceptron, LeNet"),
        ({"contrast": {"maximum": 1}}, "maximum"),
        ({"seeds": 5}, "needs 6"),
        ({"scales": {}}, "scales"),
        ({"scales": {"desk": Scale({})}}, "desk"),
        ({"scales": {"gpu": Scale({}, seeds=3)}}, "needs 6"),
        ({"trained": False}, "probe"),
        (
            {"variants": {"avg": {"model.pooling": "avg"}, "max": {"epochs": 2.0}}},
            "more than one key",
        ),
    ],
)
def test_a_claim_that_could_not_be_judged_is_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        make(**changes)


def test_names_of_claims_and_deviations_are_checked():
    with pytest.raises(UserError, match="did you mean 'max_pooling'"):
        claims.load("max_poling")
    with pytest.raises(ValueError, match="isoformat"):
        Deviation("yesterday", "another margin")


def test_arms_share_their_seeds_and_differ_in_one_key():
    study = Study("x", make(), Settings())
    jobs = study.pending(lambda job: None)
    assert len(jobs) == 12
    pairs = [(a, b) for a, b in zip(jobs[:6], jobs[6:], strict=True)]
    for seed, (a, b) in enumerate(pairs):
        a, b = flat(a.make_config()), flat(b.make_config())
        assert {key for key in a if a[key] != b[key]} == {"model.pooling"}
        assert (a["seed"], a["data.split_seed"], a["epochs"]) == (seed, seed, 1.0)


def test_an_effect_is_found_and_a_placebo_has_none(tmp_path):
    result = verdict_of(Study("x", make(), Settings()), tmp_path)
    assert result["verdict"] == SUPPORTED
    assert result["effect"]["agree"] == 1.0
    assert result["minutes"] == pytest.approx(12 * result["variants"]["max"]["seconds"] / 60, abs=1)
    placebo = Study("x", make(), Settings(placebo=True))
    jobs = placebo.pending(lambda job: None)
    assert {job.changes["model.pooling"] for job in jobs} == {"avg"}
    assert jobs[6].changes["seed"] == PLACEBO_SEEDS
    assert verdict_of(placebo, tmp_path)["verdict"] in (NO_EFFECT, NOT_DECIDED)


def test_a_switch_that_is_not_connected_is_never_supported(tmp_path):
    """Both arms are the same run, made once, and every difference is 0."""
    same = make(variants={"avg": {"model.pooling": "avg"}, "max": {"model.pooling": "avg"}})
    study = Study("x", same, Settings())
    assert len(study.pending(lambda job: None)) == 6
    result = verdict_of(study, tmp_path)
    assert (result["verdict"], result["differences"]) == (NO_EFFECT, [0.0] * 6)


def test_a_rate_is_tuned_on_other_seeds_and_a_best_end_extends_the_grid(tmp_path):
    study = Study("x", make(tuning=TUNING), Settings())
    first = study.pending(lambda job: None)
    assert {job.changes["seed"] for job in first} == {1000}
    assert len(first) == 6
    result = verdict_of(study, tmp_path)
    assert result["variants"]["max"]["chosen"] == {"optimizer.learning_rate": 10.0}
    assert result["verdict"] == SUPPORTED


def test_interactions_and_ratios(tmp_path):
    rule = Rule("greater", margin=1.2, ratio=True)
    study = Study("x", make(rule=rule), Settings())
    differences = study.differences({"avg": [100.0] * 6, "max": [200.0] * 6})
    assert differences == pytest.approx([0.6931471805599453] * 6)
    four = {
        name: {"model.pooling": kind} for name, kind in zip("abcd", ["avg", "max"] * 2, strict=True)
    }
    contrast = {"a": 1, "b": -1, "c": -1, "d": 1}
    study = Study("x", make(variants=four, contrast=contrast), Settings())
    values = {"a": [5.0] * 6, "b": [1.0] * 6, "c": [4.0] * 6, "d": [3.0] * 6}
    assert study.differences(values) == [3.0] * 6


@pytest.mark.parametrize("seed", range(3))
def test_killed_at_any_moment_it_ends_with_the_same_result(tmp_path, seed):
    """A kill between two runs, within one, and while a record is written."""
    study = Study("x", make(tuning=TUNING), Settings())
    whole = verdict_of(study, tmp_path / "whole")
    cache, chance, trained = Cache(tmp_path / "killed"), random.Random(seed), []

    def dying(job, folder, data_dir):
        if chance.random() < 0.3:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "half").touch()
            raise KeyboardInterrupt
        trained.append(job.key)
        return fake(job, folder, data_dir)

    kills = 0
    while True:
        try:
            done = run_studies([study], cache, perform_here(cache, dying), lambda *_: None)
            break
        except KeyboardInterrupt:
            kills += 1
            for place in cache.folder.glob("*/*"):
                (place / ".record.123").write_text("{")
    assert kills > 0
    assert len(trained) == len(set(trained))
    timeless = {"minutes", "seconds"}

    def without_times(tree):
        if isinstance(tree, dict):
            return {k: without_times(v) for k, v in tree.items() if k not in timeless}
        return tree

    assert json.dumps(without_times(done["x"])) == json.dumps(without_times(whole))
    assert not list(cache.folder.glob("*/*/workdir"))


def test_runs_are_shared_and_known_by_their_content(tmp_path):
    cache, study = Cache(tmp_path), Study("x", make(), Settings())
    job = study.job("max", 0, {})
    perform(job, cache, "", fake)
    other = Study("y", make(rule=Rule("less", margin=2.0)), Settings())
    assert cache.find(other.job("max", 0, {})) == cache.find(job)
    assert cache.find(other.job("max", 1, {})) is None
    assert Job("lenet5:digits", job.changes | {"data.threads": 2, "name": "z"}).key == job.key
    assert Job("lenet5:digits", job.changes, "experiments.probes.trained:shifts").key != job.key
    other = Cache(tmp_path, code="another")
    assert other.find(job) is None
    assert dataclasses.replace(other, any_code=True).find(job) == cache.find(job)


def test_a_run_that_diverges_has_the_value_that_the_measure_names(tmp_path):
    def diverges(job, folder, data_dir):
        done = fake(job, folder, data_dir)
        return {"diverged": True} if job.changes["model.pooling"] == "max" else done

    result = verdict_of(Study("x", make(), Settings()), tmp_path, diverges)
    assert result["variants"]["max"]["values"] == [10.0] * 6
    assert result["variants"]["max"]["diverged"] == 6
    assert result["verdict"] == CONTRADICTED


def test_steps_to_a_target():
    rows = [{"step": s, "validation/accuracy": a} for s, a in ((10, 0.5), (20, 0.8), (30, 0.7))]
    log = [{"step": s, "loss": loss} for s, loss in ((5, 2.0), (15, 0.3))]
    done = {"evaluations": rows, "log": log, "steps": 30}
    assert steps_to("validation/accuracy", 0.75)(done) == 20
    assert steps_to("validation/accuracy", 0.9)(done) == 30
    assert steps_to("loss", 0.3)(done) == 15


@pytest.mark.parametrize(
    ("late", "threshold", "fast", "verdict"),
    [
        (("avg",), None, 10, SUPPORTED),  # slower, by at least as much
        (("avg",), 0.01, 10, NOT_DECIDED),  # how much slower is not known
        (("avg",), None, 490, NOT_DECIDED),  # and so not whether it is the same
        (("avg", "max"), None, 10, NOT_DECIDED),
        ((), None, 10, SUPPORTED),
        ((), None, 395, NO_EFFECT),
    ],
)
def test_runs_that_end_before_the_target_are_bounds(tmp_path, late, threshold, fast, verdict):
    """Where neither arm reaches it they are not equally fast: nothing is known."""

    def train(job, folder, data_dir):
        folder.mkdir(parents=True, exist_ok=True)
        pooling, seed = job.changes["model.pooling"], job.changes["seed"]
        step = fast + seed if pooling == "max" else 400 + seed
        loss = 2.0 if pooling in late else 0.1
        log = [{"step": step, "loss": loss}]
        return record(90) | {"log": log, "steps": step if pooling == "max" else 500}

    rule = Rule("less", margin=1.1, ratio=True, threshold=threshold)
    study = Study("x", make(measure=steps_to("loss", 0.5), rule=rule), Settings())
    result = verdict_of(study, tmp_path, train)
    assert result["verdict"] == verdict
    assert result.get("ended", {}) == dict.fromkeys(late, 6)
    for name, arm in result["variants"].items():  # which the picture shows as such
        assert arm.get("bounds", [False] * 6) == [name in late] * 6
    if late and verdict == NOT_DECIDED:
        words = f"not decided here: {6 * len(late)} of {6 * len(late)} runs ended before"
        assert results.verdict_text(result, 1.0).startswith(words)


def test_a_picture_knows_which_runs_are_bounds(tmp_path):
    def train(job, folder, data_dir):
        folder.mkdir(parents=True, exist_ok=True)
        is_late = job.changes["model.pooling"] == "avg" and job.changes["seed"] == 2
        log = [{"step": 10, "loss": 2.0 if is_late else 0.1}]
        return record(90) | {"log": log, "steps": 500}

    rule = Rule("less", margin=1.1, ratio=True)
    study = Study("x", make(measure=steps_to("loss", 0.5), rule=rule), Settings())
    result = verdict_of(study, tmp_path, train)
    assert result["variants"]["avg"]["bounds"] == [seed == 2 for seed in study.seeds]
    assert "bounds" not in result["variants"]["max"]


def test_held_out_images_are_pooled_where_the_report_is_of_the_last_epoch():
    row = {"step": 1, "validation/accuracy": 0.8}
    done = {"evaluations": [row], "report": {"accuracy": 0.9, "examples": 100}}
    assert ACCURACY(done | {"validation_examples": 300}) == pytest.approx(82.5)
    done["evaluations"] = [{"validation/accuracy": 0.9}, row]
    assert ACCURACY(done | {"validation_examples": 300}) == pytest.approx(80.0)


def test_measures_of_a_record_by_hand():
    done = {
        "evaluations": [
            {"train/loss": 2.0, "train/accuracy": 0.25},
            {"train/loss": 0.5, "train/accuracy": 0.75}
            | {"validation/loss": 0.75, "validation/accuracy": 0.5},
        ],
        "log": [{"step": s, "loss": loss} for s, loss in ((5, 2.0), (10, 3.0), (15, 7.0))],
        "report": {"accuracy": 0.625, "loss": 1.0, "macro_average": {"recall": 0.375}},
        "probe": {"last accuracy": 60.0, "last loss": 1.25},
    }
    found = {
        measures.HELD_OUT_LOSS: 0.75,
        measures.TRAIN_LOSS: 0.5,
        measures.FIRST_TRAIN_LOSS: 2.0,
        measures.TRAIN_ACCURACY: 75.0,
        measures.MACRO_RECALL: 37.5,
        measures.TEST_ACCURACY: 62.5,
        measures.GAP: 0.25,
        measures.largest_loss(10): 3.0,
        measures.ACCURACY_OVER_MACRO: 25.0,
        measures.TEST_OVER_VALIDATION: 12.5,
        measures.STOPPED_ACCURACY: 2.5,
        measures.STOPPED_LOSS: -0.25,
    }
    assert {measure.name: measure(done) for measure in found} == {
        measure.name: value for measure, value in found.items()
    }


def accepted(line):
    """The config that the command line makes, by the parser that the command uses."""
    values = flags.FlagValues()
    config_flags.DEFINE_config_file("config", lock_config=True, flag_values=values)
    values["config"].parser = ConfigParser()
    flags.DEFINE_string("workdir", None, "", flag_values=values)
    words = shlex.split(line)
    assert words[:3] == ["python", "-m", "cnn_jax.main"]
    before, sys.argv = sys.argv, [subscripted(word) for word in words[2:]]
    try:
        values(sys.argv)
    finally:
        sys.argv = before
    return values.config, values.workdir


def test_commands_are_accepted_and_make_the_same_run(tmp_path):
    """Floats, tuples of words, booleans, words with blanks, and a key that is a word of Python."""
    changes = {
        "augment": ("pad_and_crop(2)", "rotate(15)"),
        "optimizer.learning_rate": 1e-3,
        "optimizer.decay_vectors": True,
        "init.from": "a folder/run",
        "model.pooling": "max",
        "batch_size": 64,
        "seed": 3,
    }
    job = Job("lenet5:digits", changes)
    config, workdir = accepted(job.command(tmp_path / "run", "/some where"))
    assert workdir == str(tmp_path / "run")
    assert flat(config) == flat(job.make_config("/some where"))
    assert as_flag(("a", 1)) == "('a', 1)"


@pytest.mark.parametrize("name", claims.names())
def test_commands_of_every_claim_are_accepted(name, tmp_path):
    claim = claims.load(name)
    study = Study(
        name, claim, Settings(next(iter(claim.scales)), inputs=dict.fromkeys(claim.inputs, "x"))
    )
    for variant in claim.variants:
        job = study.job(variant, 0, {})
        assert flat(accepted(job.command(tmp_path))[0]) == flat(job.make_config())


def test_a_protocol_that_changed_in_silence_is_not_written(tmp_path):
    claim = make()
    path = tmp_path / "x.json"
    result = verdict_of(Study("x", claim, Settings()), tmp_path / "runs")
    results.write(path, result, claim)
    results.write(path, result, claim)
    other = result | {"fingerprint": "another"}
    with pytest.raises(UserError, match="dated Deviation"):
        results.write(path, other, claim)
    dated = dataclasses.replace(claim, deviations=(Deviation("2026-01-02", "margin 1, not 0.5"),))
    results.write(path, other, dated)
    assert json.loads(path.read_text())["deviations"][0]["date"] == "2026-01-02"


def test_a_result_that_is_there_has_its_picture_and_its_place_in_the_index(tmp_path, monkeypatch):
    """Killed between any two of its files, the next start makes what is missing."""
    study, path, made = Study("x", make(), Settings()), tmp_path / "x.json", []
    result = verdict_of(study, tmp_path / "runs")
    monkeypatch.setattr(results, "path_of", lambda name, settings: path)
    monkeypatch.setattr(results, "write_texts", lambda: made.append("texts"))

    def killed(*_):
        raise KeyboardInterrupt

    for module, name in ((plots, "draw"), (results, "write_json"), (results, "write_texts")):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, killed)
            with pytest.raises(KeyboardInterrupt):
                write(study, result, overwrite=False)
        assert not path.exists() or path.with_suffix(".png").exists()
    write(study, result, overwrite=False)
    assert path.exists()
    assert path.with_suffix(".png").exists()
    assert made == ["texts"]


def test_a_fingerprint_covers_the_protocol_and_not_its_words():
    first = make().fingerprint("laptop")
    assert make(published="2 points").fingerprint("laptop") == first
    for change in (
        {"rule": Rule("greater", margin=0.6)},
        {"seeds": 7},
        {"tuning": TUNING},
        {"measure": TRAIN_LOSS},
        {"scales": {"laptop": Scale({"epochs": 2.0})}},
    ):
        assert make(**change).fingerprint("laptop") != first


def test_scales_and_inputs_that_are_missing_are_named():
    with pytest.raises(UserError, match="choices: laptop"):
        Study("x", make(), Settings("gpu"))
    with pytest.raises(UserError, match="--input=weights=: a workdir"):
        Study("x", make(inputs={"weights": "a workdir"}), Settings())


def test_the_index_and_the_pages_are_those_of_the_results():
    """Committed texts are what the results give: `python -m experiments.run --index`."""
    done = results.read_all()
    p = results.adjusted(done)
    assert results.README.read_text() == results.index(done)
    for (name, scale), result in done.items():
        path = results.path_of(name, Settings(scale)).with_suffix(".md")
        assert path.read_text() == results.page(name, scale, result, p[name, scale])


def test_every_result_is_of_the_protocol_in_its_file():
    for (name, scale), result in results.read_all().items():
        claim = claims.load(name)
        assert result["fingerprint"] == claim.fingerprint(scale), name
        assert len(result["deviations"]) == len(claim.deviations), name


@pytest.mark.heavy
def test_a_small_claim_from_end_to_end(tmp_path, monkeypatch):
    """Real nets, whose parameters are counted: the result, its page, its picture."""
    claim = make(
        statement="An MLP has more parameters than a perceptron.",
        config="mlp:digits",
        variants={"perceptron": {"model.name": "perceptron"}, "mlp": {"model.name": "mlp"}},
        contrast={"mlp": 1, "perceptron": -1},
        measure=probed("parameters", "numbers"),
        probe="experiments.probes.untrained:parameters",
        trained=False,
        seeds=5,
        rule=Rule("greater", margin=10.0, sides=1),
    )
    study, cache = Study("x", claim, Settings()), Cache(tmp_path / "runs")
    path = tmp_path / "x.json"

    def keep(study, result):
        results.write(path, result | {"machine": "a machine"}, claim)

    run_studies([study], cache, lambda jobs: ((j, perform(j, cache, "")) for j in jobs), keep)
    result = json.loads(path.read_text())
    hidden, linear = 64 * 300 + 300 + 300 * 10 + 10, 64 * 10 + 10
    assert result["variants"]["mlp"]["values"] == [hidden] * 5
    assert result["differences"] == [hidden - linear] * 5
    assert (result["verdict"], result["effect"]["p_signs"]) == (SUPPORTED, 1 / 32)
    assert path.with_suffix(".png").stat().st_size > 5000
    monkeypatch.setattr(claims, "load", lambda name: claim)
    text = results.page("x", "laptop", result, 0.01)
    assert "**supported**: +21860.00 (+21860.00 to +21860.00) numbers, 5 seeds, 100%" in text
    assert "- mlp: `model.name=mlp`" in text
    monkeypatch.setattr(claims, "names", lambda: ["x"])
    row = results.index({("x", "laptop"): result}).splitlines()[-1]
    assert row.startswith(
        "| [An MLP has more parameters than a perceptron.](results/x.md) `x` | somebody "
        "2001, table 3"
    )
    assert "| 5 | laptop | **supported** |" in row
    none = results.index({}).splitlines()[-1]
    assert "not run yet" in none


def test_words_of_verdicts():
    rule = Rule("greater", margin=0.5)
    result = {"verdict": SUPPORTED, "effect": {"n": 6}, "seeds_needed": None}
    assert results.verdict_text(result, 0.01) == SUPPORTED
    assert "alone" in results.verdict_text(result, 0.2)
    undecided = result | {"verdict": NOT_DECIDED}
    assert results.verdict_text(undecided, 1.0) == "not decided here: more than 1,000 seeds"
    assert results.verdict_text(undecided | {"seeds_needed": 6}, 1.0).endswith("about 7 seeds")
    effect = {"n": 6, "mean": math.log(2), "low": math.log(1.5), "high": math.log(3)}
    claim = make(rule=Rule("greater", margin=1.1, ratio=True))
    assert results.effect_text({"effect": effect, "unit": "steps"}, claim) == "x 2 (1.5 to 3)"
    assert make(rule=rule).rule.unlog(2.0) == 2.0


def test_details_are_written_from_the_records(tmp_path):
    one = {"precision": 1.0, "recall": 0.5, "f1-score": 0.6, "support": 2.0}
    report = {
        "split": "test", "protocol": "single_crop", "dataset": "digits", "examples": 4,
        "loss": 0.5, "accuracy": 0.75, "confusion_matrix": [[2, 0], [1, 1]],
        "classes": {"a": one, "b": one},
        "macro_average": {"precision": 0.8, "recall": 0.75, "f1-score": 0.7, "support": 4.0},
        "weighted_average": {"precision": 0.8, "recall": 0.75, "f1-score": 0.7, "support": 4.0},
    }  # fmt: skip
    rows = [{"epoch": e, "test/loss": 1 / e, "test/accuracy": 0.5} for e in (1.0, 2.0)]
    worse = report | {"macro_average": report["macro_average"] | {"recall": 0.5}, "examples": 3}
    runs = [{"report": r, "evaluations": rows} for r in (report, worse, report)]
    assert details.median_report(runs)["examples"] == 4
    details.write({"one": runs, "untrained": [{"probe": {}}]}, tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"report.txt", "confusion.png", "curves.png"}
    assert "== one" in (tmp_path / "report.txt").read_text()


def test_a_result_that_is_there_is_replaced_only_when_told(tmp_path, monkeypatch, capsys):
    study = Study("x", make(), Settings(placebo=True))
    path = tmp_path / "x.json"
    path.write_text("committed")
    monkeypatch.setattr(results, "path_of", lambda name, settings: path)
    written = []
    monkeypatch.setattr(results, "write", lambda path, result, claim: written.append(result))
    write(study, {"effect": 1}, overwrite=False)
    assert capsys.readouterr().out == f"x: {path} is kept as it was; --overwrite replaces it\n"
    assert (path.read_text(), written) == ("committed", [])
    write(study, {"effect": 1}, overwrite=True)
    path.unlink()
    write(study, {"effect": 2}, overwrite=False)
    assert [result["effect"] for result in written] == [1, 2]
