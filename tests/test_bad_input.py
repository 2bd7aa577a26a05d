"""Every mistake ends in one line that names key, value and choices, status 2, and nothing lost."""

import fcntl
import json
import os
import shutil
import socket

import pytest
from ml_collections import ConfigDict

from cnn_jax.errors import UserError
from cnn_jax.runtime import workdir
from cnn_jax.training import config_checks, optimizers
from configs.base import base
from tests.support import commands

TINY = f"--config={commands.CONFIG}"


def error_of(*words, **options):
    """The one line on stderr of a command that must fail with status 2."""
    command = commands.start(*words, **options)
    assert command.wait() == 2, command.err
    assert command.err.startswith("error: ")
    assert command.err.count("\n") == 1
    assert command.out == ""
    return command.err


# words after the config -> what the line must hold
MISTAKES = {
    # the command line
    "stray": "unexpected argument 'stray'",
    "--foo=1": "--foo is no flag",
    "--wrkdir=/tmp": "did you mean 'workdir'?",
    "--mode=foo": "--mode='foo' is unknown; choices: train, evaluate",
    "--dry_run=maybe": "--dry_run='maybe' has the wrong type: expected bool",
    "--dry_run=perhaps": "--dry_run='perhaps'",
    "--config.batch_size": "Missing value for flag --config.batch_size",
    f"{TINY} ": "--config is given twice",
    # keys
    "--config.batchsize=64": "config.batchsize=64: there is no such key (did you mean 'batch_size'",
    "--config.model.dropot=0.1": "(did you mean 'model.dropout'",
    "--config.optimiser.name=sgd": "config has accumulate, augment, augment_border, ",
    "--config.optimizer.nam=sgd": "config.optimizer has b1, b2, bias_correction, decay, ",
    "--config.data=mnist": "config.data is no value, it has the keys channels, dir, ",
    "--config.data.name.of=mnist": "config.data.name is a value, it has no keys",
    "--noconfig.data.downlod": "(did you mean 'data.download'",
    # types
    "--config.batch_size=abc": "config.batch_size='abc' has the wrong type: expected int",
    "--config.batch_size=12.5": "config.batch_size='12.5' has the wrong type: expected int",
    "--config.epochs=long": "config.epochs='long' has the wrong type: expected float",
    "--config.data.download=maybe": "config.data.download='maybe' has the wrong type: expected boo",
    "--config.model.hidden=(a,b)": "model.hidden=('(a,b)',) is out of range: choose a number >= 1",
    # choices
    "--config.data.name=digit": "data.name='digit' is unknown (did you mean 'digits'",
    "--config.data.name=x": "choices: digits, digits_angle, mnist, fashion_mnist, cifar10, ",
    "--config.data.fit=stretch": (
        "data.fit='stretch' is unknown; choices: pad, bilinear, bicubic, nearest"
    ),
    "--config.augment_border=x": "augment_border='x' is unknown; choices: black, mean",
    "--config.data.normalisation=x": "choices: per_channel, per_pixel_mean, minus_one_to_one, ",
    "--config.data.channels=2": "data.channels=2, but the images have 1; choices: 0, 1, 3",
    "--config.model.name=mpl": "model.name='mpl' is unknown (did you mean 'mlp'",
    "--config.model.norm=bach": "mlp: model.norm='bach' is unknown (did you mean 'batch'",
    "--config.model.name=lenet5": "model.hidden=(16,) is no option of lenet5",
    "--config.data.fold=0": "data.folds=None and data.fold=0: choose how many folds, 2 or more",
    "--config.loss.j=0.5": "loss.j=0.5: loss.name='softmax_cross_entropy' has no such constant",
    "--config.optimizer.trust_coefficient=1": "optimizer.name='adam' has none; choose lars, or le",
    "--config.data.name=folder:": "data.name='folder:' names no folder: write folder:PATH",
    "--config.optimizer.name=adm": "optimizer.name='adm' is unknown (did you mean 'adam'",
    "--config.optimizer.weight_decay_kind=l1": "choices: l2, decoupled",
    "--config.schedule.name=cosin": "schedule.name='cosin' is unknown (did you mean 'cosine'",
    "--config.schedule.warmup=exp": "schedule.warmup='exp' is unknown; choices: linear, constant",
    "--config.loss.name=entropy": "choices: softmax_cross_entropy, binary_cross_entropy, ",
    "--config.dtype=float16": "dtype='float16' is unknown (did you mean 'bfloat16' or 'float32'",
    "--config.parallel=jits": "parallel='jits' is unknown (did you mean 'jit'?); choices: ",
    "--config.augment=flip": "augment='flip' is unknown (did you mean 'alternating_flip' or 'h",
    "--config.augment=pad_and_crop(1,2)": "none negative: pad_and_crop(pad: int = 4)",
    "--config.augment=pad_and_crop(-1)": "augment='pad_and_crop(-1)': ",
    "--config.augment=pad_and_crop(a)": "augment='pad_and_crop(a)': ",
    # ranges
    "--config.epochs=0": "epochs=0.0 is out of range: choose a number > 0",
    "--config.epochs=inf": "epochs=inf is out of range",
    "--config.batch_size=-3": "batch_size=-3 is out of range: choose a number >= 1",
    "--config.seed=-1": "seed=-1 is out of range",
    "--config.optimizer.learning_rate=nan": "optimizer.learning_rate=nan is out of range",
    "--config.optimizer.momentum=1": "optimizer.momentum=1.0 is out of range",
    "--config.loss.label_smoothing=1": "choose a number >= 0 and < 1",
    "--config.model.dropout=2": "model.dropout=2.0 is out of range: choose a number >= 0 and < 1",
    "--config.model.hidden=(16,-1)": "model.hidden=(16, -1) is out of range: choose a number >= 1",
    "--config.checkpoint.keep=0": "checkpoint.keep=0 is out of range: choose a number >= 1",
    "--config.schedule.warmup_epochs=5": "schedule.warmup_epochs=5.0 leaves nothing of epochs=2.0",
    "--config.schedule.gamma=1": "schedule.gamma=1.0 must be < 1 for schedule.name='plateau'",
    # what does not fit
    "--config.batch_size=1400": "batch_size=1400 is larger than the training split of digits (1294",
    "--config.devices=9": "devices=9, but there are 1; choose devices=0: all",
    "--config.data.validation=1430": "data.validation=1430.0 holds out 1430 of 1438 examples",
    "--config.data.validation=20.5": "data.validation=20.5 holds out 20 of 1438 examples",
    "--config.data.test=0": "digits has no test split of its own; choose a part of it, data.test=",
    "--config.data.image_size=4": "data.image_size=4 is smaller than the images (8x8)",
    "--config.model.num_classes=9": "model.num_classes=9 does not fit digits, which needs 10",
    "--config.data.name=digits_angle": "which needs 1",
    # transfer
    "--config.init.from=/nowhere": "init.from='/nowhere' does not exist",
    "--config.init.head=new": "init.head='new' is unknown; choices: auto, keep, drop",
    "--config.freeze=layer1": "freeze: 'layer1' names nothing of the net; its stages: hidden1, ",
    "--config.freeze=*": "leaves nothing to train at the start; stages of mlp: hidden1, norm1, ou",
    "--config.unfreeze=(('norm1',1.0),('hidden1',9.0))": "'hidden1' at epoch 9 is not before epo",
    "--config.optimizer.groups=('fc',2.0)": "optimizer.groups: 'fc' names nothing of the net; it",
    "--config.optimizer.layer_decay=0": "choose a number > 0 and <= 1",
}


