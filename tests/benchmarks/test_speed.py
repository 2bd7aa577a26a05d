"""What `benchmarks.speed` makes of its rounds, and its workers on the smallest net."""

import dataclasses
import platform

import numpy as np
import pytest

from benchmarks.harness import machine
from benchmarks.harness.interleave import Rounds, prepare_together
from benchmarks.harness.worker import Worker, WorkerError
from benchmarks.speed import cases, growth, jax_operations, plots, results, table
from benchmarks.speed.cases import Case
from benchmarks.speed.contenders import jax_contender, row_of, turns_of
from cnn_jax import models
from cnn_jax.errors import UserError

TINY = Case("tiny", "mlp", 8, 16, channels=1, options={"hidden": (16,)})
LIMITS = {"flops": 1e9, "bytes": 1e9}
MACHINE = {
    "device": "a processor",
    "devices": 1,
    "cpus": 2,
    "cores_used": 1,
    "versions": {"jax": "1", "flax": "2"},
    "commit": "0123456789abcdef",
    "date": "2026-01-31",
}


def row(goal=1.0, **theirs):
    """Ours makes 2 steps a round, in 1, 2 and 3 seconds."""
    contenders = {"cnn_jax": contender([(1, 2), (2, 4), (3, 6)], steps=2), **theirs}
    case = dataclasses.asdict(Case("made_up", "mlp", 8, 10))
    net = {"parameters": 100, "multiply_adds": 10**6, "activation_bytes": 4000}
    on = {"machine": MACHINE, "limits": LIMITS}
    return {
        "case": case,
        "task": "train",
        "goal": goal,
        "rate": 0.0,
        **net,
        **on,
        "contenders": contenders,
    }


def contender(rounds, steps=1):
    times = {"start_seconds": 1.0, "compile_seconds": 2.0, "peak_bytes": 10**6}
    return {"rounds": rounds, "steps": steps, **times}


def test_a_ratio_is_the_median_of_rounds_against_the_best_mode_of_each_clock():
    slow, fast = contender([(2, 2), (2, 2), (3, 3)]), contender([(1, 4), (1, 4), (1, 4)])
    modes = {"slow": slow, "fast": fast, "broken": {"failed": "no compiler"}}
    judged = table.judge(row(goal=0.8, **modes), ("wall", "cpu"))
    # Ours takes 0.5, 1, 1.5 seconds a step, and twice that of all threads.
    wall, cpu = judged["ratio"]["wall"], judged["ratio"]["cpu"]
    assert (wall["of"], wall["median"]) == ("fast", 1.0)
    assert (cpu["of"], cpu["median"]) == ("slow", 1.0)
    assert judged["images_per_second"] == {"wall": 10.0, "cpu": 5.0}
    assert judged["goals_met"] is True
    assert "failed" in judged["contenders"]["broken"]


@pytest.mark.parametrize(("goal", "met"), [(0.8, True), (0.9, False), (0.0, None)])
def test_a_goal_must_be_met_by_every_clock_and_by_the_lower_quartile(goal, met):
    theirs = contender([(1, 4)] * 3)  # ratios 2, 1 and 2/3 by wall time, twice those by CPU second
    judged = table.judge(row(goal, torch=theirs), ("wall", "cpu"))
    assert judged["goals_met"] is met


def test_alone_there_is_nothing_to_hold_but_a_rate():
    alone = row()
    assert table.judge(alone, ("wall",))["goals_met"] is None
    assert table.judge(alone | {"rate": 9.0}, ("wall",))["goals_met"] is True
    assert table.judge(alone | {"rate": 11.0}, ("wall",))["goals_met"] is False


def test_the_limit_is_the_longer_of_computing_and_moving():
    computing = 2 * 3 * 10**6 * 10 / 1e9
    moving = (5 * 4000 * 10 + 4 * 10 * 100) / 1e9
    assert table.bound(row()) == pytest.approx(computing)
    faster = row() | {"limits": {"flops": 1e15, "bytes": 1e9}}
    assert table.bound(faster) == pytest.approx(moving)


