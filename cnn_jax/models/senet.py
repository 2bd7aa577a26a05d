"""SENet: Hu, Shen, Albanie, Sun, Wu, "Squeeze-and-excitation networks", 2017 (CVPR 2018).

`seresnet50`, 28,088,024 parameters: ResNet-50 with a squeeze-and-excitation gate at the end of each
residual branch, before the addition (fig. 3): the mean of each map, a dense layer to C / 16 (the
paper's reduction ratio), ReLU, a dense layer back to C, sigmoid; both with biases. The module is
`layers.SqueezeExcitation`, the net is resnet.py's with `attention="se"`. BatchNorm and
initialisation as there.

Deviation: strides in the 3x3, as the published weight files (timm's) do, 4.09 G multiply-adds;
`stride_in="1x1"` is the paper's 3.86 G (its table 2: 3.87).
"""

from __future__ import annotations

from cnn_jax.models.resnet import resnet

NETS = {"seresnet50": resnet(50, attention="se", stride_in="3x3")}
