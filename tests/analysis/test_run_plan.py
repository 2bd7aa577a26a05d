"""Plans: the run's own step compiled for what is not there; figures against counts by hand."""

import importlib.util

import jax
import numpy as np
import pytest

from cnn_jax import data, ops
from cnn_jax.analysis import abstract_run, chips, run_plan
from cnn_jax.analysis.compiled_program import Collective, ProgramCosts, collectives, width
from cnn_jax.cli import load_open_config
from cnn_jax.errors import UserError
from cnn_jax.ops import dispatch
from cnn_jax.runtime import sharding, target
from cnn_jax.runtime.sharding import Devices

HAS_TPU_COMPILER = importlib.util.find_spec("libtpu") is not None

PROGRAM = """
  %a = f32[64,3]{1,0} all-reduce(%x), replica_groups=[1,8]<=[8]
  %b = (bf16[10]{0}, f32[]) all-reduce-start(%y, %z), channel_id=1
  %b.2 = (bf16[10]{0}, f32[]) all-reduce-done(%b)
  %c = u8[2,5]{1,0} all-gather(%w), dimensions={0}
  %d = f32[7] add(%all-reduce.1, %e)
"""


def test_collectives_are_counted_with_their_bytes():
    """A start and its done are one."""
    assert collectives(PROGRAM) == (
        Collective("all-gather", 1, 10),
        Collective("all-reduce", 2, 64 * 3 * 4 + 10 * 2 + 4),
    )
    assert [width(name) for name in ("pred", "bf16", "s8", "f64", "f8e4m3fn")] == [1, 2, 1, 8, 1]


def test_roofline_by_hand():
    chip = chips.Chip("x", 100.0, 1000.0, 10.0, 5.0, "")
    parts = (Collective("all-reduce", 1, 40), Collective("all-gather", 1, 8))
    costs = ProgramCosts(300.0, 50.0, 20.0, 0, 0, parts)
    plan = run_plan.RunPlan(None, chip, 4, 10, {"data": 1000}, costs, "", 0.0)
    assert costs.sent(4) == 40 * 2 * 3 / 4 + 8 * 3 / 4 == 66
    assert plan.roofline == {"compute": 3.0, "memory": 2.0, "network": 66 / 5}
    assert plan.step_seconds == (13.2, 16.2)
    assert plan.fits
    assert not run_plan.RunPlan(None, chip, 4, 10, {"data": 1001}, costs, "", 0.0).fits


def test_what_is_traced_follows_the_target():
    """A program for TPUs has none of the CPU's forms or options, whoever compiles it."""
    x = jax.ShapeDtypeStruct((2, 8, 8, 3), np.float32)
    kernel = jax.ShapeDtypeStruct((1, 1, 3, 4), np.float32)

    def program():
        conv = lambda x, k: ops.convolution(x, k, (1, 1), "SAME")  # noqa: E731
        return str(jax.make_jaxpr(conv)(x, kernel))

    options = tuple(sharding.CPU_OPTIONS.items())
    here = program(), sharding.known(options), dispatch.use_cpu_ops()
    with target.compiled_for("tpu", 8):
        there = program(), sharding.known(options), dispatch.use_cpu_ops()
        assert (target.platform(), target.device_count()) == ("tpu", 8)
    assert ["dot_general" in text for text in (here[0], there[0])] == [True, False]
    assert ["conv_general_dilated" in text for text in (here[0], there[0])] == [False, True]
    assert there[1:] == (None, False)
    assert here[2]


def test_resident_memory_is_counted_by_kind(tiny):
    """The parameters by hand; Adam has two numbers each and two counts."""
    tiny.model.norm = "none"
    devices = Devices.create("jit", 1)
    run = abstract_run.abstract_run(tiny, devices, abstract_run.dataset_of(tiny))
    parameters = 64 * 16 + 16 + 16 * 10 + 10
    examples = 1797 - 359 - 144
    parts = run_plan.resident(run)
    assert parts["parameters"] == 4 * parameters
    assert parts["optimizer"] == 2 * 4 * parameters + 8
    assert "average" not in parts
    assert parts["data"] == examples * (64 + 4 + 4) + 4 + 2 * 4 * examples


@pytest.mark.parametrize(
    "keys",
    [{}, {"test": 0.05, "validation": 0.3}, {"test": 360.0, "validation": 0.1}]
    + [{"folds": 4, "fold": fold, "validation": 0.1} for fold in (0, 3)],
)
def test_as_many_examples_are_planned_for_as_a_run_has(tiny, keys):
    tiny.data.update(keys)
    assert len(abstract_run.dataset_of(tiny).train) == len(data.load(tiny.data).train)


@pytest.mark.parametrize(
    ("name", "keys", "examples"),
    [
        ("lenet5:mnist", {"validation": 0.1}, 54_000),
        ("lenet5:mnist", {"folds": 5, "fold": 1}, 48_000),
        ("resnet50:imagenet2012", {}, 1_281_167),
        ("resnet50:imagenet2012", {"validation": 1167.0}, 1_280_000),
    ],
)
def test_sets_with_a_test_split_are_divided_for_validation_alone(name, keys, examples):
    config = load_open_config(name)
    config.data.update(keys)
    assert len(abstract_run.dataset_of(config).train) == examples


