"""SENet: Hu, Shen, Albanie, Sun, Wu, "Squeeze-and-excitation networks", 2017 (CVPR 2018).

`seresnet50`, 28,088,024 parameters: ResNet-50 with a squeeze-and-excitation gate at the end of each
residual branch, before the addition (fig. 3): the mean of each map, a dense layer to C / 16 (the
paper's reduction ratio), ReLU, a dense layer back to C, sigmoid; both with biases. The module is
`layers.SqueezeExcitation`, the net is resnet.py's with `attention="se"`. BatchNorm and
initialisation as there.

Strides in the first 1x1 of a stage, as the authors' release does: 3.86 G multiply-adds (table 2:
3.87), and pool1 without padding. `stride_in="3x3"`, 4.09 G, and `pool1="padded"` are deviations
that timm's weights ask for; an import sets them.
"""

from __future__ import annotations

from cnn_jax.models.resnet import resnet

NETS = {"seresnet50": resnet(50, attention="se")}