@pytest.mark.parametrize("words", MISTAKES)
def test_mistake(tmp_path, words):
    folder = tmp_path / "run"
    fit = ["--config.data.fit=pad"] if "image_size" in words else []
    line = error_of(TINY, f"--workdir={folder}", *fit, words.strip())
    assert MISTAKES[words] in line
    assert not folder.exists()


def test_batch_that_does_not_divide_over_the_devices(tmp_path):
    words = [TINY, f"--workdir={tmp_path / 'run'}", "--config.batch_size=100"]
    line = error_of(*words, devices=8)
    assert "batch_size=100 does not divide over 8 devices; choose batch_size=104, or more" in line


def test_image_too_small_for_the_net(tmp_path):
    words = ["--config=configs/alexnet.py", f"--workdir={tmp_path / 'run'}"]
    line = error_of(*words, "--config.data.image_size=32")
    assert "pixels, not 32x32: set config.data.image_size=" in line
    assert not (tmp_path / "run").exists()


CONFIGS = {
    "def get_config(:\n    pass\n": "config.py, line 1: ",
    "import missing_module\n": "line 1: ModuleNotFoundError: No module named 'missing_module'",
    "def get_config():\n    return unknown\n": "line 2: NameError: name 'unknown' is not defined",
    "def get_config():\n    return 3\n": "get_config returns no ConfigDict but 3",
    "config = 3\n": "has no attribute 'get_config'",
}


