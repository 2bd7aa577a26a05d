"""python run_exported.py IMAGES.npy: what the exported net beside this file says of them."""

import json
import pathlib
import sys

import numpy
from jax import export

folder = pathlib.Path(__file__).parent
net = json.loads((folder / "weights.json").read_text())
program = export.deserialize(bytearray((folder / "net.stablehlo").read_bytes()))
outputs = numpy.asarray(program.call(numpy.load(sys.argv[1])))
for row in outputs:
    best = [int(i) for i in (-row).argsort()[:5]]
    print(*(f"{net['classes'][i]} {row[i]:.6f}" if net["classes"] else row[i] for i in best))
