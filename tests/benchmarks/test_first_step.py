"""`benchmarks.first_step`: its rows and table, and its worker on the smallest net."""

import dataclasses
import json

import pytest

from benchmarks import first_step
from benchmarks.first_step_worker import PARTS
from benchmarks.speed.cases import Case
from cnn_jax.errors import UserError

TINY = Case("tiny", "mlp", 8, 16, channels=1, options={"hidden": (16,)})


def row(commit="0123456789abcdef", name="tiny"):
    found = {"parts": {part: [2.0, 1.0] for part in PARTS}, "wall": 14.5, "cpu": 7.0}
    found |= {"instructions": 10, "instructions_optimised": 20, "peak_bytes": 3 * 10**6}
    versions = {"jax": "1", "jaxlib": "1", "flax": "2"}
    on = {"device": "a processor", "devices": 1, "cpus": 2, "versions": versions}
    on |= {"commit": commit, "date": "2026-01-31"}
    case = dataclasses.asdict(dataclasses.replace(TINY, name=name))
    return {"case": case, "machine": on, "cold": found, "warm": {**found, "wall": 3.25}}


def test_the_table_has_the_whole_by_both_clocks_and_the_parts_of_the_cold_start():
    cells = first_step.table([row()]).splitlines()[-1].strip("| ").split(" | ")
    assert cells[:5] == [TINY.label, "14.5", "7.0", "3.2", "7.0"]
    assert cells[5:] == ["1.0"] * len(PARTS) + ["10", "20", "3"]


def test_a_row_takes_the_place_of_the_same_of_any_commit_and_resuming_asks_for_the_same_one():
    assert first_step.is_same(row("a"), row("b"))
    assert not first_step.is_same(row("a"), row("b"), of_commit=True)
    assert first_step.is_same(row("a"), row("a+changes"), of_commit=True)
    assert not first_step.is_same(row(), row(name="other"))


def test_a_net_without_a_case_has_its_own_size():
    case = first_step.case_of("lenet5_1998")
    assert (case.size, case.channels, case.classes) == (32, 1, 10)
    assert first_step.case_of("resnet18").size == 96  # has one


def test_large_images_come_in_small_batches_and_the_deepest_nets_as_a_loop():
    assert first_step.case_of("efficientnet_b7").batch == 2
    assert first_step.case_of("inception_v3").batch == 8
    assert first_step.case_of("resnet1202_cifar").options == {"scan": True}
    assert first_step.case_of("resnet110_cifar").options == {}


@pytest.mark.parametrize("text", ['{"a', "[1]", '[{"case": {}}]'])
def test_a_file_that_holds_no_rows_is_said_before_anything_is_measured(tmp_path, text):
    path = tmp_path / "rows.json"
    path.write_text(text)
    with pytest.raises(UserError, match="holds no rows of this program"):
        first_step.read(path)
    path.write_text(json.dumps([row()]))
    assert [first_step.cells(r) for r in first_step.read(path)] == [first_step.cells(row())]
    assert first_step.read(tmp_path / "none.json") == []


@pytest.mark.slow
def test_the_second_start_reads_what_the_first_has_kept():
    found = first_step.measure(TINY)
    for temperature in first_step.TEMPERATURES:
        parts = found[temperature]["parts"]
        assert tuple(parts) == PARTS
        assert all(wall >= 0 and cpu >= 0 for wall, cpu in parts.values())
        # The whole has the start of the process and its end too.
        assert found[temperature]["wall"] > sum(wall for wall, _ in parts.values())
