"""The convolutions that this machine's compiler made, against NumPy's and XLA's."""

import os
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import ops
from cnn_jax.errors import UserError
from cnn_jax.ops import convolutions, cpu_kernels
from cnn_jax.ops.cpu_kernels import compile
from cnn_jax.ops.dispatch import use_cpu_kernels
from cnn_jax.runtime import sharding

compiled = pytest.mark.skipif(
    jax.default_backend() != "cpu" or cpu_kernels.library() is None,
    reason="no C++ compiler, or no CPU",
)
CONVOLUTIONS = ("cnn_jax_forward", "cnn_jax_input_gradient", "cnn_jax_kernel_gradient")
# maps, window, features, stride, padding, and groups where there are several
CASES = {
    "one pixel, one channel": ((1, 1, 1, 1), (1, 1), 1, (1, 1), ((0, 0), (0, 0))),
    "every width of a block": ((2, 5, 6, 7), (3, 3), 125, (1, 1), ((1, 1), (1, 1))),
    "two columns of features": ((1, 4, 4, 70), (3, 3), 132, (1, 1), ((1, 1), (1, 1))),
    "many small maps": ((70, 3, 2, 5), (3, 3), 8, (1, 1), ((1, 1), (1, 1))),
    "small maps, strides": ((15, 7, 8, 20), (3, 3), 40, (2, 2), ((1, 1), (1, 1))),
    "an image's first layer": ((2, 40, 33, 3), (5, 5), 12, (2, 2), ((2, 2), (2, 2))),
    "a grey image's": ((3, 28, 28, 1), (5, 5), 6, (1, 1), ((2, 2), (2, 2))),
    "few features": ((2, 9, 50, 20), (3, 5), 3, (1, 1), ((1, 1), (0, 4))),
    "strides": ((2, 19, 23, 4), (7, 3), 16, (2, 3), ((3, 3), (0, 1))),
    "strides beyond the window": ((2, 9, 14, 33), (2, 2), 18, (3, 4), ((0, 0), (1, 0))),
    "one-sided": ((2, 9, 8, 6), (2, 4), 20, (1, 1), ((0, 1), (3, 0))),
    "rows that see padding alone": ((1, 2, 2, 3), (3, 3), 4, (1, 1), ((3, 3), (3, 3))),
    "a map that no window fills": ((1, 6, 6, 3), (2, 2), 4, (4, 4), ((0, 0), (0, 0))),
    "sums in parts": ((2, 5, 9, 300), (3, 3), 20, (1, 1), ((1, 1), (1, 1))),
    "sums in parts, small maps": ((7, 4, 4, 131), (3, 3), 260, (2, 2), ((1, 1), (1, 0))),
    "a window of more places than channels": (
        (1, 36, 36, 2),
        (36, 36),
        9,
        (1, 1),
        ((1, 1), (1, 1)),
    ),
    "narrow groups": ((2, 9, 20, 24), (3, 3), 24, (1, 1), ((1, 1), (1, 1)), 6),
    "wider groups": ((2, 7, 15, 32), (3, 3), 32, (2, 2), ((1, 1), (1, 1)), 4),
    "groups of few channels, of many features": (
        (3, 6, 5, 6),
        (3, 2),
        80,
        (1, 1),
        ((1, 1), (0, 1)),
        2,
    ),
    "groups of many channels, of few features": (
        (3, 6, 5, 80),
        (2, 3),
        8,
        (1, 2),
        ((0, 1), (1, 1)),
        2,
    ),
    "groups that fill no vector": ((2, 6, 12, 15), (3, 3), 9, (1, 1), ((1, 1), (1, 1)), 3),
    "groups of small maps": ((20, 4, 4, 36), (3, 3), 36, (1, 1), ((1, 1), (1, 1)), 2),
    "each channel alone": ((9, 4, 14, 40), (3, 3), 40, (1, 1), ((1, 1), (1, 1)), 40),
    "each channel alone, strides": ((2, 8, 9, 19), (5, 3), 19, (2, 3), ((2, 2), (1, 0)), 19),
    "each channel alone, gaps": ((1, 7, 7, 3), (1, 2), 3, (2, 3), ((0, 0), (0, 0)), 3),
}


