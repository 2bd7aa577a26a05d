"""What is held out, and the digits, are scikit-learn's, without its import."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from cnn_jax.data import splits
from cnn_jax.data.dataset import Split
from cnn_jax.data.sources import sklearn_digits

ROOT = Path(__file__).parents[2]


def split_of(labels):
    return Split(np.zeros((len(labels), 1, 1, 1), np.uint8), labels, np.arange(len(labels)))


@pytest.mark.parametrize("seed", range(12))
def test_what_is_held_out_is_scikit_learns(seed):
    """Of classes of many sizes, some of them equal, so that chance has to break ties."""
    numbers = np.random.RandomState(seed)
    sizes = numbers.choice([2, 3, 5, 8, 8, 40, 200], numbers.randint(2, 12))
    labels = np.repeat(numbers.permutation(30)[: len(sizes)], sizes).astype(np.int32)
    numbers.shuffle(labels)
    for count in {len(sizes), numbers.randint(len(sizes), len(labels) - len(sizes) + 1)}:
        rest, held_out = train_test_split(
            np.arange(len(labels)), test_size=count, random_state=seed, stratify=labels
        )
        left, taken = splits.hold_out(split_of(labels), count, seed, "data.test")
        np.testing.assert_array_equal(left.ids, np.sort(rest))
        np.testing.assert_array_equal(taken.ids, np.sort(held_out))


def test_so_it_is_of_numbers():
    values = np.random.RandomState(0).randn(37).astype(np.float32)
    rest, held_out = train_test_split(np.arange(37), test_size=9, random_state=4)
    left, taken = splits.hold_out(split_of(values), 9, 4, "data.test")
    np.testing.assert_array_equal(left.ids, np.sort(rest))
    np.testing.assert_array_equal(taken.ids, np.sort(held_out))


def test_digits_are_scikit_learns_wherever_they_lie(monkeypatch):
    expected = load_digits()
    here = sklearn_digits.table()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for table in (here, sklearn_digits.table()):
        np.testing.assert_array_equal(table[:, :-1], expected.data)
        np.testing.assert_array_equal(table[:, -1], expected.target)


@pytest.mark.heavy
def test_a_run_is_prepared_without_scikit_learn():
    program = """
import sys
from cnn_jax.runtime.config_files import load_config
from cnn_jax.training.experiment import make_experiment
make_experiment(load_config("lenet5"))
print([name for name in ("sklearn", "scipy", "pandas", "matplotlib") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert (done.stdout, done.returncode) == ("[]\n", 0), done.stderr