@pytest.mark.parametrize("text", CONFIGS)
def test_config_file_that_is_wrong(tmp_path, text):
    (tmp_path / "config.py").write_text(text)
    assert CONFIGS[text] in error_of(f"--config={tmp_path / 'config.py'}")


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ([], "--config is missing: name a file, like --config=configs/lenet5.py"),
        (["--config=configs/lenet.py"], "no Python file (did you mean 'configs/lenet5.py'"),
        (["--config=lenet55"], "'lenet55' is no Python file (did you mean 'lenet5'"),
        (["--config=missing.py"], "--config='missing.py': 'missing.py' is no Python file"),
        (["--config=README.md"], "'README.md' is no Python file"),
        (["--config.epochs=1"], "--config.epochs=1 needs --config=FILE before it"),
        ([f"{TINY}:jit:x"], "parallel='jit:x' is unknown"),
        (["--config=configs/lenet5.py:mnst"], "data.name='mnst' is unknown (did you mean 'mnist'"),
    ],
)
def test_config_flag(words, wanted):
    assert wanted in error_of(*words)


# program, words -> what the line must hold; all before anything is read or made
PROGRAMS = {
    ("compare", "run", "--json={tmp}/none/rows.json"): "/none/rows.json': there is no folder",
    ("plan", TINY, "--json={tmp}"): "' is a folder: name a file in it",
    ("sweep", TINY, "--json={tmp}/none/rows.json"): "/none/rows.json': there is no folder",
    ("sweep", TINY, "--out={tmp}/file/below"): "/file is a file: name a folder",
    ("probe", TINY, "--json={tmp}/none/rows.json"): "/none/rows.json': there is no folder",
    ("advise", TINY, "--out={tmp}/none/a.json"): "/none/a.json': there is no folder",
    ("search_augmentation", TINY, "--out={tmp}/none/a.json"): "make it, or name another",
    ("report", "run", "--out={tmp}"): "' is a folder: name a file in it",
    ("explain", TINY, "--out={tmp}/none/x.png"): "/none/x.png': there is no folder",
    ("show_data", TINY, "--out={tmp}/x.txt"): "its format is unknown; choices: .png, .svg, .pdf",
    ("find_lr", TINY, "--out={tmp}/x.txt"): "its format is unknown; choices: .png, .svg, .pdf",
    ("find_lr", TINY, "--last=nan"): "--last=nan is out of range: choose a finite number",
    ("find_lr", TINY, "--last=inf"): "--last=inf is out of range: choose a finite number",
    ("serve", "--workdir={tmp}", "--max_megabytes=nan"): "--max_megabytes=nan is out of range",
    ("serve", "--workdir={tmp}", "--max_megapixels=inf"): "--max_megapixels=inf is out of range",
    ("sweep", TINY, "--set=seed=1,01"): "--set: seed=1 and seed=01 are one run: leave one",
    ("sweep", TINY, "--set=data.folds=5", "--set=data.fold=0,7"): "data.folds=5 and data.fold=7: ",
    ("find_lr", TINY, "--config.schedule.name=cosin"): "schedule.name='cosin' is unknown",
    ("export", "--workdir=run", "--out={tmp}/file"): "/file is a file: name a folder",
}