def test_a_row_takes_the_place_of_the_same_of_its_device():
    here, again = row(), row() | {"goal": 0.5}
    elsewhere = row() | {"machine": MACHINE | {"device": "another"}}
    larger = row() | {"case": here["case"] | {"batch": 20, "name": "larger"}}
    merged = results.merge([here, elsewhere], [larger, again])
    assert merged == [again, elsewhere, larger]
    (line,) = table.measured_on([here, larger])
    assert line.startswith("a processor, 1 device(s), 2 cores")
    assert "1 GFLOP/s" in line
    lines = table.measured_on(merged)
    assert [text.partition(":")[0] for text in lines] == ["made_up, larger", "made_up"]
    assert "another" in lines[1]
    assert table.devices_of([here, larger]) == ["", ""]
    xeon = row() | {"machine": MACHINE | {"device": "Intel(R) Xeon(R) Processor @ 2.50GHz"}}
    assert table.devices_of([here, xeon]) == [", a processor", ", Intel Xeon"]
    newer = row() | {"machine": MACHINE | {"versions": {"jax": "1.2.3", "flax": "2"}}}
    assert results.merge([here], [newer]) == [here, newer]
    assert table.devices_of([here, newer]) == [", jax 1", ", jax 1.2"]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (
            "cpu family\t: 25\nmodel\t\t: 17\nmodel name\t: AMD EPYC\n",
            "AMD EPYC, family 25 model 17",
        ),
        ("cpu family\t: 6\nmodel\t\t: 143\nmodel name\t: Xeon @ 2.50GHz\n", "Xeon @ 2.50GHz"),
        ("processor\t: 0\n", platform.machine()),
    ],
)
def test_a_processor_whose_name_has_no_number_is_told_by_its_model(tmp_path, text, name):
    path = tmp_path / "cpuinfo"
    path.write_text(2 * (text + "\n"))
    assert machine.processor(path) == name


def test_a_row_is_not_measured_again_by_the_same_commit_on_the_same_device():
    saved, later = row(), row() | {"machine": MACHINE | {"commit": "another"}}
    assert results.same_row(row(), [later, saved]) is saved
    assert results.same_row(later, [saved]) is None
    changed = row() | {"machine": MACHINE | {"commit": MACHINE["commit"] + "+changes"}}
    assert results.same_row(changed, [saved]) is saved  # results lie in the repository
    other_batch = row() | {"case": saved["case"] | {"batch": 20}}
    assert results.same_row(other_batch, [saved]) is None


@pytest.mark.parametrize("text", ["{", "[]", '{"training": {"rows": []}}', '{"training": [{}]}'])
def test_a_file_that_holds_no_rows_is_said_before_anything_is_measured(tmp_path, text):
    path = tmp_path / "results.json"
    assert results.read(path) == {}
    path.write_text(text)
    with pytest.raises(UserError, match=r"--out=.*results\.json holds no rows"):
        results.read(path)
    results.write({}, {"training": [table.judge(row(), ("wall",))]}, tmp_path)
    assert len(results.read(path)["training"]) == 1


def test_tables_have_a_cell_a_column(tmp_path):
    rows = [row(), row(torch=contender([(1, 4)] * 3))]
    judged = [table.judge(r, ("wall", "cpu")) for r in rows]
    for judged_row in judged:
        assert len(table.cells(judged_row)) == len(table.COLUMNS)
    lines = table.markdown([table.cells(judged_row) for judged_row in judged]).splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert "1.00 (" in lines[-1]
    plots.draw_ratios({"training": judged}, tmp_path / "speed.png")
    assert (tmp_path / "speed.png").stat().st_size > 0


def test_growth_is_told_by_its_power():
    depths = [20.0, 56.0, 110.0]
    assert plots.exponent(depths, [3 * d**1.5 for d in depths]) == pytest.approx(1.5)
    assert plots.around([2.0, 2.0]) == pytest.approx((2 / 8**0.5, 2 * 8**0.5))
    assert plots.around([1.0, 100.0]) == pytest.approx((1 / 1.1, 110))


def test_growth_shows_both_clocks(monkeypatch, tmp_path):
    """A slow wall time lies within its panel, and the power is of CPU seconds."""
    points = [
        {
            "value": d,
            "seconds": 100 * d,
            "cpu_seconds": d**2,
            "peak_bytes": 1e6,
            "compile_seconds": 1,
        }
        for d in (2.0, 4.0)
    ]
    shown = {}
    monkeypatch.setattr(plots, "write_picture", lambda figure, out, dpi: shown.update(of=figure))
    plots.draw_growth({"depth": points}, tmp_path / "growth.png")
    axes = shown["of"].axes[0]
    low, high = axes.get_ylim()
    assert all(low < y < high for line in axes.lines for y in line.get_ydata())
    assert axes.get_title(loc="left").endswith("power 2.00")


def test_every_case_is_a_net_of_the_registry():
    grown = [case for points in growth.axes().values() for _, case, _ in points]
    for case in (*cases.ON_CPU, *cases.IN_LIBRARIES, *cases.ON_GPU, *grown):
        net = models.create(case.model, case.classes, **case.options)
        assert net.num_classes == case.classes, case.label


