"""The block that MobileNet v2, v3 and EfficientNet of torchvision share."""

from __future__ import annotations

from cnn_jax.transfer.weight_maps.name_map import units, within


def inverted_residual(
    module: str, torch_name: str, expands: bool, squeezes: bool, bare_projection: bool = False
) -> dict[str, str]:
    """A block of torchvision's MobileNets and EfficientNets: a Sequential of what it has.

    In MobileNet v2 the projection's convolution and norm stand in that Sequential themselves.
    """
    parts = ["expand"] * expands + ["depthwise"] + ["attention"] * squeezes + ["project"]
    out = {}
    for i, part in enumerate(parts):
        if part == "attention":
            out |= within(f"{module}/attention", f"{torch_name}.{i}", {"fc1": "fc1", "fc2": "fc2"})
        elif part == "project" and bare_projection:
            out |= {
                f"{module}/project": f"{torch_name}.{i}",
                f"{module}/project_norm": f"{torch_name}.{i + 1}",
            }
        else:
            out |= units({f"{module}/{part}": f"{torch_name}.{i}"}, "0", "1")
    return out
