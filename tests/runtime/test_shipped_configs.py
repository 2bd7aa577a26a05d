"""The configs that travel with the package, in an installation and whatever stands about."""

import os
import shutil
import subprocess
import sys

import pytest

from tests.support.commands import ROOT

# What a user's own `configs` may hold: it is not run for a config of the package.
NOT_OURS = {
    "a package that raises": {"configs/__init__.py": "raise RuntimeError('theirs')"},
    "a file of that name": {"configs.py": "raise RuntimeError('theirs')"},
    "a package that lacks something": {"configs/__init__.py": "import torchish"},
}
OWN = """
from configs.base import base
from configs.sizes import SIZE

def get_config():
    return base("own", "digits", SIZE)
"""


def python(code, folder, path):
    """What Python prints of `code`, started in `folder`, with the package on this path alone."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.stdout + "".join(done.stderr.splitlines(keepends=True)[-1:])


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder that `pip install .` copies into the site's packages, as setup.py builds it."""
    pytest.importorskip("setuptools", reason="pip install setuptools")
    folder = tmp_path_factory.mktemp("installed")
    for name in ("cnn_jax", "configs"):
        shutil.copytree(
            ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "native")
        )
    for name in ("setup.py", "README.md"):
        shutil.copy(ROOT / name, folder)
    command = [sys.executable, "setup.py", "-q", "build_py", "--build-lib=lib"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=60)
    shutil.rmtree(folder / "configs")  # the checkout's, beside it
    return folder / "lib"


def files(folder):
    found = (p.relative_to(folder) for p in folder.rglob("*") if p.is_file())
    return {str(p) for p in found if "__pycache__" not in p.parts and not p.name.startswith(".")}


def test_an_installation_holds_every_file_of_the_package(installed):
    configs = {f"configs/{name}" for name in files(ROOT / "configs")}
    assert files(installed / "cnn_jax") == files(ROOT / "cnn_jax") | configs
    assert [path.name for path in installed.iterdir()] == ["cnn_jax"]


def test_configs_are_imported_from_an_installation(installed, tmp_path):
    """In any folder, by either name, each with the neighbours that it imports."""
    code = (
        "import cnn_jax, configs.base, cnn_jax.configs.resnet164_v2_cifar as net;"
        "from configs import lenet5;"
        "print(configs.__path__, lenet5.get_config('mnist').data.name, net.get_config().name)"
    )
    path = str(installed / "cnn_jax/configs")
    assert python(code, tmp_path, installed) == f"{[path]} mnist resnet164_v2_cifar\n"


def test_the_configs_of_an_installation_may_be_absent(installed, tmp_path):
    """One line says so, wherever they are wanted, and what to do."""
    shutil.copytree(installed, tmp_path / "lib")
    shutil.rmtree(tmp_path / "lib/cnn_jax/configs")
    absent = (
        f"the configs of cnn_jax are neither in {tmp_path}/lib/cnn_jax nor beside it: install the "
        "whole of it, by `pip install .` in its checkout\n"
    )
    code = "import cnn_jax; from configs import lenet5"
    assert python(code, tmp_path, tmp_path / "lib") == f"ModuleNotFoundError: {absent}"
    code = "from cnn_jax.runtime import config_files as f; f.load_config('lenet5')"
    error = f"cnn_jax.errors.UserError: --config='lenet5': {absent}"
    assert python(code, tmp_path, tmp_path / "lib") == error
    code = "from cnn_jax.runtime import config_files as f; f.base_config()"
    assert python(code, tmp_path, tmp_path / "lib") == f"cnn_jax.errors.UserError: {absent}"


@pytest.mark.parametrize("case", NOT_OURS)
def test_what_else_is_called_configs_is_not_run_for_one_of_the_package(case, tmp_path):
    for name, text in NOT_OURS[case].items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    code = (
        "from cnn_jax.runtime.config_files import load_config as load;"
        "print(load('resnet164_v2_cifar').name)"
    )
    assert python(code, tmp_path, ROOT / "cnn_jax/..") == "resnet164_v2_cifar\n"


def test_own_configs_are_found_after_one_of_the_package(tmp_path):
    """A folder of one's own, then another, each with a neighbour of the same name."""
    for size in (16, 24):
        folder = tmp_path / f"of{size}/configs"
        folder.mkdir(parents=True)
        (folder / f"size{size}.py").write_text(f"SIZE = {size}\n")
        (folder / "own.py").write_text(OWN.replace("sizes", f"size{size}"))
    code = (
        "from cnn_jax.runtime.config_files import load_config as load;"
        "names = 'mlp', 'of16/configs/own.py', 'of24/configs/own.py', 'lenet5';"
        "print([load(name).data.image_size for name in names])"
    )
    assert python(code, tmp_path, ROOT) == "[8, 16, 24, 32]\n"


def test_an_own_package_that_raises_is_named(tmp_path):
    """The file and its line, not the config that would have imported from it."""
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs/__init__.py").write_text("\nimport torchish\n")
    (tmp_path / "configs/own.py").write_text(OWN)
    code = "from cnn_jax.runtime import config_files as f; f.load_config('configs/own.py')"
    assert python(code, tmp_path, ROOT) == (
        f"cnn_jax.errors.UserError: --config='configs/own.py': {tmp_path}/configs/__init__.py, "
        "line 2: ModuleNotFoundError: No module named 'torchish'\n"
    )
