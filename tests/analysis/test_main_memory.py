"""Bytes to and from a TPU's main memory, of programs whose bytes are counted by hand."""

import importlib.util
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.analysis import chips
from cnn_jax.analysis.compiled_program import costs_of
from cnn_jax.analysis.main_memory import ARRAY, main_memory_bytes, size_of

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
    assert main_memory_bytes(program(start, loop, before=[body]), trips=1) == (4096, 4096)
    assert main_memory_bytes(program(start, known, before=[body]), trips=1) == (7 * 4096, 7 * 4096)


def test_an_all_reduce_reads_and_writes_once():
    text = program(
        f"%x = {MAIN} parameter(0)",
        f"%s = ({MAIN}, {FAST}) all-reduce-start(%x, %x), to_apply=%sum",
        f"%d = ({MAIN}, {FAST}) all-reduce-done(%s)",
        f"ROOT %y = {MAIN} get-tuple-element(%d), index=0",
    )
    assert main_memory_bytes(text) == (8192, 4096)


def test_costs_of_a_tpu_are_of_its_main_memory():
    """Of another target they are XLA's own count."""
    text = program(f"%x = {MAIN} parameter(0)", f"ROOT %y = {FAST} negate(%x)")
    memory = SimpleNamespace(temp_size_in_bytes=1, generated_code_size_in_bytes=2)
    compiled = SimpleNamespace(
        cost_analysis=lambda: {"flops": 3.0, "bytes accessed": 8192.0},
        memory_analysis=lambda: memory,
        as_text=lambda: text,
    )
    costs = costs_of(compiled, "tpu")
    assert (costs.touched, costs.moved, costs.temporary, costs.code) == (8192, 4096, 1, 2)
    assert costs_of(compiled, "cpu").moved == costs_of(compiled, "gpu").moved == 8192


@pytest.mark.slow
@pytest.mark.skipif(not HAS_TPU_COMPILER, reason="pip install 'cnn_jax[plan]' for libtpu")
def test_a_program_for_a_tpu_moves_what_goes_in_and_out():
    """The sum of a pair is made in one pass, wherever the compiler puts what is between."""
    _, devices = chips.devices_of("v5e:1x1", "jit")
    x = jax.ShapeDtypeStruct((4096, 4096), np.float32, sharding=devices.replicated)
    program = jax.jit(lambda a, b: jnp.tanh(a) * b + 1).lower(x, x).compile()
    assert main_memory_bytes(program.as_text()) == (2 * 4 * 4096**2, 4 * 4096**2)