@pytest.mark.parametrize("words", PROGRAMS)
def test_mistake_of_a_program_s_flags(tmp_path, words):
    (tmp_path / "file").touch()
    tool, *rest = (word.format(tmp=tmp_path) for word in words)
    assert PROGRAMS[words] in error_of(*rest, program=f"cnn_jax.tools.{tool}")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("program", "words", "wanted"),
    [
        (
            "experiments.run",
            ["weights_grow", "--work={tmp}/file"],
            "/file is a file: name a folder",
        ),
        ("experiments.run", ["weights_grow", "--details={tmp}/file"], "/file is a file: name a fo"),
        ("experiments.run", ["weights_grow", "--input=a=b"], "input='a': no claim that is to run "),
        ("experiments.zoo", ["--work={tmp}/file"], "/file is a file: name a folder"),
        ("experiments.zoo", ["--nets=vgg16"], "nets='vgg16' is unknown; choices: perceptron, "),
        (
            "tests.faults.harness",
            ["--rounds=0"],
            "--rounds=0 is out of range: choose a num",
        ),
        ("tests.faults.harness", ["--kinds=no"], "--kinds=no: 'no' is unknown; choices: damage, "),
    ],
)
def test_mistake_beside_the_commands(tmp_path, program, words, wanted):
    (tmp_path / "file").touch()
    words = [word.format(tmp=tmp_path) for word in words]
    assert wanted in error_of(*words, program=program)