@compiled
@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients_are_numpys(case):
    shape, window, features, stride, pads, *several = CASES[case]
    groups, numbers = sum(several) or 1, np.random.RandomState(0)
    x = numbers.randn(*shape).astype(np.float32)
    kernel = numbers.randn(*window, shape[-1] // groups, features).astype(np.float32)
    padded = np.pad(x.astype(np.float64), ((0, 0), *pads, (0, 0)))
    down, across = (
        (n - k) // s + 1 for n, k, s in zip(padded.shape[1:3], window, stride, strict=True)
    )
    gradient = numbers.randn(shape[0], down, across, features).astype(np.float32)
    value, by_x, by_kernel = (np.zeros(n) for n in (gradient.shape, padded.shape, kernel.shape))
    for i, j in np.ndindex(*window):
        rows = slice(i, i + (down - 1) * stride[0] + 1, stride[0])
        columns = slice(j, j + (across - 1) * stride[1] + 1, stride[1])
        for g in range(groups):
            c, f = (slice(g * n // groups, (g + 1) * n // groups) for n in (shape[-1], features))
            seen, weights = padded[:, rows, columns, c], kernel[i, j, :, f]
            value[..., f] += seen @ weights
            by_x[:, rows, columns, c] += gradient[..., f] @ weights.T
            by_kernel[i, j, :, f] = np.einsum("nyxc,nyxf->cf", seen, gradient[..., f])
    inner = (slice(low, n - high) for n, (low, high) in zip(padded.shape[1:3], pads, strict=True))
    by_x = by_x[:, *inner]
    corner = pads[0][0], pads[1][0]
    close = {"rtol": 1e-5, "atol": 1e-4}
    x, kernel, gradient = (jnp.asarray(a) for a in (x, kernel, gradient))
    result = cpu_kernels.forward(x, kernel, value.shape, stride, corner)
    np.testing.assert_allclose(result, value, **close)
    result = cpu_kernels.input_gradient(gradient, kernel, x.shape, stride, corner)
    np.testing.assert_allclose(result, by_x, **close)
    result = cpu_kernels.kernel_gradient(x, gradient, kernel.shape, stride, corner)
    np.testing.assert_allclose(result, by_kernel, **close)


@compiled
def test_shapes_that_do_not_fit_are_an_error():
    def maps(*shape):
        return jnp.zeros(shape, jnp.float32)

    x, side, places = maps(2, 8, 8, 6), (1, 1), jnp.zeros((2, 4, 4, 5), jnp.int8)
    calls = (
        lambda: cpu_kernels.forward(x, maps(3, 3, 4, 8), (2, 8, 8, 8), side, side),
        lambda: cpu_kernels.forward(x, maps(3, 3, 2, 8), (2, 8, 8, 8), side, side),
        lambda: cpu_kernels.forward(x, maps(3, 3, 6, 8), (3, 8, 8, 8), side, side),
        lambda: cpu_kernels.forward(x, maps(3, 3, 6, 8), (2, 8, 8, 9), side, side),
        lambda: cpu_kernels.input_gradient(maps(2, 8, 8, 9), maps(3, 3, 6, 8), x.shape, side, side),
        lambda: cpu_kernels.kernel_gradient(x, maps(2, 8, 8, 8), (3, 3, 5, 8), side, side),
        lambda: cpu_kernels.max_pool(x, (2, 2), (2, 4, 4, 7), (2, 2), (0, 0)),
        lambda: cpu_kernels.max_pool_gradient(
            places, maps(2, 4, 4, 5), (2, 2), x.shape, (2, 2), (0, 0)
        ),
    )
    for call in calls:
        with pytest.raises(jax.errors.JaxRuntimeError, match=r"do not fit: .*\[2, "):
            jax.block_until_ready(call())


@compiled
@pytest.mark.parametrize("channels", [1, 6, 16, 37])
@pytest.mark.parametrize(
    ("size", "window", "stride", "pads"),
    [
        ((8, 8), (2, 2), (2, 2), ((0, 0), (0, 0))),
        ((6, 5), (3, 3), (1, 1), ((1, 1), (1, 1))),
        ((7, 8), (2, 3), (3, 2), ((1, 0), (0, 2))),
    ],
)
def test_the_maximum_is_the_first_of_a_window(size, window, stride, pads, channels):
    numbers = np.random.RandomState(0)
    x = np.round(numbers.randn(3, *size, channels)).astype(np.float32)  # most windows have ties
    x[0, 1, 1, 0] = np.nan
    padded = np.pad(x, ((0, 0), *pads, (0, 0)), constant_values=-np.inf)
    out = [(n - k) // s + 1 for n, k, s in zip(padded.shape[1:3], window, stride, strict=True)]
    gradient = numbers.randn(3, *out, channels).astype(np.float32)
    by_x = np.zeros(padded.shape)
    value, place = np.zeros(gradient.shape), np.zeros(gradient.shape, int)
    for at in np.ndindex(*gradient.shape):
        n, y, x_, c = at
        top, left = y * stride[0], x_ * stride[1]
        seen = padded[n, top : top + window[0], left : left + window[1], c].ravel()
        place[at] = np.argmax(np.where(np.isnan(seen), np.inf, seen))
        value[at] = seen[place[at]]
        i, j = divmod(place[at], window[1])
        by_x[n, top + i, left + j, c] += gradient[at]
    corner = pads[0][0], pads[1][0]
    best, result = cpu_kernels.max_pool(jnp.asarray(x), window, gradient.shape, stride, corner)
    np.testing.assert_array_equal(best, value)
    np.testing.assert_array_equal(result, place)
    result = cpu_kernels.max_pool_gradient(
        result, jnp.asarray(gradient), window, x.shape, stride, corner
    )
    inner = by_x[:, pads[0][0] :, pads[1][0] :][:, : size[0], : size[1]]
    np.testing.assert_allclose(result, inner, rtol=1e-6, atol=1e-6)


@compiled
def test_a_convolution_takes_it_where_one_device_computes(monkeypatch):
    numbers = np.random.RandomState(0)
    x, kernel = (jnp.array(numbers.randn(*n, 16), jnp.float32) for n in ((2, 8, 8), (3, 3, 16)))

    def everything():
        """A function of its own each time: JAX keeps what it traced."""

        def total(x, kernel):
            y = ops.convolution(x, kernel, (1, 1), "SAME")
            return (y * jnp.cos(jnp.arange(y.size)).reshape(y.shape)).sum()

        return jax.jit(jax.value_and_grad(total, (0, 1)))

    reference = everything()
    assert "cnn_jax" not in reference.lower(x, kernel).as_text(), "there are eight devices"
    value, gradients = reference(x, kernel)
    monkeypatch.setattr(convolutions.jax, "device_count", lambda: 1)
    ours = everything()
    assert all(name in ours.lower(x, kernel).as_text() for name in CONVOLUTIONS)
    same, result = ours(x, kernel)
    np.testing.assert_allclose(same, value, rtol=1e-4)
    for a, b in zip(result, gradients, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * float(abs(b).max()))
    half = jnp.ones((3, 3, 16, 16), jnp.bfloat16)
    assert not use_cpu_kernels(x.astype(jnp.bfloat16), half)


@compiled
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_a_kernel_that_is_not_listed_is_left_to_xla(name, monkeypatch):
    x, kernel = jnp.ones((2, 8, 8, 16)), jnp.ones((3, 3, 16, 16))
    rest = set(CONVOLUTIONS) - {name}
    listed = frozenset(other.removeprefix("cnn_jax_") for other in rest)
    monkeypatch.setattr(cpu_kernels, "enabled", lambda: listed)
    monkeypatch.setattr(convolutions.jax, "device_count", lambda: 1)
    run = jax.grad(lambda x, k: (ops.convolution(x, k, (1, 1), "SAME") ** 2).sum(), (0, 1))
    program = jax.jit(run).lower(x, kernel).as_text()
    assert {target for target in CONVOLUTIONS if target in program} == rest
    assert not use_cpu_kernels(x, kernel="max_pool")
    assert use_cpu_kernels(x, kernel=min(listed))


@compiled
@pytest.mark.parametrize(
    ("lanes", "channels", "side", "ours"),
    [(4, 127, 16, 1), (4, 128, 16, 0), (8, 128, 16, 1), (8, 128, 15, 0), (16, 127, 15, 1)],
)
def test_many_channels_take_the_kernel_where_pixels_are_many(
    lanes, channels, side, ours, monkeypatch
):
    """With vectors of four floats, or fewer than 256 pixels, XLA is as fast there."""
    x, kernel = jnp.ones((1, side, side, channels)), jnp.ones((3, 3, channels, 2))
    monkeypatch.setattr(cpu_kernels, "lanes", lambda: lanes)
    monkeypatch.setattr(convolutions.jax, "device_count", lambda: 1)
    run = jax.jit(lambda x, k: ops.convolution(x, k, (1, 1), "SAME"))
    assert run.lower(x, kernel).as_text().count("cnn_jax_forward") == ours


def test_the_environment_lists_kernels(monkeypatch):
    for value, expected in (
        ("0", set()),
        ("1", set(compile.KERNELS)),
        ("forward,max_pool", {"forward", "max_pool"}),
    ):
        monkeypatch.setenv("CNN_JAX_NATIVE", value)
        assert compile.enabled.__wrapped__() == expected
    monkeypatch.setenv("CNN_JAX_NATIVE", "forward,max_pol")
    with pytest.raises(UserError, match=r"CNN_JAX_NATIVE='max_pol' is unknown .*'max_pool'"):
        compile.enabled.__wrapped__()


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("change", "value", "message"),
    [
        ("CNN_JAX_NATIVE", "0", ""),
        ("CXX", "/no/such/compiler", "compiling convolutions"),
        ("CXX", "false", "warning: slower, for convolutions do not compile: "),
    ],
)
def test_a_machine_without_a_compiler_does_without(change, value, message):
    program = "from cnn_jax.ops import cpu_kernels; assert cpu_kernels.library() is None"
    environment = os.environ | {change: value}
    command = [sys.executable, "-c", program]
    result = subprocess.run(command, check=True, env=environment, stderr=subprocess.PIPE, text=True)
    assert message in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.heavy
@compiled
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system pins no process")
def test_the_number_of_threads_changes_no_bit(tmp_path):
    """Another number of threads divides the channels otherwise."""
    program = """
import sys, jax, numpy as np
from cnn_jax.ops import cpu_kernels
cpu_kernels.library()
numbers = np.random.RandomState(0)
x, g, many = (numbers.randn(4, 12, 12, n).astype(np.float32) for n in (48, 64, 150))
few = numbers.randn(20, 6, 6, 5).astype(np.float32)
kernel, side = numbers.randn(3, 3, 48, 64).astype(np.float32), (1, 1)
results = (
    cpu_kernels.forward(x, kernel, g.shape, side, side),
    cpu_kernels.input_gradient(g, kernel, x.shape, side, side),
    cpu_kernels.kernel_gradient(x, g, kernel.shape, side, side),
    cpu_kernels.kernel_gradient(few, few, (3, 3, 5, 5), side, side),
    cpu_kernels.forward(few, kernel[:, :, :5], (20, 6, 6, 64), side, side),
    cpu_kernels.forward(x, kernel[:, :, :6], g.shape, side, side),
    cpu_kernels.forward(many, np.resize(kernel, (3, 3, 150, 64)), g.shape, side, side),
    cpu_kernels.kernel_gradient(x, g, (3, 3, 6, 64), side, side),
    cpu_kernels.kernel_gradient(x, x, (3, 3, 24, 48), side, side),
    cpu_kernels.forward(x, kernel[:, :, :1, :48], x.shape, side, side),
    cpu_kernels.input_gradient(x, kernel[:, :, :1, :48], x.shape, side, side),
    cpu_kernels.kernel_gradient(x, x, (3, 3, 1, 48), side, side),
    *cpu_kernels.batch_norm(x, x[0, 0, 0], x[0, 0, 1], 1e-5, "silu"),
    *cpu_kernels.batch_norm_gradient(x, x[::-1], *x[0, 0, :4], 1e-5, "silu"),
)
np.save(sys.argv[1], np.concatenate([np.ravel(part) for part in results]))
"""
    results = []
    for cores in ({0}, os.sched_getaffinity(0)):
        path = tmp_path / f"{len(cores)}.npy"
        pin = f"import os; os.sched_setaffinity(0, {cores!r})"
        subprocess.run([sys.executable, "-c", pin + program, str(path)], check=True)
        results.append(np.load(path))
    np.testing.assert_array_equal(*results)


@compiled
def test_what_many_read_is_computed_once(monkeypatch):
    x, weights = jnp.linspace(-2, 2, 48 * 16).reshape(48, 16), jnp.eye(16) / 2

    def units(x):
        for _ in range(4):
            x = ops.materialize(jax.nn.relu(x + jnp.sin(x @ weights)))
        return x @ weights

    def sines(program):
        return len(re.findall(r" sine\(", program.as_text()))

    reference = sharding.jit(units).lower(x).compile()
    monkeypatch.setattr(convolutions.jax, "device_count", lambda: 1)
    program = sharding.jit(lambda x: units(x)).lower(x).compile()
    assert (sines(program), sines(reference)) == (4, 4 + 3 + 2 + 1)
    np.testing.assert_allclose(program(x), reference(x), rtol=1e-6, atol=1e-6)
    gradients = jax.vjp(lambda x: units(x), x)[1](jnp.ones(x.shape))
    monkeypatch.undo()
    np.testing.assert_allclose(gradients[0], jax.vjp(units, x)[1](jnp.ones(x.shape))[0], rtol=1e-5)
