"""Large blocks of XLA are kept from one call to the next, and no more than were in use at once."""

import json
import os
import subprocess
import sys

import pytest

PROGRAM = """
import json, resource, sys
import jax, jax.numpy as jnp, numpy as np
from cnn_jax.ops import cpu_kernels
from cnn_jax.runtime.malloc import retain_freed_memory

MEGABYTE = 2**20
if sys.argv[1] == "kept":
    retain_freed_memory()  # as all our command lines do
found = {"library": cpu_kernels.library() is not None}

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def resident():
    return 4096 * int(open("/proc/self/statm").read().split()[1]) // MEGABYTE

def array(megabytes):
    return jnp.ones(megabytes * MEGABYTE // 4) + 1

def calls(count, f, x):
    before = faults()
    small = []
    for i in range(count):
        f(x).block_until_ready()
        small.append(np.ones(7_000 + 100 * i))  # cut off whatever lies free
    return (faults() - before) / count

weights = jnp.eye(64)
step = jax.jit(lambda x: jnp.cos(jnp.sin(x) @ weights) + x[::-1])  # the product is kept aside
x = array(48).reshape(-1, 64).block_until_ready()
calls(5, step, x)
at_first = resident()
found["faults"] = calls(30, step, x)
found["grown"] = resident() - at_first

before = resident()
for megabytes in range(60, 140, 20):  # none fits the next: each takes the place of the last
    array(megabytes).block_until_ready()
found["left"] = resident() - before

held = [np.asarray(array(8) + i) for i in range(4)]  # NumPy's views of blocks in use
for _ in range(8):
    array(8).block_until_ready()
found["values"] = [float(h.min()) == float(h.max()) == 2.0 + i for i, h in enumerate(held)]
print(json.dumps(found))
"""


def run(native, memory):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, memory],
        capture_output=True,
        text=True,
        env=os.environ | {"CNN_JAX_NATIVE": native, "XLA_FLAGS": "", "JAX_PLATFORMS": "cpu"},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.heavy
def test_a_block_is_there_for_the_next_call():
    found = run("kept_blocks", "kept")
    if not found["library"]:
        pytest.skip("there is no C++ compiler")
    # 4. By glibc as it is, the 12,288 pages of a block of 48 MB, or 24 large ones, each time. By
    # glibc that is told to keep them, as many whenever a sliver has been cut off, as luck has it.
    assert found["faults"] < 15
    assert run("forward", "as it is")["faults"] > 40
    assert found["grown"] < 150  # two blocks; without, up to 384
    assert found["left"] < 300  # two of the last size; of all four sizes it would be 720
    assert found["values"] == [True] * 4
