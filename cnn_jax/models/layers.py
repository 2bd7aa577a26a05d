"""What two papers or more share: the output type, option types, and thin layers around linen's.

Nets call `conv`, `max_pool` and `avg_pool` from here and never ask which backend they run on:
`cnn_jax.ops` does.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen.dtypes import promote_dtype

from cnn_jax import ops
from cnn_jax.errors import UserError
from cnn_jax.models.batch_norm import BatchNorm

Activation = Literal[
    "sigmoid", "tanh", "scaled_tanh", "relu", "relu6", "gelu", "silu", "hard_swish", "none"
]
Norm = Literal["none", "batch", "layer", "instance", "group"]
Pooling = Literal["avg", "max"]
Padding = str | int | Sequence[tuple[int, int]]

# Norms that subtract each channel's mean, so that a bias before them has no effect
# (Ioffe & Szegedy 2015, sec. 3.2).
CENTRING_NORMS = ("batch", "instance")
# He et al. 2015, "Delving deep into rectifiers": N(0, 2 / fan-in), not truncated.
HE_NORMAL = nn.initializers.variance_scaling(2.0, "fan_in", "normal")


class Output(NamedTuple):
    """What every net returns: `logits` [B, K], and the auxiliary heads' logits while training."""

    logits: jax.Array
    auxiliary: tuple[jax.Array, ...] = ()


def scaled_tanh(x: jax.Array) -> jax.Array:
    """1.7159 tanh(2x/3), so that f(1) = 1 and f(-1) = -1 (LeCun et al. 1998, appendix A)."""
    return 1.7159 * jnp.tanh(x * (2 / 3))


ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "sigmoid": nn.sigmoid,
    "tanh": jnp.tanh,
    "scaled_tanh": scaled_tanh,
    "relu": nn.relu,
    "relu6": nn.relu6,
    "gelu": functools.partial(nn.gelu, approximate=False),
    "silu": nn.silu,
    "hard_swish": nn.hard_swish,
    "none": lambda x: x,
}


def activate(name: Activation, x: jax.Array) -> jax.Array:
    """The named non-linearity of `x`; `gelu` is the exact one, by the error function."""
    return ACTIVATIONS[name](x)


def pad_pairs(padding: Padding) -> str | Sequence[tuple[int, int]]:
    """One integer means that many zeros on every side, as papers write it."""
    return [(padding, padding)] * 2 if isinstance(padding, int) else padding


def conv(
    features: int,
    kernel: int | tuple[int, int],
    stride: int | tuple[int, int] = 1,
    *,
    padding: Padding = "SAME",
    groups: int = 1,
    bias: bool = True,
    name: str | None = None,
    dtype: Any = None,
    kernel_init: Callable = HE_NORMAL,
    bias_init: Callable = nn.initializers.zeros,
) -> nn.Conv:
    """A 2-D convolution on [B, H, W, C]; `padding` is "SAME", "VALID", an integer or pairs."""
    return nn.Conv(
        features,
        (kernel, kernel) if isinstance(kernel, int) else kernel,
        strides=(stride, stride) if isinstance(stride, int) else stride,
        padding=pad_pairs(padding),
        feature_group_count=groups,
        conv_general_dilated=ops.convolution,
        use_bias=bias,
        name=name,
        dtype=dtype,
        kernel_init=kernel_init,
        bias_init=bias_init,
    )


def norm(
    kind: Norm,
    train: bool,
    *,
    name: str | None = None,
    dtype: Any = None,
    momentum: float = 0.9,
    epsilon: float = 1e-5,
    scale_init: Callable = nn.initializers.ones,
    groups: int = 32,
) -> Callable[[jax.Array], jax.Array]:
    """The normalisation `kind` for maps [B, H, W, C] or vectors [B, C], as a linen module.

    `batch` normalises over the batch (its running statistics move by `1 - momentum` a step and are
    what `train=False` uses), `layer` over a whole example, `instance` over each map of an example,
    `group` over groups of channels (at most `groups`, fewer where they do not divide the channels).
    A vector has no map to normalise over: `instance` leaves it alone.
    """
    common = {"name": name, "dtype": dtype, "epsilon": epsilon, "scale_init": scale_init}
    if kind == "batch":
        return BatchNorm(use_running_average=not train, momentum=momentum, **common)

    def by_group(x: jax.Array) -> jax.Array:
        channels = x.shape[-1]
        count = {"layer": 1, "instance": channels, "group": math.gcd(groups, channels)}[kind]
        return nn.GroupNorm(num_groups=count, **common)(x)

    def unchanged(x: jax.Array) -> jax.Array:
        return x

    if kind == "none":
        return unchanged
    if kind == "instance":
        return lambda x: by_group(x) if x.ndim == 4 else x
    return by_group


