"""Damaged checkpoints, full disks and numbers that are not finite: found, named, nothing lost."""

import contextlib
import errno
import os
import random
import re
import resource
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import tests.support.tiny_config
from cnn_jax.errors import UserError
from cnn_jax.runtime import checkpoints as checkpoints_module
from cnn_jax.runtime.checkpoints import Checkpoints
from cnn_jax.runtime.checksums import CHECKSUMS
from cnn_jax.runtime.metric_writers import append
from cnn_jax.train import train_and_evaluate
from cnn_jax.training import run_identity
from cnn_jax.training.evaluation import evaluate_only
from tests.faults.harms import HARMS, delete, flip_bit
from tests.support import commands

CASES = 150


def tree_of(seed):
    numbers = np.random.RandomState(seed)
    return {
        "kernel": jnp.asarray(numbers.normal(size=(40, 30)), jnp.float32),
        "bias": jnp.asarray(numbers.normal(size=30), jnp.float32),
        "step": jnp.int32(seed),
    }


ABSTRACT = jax.eval_shape(lambda: tree_of(0))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder with whole saves of the steps 1 and 2."""
    folder = tmp_path_factory.mktemp("saved")
    checkpoints = Checkpoints(folder)
    for step in (1, 2):
        checkpoints.save(step, tree_of(step), {"note": step}, best=step)
    checkpoints.close()
    return folder


@pytest.fixture
def copy(saved, tmp_path):
    shutil.copytree(saved, tmp_path / "copy")
    return tmp_path / "copy"


def assert_holds(checkpoints, step):
    restored = checkpoints.restore(step, ABSTRACT)
    assert restored.meta == {"note": step}
    jax.tree.map(np.testing.assert_array_equal, restored.tree, tree_of(step))


@pytest.mark.parametrize("harm", HARMS)
def test_every_damage_is_found_and_named(saved, tmp_path, capsys, harm):
    choose = random.Random(harm.__name__)
    names = [p.relative_to(saved) for p in sorted((saved / "checkpoints/00000002").rglob("*"))]
    names = [name for name in names if (saved / name).is_file() and (saved / name).stat().st_size]
    assert len(names) > 8
    for case in range(CASES // 5):
        folder = tmp_path / str(case)
        shutil.copytree(saved, folder)
        path = folder / choose.choice(names)
        before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
        harm(path, choose)
        changed = [p for p in before if not p.exists() or p.read_bytes() != before[p]]
        assert Checkpoints(folder).latest_valid() == 1
        said = capsys.readouterr().err
        assert said.startswith("warning: checkpoint 2 is damaged: ")
        assert said.count("\n") == 1
        assert any(f"{p} " in said for p in changed)
        shutil.rmtree(folder)


def test_fallback_holds_the_older_numbers(copy, capsys):
    checkpoints = Checkpoints(copy)
    assert checkpoints.latest_valid() == 2
    assert_holds(checkpoints, 2)
    assert capsys.readouterr().err == ""
    flip_bit(next((copy / "checkpoints/00000002/state").rglob("d/*")), random.Random(0))
    assert checkpoints.latest_valid() == 1
    assert_holds(checkpoints, 1)
    assert checkpoints.steps() == [1]  # the damaged one is set aside, and said once
    capsys.readouterr()
    assert checkpoints.latest_valid() == 1
    assert capsys.readouterr().err == ""


def test_best_is_preferred_unless_damaged(copy):
    checkpoints = Checkpoints(copy)
    assert checkpoints.latest_valid(prefer=1) == 1
    (copy / "checkpoints/00000001/_CHECKPOINT_METADATA").unlink()
    assert checkpoints.latest_valid(prefer=1) == 2


def test_a_file_that_was_not_saved_is_damage(copy, capsys):
    """Orbax would read it."""
    path = copy / "checkpoints/00000002/state/more"
    path.write_bytes(b"")
    assert Checkpoints(copy).latest_valid() == 1
    assert f"{path} is not one of the files that were saved\n" in capsys.readouterr().err


def test_what_was_set_aside_or_is_replaced_is_no_new_run(copy):
    """A new run would write its own data and statistics over those of the saves."""
    checkpoints = Checkpoints(copy)
    shutil.rmtree(checkpoints.path(1))
    for aside in (".damaged", ".damaged3", ".replaced"):
        checkpoints.path(2).rename(checkpoints.path(2).with_suffix(aside))
        assert not checkpoints.is_empty()
        checkpoints.path(2).with_suffix(aside).rename(checkpoints.path(2))
    shutil.rmtree(checkpoints.path(2))
    assert checkpoints.is_empty()


def test_cut_list_of_hashes_is_damage(copy, capsys):
    """A list that lost whole lines is right in all it says."""
    path = copy / "checkpoints/00000002" / CHECKSUMS
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    assert Checkpoints(copy).latest_valid() == 1
    assert f"{path} has changed" in capsys.readouterr().err


def test_unacknowledged_saves_do_not_count_and_are_removed(copy):
    checkpoints = Checkpoints(copy)
    (copy / "checkpoints/00000002" / CHECKSUMS).unlink()
    checkpoints.mark(2).touch()  # as `save` does before it writes
    (copy / "checkpoints/00000003.orbax-checkpoint-tmp").mkdir()
    assert checkpoints.latest_valid() == 1
    checkpoints.tidy()
    assert [path.name for path in checkpoints.folder.iterdir()] == ["00000001"]


def test_a_save_is_marked_until_its_hashes_are_there(copy, monkeypatch):
    checkpoints, seen = Checkpoints(copy), []

    def killed(folder):
        seen.append(checkpoints.mark(3).exists())
        raise KeyboardInterrupt  # no failure of the save: nothing tidies up

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints_module, "write_checksums", killed)
        checkpoints.save(3, tree_of(3), {"note": 3}, best=3)
        with pytest.raises(KeyboardInterrupt):
            checkpoints.wait()
    assert seen == [True]
    checkpoints.save(4, tree_of(4), {"note": 4}, best=4)
    checkpoints.close()
    assert not checkpoints.mark(4).exists()
    assert checkpoints.path(3).exists()
    checkpoints.tidy()
    assert sorted(path.name for path in checkpoints.folder.iterdir()) == ["00000002", "00000004"]


def test_lost_hashes_are_damage_and_nothing_is_removed(copy, capsys):
    """A copy without the manifests holds all the numbers."""
    checkpoints = Checkpoints(copy)
    sums = copy / "checkpoints/00000002" / CHECKSUMS
    kept = sums.read_text()
    for step in (1, 2):
        (checkpoints.path(step) / CHECKSUMS).unlink()
    checkpoints.tidy()
    assert not checkpoints.is_empty()
    aside = "00000001.damaged, 00000002.damaged"
    for _ in range(2):
        with pytest.raises(UserError, match=rf"every checkpoint .* is damaged \({aside}\): bring"):
            checkpoints.latest_valid()
    assert f"checkpoint 2 is damaged: {sums} is missing\n" in capsys.readouterr().err
    checkpoints.path(2).with_suffix(".damaged").rename(checkpoints.path(2))
    sums.write_text(kept)
    assert checkpoints.latest_valid() == 2
    assert_holds(checkpoints, 2)


@pytest.mark.parametrize("code", [errno.EACCES, errno.EMFILE, errno.EIO])
@pytest.mark.parametrize("call", ["open", "scandir", "stat"])
def test_unreadable_is_not_damaged(copy, monkeypatch, capsys, code, call):
    """Of another user, with too many open files, on a disk that fails for a while."""
    checkpoints, names = Checkpoints(copy), sorted((copy / "checkpoints").iterdir())
    name = {"open": "d", "scandir": "00000002/state", "stat": "_METADATA"}[call]
    real = getattr(os, call)

    def refused(path, *args, **options):
        if "00000002" in str(path) and name in str(path):
            raise OSError(code, os.strerror(code), str(path))
        return real(path, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, call, refused)
        with pytest.raises(UserError, match=rf"00000002/.* cannot be read \({os.strerror(code)}\)"):
            checkpoints.latest_valid()
    assert capsys.readouterr().err == ""
    assert sorted(checkpoints.folder.iterdir()) == names
    assert checkpoints.latest_valid() == 2


@pytest.mark.parametrize("which", [CHECKSUMS, "_CHECKPOINT_METADATA", "state/manifest.ocdbt"])
def test_a_pipe_in_a_save_is_damage_and_not_waited_for(copy, capsys, which):
    checkpoints = Checkpoints(copy)
    path = checkpoints.path(2) / which
    path.unlink()
    os.mkfifo(path)
    assert checkpoints.latest_valid() == 1
    assert f"checkpoint 2 is damaged: {path} is no regular file\n" in capsys.readouterr().err


def test_what_was_set_aside_before_stays(copy):
    checkpoints = Checkpoints(copy)
    for _ in range(2):
        shutil.copytree(checkpoints.path(1), checkpoints.path(2), dirs_exist_ok=True)
        checkpoints.set_aside(2)
    assert checkpoints.damaged() == ["00000002.damaged", "00000002.damaged1"]


def test_older_save_in_the_place_of_a_newer_is_refused(tmp_path, capsys):
    checkpoints = Checkpoints(tmp_path)
    for step in (1, 2):
        checkpoints.save(step, tree_of(step), {"progress": {"step": step}}, best=step)
    checkpoints.close()
    shutil.copytree(checkpoints.path(1), checkpoints.path(3))
    assert checkpoints.latest_valid() == 2
    said = f"warning: checkpoint 3 is damaged: {checkpoints.path(3)} holds the save of step 1\n"
    assert capsys.readouterr().err == said


def test_all_damaged_is_an_error_again_and_again(copy):
    for step in (1, 2):
        delete(next((copy / f"checkpoints/{step:08d}/state").rglob("d/*")), None)
    for _ in range(2):
        with pytest.raises(UserError, match=r"every checkpoint in .* is damaged"):
            Checkpoints(copy).latest_valid()


def test_keeps_the_newest_and_the_best(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    for step in range(1, 7):
        checkpoints.save(step, tree_of(step), {"note": step}, best=3 if step >= 3 else 1)
    checkpoints.wait()
    assert checkpoints.steps() == [3, 5, 6]
    assert_holds(checkpoints, 3)
    checkpoints.close()


def test_half_removed_save_does_not_count(copy, monkeypatch):
    """Killed while it removes an old save, a run leaves no folder that looks whole or damaged."""
    monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: None)
    checkpoints = Checkpoints(copy, keep=1)
    checkpoints.prune(best=2)
    assert checkpoints.steps() == [2]


@contextlib.contextmanager
def no_file_larger_than(size):
    """What a full disk is to a writer: a write fails in the middle of a file."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)


