"""Wide ResNet: Zagoruyko, Komodakis, "Wide residual networks", 2016 (BMVC 2016).

`wide_resnet50_2`, 68,883,240 parameters: WRN-50-2-bottleneck, the paper's net for ImageNet. It is
ResNet-50 whose 3x3 convolutions have twice the channels, 128 in layer1 to 1024 in layer4, while the
blocks' outputs keep theirs. Strides in the 3x3 and a padded pool1, as the authors' released net and
torchvision's have. Everything else (BatchNorm, initialisation) is resnet.py's.
"""

from __future__ import annotations

from cnn_jax.models.resnet import PORTS, resnet

NETS = {"wide_resnet50_2": resnet(50, bottleneck_width=128, **PORTS)}
