"""`benchmarks.scaling`: the models' arithmetic by hand, and its workers on the smallest net."""

import dataclasses
import json

import pytest

from benchmarks.scaling import __main__ as tool
from benchmarks.scaling import cases, chip_model, host_model
from benchmarks.scaling.cases import Case
from benchmarks.scaling.chip_model import ChipModel
from benchmarks.scaling.groups import Group, measure
from benchmarks.scaling.host_model import HostModel, Measured

MODEL = HostModel({"a": 0.001, "b": 0.1}, {"a": 0.01, "b": 0.2}, 1e-9, 0.002)


def of(net="a", processes=1, devices=1, batch=10, seconds=1.0, reduced=10**6):
    return Measured(Case(net, processes, devices, batch, "fitted"), seconds, reduced, 3)


def test_the_work_of_a_step_by_hand():
    """Of the six links of a ring over three processes three lead out of one."""
    assert MODEL.seconds(of()) == pytest.approx(0.01 + 0.01)
    assert MODEL.seconds(of(devices=4)) == pytest.approx(0.01 + 0.04)
    between = 2 * 5 * 3 / 6 * (10**6 * 1e-9 + 3 * 0.002)
    assert MODEL.seconds(of("b", processes=3, devices=2)) == pytest.approx(1 + 1.2 + between)


def test_the_fit_finds_the_model_that_made_the_times():
    shapes = [(1, 1, 10), (1, 1, 40), (1, 4, 40), (2, 1, 40), (4, 1, 40)]
    rows = [
        of(net, *shape, reduced=10**6 * (1 + i % 3))
        for net in "ab"
        for i, shape in enumerate(shapes)
    ]
    rows = [dataclasses.replace(row, seconds=MODEL.seconds(row)) for row in rows]
    found = host_model.fit(rows)
    for name in ("image", "device"):
        assert getattr(found, name) == pytest.approx(getattr(MODEL, name), rel=1e-6)
    assert (found.byte, found.call) == pytest.approx((MODEL.byte, MODEL.call), rel=1e-6)


def test_no_second_is_negative():
    """Four devices that take less than one cost nothing, and do not pay back."""
    rows = [of(batch=10, seconds=1.0), of(devices=4, batch=10, seconds=0.5)]
    assert host_model.fit(rows).device == {"a": 0.0}


def test_rows_are_modelled_by_the_fitted_ones_alone():
    def row(role, devices, batch, seconds):
        case = dataclasses.asdict(Case("a", 1, devices, batch, role))
        return {"case": case, "collectives": [], "cpu_seconds": seconds}

    rows = [row("alone", 1, 10, 9.0), row("fitted", 2, 10, 0.03), row("fitted", 2, 20, 0.05)]
    found = tool.modelled([*rows, row("held out", 4, 20, 9.0)])
    assert [r["modelled"] for r in found["cases"]] == [
        None,
        *map(pytest.approx, (0.03, 0.05, 0.06)),
    ]
    assert found["model"]["image"] == {"a": pytest.approx(0.002)}


PLAN = {
    "batch_size": 800,
    "chips": 8,
    "chip": {"flops": 100.0, "memory_speed": 10.0, "network_speed": 5.0},
    "costs": {
        "flops": 300.0,
        "moved": 20.0,
        "collectives": [
            {"kind": "all-reduce", "count": 4, "size": 40},
            {"kind": "all-gather", "count": 1, "size": 8},
        ],
    },
}


def test_a_step_on_chips_by_hand():
    model = ChipModel.of(PLAN, decoded=10.0)
    assert (model.images, model.own, model.reduced, model.collectives) == (100, 3.0, 40, 4)
    assert model.network(1) == 0.0
    assert model.network(8) == 2 * 7 / 8 * 40 / 5
    assert model.network(8, hop=0.5) == 2 * 7 / 8 * 40 / 5 + 4 * 0.5 * (2 + 4)
    assert model.input() == 100 / (10.0 * chip_model.HOST_CORES)
    assert model.efficiency(8) == 3.0 / (3.0 + 14.0)
    hungry = ChipModel.of(PLAN, decoded=0.01)
    assert hungry.seconds(8) == hungry.input() > 17


@pytest.mark.parametrize(("chips", "sides"), [(1, (1, 1)), (8, (2, 4)), (256, (16, 16))])
def test_the_squarest_torus(chips, sides):
    assert chip_model.torus(chips) == sides


def test_the_committed_plans_give_the_steps_of_more_chips():
    """From the program for 8 chips that for 256 is known to a thousandth."""
    found = tool.on_chips(tool.RESULTS)
    check = found["of_256_by_8"]
    assert check["modelled"] == pytest.approx(check["compiled"], rel=1e-3)
    told = [found["float32"][str(chips)]["0.0"]["efficiency"] for chips in tool.CHIPS]
    assert told == sorted(told, reverse=True)
    assert 0.98 < told[-1] < told[0] < 1


def test_cases_are_weak_and_strong_and_most_are_held_out():
    found = cases.cases_of("lenet5", 16)
    assert len(found) == len(set(found)) == 9
    assert {(c.total_devices, c.batch) for c in found} == {
        (1, 16),
        (1, 64),
        (2, 32),
        (2, 64),
        (4, 64),
    }
    by_role = {role: [c for c in found if c.role == role] for role in ("alone", "fitted")}
    assert [(c.total_devices, c.batch) for c in by_role["alone"]] == [(1, 16), (1, 64)]
    assert [(c.processes, c.devices, c.batch) for c in by_role["fitted"]] == [
        (1, 2, 32), (1, 2, 64), (2, 1, 64)
    ]  # fmt: skip


@pytest.mark.slow
def test_groups_take_turns_and_the_results_are_a_table(tmp_path):
    made = [Case("lenet5", 1, 2, 8, "fitted"), Case("lenet5", 2, 1, 8, "alone")]
    with Group(1, 2) as one, Group(2, 1) as two:
        rows = measure(made, {(1, 2): one, (2, 1): two}, rounds=2)
    parameters = 4 * 61_706  # LeNet-5's, whose gradients both add up
    for row in rows:
        assert len(row["rounds"]) == len(row["load"]) == 2
        assert tool.measured(row).reduced >= parameters
        row["modelled"] = None if row["case"]["role"] == "alone" else row["cpu_seconds"]
    found = {"machine": {"versions": {"jax": "1", "flax": "1"}, "device": "x", "devices": 1}}
    found["machine"] |= {"cpus": 2, "commit": "0123456789abcdef", "date": "2026-01-31"}
    found |= {"rounds": 2, "cases": rows, "chips": tool.on_chips(tool.RESULTS)}
    text = tool.lines(json.loads(json.dumps(found)))
    assert sum("| +0% | fitted |" in line for line in text) == 1