@pytest.mark.parametrize("size", [0, 40, 100, 300, 1000, 3000])
def test_full_disk_leaves_older_saves(copy, size):
    checkpoints = Checkpoints(copy)

    def save():
        checkpoints.save(3, tree_of(3), {"note": 3}, best=3)
        checkpoints.wait()

    with no_file_larger_than(size), pytest.raises(UserError) as error:
        save()
    said = str(error.value)
    assert said.startswith(f"the checkpoint of step 3 could not be written to {checkpoints.folder}")
    assert "(File too large; " in said
    assert said.endswith(" bytes free there); the last whole one is of step 2")
    # A thread of Orbax may still write into its unfinished folder, which the next start removes.
    finished = sorted(p.name for p in checkpoints.folder.iterdir() if p.name.isdigit())
    assert finished == ["00000001", "00000002"]
    assert_holds(checkpoints, 2)
    save()  # and once there is room again
    checkpoints.close()
    assert checkpoints.latest_valid() == 3
    assert_holds(checkpoints, 3)


def test_log_on_a_full_disk():
    with open("/dev/full", "wb", buffering=0) as full, pytest.raises(UserError) as error:
        append(full, b"row\n")
    assert "could not be written to /dev/full (No space left on device; " in str(error.value)


def test_command_on_a_full_disk(tmp_path):
    """One line and status 2."""
    words = [f"--config={commands.CONFIG}", f"--workdir={tmp_path}"]
    command = commands.start(*words, file_limit=4000)  # over config.json
    assert command.wait() == 2
    assert command.err.startswith("error: the checkpoint of step 4 could not be written to ")
    assert command.err.endswith(" bytes free there); there is none before it\n")
    assert command.err.count("\n") == 1


