"""The table of convolutions, and each implementation against XLA's: value, both gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from cnn_jax import ops
from cnn_jax.ops import conv_implementations, convolutions
from cnn_jax.runtime import sharding, target

cpu_only = pytest.mark.skipif(jax.default_backend() != "cpu", reason="these are for the CPU")
# images, kernel, stride, padding, groups, the implementation without compiled kernels
CASES = {
    "pointwise": ((2, 5, 7, 3), (1, 1, 3, 4), (1, 1), ((0, 0), (0, 0)), 1, "pointwise_conv"),
    "strided": ((2, 7, 6, 12), (1, 1, 12, 4), (2, 3), ((0, 0), (0, 0)), 1, "pointwise_conv"),
    "with padding": ((2, 4, 4, 3), (1, 1, 3, 4), (1, 1), ((1, 0), (2, 1)), 1, "pointwise_conv"),
    "in the order": ((1, 3, 5, 128), (1, 1, 128, 256), (1, 1), ((0, 0),) * 2, 1, "pointwise_conv"),
    "of columns": ((1, 3, 5, 256), (1, 1, 256, 128), (1, 1), ((0, 0),) * 2, 1, "pointwise_conv"),
    "one channel": ((3, 9, 8, 1), (5, 3, 1, 4), (1, 1), ((2, 1), (0, 1)), 1, "banded_matmul"),
    "few channels": ((2, 9, 7, 6), (3, 5, 6, 16), (1, 1), ((1, 1), (2, 2)), 1, "banded_matmul"),
    "depthwise": ((3, 6, 7, 5), (3, 3, 1, 5), (1, 1), ((1, 1), (1, 1)), 5, "depthwise_conv"),
    "by channel": ((2, 9, 8, 5), (5, 3, 1, 5), (2, 2), ((2, 2), (1, 1)), 5, "depthwise_conv"),
    "one-sided": ((2, 8, 8, 3), (3, 3, 1, 3), (2, 2), ((0, 1), (0, 1)), 3, "depthwise_conv"),
    "two groups": ((2, 6, 6, 8), (3, 3, 4, 6), (1, 1), ((1, 1), (1, 1)), 2, "grouped_conv"),
    "many groups": ((2, 6, 6, 24), (3, 3, 2, 36), (2, 2), ((1, 1), (1, 1)), 12, "grouped_conv"),
    "wide groups": ((1, 4, 4, 80), (3, 3, 40, 6), (1, 1), ((1, 1), (1, 1)), 2, "grouped_conv"),
    "three a channel": ((2, 5, 5, 4), (3, 3, 1, 12), (1, 1), ((1, 1), (1, 1)), 4, "grouped_conv"),
    "one pixel": ((2, 1, 1, 12), (3, 3, 12, 16), (1, 1), ((1, 1), (1, 1)), 1, "pointwise_conv"),
    "two pixels": ((2, 2, 3, 12), (5, 7, 12, 16), (1, 1), ((2, 2), (3, 3)), 1, "per_pixel_matmul"),
    "one window": ((2, 2, 2, 12), (3, 3, 12, 16), (2, 2), ((1, 1), (1, 1)), 1, "xla_conv"),
    "few windows": ((2, 4, 4, 12), (5, 5, 12, 16), (2, 1), ((2, 2), (0, 2)), 1, "per_pixel_matmul"),
    "spare pixels": ((2, 6, 8, 12), (3, 3, 12, 16), (2, 4), ((0, 1), (1, 0)), 1, "xla_conv"),
    "stem": ((1, 40, 40, 3), (7, 7, 3, 24), (2, 2), ((3, 3), (3, 3)), 1, "space_to_depth_conv"),
    "wide": ((2, 6, 6, 16), (3, 3, 16, 16), (1, 1), ((1, 1), (1, 1)), 1, "xla_conv"),
}  # fmt: skip
NEEDS_NO_KERNELS = ("pointwise_conv", "per_pixel_matmul")  # as fast as any


@cpu_only
@pytest.mark.parametrize("case", CASES)
def test_the_first_row_whose_condition_holds_is_taken(case):
    shape, kernel_shape, stride, padding, groups, expected = CASES[case]
    x, kernel = jnp.zeros(shape), jnp.zeros(kernel_shape)
    kernel, pads = convolutions.trim_kernel(kernel, shape[1:3], stride, padding)
    conv = convolutions.describe(x, kernel, stride, pads, groups)
    assert not conv.has_kernels, "there are eight devices"
    assert convolutions.choose(conv).__name__ == expected
    with_kernels = convolutions.choose(conv._replace(has_kernels=True)).__name__
    assert with_kernels == (expected if expected in NEEDS_NO_KERNELS else "cpu_kernel_conv")
    assert convolutions.choose(conv._replace(on_cpu=False)) is None
    in_blocks = convolutions.choose(conv._replace(on_cpu=False, space_to_depth=True))
    is_stem = shape[-1] <= 4 and groups == 1 and max(stride) > 1
    assert (in_blocks is conv_implementations.space_to_depth_conv) == is_stem


@cpu_only
@pytest.mark.parametrize("case", CASES)
def test_value_and_gradients(case):
    shape, kernel_shape, stride, padding, groups, _ = CASES[case]
    numbers = np.random.RandomState(0)
    x = jnp.array(numbers.randn(*shape), jnp.float32)
    kernel = jnp.array(numbers.randn(*kernel_shape), jnp.float32)

    def fast(x, kernel):
        return ops.convolution(x, kernel, stride, padding, feature_group_count=groups)

    def reference(x, kernel):
        with ops.reference_ops():
            return fast(x, kernel)

    def everything(function):
        def run(x, kernel, weights):
            value, back = jax.vjp(function, x, kernel)
            return value, *back(weights)

        return jax.jit(run)

    weights = jnp.array(numbers.randn(*jax.eval_shape(reference, x, kernel).shape), jnp.float32)
    expected = everything(reference)(x, kernel, weights)
    for a, b in zip(everything(fast)(x, kernel, weights), expected, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * float(abs(b).max()))


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("size", "window", "stride", "padding"),
    [
        ((13, 12), (3, 3), (2, 2), "SAME"),
        ((23, 22), (11, 11), (4, 4), "VALID"),
        ((12, 12), (7, 7), (2, 2), ((3, 3), (3, 3))),
        ((9, 10), (2, 5), (3, 2), ((0, 1), (2, 0))),
    ],
)
def test_blocks_of_pixels_are_the_same_function(size, window, stride, padding):
    numbers = np.random.RandomState(0)
    x = jnp.array(numbers.randn(2, *size, 3), jnp.float32)
    kernel = jnp.array(numbers.randn(*window, 3, 5), jnp.float32)

    def value_and_gradients(form, strides):
        def convolve(x, kernel):
            with form():
                return ops.convolution(x, kernel, stride, padding)

        assert f"window_strides={strides}" in str(jax.make_jaxpr(convolve)(x, kernel))
        value, back = jax.vjp(convolve, x, kernel)
        return value, *back(jnp.cos(jnp.arange(value.size)).reshape(value.shape))

    blocks = value_and_gradients(lambda: ops.space_to_depth(True), (1, 1))
    for a, b in zip(blocks, value_and_gradients(ops.reference_ops, stride), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * float(abs(b).max()))


@pytest.mark.parametrize(
    ("channels", "window", "stride", "pads", "expected", "channels_read"),
    [
        (3, (7, 7), (2, 2), ((3, 3), (3, 3)), "aligned_space_to_depth_conv", 16),
        (3, (5, 4), (3, 1), ((0, 1), (2, 0)), "aligned_space_to_depth_conv", 24),
        (1, (11, 11), (4, 4), ((0, 0), (0, 0)), "aligned_space_to_depth_conv", 16),
        (3, (3, 3), (1, 1), ((1, 1), (1, 1)), "aligned_conv", 8),
        (4, (2, 3), (1, 1), ((0, 0), (1, 1)), "aligned_conv", 8),
    ],
)
def test_images_fill_a_gpus_matrix_units(channels, window, stride, pads, expected, channels_read):
    """Half precision takes these forms there; in float32 they are the same function as XLA's."""
    numbers = np.random.RandomState(0)
    x = jnp.array(numbers.randn(2, 13, 12, channels), jnp.float32)
    kernel = jnp.array(numbers.randn(*window, channels, 5), jnp.float32)
    with target.compiled_for("gpu", 1):
        assert convolutions.choose(convolutions.describe(x, kernel, stride, pads, 1)) is None
        half = (a.astype(jnp.bfloat16) for a in (x, kernel))
        form = convolutions.choose(convolutions.describe(*half, stride, pads, 1))
    assert form.__name__ == expected
    program = str(jax.make_jaxpr(lambda x, k: form(x, k, stride, pads))(x, kernel))
    assert f",{channels_read},5]" in program
    results = []
    for function in (form, conv_implementations.xla_conv):
        value, back = jax.vjp(lambda x, k, f=function: f(x, k, stride, pads), x, kernel)
        results.append((value, *back(jnp.cos(jnp.arange(value.size)).reshape(value.shape))))
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * float(abs(b).max()))


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_named_padding(padding):
    x = jnp.arange(2.0 * 7 * 6 * 4).reshape(2, 7, 6, 4) / 100
    kernel = jnp.arange(3.0 * 3 * 1 * 4).reshape(3, 3, 1, 4) / 10
    result = ops.convolution(x, kernel, (2, 2), padding, feature_group_count=4)
    layout = ("NHWC", "HWIO", "NHWC")
    expected = lax.conv_general_dilated(
        x, kernel, (2, 2), padding, dimension_numbers=layout, feature_group_count=4
    )
    np.testing.assert_allclose(result, expected, rtol=1e-5)