@pytest.mark.heavy
def test_workers_take_turns(tmp_path):
    contenders = {"loop": jax_contender("loop", examples=40), "bare step": jax_contender("train")}
    with turns_of(TINY, contenders) as turns, turns_of(TINY, {}) as nobody:
        prepare_together([turns, nobody])
        row = row_of(TINY, turns, Rounds(count=2, seconds=0.0))
    assert (row["parameters"], row["multiply_adds"]) == (64 * 16 + 16 + 16 * 10 + 10, 1184)
    for result in row["contenders"].values():
        assert [len(times) for times in result["rounds"]] == [2, 2]
        assert min(min(times) for times in result["rounds"]) > 0
        assert result["peak_bytes"] > 10**7
    point = growth.point_of(1.0, {**row, "contenders": {"cnn_jax": row["contenders"]["loop"]}})
    plots.draw_growth({"one": [point]}, tmp_path / "growth.png")
    assert (tmp_path / "growth.png").stat().st_size > 0


@pytest.mark.heavy
def test_a_worker_says_what_went_wrong():
    with pytest.raises(WorkerError, match="No module named"):
        Worker("benchmarks.no_such_worker")
    with jax_contender("train").worker() as worker:
        wrong = dataclasses.asdict(dataclasses.replace(TINY, model="lenet6"))
        with pytest.raises(WorkerError, match="'lenet6' is unknown"):
            worker.call("prepare", case=wrong, task="train")
        worker.call("prepare", case=dataclasses.asdict(TINY), task="infer")
        assert min(worker.call("round", steps=2)) > 0


def tiny(case):
    """An operation as it is, on maps as small as its window allows."""
    size = case.options.get("window", 1) + 2 if case.size > 1 else 1
    return dataclasses.replace(case, size=size, batch=2)


@pytest.mark.parametrize("case", cases.OPERATIONS, ids=lambda case: case.name)
def test_an_operation_gives_its_gradients_and_says_what_it_costs(case):
    if case.channels > 64 and case.model in ("convolution", "dense"):
        channels = case.options.get("groups", 1) if case.options.get("groups", 1) > 1 else 16
        features = channels if case.options.get("groups", 1) > 1 else 24
        wanted = case.options | {"features": features}
        case = dataclasses.replace(case, channels=channels, options=wanted)
    call, facts = jax_operations.build(tiny(case))
    value, gradients = call()
    weights = {"convolution": 1, "dense": 1, "batch_norm_relu": 2}.get(case.model, 0)
    assert len(gradients) == weights + (not case.options.get("first", False))
    assert all(float(abs(g).max()) > 0 for g in gradients)
    assert facts["activation_bytes"] == 4 * value[0].size
    assert facts["parameters"] == sum(g.size for g in gradients[len(gradients) - weights :])
    products = facts["multiply_adds"] / value[0].size
    expected = {"convolution": facts["parameters"] / case.options.get("features", 1)}
    assert products == {"dense": case.channels, **expected}.get(case.model, 0)


@pytest.mark.parametrize("case", cases.OPERATIONS, ids=lambda case: case.name)
def test_an_operation_is_the_same_in_torch(case):
    torch = pytest.importorskip("torch", reason="PyTorch is the extra 'torch'")
    from benchmarks.speed import torch_operations

    case = tiny(case)
    function, shapes = jax_operations.FORMS[case.model](case, **case.options)
    numbers = np.random.RandomState(0)
    x = numbers.randn(case.batch, case.size, case.size, case.channels).astype(np.float32)
    weights = [numbers.randn(*shape).astype(np.float32) for shape in shapes]
    turned = [np.transpose(w, {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}[w.ndim]) for w in weights]
    theirs = torch_operations.FORMS[case.model](case)(
        torch.tensor(x.transpose(0, 3, 1, 2)), *(torch.tensor(w.copy()) for w in turned)
    )
    assert [w.shape for w in torch_operations.make_weights(case)] == [w.shape for w in turned]
    ours = np.asarray(function(x, *weights))
    theirs = theirs.permute(0, 2, 3, 1) if theirs.ndim == 4 else theirs
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4 * float(abs(ours).max()))


@pytest.mark.parametrize(("model", "count"), [("googlenet", 13_378_280), ("alexnet", 60_965_224)])
def test_the_papers_nets_in_torch_have_their_counts(model, count):
    pytest.importorskip("torch", reason="PyTorch is the extra 'torch'")
    from benchmarks.speed import torch_nets

    case = next(case for case in cases.ON_CPU if case.name == model)
    net = torch_nets.build(case)
    assert sum(p.numel() for p in net.parameters()) == count
