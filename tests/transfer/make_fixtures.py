"""Writes this folder's fixtures from torchvision and timm; the tests themselves need neither.

    python -m tests.transfer.make_fixtures      (torch, torchvision, timm; not JAX)

state_dicts.csv: for each net that we import, the number of tensors of its source and a digest of
their names and shapes. googlenet.json: torchvision's GoogLeNet on random weights, its logits and
those of its heads, the tensors' names and shapes. timm.json: logits of nets of timm that it names
otherwise than torchvision, on random weights.
"""

import csv
import hashlib
import json
from pathlib import Path

import numpy as np
import timm
import torch
import torchvision

from tests.support.random_weights import images, tensor

HERE = Path(__file__).parent
TORCHVISION = {
    "alexnet_torchvision": "alexnet",
    **{name: name for name in ("vgg11", "vgg13", "vgg16", "vgg19")},
    **{name: name for name in ("vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn")},
    "googlenet_torchvision": "googlenet",
    "inception_v3": "inception_v3",
    "resnet18": "resnet18",
    "resnet34": "resnet34",
    **{f"resnet{depth}_v1_5": f"resnet{depth}" for depth in (50, 101, 152)},
    **{name: name for name in ("wide_resnet50_2", "resnext50_32x4d", "mobilenet_v2")},
    **{name: name for name in ("mobilenet_v3_small", "mobilenet_v3_large", "convnext_tiny")},
    **{f"efficientnet_b{i}": f"efficientnet_b{i}" for i in range(8)},
}
TIMM = {
    "inception_v4": "inception_v4",
    "mobilenet_v1": "mobilenetv1_100",
    "seresnet50": "seresnet50",
    **{f"resnet{depth}_v2": f"resnetv2_{depth}" for depth in (50, 101, 152)},
}
# Nets that timm names otherwise than torchvision.
ALSO_TIMM = {
    "mobilenet_v2": "mobilenetv2_100",
    "mobilenet_v3_small": "mobilenetv3_small_100",
    "mobilenet_v3_large": "mobilenetv3_large_100",
    **{f"efficientnet_b{i}": f"efficientnet_b{i}" for i in range(8)},
    "convnext_tiny": "convnext_tiny",
}


def digest(shapes):
    """SHA-256 over the sorted names and shapes, sides of 1 left out: 1x1 convolutions are dense."""
    lines = (f"{name} {[n for n in shape if n != 1]}" for name, shape in shapes.items())
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def state_shapes(module):
    return {
        name: list(value.shape)
        for name, value in module.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }


def build(name, library):
    if library is timm and name in ALSO_TIMM:
        return timm.create_model(ALSO_TIMM[name])
    if library is timm:
        return timm.create_model(TIMM[name])
    extra = {"init_weights": False} if "inception" in name or "googlenet" in name else {}
    if extra:
        extra["aux_logits"] = True
    return torchvision.models.get_model(TORCHVISION[name], weights=None, **extra)


def write_state_dicts():
    with (HERE / "state_dicts.csv").open("w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["name", "source", "tensors", "sha256"])
        nets = [(name, torchvision) for name in TORCHVISION]
        nets += [(name, timm) for name in (*TIMM, *ALSO_TIMM)]
        for name, library in nets:
            with torch.device("meta"):
                shapes = state_shapes(build(name, library))
            source = f"{library.__name__} {library.__version__.split('+')[0]}"
            rows.writerow([name, source, len(shapes), digest(shapes)])


@torch.no_grad()
def write_timm():
    """Logits of 5 classes for 2 images of 64 pixels."""
    logits = {}
    for name in ("mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0", "convnext_tiny"):
        net = timm.create_model(ALSO_TIMM[name], num_classes=5).eval()
        state = {key: tensor(key, shape) for key, shape in state_shapes(net).items()}
        net.load_state_dict({k: torch.from_numpy(v) for k, v in state.items()}, strict=False)
        x = torch.from_numpy(images(2, 64).transpose(0, 3, 1, 2).copy())
        logits[name] = np.round(net(x).numpy().astype(float), 6).tolist()
    (HERE / "timm.json").write_text(json.dumps(logits).replace("]], ", "]],\n") + "\n")


@torch.no_grad()
def write_googlenet():
    net = torchvision.models.googlenet(
        weights=None, num_classes=5, aux_logits=True, init_weights=False
    ).eval()
    shapes = state_shapes(net)
    net.load_state_dict(
        {name: torch.from_numpy(tensor(name, shape)) for name, shape in shapes.items()},
        strict=False,
    )
    features = {}
    for stage, head in {"inception4a": "aux1", "inception4d": "aux2"}.items():
        getattr(net, stage).register_forward_hook(
            lambda _m, _i, out, head=head: features.__setitem__(head, getattr(net, head)(out))
        )
    x = torch.from_numpy(images(2, 64).transpose(0, 3, 1, 2).copy())
    features["logits"] = net(x)
    out = {name: np.round(value.numpy(), 6).tolist() for name, value in features.items()}
    text = json.dumps({**out, "shapes": shapes}, separators=(",", ":"))
    (HERE / "googlenet.json").write_text(text.replace('],"', '],\n"') + "\n")


if __name__ == "__main__":
    write_state_dicts()
    write_googlenet()
    write_timm()