@pytest.mark.heavy
def test_plan_of_this_machine(tiny, monkeypatch):
    """Two batches, of which the smaller holds less; the largest follows from the line."""
    tiny.batch_size = 64
    devices, dataset = Devices.create("jit", 1), abstract_run.dataset_of(tiny)
    chip = chips.Chip("x", 1e9, 1e9, 1e9, 0.0, "")
    plan = run_plan.plan_run(tiny, chip, devices, dataset)
    assert plan.fits
    assert plan.costs.flops > 2 * 3 * 64 * (64 * 16 + 16 * 10) * 0.8
    assert plan.costs.collectives == ()
    most = run_plan.largest_batch(plan, devices, dataset)
    assert most > 64
    assert run_plan.measured_step(tiny, devices, dataset) > 0


@pytest.mark.heavy
def test_two_devices_have_half_of_the_work_and_the_average_its_memory(tiny):
    tiny.batch_size, tiny.average_decay, tiny.model.norm = 64, 0.9, "none"
    chip, dataset = chips.Chip("x", 1e9, 1e9, 1e9, 0.0, ""), abstract_run.dataset_of(tiny)
    one, two = (run_plan.plan_run(tiny, chip, Devices.create("jit", n), dataset) for n in (1, 2))
    assert two.costs.flops == pytest.approx(one.costs.flops / 2, rel=0.01)
    assert one.memory["average"] == one.memory["parameters"] == two.memory["average"]


@pytest.mark.parametrize(
    ("batch", "accumulate", "memory", "most"),
    [(64, 1, 2000, 190), (64, 4, 2000, 188), (256, 1, 2000, 190), (64, 1, 50, 0)],
)
def test_the_largest_batch_is_where_the_line_meets_the_memory(
    tiny, monkeypatch, batch, accumulate, memory, most
):
    """100 bytes and 10 an image; the compiler takes no more than 150 images."""
    tiny.batch_size, tiny.accumulate = batch, accumulate
    chip, costs = chips.Chip("x", 1.0, memory, 1.0, 0.0, ""), ProgramCosts(1.0, 1.0, 1.0, 0, 0, ())

    def plan_of(config, *_):
        size = config.batch_size
        fits = costs if size <= 150 else None
        held = {"activations": 100 + 10 * size} if fits else {}
        own = config.copy_and_resolve_references()
        return run_plan.RunPlan(own, chip, 1, 10, held, fits, "", 0.0)

    monkeypatch.setattr(run_plan, "plan_run", plan_of)
    devices = Devices.create("jit", 1)
    assert run_plan.largest_batch(plan_of(tiny), devices, None) == most


def test_mistakes_are_one_line():
    with pytest.raises(UserError, match=r"--on='v9:2x2' is unknown.*choices: here, v4:2x2"):
        chips.devices_of("v9:2x2", "jit")
    with pytest.raises(UserError, match="only where one is; there, --on=here does it"):
        chips.devices_of("h100", "jit")


def test_plan_without_the_compiler(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "libtpu", None)
    with pytest.raises(UserError, match=r"--on=v5e:2x4 needs the TPU's compiler: pip install 'cnn"):
        chips.devices_of("v5e:2x4", "jit")


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (
            "ABORTED: Internal error when accessing libtpu multi-process lockfile. "
            'Run "$ sudo rm /tmp/libtpu_lockfile".',
            r"another process has libtpu open, .*: wait for its end \(ABORTED: .*\.\)$",
        ),
        ("ABORTED: The TPU is already in use by process with pid 7.", "wait for its end .* pid 7"),
        ("INVALID_ARGUMENT: Invalid topology layout: 2xx", "is no slice that libtpu knows .*: 2xx"),
    ],
)
def test_compiler_in_use_is_no_unknown_slice(monkeypatch, words, wanted):
    def refuse(**_):
        raise RuntimeError(words)

    monkeypatch.setattr("jax.experimental.topologies.get_topology_desc", refuse)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    with pytest.raises(UserError, match=wanted):
        chips.devices_of("v5e:2x2", "jit")


@pytest.mark.slow
@pytest.mark.skipif(not HAS_TPU_COMPILER, reason="pip install 'cnn_jax[plan]' for libtpu")
@pytest.mark.parametrize("name", ["lenet5:mnist", "resnet20_cifar:cifar10"])
@pytest.mark.parametrize("on", ["v5e:1x1", "v5e:2x4"])
def test_programs_compile_for_one_chip_and_a_mesh(name, on):
    config = load_open_config(name)
    config.batch_size = 128
    chip, devices = chips.devices_of(on, "jit")
    plan = run_plan.plan_run(config, chip, devices)
    assert plan.fits
    reduced = {part.kind: part for part in plan.costs.collectives}
    assert ("all-reduce" in reduced) == (devices.count > 1)
    if devices.count > 1:  # each gradient once, and little beside
        assert 0.9 < reduced["all-reduce"].size / plan.memory["parameters"] < 1.5
