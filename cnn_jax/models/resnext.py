"""ResNeXt: Xie, Girshick, Dollar, Tu, He, "Aggregated residual transformations for deep neural
networks", 2016 (CVPR 2017).

`resnext50_32x4d`, 25,028,904 parameters: table 1, right column. The 3x3 of each bottleneck is a
convolution of 32 groups (cardinality 32, fig. 3c), 4 channels each in layer1, so 128 channels
there, and twice as many in each next stage. Strides in the 3x3 (sec. 4), and a padded pool1, as the
authors' release, which builds on fb.resnet.torch. BatchNorm and initialisation as in resnet.py
(sec. 4 follows the authors' ResNets).
"""

from __future__ import annotations

from cnn_jax.models.resnet import PORTS, resnet

NETS = {"resnext50_32x4d": resnet(50, groups=32, bottleneck_width=128, **PORTS)}
