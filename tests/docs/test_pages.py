"""The pages say what is: generated ones name everything, tables of packages and links hold."""

import ast
import importlib.util
import re

import pytest

from cnn_jax import models
from cnn_jax.analysis import recipes
from cnn_jax.runtime.config_files import keys_of, load_config
from docs import api, config_keys, generate
from tests.support.commands import ROOT

PAGES = [
    *ROOT.glob("*.md"),
    *(path for path in (ROOT / "docs").rglob("*.md") if "generated" not in path.parts),
]
PIP_NAMES = {"orbax-checkpoint": "orbax", "scikit-learn": "sklearn", "absl-py": "absl"}
# Used by other packages of the table, at our wish.
NOT_IMPORTED = {"filelock"}


def test_readme_counts_the_nets():
    assert f"\n{len(models.names())} names with their counts" in (ROOT / "README.md").read_text()


def test_nets_page_names_every_net_with_its_count():
    text = generate.nets_page()
    assert [name for name in models.names() if f"| `{name}` | " not in text] == []
    assert "| `lenet5` | 32x32x1 | 61,706 | 0 | 416,520 |" in text
    assert "| `towers` | `2` `1` | `2` (alexnet); `1` (alexnet_geron) |" in text


def test_recipes_page_has_every_recipe_and_marks_differences():
    text = generate.recipes_page()
    assert [name for name in recipes.published_recipes() if f"\n## {name}\n" not in text] == []
    assert "| augmentation | `data.train_crop` |" in text
    assert "| **DIFFERS** |" in text


def test_every_config_key_has_a_meaning():
    rows = re.findall(r"^\| `([\w.]+)` \| (.+?) \| (.*) \|$", config_keys.page(), re.MULTILINE)
    defaults = {key: default for key, default, meaning in rows if meaning}
    options = {f"model.{key}" for key in ("name", *models.REGISTRY["googlenet"].options())}
    assert set(keys_of(load_config("googlenet"))) - options == set(defaults)
    assert defaults["optimizer.weight_decay"] == "`0.0`"
    assert defaults["data.fit"] == "by the dataset"


def test_api_has_every_public_function():
    pages = api.pages(ROOT / "cnn_jax")
    for path in (ROOT / "cnn_jax/models").rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and api.is_public(node):
                assert f".{node.name}({ast.unparse(node.args)})" in pages["api/models"], node.name


def installed_by_setup():
    """The packages of `install_requires` and the names of the extras, read, not run."""
    call = ast.parse((ROOT / "setup.py").read_text()).body[-1].value
    arguments = {word.arg: ast.literal_eval(word.value) for word in call.keywords
                 if word.arg in ("install_requires", "extras_require")}  # fmt: skip
    names = [re.match(r"[\w-]+", line)[0] for line in arguments["install_requires"]]
    return names, list(arguments["extras_require"])


def test_dependencies_page_is_the_setup():
    text = (ROOT / "docs/dependencies.md").read_text()
    rows = re.findall(r"^\| ([\w-]+) \| ", text, re.MULTILINE)
    names, extras = installed_by_setup()
    assert [row for row in rows if row not in ("package", "extra")] == names
    assert re.findall(r"^\| `(\w+)` \| ", text, re.MULTILINE) == extras


def test_every_dependency_is_imported():
    imports = set()
    for path in [*(ROOT / "cnn_jax").rglob("*.py"), *(ROOT / "configs").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imports |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imports.add(node.module.partition(".")[0])
    modules = {
        name: PIP_NAMES.get(name, name.replace("-", "_")) for name in installed_by_setup()[0]
    }
    modules["pillow"] = "PIL"
    unused = {name for name, module in modules.items() if module not in imports}
    assert unused == NOT_IMPORTED
    assert importlib.util.find_spec("filelock")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path):
    """To files of the repository, or to pages that are generated."""
    for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text()):
        if link.startswith(("http:", "https:")):
            continue
        target = path.parent / link
        if "generated" not in target.parts:
            assert target.exists(), f"{path.name} links to {link}"


def test_pages_name_only_files_that_exist():
    """Paths in backquotes, within the repository's own folders."""
    for path in PAGES:
        if path.name in ("CHANGELOG.md", "add_a_net.md"):  # what was, and what is to be written
            continue
        pattern = r"`((?:cnn_jax|configs|experiments|benchmarks|tests|docs|\.ci)/[\w./]+)`"
        for name in re.findall(pattern, path.read_text()):
            assert (ROOT / name).exists() or "NAME" in name, f"{path.name} names {name}"


def test_modules_that_the_changelog_moves_to_are_there():
    table = re.findall(r"^\| `cnn_jax.*\| `(cnn_jax[\w.]+)`", changelog(), re.MULTILINE)
    assert len(table) > 20
    for name in table:
        place = ROOT / name.replace(".", "/")
        # A function is named with its module.
        files = (place, place.with_suffix(".py"), place.parent.with_suffix(".py"))
        assert any(path.exists() for path in files), name


def test_commands_that_the_changelog_moves_to_are_there():
    commands = re.findall(r"^\| `python -m .*\| `python -m (\S+?)[ `]", changelog(), re.MULTILINE)
    assert len(commands) > 4
    for name in commands:
        place = ROOT / name.replace(".", "/")
        assert place.with_suffix(".py").exists() or (place / "__main__.py").exists(), name


def changelog():
    return (ROOT / "CHANGELOG.md").read_text()
