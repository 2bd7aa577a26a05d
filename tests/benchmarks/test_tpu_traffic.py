"""`benchmarks.tpu_traffic`: bytes counted by hand, and nets that are the same in both forms."""

import importlib.util
import json

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.tpu_traffic import __main__ as tool
from benchmarks.tpu_traffic import compiled, flax_step
from benchmarks.tpu_traffic.main_memory import ARRAY, main_memory_bytes, size_of
from cnn_jax.analysis import abstract_run, chips
from cnn_jax.runtime.sharding import Devices

HAS_TPU_COMPILER = importlib.util.find_spec("libtpu") is not None

# 1,024 numbers of 4 bytes are 4,096 bytes, a tile of 8 x 128.
FAST, MAIN = "f32[1024]{0:T(1024)S(1)}", "f32[1024]{0:T(1024)}"


def program(*lines, before=()):
    own = "\n".join(f"  {line}" for line in lines)
    others = "\n".join(before)
    return f"HloModule m\n\n{others}\nENTRY %main (x: f32[1024]) -> f32[] {{\n{own}\n}}\n"


@pytest.mark.parametrize(
    ("array", "size"),
    [
        ("f32[10,100]{1,0}", 4000),
        ("f32[10,100]{1,0:T(8,128)}", 4 * 16 * 128),
        ("f32[10,100]{0,1:T(8,128)S(1)}", 4 * 104 * 128),
        ("bf16[128,14,14,3]{0,3,2,1:T(8,128)(2,1)}", 2 * 128 * 8 * 14 * 14),
        ("pred[]{:T(128)}", 1),
        ("s32[5]{0:T(128)}", 512),
        ("u8[4,0]", 0),
    ],
)
def test_an_array_takes_whole_tiles(array, size):
    assert [size_of(found) for found in ARRAY.findall(array)] == [size]


def test_what_lies_in_fast_memory_is_not_counted():
    """x is read twice, once by a copy; of what is made, y alone goes to main memory."""
    text = program(
        f"%x = {MAIN} parameter(0)",
        f"%c = ({FAST}, {MAIN}, u32[]{{:S(2)}}) copy-start(%x)",
        f"%d = {FAST} copy-done(%c)",
        f"%v = {FAST} bitcast(%d)",
        f'%f = {FAST} add(%x, %v), metadata={{op_name="jit(f)/add"}}',
        f"ROOT %y = {MAIN} multiply(%f, %d)",
    )
    assert main_memory_bytes(text) == (2 * 4096, 4096)


def test_a_fusion_reads_the_slices_that_it_takes_and_writes_what_it_changes():
    fused = """%fused (p0: f32[8,1024], p1: f32[1024], p2: f32[8,1024]) -> (f32[8,1024]) {
  %p0 = f32[8,1024]{1,0:T(8,128)} parameter(0)
  %p1 = f32[1024]{0:T(1024)} parameter(1)
  %p2 = f32[8,1024]{1,0:T(8,128)} parameter(2)
  %view = f32[8192]{0:T(1024)} bitcast(%p0)
  %part = f32[2048]{0:T(1024)} slice(%view), slice={[0:2048]}
  %zero = s32[] constant(0)
  %new = f32[8,1024]{1,0:T(8,128)} dynamic-update-slice(%p2, %p1, %zero, %zero)
  %sum = f32[1024]{0:T(1024)} add(%p1, %p1)
  ROOT %both = (f32[8,1024]{1,0:T(8,128)}, f32[1024]{0:T(1024)}) tuple(%new, %sum)
}
"""
    big = "f32[8,1024]{1,0:T(8,128)}"
    text = program(
        f"%a = {big} parameter(0)",
        f"%b = {MAIN} parameter(1)",
        f"%c = {big} parameter(2)",
        f"ROOT %f = ({big}, {FAST}) fusion(%a, %b, /*index=2*/%c), kind=kLoop, calls=%fused",
        before=[fused],
    )
    # Of a 2,048 numbers, b whole, nothing of c; of c's 8,192 numbers 1,024 are written.
    assert main_memory_bytes(text) == (4 * 2048 + 4096, 4096)


def test_pieces_that_are_fetched_and_joined_count_once():
    piece = "f32[512]{0:T(512)S(1)}"
    lines = [f"%x = {MAIN} parameter(0)"]
    for name, span in (("a", "0:512"), ("b", "512:1024")):
        lines += [
            f"%{name} = (({MAIN}), {piece}, s32[]{{:S(2)}}) slice-start(%x), slice={{[{span}]}}",
            f"%{name}2 = {piece} slice-done(%{name})",
        ]
    joined = 'custom-call(%a2, %b2), custom_call_target="ConcatBitcast"'
    text = program(*lines, f"%j = {FAST} {joined}", f"ROOT %y = {MAIN} negate(%j)")
    assert main_memory_bytes(text) == (4096, 4096)


def test_a_loop_counts_as_often_as_it_runs_and_says_how_often():
    body = f"""%body (s: {MAIN}) -> {MAIN} {{
  %s = {MAIN} parameter(0)
  ROOT %t = {MAIN} negate(%s)
}}
"""
    loop = f"ROOT %w = {MAIN} while(%x), condition=%c, body=%body"
    known = loop + ', backend_config={"known_trip_count":{"n":"7"}}'
    start = f"%x = {MAIN} parameter(0)"
    assert main_memory_bytes(program(start, known, before=[body])) == (7 * 4096, 7 * 4096)
    with pytest.raises(ValueError, match="how often"):
        main_memory_bytes(program(start, loop, before=[body]))