def test_config_of_one_s_own_from_another_folder(tmp_path):
    """It may import `configs.base`, and its neighbours in a package."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/__init__.py").touch()
    (tmp_path / "mine/sizes.py").write_text("BATCH = -7\n")
    (tmp_path / "mine/own.py").write_text(
        "from configs.base import base\nfrom mine.sizes import BATCH\n"
        "def get_config():\n    config = base('own', 'digits', 8)\n"
        "    config.batch_size = BATCH\n    return config\n"
    )
    line = error_of(f"--config={tmp_path / 'mine/own.py'}", cwd=tmp_path)
    assert "batch_size=-7 is out of range" in line
    line = error_of("--config=mine/own.py", cwd=tmp_path)
    assert "batch_size=-7 is out of range" in line
    path = commands.ROOT / "configs/lenet5.py"
    assert "epochs=-1.0" in error_of(f"--config={path}", "--config.epochs=-1", cwd=tmp_path)


# Work folders


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a short run that is done."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    command = commands.start(TINY, f"--workdir={folder}", "--config.epochs=0.3")
    assert command.wait() == 0, command.err
    return folder


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_workdir_of_another_config(finished):
    before = contents(finished)
    line = error_of(
        TINY, f"--workdir={finished}", "--config.batch_size=32", "--config.model.dropout=0.1"
    )
    assert f"workdir={str(finished)!r} holds a run of another config; keys that differ: " in line
    assert "batch_size (64 there, 32 here), epochs (0.3 there, 2.0 here), " in line
    assert "model.dropout (0.2 there, 0.1 here); choose another --workdir" in line
    assert contents(finished) == before


def test_keys_that_change_no_figure_are_free(tiny, tmp_path):
    optimizers.complete(tiny)
    (tmp_path / "config.json").write_text(json.dumps(workdir.flat(tiny)))
    (tmp_path / "checkpoints/00000001").mkdir(parents=True)
    tiny.eval_batch_size, tiny.checkpoint.keep = 7, 5
    workdir.check(tmp_path, tiny)


def test_run_without_a_checkpoint_gives_way(tiny, tmp_path):
    """Where nothing was saved nothing is lost: the next try may have another rate."""
    optimizers.complete(tiny)
    (tmp_path / "config.json").write_text(json.dumps(workdir.flat(tiny)))
    tiny.optimizer.learning_rate = 0.5
    workdir.check(tmp_path, tiny)
    (tmp_path / "checkpoints/00000001").mkdir(parents=True)
    with pytest.raises(UserError, match=r"differ: optimizer.learning_rate \(0.001 there, 0.5 here"):
        workdir.check(tmp_path, tiny)


@pytest.mark.slow
def test_command_whose_loss_is_not_finite(tmp_path):
    words = [TINY, f"--workdir={tmp_path}", "--config.epochs=0.3"]
    command = commands.start(*words, "--config.optimizer.learning_rate=1e30")
    assert command.wait() == 2
    assert command.err.startswith("error: loss or gradient is not finite at step 2 (epoch 0.10); ")
    assert command.err.count("\n") == 1
    again = commands.start(*words)
    assert again.wait() == 0, again.err


def test_workdir_in_use(finished):
    with open(finished / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        line = error_of(TINY, f"--workdir={finished}", "--config.epochs=0.3")
    assert line == f"error: workdir={str(finished)!r} is in use by another process\n"


def test_workdir_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("text")
    assert "is a file: name a folder" in error_of(TINY, f"--workdir={tmp_path / 'file'}")
    line = error_of(TINY, f"--workdir={tmp_path / 'file/below'}")
    assert f"workdir={str(tmp_path / 'file/below')!r} cannot be used: Not a directory" in line
    assert (tmp_path / "file").read_text() == "text"


@pytest.mark.parametrize("kind", ["pipe", "socket", "folder", "device", "link to nothing"])
def test_a_lock_that_is_no_file(tmp_path, kind):
    """Each is refused at once, and a pipe that nobody reads is not waited for."""
    place = tmp_path / ".lock"
    make = {"pipe": os.mkfifo, "folder": os.mkdir, "device": lambda p: p.symlink_to(os.devnull)}
    make["link to nothing"] = lambda p: p.symlink_to(tmp_path / "no" / "such")
    with socket.socket(socket.AF_UNIX) as end:
        make.get(kind, lambda path: end.bind(str(path)))(place)
        with pytest.raises(UserError, match=r"workdir='.*' cannot be used: .*\.lock: (not a|Is a)"):
            workdir.lock(tmp_path)


def test_evaluate_needs_a_run(tmp_path, finished):
    line = error_of(TINY, "--mode=evaluate", f"--workdir={tmp_path / 'none'}")
    assert "holds no run: train first, or name another --workdir" in line
    assert not (tmp_path / "none").exists()
    shutil.copytree(finished, tmp_path / "run")
    shutil.rmtree(tmp_path / "run/checkpoints")
    words = [TINY, "--config.epochs=0.3", "--mode=evaluate", f"--workdir={tmp_path / 'run'}"]
    assert "holds no whole checkpoint: train first" in error_of(*words)


def test_config_of_a_run_that_cannot_be_read(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "run")
    (tmp_path / "run/config.json").write_text("{")
    line = error_of(TINY, f"--workdir={tmp_path / 'run'}")
    assert f"{tmp_path / 'run/config.json'} cannot be read" in line
    assert line.strip().endswith("remove it, and it is written again")


# The table of ranges


def numbers(config, prefix=""):
    for key, value in config.items():
        if isinstance(value, ConfigDict):
            yield from numbers(value, f"{prefix}{key}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield prefix + key


def test_every_number_of_a_config_has_a_range():
    assert {*numbers(base("any", "digits", 32))} <= {*config_checks.RANGES}


def test_ranges():
    assert config_checks.within(0, ">= 0")
    assert not config_checks.within(0, "> 0")
    assert config_checks.within(0.5, ">= 0 and < 1")
    assert not config_checks.within(1, ">= 0 and < 1")
    assert not config_checks.within(True, ">= 0")
    assert not config_checks.within("1", ">= 0")
    assert not config_checks.within(float("inf"), ">= 0")


@pytest.mark.parametrize(
    ("words", "key"),
    [
        ("--workdir=az://bucket/run", "workdir='az://bucket/run' is unknown; choices: s3://"),
        ("--mode=evaluate --workdir=az://bucket/run", "workdir='az://bucket/run' is unknown;"),
        ("--config.init.from=az://bucket/run", "init.from='az://bucket/run' is unknown;"),
        ("--config.data.name=folder:az://bucket/x", "data.name=folder='az://bucket/x' is unknown;"),
        ("--workdir=s3://", "workdir='s3://' names no place: s3://BUCKET/PATH"),
    ],
)
def test_an_address_is_no_folder(tmp_path, words, key):
    """As a path it would be a folder here: the run would be written beside where it was started."""
    config = os.path.abspath(TINY.removeprefix("--config="))
    line = error_of(f"--config={config}", *words.split(), cwd=tmp_path)
    assert line.startswith(f"error: {key}")
    assert not [*tmp_path.glob("*:*")]