def test_the_reference_is_xlas_own_operation():
    x, kernel = jnp.ones((1, 4, 4, 4)), jnp.ones((3, 3, 1, 4))
    fixed = dict(stride=(1, 1), padding="SAME", feature_group_count=4)
    with ops.reference_ops():
        program = jax.make_jaxpr(lambda x: ops.convolution(x, kernel, **fixed))(x)
    assert [e.primitive.name for e in program.eqns] == ["conv_general_dilated"]


@cpu_only
def test_a_forward_pass_keeps_convolutions_out_of_library_fusions():
    """A mean over the map draws them in where they may be: several times slower."""
    x, kernel = jnp.ones((1, 3, 3, 512)), jnp.ones((3, 3, 512, 512))

    def net(x, kernel):
        return jax.nn.relu(ops.convolution(x, kernel, (1, 1), "SAME")).mean((1, 2))

    program = sharding.jit_forward(net).lower(x, kernel).compile().as_text()
    assert "ynn" not in program


@cpu_only
@pytest.mark.parametrize(
    ("lanes", "channels", "side", "ordered"),
    [(8, 256, 8, True), (8, 192, 8, False), (8, 256, 128, False), (16, 256, 8, False)],
)
def test_a_pointwise_gradient_reads_rows_where_columns_share_lines_of_the_cache(
    lanes, channels, side, ordered, monkeypatch
):
    """What is transposed stands behind a barrier then, beside that of both operands."""
    monkeypatch.setattr(conv_implementations.cpu_kernels, "lanes", lambda: lanes)
    x, kernel = jnp.zeros((1, side, side, channels)), jnp.zeros((1, 1, channels, 512))
    run = jax.grad(lambda k: ops.convolution(x, k, (1, 1), "VALID").sum())
    assert jax.jit(run).lower(kernel).as_text().count("optimization_barrier") == 1 + ordered
