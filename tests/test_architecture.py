"""The house holds: imports point down only, and nothing is a room for everything."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "cnn_jax"

# A room may import itself, what stands here, and the leaf `errors`, which needs nothing.
BELOW = {
    "runtime": set(),
    "ops": {"runtime"},
    "models": {"ops", "runtime"},
    "data": {"runtime"},
    "transfer": {"data", "models", "ops", "runtime"},
    "analysis": {"data", "models", "ops", "runtime", "training", "transfer"},
    "inference": {"analysis", "data", "models", "ops", "runtime", "training", "transfer"},
    "training": {"data", "models", "ops", "runtime", "transfer"},
    "cli": {"models", "runtime"},
    "__main__": {"cli", "runtime"},
    "train": {"data", "runtime", "training"},
    "python_runs": {"data", "runtime", "train", "training"},
}


def imports(path):
    """Every dotted name that a file imports, at its top or inside a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def room(name):
    """ "cnn_jax.data.images.resize" -> "data"."""
    return name.split(".")[1] if name.startswith("cnn_jax.") else None


@pytest.mark.parametrize("name", BELOW)
def test_arrows_point_down(name):
    for path in [*(PACKAGE / name).rglob("*.py"), *PACKAGE.glob(f"{name}.py")]:
        rooms = {room(found) for found in imports(path)} - {None, name, "errors"}
        assert rooms <= BELOW[name], f"{path.relative_to(ROOT)} imports {rooms - BELOW[name]}"


def test_models_import_flax_and_jax_only():
    allowed = {"flax", "jax", "jaxtyping", "numpy", "cnn_jax", "__future__"}
    standard = {
        "dataclasses",
        "importlib",
        "pkgutil",
        "functools",
        "math",
        "typing",
        "types",
        "collections",
    }
    for path in (PACKAGE / "models").rglob("*.py"):
        roots = {found.split(".")[0] for found in imports(path)}
        assert roots <= allowed | standard, path.name


def test_configs_never_import_the_package():
    for path in (ROOT / "configs").glob("*.py"):
        roots = {found.split(".")[0] for found in imports(path)}
        assert roots <= {"ml_collections", "configs", "types"}, path.name


def test_nobody_imports_experiments_benchmarks_tests_or_tensorflow():
    for path in PACKAGE.rglob("*.py"):
        roots = {found.split(".")[0] for found in imports(path)}
        assert not roots & {"experiments", "benchmarks", "tests", "tensorflow", "pickle"}, path.name


def test_benchmarks_import_no_experiments():
    for path in (ROOT / "benchmarks").rglob("*.py"):
        roots = {found.split(".")[0] for found in imports(path)}
        assert not roots & {"experiments", "tests"}, path.name


def test_no_room_is_called_utils():
    rooms = "cnn_jax", "configs", "experiments", "benchmarks", "tests"  # and no environment
    for folder in rooms:
        assert not [path for path in (ROOT / folder).rglob("*.py") if "util" in path.stem]


def test_files_and_functions_are_short():
    """A file is read in one sitting, a function on one screen."""
    long = []
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text()
        if len(text.splitlines()) > 350:
            long.append(path.name)
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef) and node.end_lineno - node.lineno >= 60:
                long.append(f"{path.name}: {node.name}")
    assert long == []
