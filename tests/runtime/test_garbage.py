"""A command's imports and traces are not searched for garbage over and over."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
import gc, json, weakref
from cnn_jax import cli
found = {"whole": 0, "cycles_left": None}

class Node: pass

def note(phase, info):
    found["whole"] += phase == "start" and info["generation"] == 2

def main(argv):
    from cnn_jax import models, train
    from cnn_jax.training import net_checks
    net_checks.trace(models.create("googlenet", num_classes=9), (96, 96, 3), 2)
    gc.callbacks.remove(note)

    held = []
    for _ in range(5000):  # each a cycle that nobody holds
        node = Node()
        node.self = node
        held.append(weakref.ref(node))
    found["cycles_left"] = sum(node() is not None for node in held)
    print(json.dumps(found))

gc.callbacks.append(note)
cli.run(main)
"""


@pytest.mark.heavy
def test_a_start_has_no_whole_search_and_what_dies_young_is_found():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["whole"] == 0
    assert found["cycles_left"] < 2500
