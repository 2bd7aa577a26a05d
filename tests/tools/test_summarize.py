"""The command as a user types it."""

import json

import pytest

from tests.support import commands


def run(*words):
    """The ended command."""
    command = commands.start(*words, program="cnn_jax.tools.summarize")
    command.wait()
    return command


def test_json_of_a_variant():
    command = run(
        "alexnet", "--option=towers=1", "--option=lrn=False", "--num_classes=10", "--json"
    )
    record = json.loads(command.out)
    assert record["options"] == {"towers": 1, "lrn": False}
    assert record["parameters"] == 62378344 - 990 * 4097
    assert record["sees"]["receptive_field"] == [195, 195]
    assert record["published"] is None  # the paper's figures are of another net
    assert sum(stage["multiply_adds"] for stage in record["stages"]) == record["multiply_adds"]


def test_text_for_a_pipe():
    lines = run("lenet5_1998").out.splitlines()
    assert lines[0] == "lenet5_1998, 32x32x1"
    assert lines[4].split() == "s2 14x14x6 2x2 2 12 0 6 2 0 4.7 kB".split()
    assert "parameters                         60,000   paper: 60,000" in lines
    words = [line.split() for line in lines]
    assert "pooling trainable | avg | max | stride 'trainable'".split() in words


def test_lists_are_a_line_each():
    lines = run("--list=schedules").out.splitlines()
    assert [line.split()[0] for line in lines] == [
        "constant",
        "exponential",
        "step",
        "cosine",
        "linear",
        "plateau",
    ]
    assert lines[3].endswith("at the end of the run")


def test_a_recipe_has_its_paper_beside_it():
    lines = [line.split() for line in run("inception_v3", "--recipe").out.splitlines()]
    assert lines[0] == "the recipe of --config=inception_v3:imagenet2012".split()
    assert ["clip_norm", "2", "2", "same", "sec.", "8"] in lines
    assert lines[-1][3:6] == ["differ", "from", "the"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["resnet5"], "model.name='resnet5' is unknown (did you mean 'resnet50'"),
        (["alexnet", "--input_size=32"], "alexnet needs images of at least 67x67 pixels"),
        (["alexnet", "--option=lnr=False"], "model.lnr=False is no option of alexnet (did you"),
        (["alexnet", "--option=lrn"], "--option=lrn: write KEY=VALUE"),
        (["resnet18", "--num_classes=0"], "num_classes=0 of resnet18: choose a number >= 1"),
        (["resnet18", "--recipe", "--num_classes=10"], "--recipe takes no options, size or"),
        (["mlp", "--recipe"], "mlp: no config has its paper's recipe; those that have one: alexn"),
        ([], "name a net, or give --all"),
        (["vgg16", "--list=nets"], "--list=nets takes no name, options, size or classes"),
    ],
)
def test_mistakes_are_one_line(words, message):
    command = run(*words)
    assert (command.status, command.out) == (2, "")
    assert command.err.startswith(f"error: {message}")
    assert command.err.count("\n") == 1