# Training


def tiny_config():
    config = tests.support.tiny_config.get_config()
    config.devices = 1
    config.epochs = 1.0
    return config


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a finished run."""
    folder = tmp_path_factory.mktemp("finished")
    train_and_evaluate(tiny_config(), folder)
    return folder


@pytest.fixture
def run(finished, tmp_path):
    """The config of a finished run, a copy of its folder, and its log."""
    shutil.copytree(finished, tmp_path / "run")
    return tiny_config(), tmp_path / "run", (finished / "metrics.jsonl").read_bytes()


@pytest.mark.heavy
def test_training_falls_back_and_ends_with_the_same_bits(run, capsys):
    config, folder, rows = run
    *_, older, newest = Checkpoints(folder).steps()
    wanted = (folder / "report.json").read_bytes()
    flip_bit(next((folder / f"checkpoints/{newest:08d}/state").rglob("d/*")), random.Random(1))
    (folder / "report.json").unlink()
    train_and_evaluate(config, folder)
    said = capsys.readouterr()
    assert f"warning: checkpoint {newest} is damaged: {folder}" in said.err
    assert f"going on from step {older} in" in said.out
    assert (folder / "metrics.jsonl").read_bytes() == rows
    assert (folder / "report.json").read_bytes() == wanted


def test_a_run_is_held_to_the_config_of_its_checkpoint(run, capsys):
    config, folder, rows = run
    path = folder / "config.json"
    kept = path.read_text()
    path.unlink()
    config.optimizer.learning_rate = 0.5
    with pytest.raises(UserError, match=r"keys that differ: optimizer.learning_rate \(0.001 there"):
        train_and_evaluate(config, folder)
    assert not path.exists()
    path.write_text(
        kept.replace('"optimizer.learning_rate": 0.001', '"optimizer.learning_rate": 0.5')
    )
    assert path.read_text() != kept
    message = "config.json is not the config of the checkpoint of step 21; keys that differ: opt"
    with pytest.raises(UserError, match=message):
        train_and_evaluate(config, folder)
    path.unlink()
    train_and_evaluate(tiny_config(), folder)
    assert f"warning: {path} is missing: it is written again\n" == capsys.readouterr().err
    assert path.read_text() == kept
    assert (folder / "metrics.jsonl").read_bytes() == rows


@pytest.mark.heavy
def test_a_run_is_held_to_the_constants_of_its_checkpoint(run, capsys):
    config, folder, _ = run
    path = folder / "constants.npz"
    kept = path.read_bytes()
    with np.load(path) as arrays:
        np.savez(path, **{**arrays, "scale": arrays["scale"] * 2})
    for work in (train_and_evaluate, evaluate_only):
        with pytest.raises(UserError, match=r"constants.npz: the values of this run are not those"):
            work(config, folder)
    path.unlink()
    train_and_evaluate(config, folder)
    assert capsys.readouterr().err == f"warning: {path} is missing: it is written again\n"
    assert path.read_bytes() == kept


def test_a_run_is_held_to_the_split_of_its_checkpoint(run, monkeypatch):
    """Also where split.json is gone, and so can say nothing."""
    config, folder, _ = run
    digests = run_identity.data_digests

    def other_split(experiment):
        return digests(experiment) | {"split.json": "another"}

    monkeypatch.setattr(run_identity, "data_digests", other_split)
    with pytest.raises(UserError, match=r"split.json: the values of this run are not those"):
        train_and_evaluate(config, folder)
    assert not (folder / "split.json").exists()


def test_training_does_not_start_anew_over_a_damaged_run(run):
    config, folder, rows = run
    for path in (folder / "checkpoints").glob("*/_CHECKPOINT_METADATA"):
        path.unlink()
    with pytest.raises(UserError, match=r"every checkpoint in .* is damaged"):
        train_and_evaluate(config, folder)
    assert (folder / "metrics.jsonl").read_bytes() == rows


@pytest.mark.heavy
def test_loss_that_is_not_finite(tmp_path):
    """The step is named; what was saved before stays, and is finite."""
    tiny = tiny_config()
    tiny.checkpoint.every_steps = 1
    tiny.optimizer.name = "sgd"
    tiny.optimizer.learning_rate = 1e30
    tiny.schedule.warmup = "constant"
    tiny.schedule.warmup_epochs = 0.5
    tiny.schedule.warmup_from = 1e-32
    with pytest.raises(UserError, match=r"is not finite at step \d+ \(epoch 0.") as error:
        train_and_evaluate(tiny, tmp_path)
    checkpoints = Checkpoints(tmp_path)
    kept = checkpoints.latest_valid()
    assert kept
    assert f"the checkpoint of step {kept} is kept" in str(error.value)
    assert str(error.value).endswith(" or clip_norm in another --workdir")
    for step in checkpoints.steps():
        numbers = jax.tree.leaves(checkpoints.restore(step, None).tree)
        assert all(np.isfinite(leaf).all() for leaf in numbers)


@pytest.mark.heavy
def test_a_statistic_that_is_not_finite_is_not_saved(tmp_path, monkeypatch):
    """Running statistics have no part in the loss of training."""
    tiny = tiny_config()
    from cnn_jax.training import compiled_steps

    real = compiled_steps.init_state

    def with_fault(*arguments):
        state = real(*arguments)
        return state.replace(batch_stats=jax.tree.map(lambda s: s + jnp.inf, state.batch_stats))

    monkeypatch.setattr(compiled_steps, "init_state", with_fault)
    tiny.model.norm = "batch"
    tiny.checkpoint.every_steps = 1
    with pytest.raises(UserError, match=r"batch_stats/.*/mean is not finite at step 1 .*no checkp"):
        train_and_evaluate(tiny, tmp_path)
    assert not (tmp_path / "checkpoints").exists()


def test_a_step_that_is_saved_again_is_never_lost(copy, monkeypatch):
    """Killed before the new save is whole, the old one is there; afterwards the new one alone."""
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "_finish", lambda self, orbax, *_: orbax.wait_until_finished())
        killed = Checkpoints(copy)
        killed.save(2, tree_of(2), {"note": 3}, best=2)
        killed.close()
    assert Checkpoints(copy).steps() == [1]
    checkpoints = Checkpoints(copy)
    checkpoints.tidy()
    assert_holds(checkpoints, 2)
    assert checkpoints.latest_valid() == 2
    checkpoints.save(2, tree_of(2), {"note": 4}, best=2)
    checkpoints.close()
    assert sorted(p.name for p in checkpoints.folder.iterdir()) == ["00000001", "00000002"]
    assert checkpoints.read_meta(2) == {"note": 4}


def test_a_run_whose_folder_is_moved_saves_nowhere_else(tmp_path):
    """It would go on in a new folder, without config and lock, at the old place."""
    run = tmp_path / "run"
    run.mkdir()
    checkpoints = Checkpoints(run)
    checkpoints.save(1, tree_of(1), {}, best=1)
    checkpoints.wait()
    run.rename(tmp_path / "moved")
    for _ in range(2):
        with pytest.raises(UserError, match=r"run was moved or removed .*step 2 is not saved"):
            checkpoints.save(2, tree_of(2), {}, best=1)
        assert not run.exists()
    (tmp_path / "moved").rename(run)
    checkpoints.save(2, tree_of(2), {}, best=1)
    checkpoints.close()
    assert checkpoints.steps() == [1, 2]


@pytest.mark.parametrize(
    ("count", "error", "told"),
    [
        (2, ["Barrier timed out"], "was not written: another process of the run has ended or ha"),
        (2, ["save failed", "DEADLINE_EXCEEDED: 1/2"], "another process of the run has ended or h"),
        (2, [OSError(errno.ENOSPC, "No space left")], r"\(No space left; [0-9,]+ bytes free there"),
        (1, ["Barrier timed out"], r"could not be written to .*\(Barrier timed out; "),
    ],
)
def test_a_peer_that_has_ended_is_no_full_disk(tmp_path, monkeypatch, count, error, told):
    """`error`: what was raised, and from what."""
    chain = [text if isinstance(text, OSError) else RuntimeError(text) for text in error]
    chain[0].__cause__ = chain[1] if len(chain) > 1 else None
    monkeypatch.setattr(jax, "process_count", lambda: count)
    failure = Checkpoints(tmp_path)._failure(3, chain[0])
    assert re.search(f"checkpoint of step 3 .*{told}", str(failure))
    assert str(failure).endswith("; there is none before it")