def test_an_all_reduce_reads_and_writes_once():
    text = program(
        f"%x = {MAIN} parameter(0)",
        f"%s = ({MAIN}, {FAST}) all-reduce-start(%x, %x), to_apply=%sum",
        f"%d = ({MAIN}, {FAST}) all-reduce-done(%s)",
        f"ROOT %y = {MAIN} get-tuple-element(%d), index=0",
    )
    assert main_memory_bytes(text) == (8192, 4096)


@pytest.mark.parametrize("name", compiled.NETS)
def test_both_nets_have_as_many_parameters(name):
    net, devices = compiled.NETS[name], Devices.create("jit", 1)
    config = compiled.our_config(net, 1)
    run = abstract_run.abstract_run(config, devices, abstract_run.dataset_of(config))
    state = flax_step.abstract_state(net.flax(compiled.DTYPE), compiled.SIZE, devices)

    def shapes(tree):
        return sorted(x.shape for x in jax.tree.leaves(tree))

    assert shapes(state.params) == shapes(run.carry.state.params)
    assert shapes(state.batch_stats) == shapes(run.carry.state.batch_stats)


class Affine(nn.Module):
    @nn.compact
    def __call__(self, x, train=True):
        x = nn.BatchNorm(use_running_average=not train, momentum=0.9)(x)
        zeros = nn.initializers.zeros
        return nn.Dense(flax_step.CLASSES, kernel_init=zeros)(x.mean((1, 2)))


def test_a_step_of_the_example_by_hand():
    """With zero weights all classes have one chance; momentum begins with the gradient."""
    devices = Devices.create("jit", 1)
    state = flax_step.abstract_state(Affine(), 4, devices)
    state = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), state)
    batch = {"image": jnp.ones((2, 4, 4, 3)), "label": jnp.array([0, 1], jnp.int32)}
    after, found = jax.jit(flax_step.train_step)(state, batch, jax.random.key(0))
    assert found["loss"] == pytest.approx(np.log(flax_step.CLASSES), rel=1e-6)
    assert found["accuracy"] == 0.5
    wanted = np.full(flax_step.CLASSES, 1 / flax_step.CLASSES)
    wanted[:2] -= 0.5
    bias = after.params["Dense_0"]["bias"]
    np.testing.assert_allclose(bias, -0.1 * wanted, rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(after.batch_stats["BatchNorm_0"]["mean"], 0.1, rtol=1e-6)


def row(on="v5e:1x1", commit="a", **changes):
    ours = {"moved_bytes": 22e9, "xla_bytes_accessed": 45e9, "held_bytes": 4e9, "flops": 3e12}
    ours |= {"compute_seconds": 0.015, "memory_seconds": 0.02} | changes
    flax = ours | {"moved_bytes": 27.5e9, "held_bytes": 5e9, "memory_seconds": 0.03}
    return {"net": "resnet50", "on": on, "machine": {"commit": commit}, "ours": ours, "flax": flax}


def test_the_table_has_both_and_their_ratio():
    cells = list(tool.table([row()]))[-1].strip("| ").split(" | ")
    assert cells[0] == "resnet50, v5e:1x1"
    assert cells[1:6] == ["22.0 / 27.5", "0.80", "1.00", "4.00 / 5.00", "0.80"]
    assert cells[6:] == ["3.00 / 3.00", "20.0 / 30.0"]


def test_a_row_is_done_by_the_same_commit_only():
    assert tool.is_done(row(), row())
    assert not tool.is_done(row(), row(commit="b"))
    assert not tool.is_done(row(), row(on="v5e:2x4"))
    assert tool.same_place(row(), row(commit="b"))


@pytest.mark.slow
@pytest.mark.skipif(not HAS_TPU_COMPILER, reason="pip install 'cnn_jax[plan]' for libtpu")
def test_a_program_for_a_tpu_moves_what_goes_in_and_out():
    """The sum of a pair is made in one pass, wherever the compiler puts what is between."""
    _, devices = chips.devices_of("v5e:1x1", "jit")
    x = jax.ShapeDtypeStruct((4096, 4096), np.float32, sharding=devices.replicated)
    program = jax.jit(lambda a, b: jnp.tanh(a) * b + 1).lower(x, x).compile()
    assert main_memory_bytes(program.as_text()) == (2 * 4 * 4096**2, 4 * 4096**2)


@pytest.mark.slow
@pytest.mark.skipif(not HAS_TPU_COMPILER, reason="pip install 'cnn_jax[plan]' for libtpu")
def test_a_step_of_the_example_moves_its_images_in_and_its_state_in_and_out():
    chip, devices = chips.devices_of("v5e:1x1", "jit")
    lowered, count = flax_step.lowered(Affine(), 8, 128, jnp.bfloat16, devices)
    found = compiled.figures(lowered.compile(), count, chip)
    state = 2 * 4 * count  # parameters and momentum
    assert count == 3 * 1000 + 1000 + 2 * 3
    assert found["read_bytes"] >= state + 8 * 128 * 128 * 3 * 2
    assert found["written_bytes"] >= state
    assert found["moved_bytes"] == found["read_bytes"] + found["written_bytes"]
    assert found["held_bytes"] > state
    assert found["memory_seconds"] == found["moved_bytes"] / 819e9
    json.dumps(found)