def pool_pads(
    size: tuple[int, int], window: int, stride: int, padding: Padding, ceil: bool
) -> str | list[tuple[int, int]]:
    """Explicit pads for a pool; `ceil` adds the rows that Caffe's and torch's ceil mode adds."""
    pads = pad_pairs(padding)
    if not ceil:
        return pads
    if pads == "VALID":
        pads = [(0, 0), (0, 0)]
    out = []
    for n, (low, high) in zip(size, pads, strict=True):
        steps = -(-(n + low + high - window) // stride)
        if steps * stride >= n + low:  # no window may start in the padding on the far side
            steps -= 1
        out.append((low, max(high, steps * stride + window - n - low)))
    return out


def max_pool(
    x: jax.Array, window: int, stride: int, *, padding: Padding = "VALID", ceil: bool = False
) -> jax.Array:
    """Maximum over `window` x `window`, every `stride`; padding never wins."""
    pads = pool_pads(x.shape[1:3], window, stride, padding, ceil)
    if isinstance(pads, str):
        pads = jax.lax.padtype_to_pads(x.shape[1:3], (window, window), (stride, stride), pads)
    return ops.max_pool(x, (window, window), (stride, stride), tuple(map(tuple, pads)))


def avg_pool(
    x: jax.Array,
    window: int,
    stride: int,
    *,
    padding: Padding = "VALID",
    ceil: bool = False,
    count_padding: bool = True,
) -> jax.Array:
    """Mean over `window` x `window`, every `stride`; `count_padding` divides by the full window.

    The rows that `ceil` adds are never counted, as in torch.
    """
    pads = pool_pads(x.shape[1:3], window, stride, padding, ceil)
    if ceil and count_padding:
        counted = [(0, 0)] * 2 if padding == "VALID" else pad_pairs(padding)
        x = jnp.pad(x, [(0, 0), *counted, (0, 0)])
        pads = [(0, high - done) for (_, high), (_, done) in zip(pads, counted, strict=True)]
        count_padding = False
    return nn.avg_pool(
        x,
        (window, window),
        strides=(stride, stride),
        padding=pads,
        count_include_pad=count_padding,
    )


def pool(kind: Pooling, x: jax.Array, window: int, stride: int, **options: Any) -> jax.Array:
    """`max_pool` or `avg_pool` by name, where the kind is an option of the net."""
    return {"avg": avg_pool, "max": max_pool}[kind](x, window, stride, **options)


def global_pool(kind: Pooling, x: jax.Array) -> jax.Array:
    """[B, H, W, C] -> [B, C]: the mean or the maximum of each map."""
    return x.mean((1, 2)) if kind == "avg" else x.max((1, 2))


def conv_norm(
    x: jax.Array,
    features: int,
    kernel: int | tuple[int, int],
    stride: int = 1,
    *,
    name: str,
    train: bool,
    kind: Norm = "batch",
    activation: Activation = "none",
    padding: Padding | None = None,
    groups: int = 1,
    bias: bool | None = None,
    zero: bool = False,
    momentum: float = 0.9,
    epsilon: float = 1e-5,
    dtype: Any = None,
    kernel_init: Callable = HE_NORMAL,
    bias_init: Callable = nn.initializers.zeros,
) -> jax.Array:
    """activation(norm(conv(x))), padded by (kernel - 1) / 2 zeros on every side by default.

    Makes the submodules `name` and `name_norm` of the module that calls it. The convolution has a
    bias where `kind` does not subtract each channel's mean, unless `bias` says otherwise. `zero`
    lets the unit's output start at zero: by the norm's scale, or by the kernel without a norm.
    """
    zeros = nn.initializers.zeros
    if padding is None:
        sides = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = [((side - 1) // 2,) * 2 for side in sides]
    x = conv(
        features,
        kernel,
        stride,
        padding=padding,
        groups=groups,
        bias=kind not in CENTRING_NORMS if bias is None else bias,
        name=name,
        dtype=dtype,
        kernel_init=zeros if zero and kind == "none" else kernel_init,
        bias_init=bias_init,
    )(x)
    x = norm(
        kind,
        train,
        name=f"{name}_norm",
        dtype=dtype,
        momentum=momentum,
        epsilon=epsilon,
        scale_init=zeros if zero else nn.initializers.ones,
    )(x)
    return activate(activation, x)


class SqueezeExcitation(nn.Module):
    """Each map of x [B, H, W, C] times a gate in [0, 1], from all maps' means by two dense layers.

    Hu et al. 2017, "Squeeze-and-excitation networks", sec. 3. `reduced` is the hidden width.
    """

    reduced: int
    activation: Activation = "relu"
    gate: Literal["sigmoid", "hard_sigmoid"] = "sigmoid"
    kernel_init: Callable = HE_NORMAL
    dtype: Any = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        dense = functools.partial(nn.Dense, kernel_init=self.kernel_init, dtype=self.dtype)
        z = global_pool("avg", x)  # squeeze
        z = activate(self.activation, dense(self.reduced, name="fc1")(z))
        z = dense(x.shape[-1], name="fc2")(z)
        gate = nn.sigmoid(z) if self.gate == "sigmoid" else nn.hard_sigmoid(z)
        return x * gate[:, None, None, :]


def divisible(channels: float, by: int = 8) -> int:
    """The multiple of `by` nearest to `channels`, but never under nine tenths of it.

    The rounding of scaled widths in the authors' releases of MobileNet v2, v3 and EfficientNet.
    """
    rounded = max(by, int(channels + by / 2) // by * by)
    return rounded if rounded >= 0.9 * channels else rounded + by


def require_size(x: jax.Array, minimum: int, net: str) -> None:
    """Raises unless images are [B, H, W, C] with both sides at least `minimum` pixels."""
    if x.ndim != 4:
        raise UserError(f"{net} takes images [B, H, W, C], not an array of shape {x.shape}")
    if min(x.shape[1:3]) < minimum:
        raise UserError(
            f"{net} needs images of at least {minimum}x{minimum} pixels, not "
            f"{x.shape[1]}x{x.shape[2]}: set config.data.image_size={minimum} or more"
        )


def stage(net: nn.Module, name: str, x: jax.Array) -> jax.Array:
    """`x`, made known to `capture_intermediates` as `name`: for pools, which are no modules."""
    net.sow("intermediates", name, x)
    return x


def runs_heads(net: nn.Module, train: bool) -> bool:
    """Whether a net computes its auxiliary heads.

    It does while training, at `init` (so that their parameters exist), and in evaluation for a
    caller that asks by `apply(..., mutable=["auxiliary"])`.
    """
    return train or net.is_mutable_collection("auxiliary")


def adaptive_avg_pool(x: jax.Array, size: int) -> jax.Array:
    """[B, H, W, C] -> [B, size, size, C]: means over bins that cover the map, as torch cuts them.

    Bin i of n pixels runs from floor(i n / size) to ceil((i + 1) n / size); bins overlap where
    size does not divide n, and repeat pixels where size exceeds n.
    """
    if x.shape[1:3] == (size, size):
        return x

    def means(n: int) -> jax.Array:
        start = [i * n // size for i in range(size)]
        stop = [-(-(i + 1) * n // size) for i in range(size)]
        rows = [
            [(a <= j < b) / (b - a) for j in range(n)] for a, b in zip(start, stop, strict=True)
        ]
        return jnp.array(rows, x.dtype)

    rows, columns = means(x.shape[1]), means(x.shape[2])
    return jnp.einsum("bhwc,ih,jw->bijc", x, rows, columns, precision="highest")


class MapDense(nn.Module):
    """A dense layer over a whole map: [B, H, W, C] -> [B, features].

    Over a map that is larger than the one it was made for, its weights slide as a kernel does, and
    there is an answer at every position, [B, H', W', features]: the fully-convolutional evaluation
    of Simonyan & Zisserman 2014, sec. 3.2. The map that it was made for is taken to be square.
    """

    features: int
    kernel_init: Callable = nn.initializers.lecun_normal()
    bias_init: Callable = nn.initializers.zeros
    dtype: Any = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        _, height, width, channels = x.shape
        side = 0
        if self.has_variable("params", "kernel"):
            side = math.isqrt(self.get_variable("params", "kernel").shape[0] // channels)
        if not 0 < side < min(height, width):
            side, x = 0, x.reshape(x.shape[0], -1)
        inputs = side * side * channels if side else x.shape[-1]
        kernel = self.param("kernel", self.kernel_init, (inputs, self.features))
        bias = self.param("bias", self.bias_init, (self.features,))
        x, kernel, bias = promote_dtype(x, kernel, bias, dtype=self.dtype)
        if not side:
            return x @ kernel + bias
        kernel = kernel.reshape(side, side, channels, self.features)
        layout = ("NHWC", "HWIO", "NHWC")
        return bias + jax.lax.conv_general_dilated(
            x, kernel, (1, 1), "VALID", dimension_numbers=layout
        )


def mean_positions(logits: jax.Array) -> jax.Array:
    """[B, classes]: the mean over the positions of a net that slid over its image, if it did."""
    return logits if logits.ndim == 2 else logits.mean((1, 2))
