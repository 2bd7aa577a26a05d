"""The API pages, read off the source: every module's docstring, functions and classes.

Docstrings are Markdown here, so the pages are too; nothing is imported to make them.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

from cnn_jax.runtime.command_help import first_line

FENCE = "`" * 7


def pages(package: Path) -> dict[str, str]:
    """Page name -> text: one a room of the package, one for the files beside the rooms."""
    rooms = sorted(path.parent for path in package.glob("*/__init__.py"))
    rooms = [room for room in rooms if room.name not in ("tools", "configs")]
    out = {"api/index": index(package, rooms)}
    files = ("__init__.py", "python_runs.py", "train.py", "train_state.py", "errors.py")
    top = [package / name for name in files]
    out["api/cnn_jax"] = page(package, "cnn_jax", [path for path in top if path.is_file()])
    for room in rooms:
        out[f"api/{room.name}"] = page(package, f"cnn_jax.{room.name}", sorted(room.rglob("*.py")))
    return out


def index(package: Path, rooms: list[Path]) -> str:
    """The list of rooms, each with the first line of its docstring."""
    entries = [f"- [cnn_jax](cnn_jax.md): {first_line(package / '__init__.py')}"]
    entries += [
        f"- [cnn_jax.{room.name}]({room.name}.md): {first_line(room / '__init__.py')}"
        for room in rooms
    ]
    names = "\n".join(["cnn_jax", *(room.name for room in rooms)])
    tree = f"```{{toctree}}\n:hidden:\n\n{names}\n```"
    return "\n\n".join(["# API", "\n".join(entries), tree]) + "\n"


def page(package: Path, title: str, files: list[Path]) -> str:
    """One room: its modules in the order of their names, the room's own docstring first."""
    parts = [f"# {title}"]
    for path in sorted(files, key=lambda path: (path.name != "__init__.py", path)):
        names = path.relative_to(package.parent).with_suffix("").parts
        module = ".".join(names).removesuffix(".__init__")
        tree = ast.parse(path.read_text())
        members = [text for node in tree.body if (text := member(module, node))]
        if module != title:
            parts.append(f"## {module}")
        parts += [ast.get_docstring(tree) or "", *members]
    return "\n\n".join(parts) + "\n"


def member(module: str, node: ast.stmt) -> str:
    """A public function or class as a directive of Sphinx's Python domain; "" for anything else."""
    if isinstance(node, ast.FunctionDef) and is_public(node):
        return directive("function", f"{module}.{node.name}", node)
    if not (isinstance(node, ast.ClassDef) and is_public(node)):
        return ""
    fields = [
        f"- `{ast.unparse(item)}`"
        for item in node.body
        if isinstance(item, ast.AnnAssign) and not ast.unparse(item.target).startswith("_")
    ]
    methods = [
        directive("method", item.name, item)
        for item in node.body
        if isinstance(item, ast.FunctionDef) and is_public(item)
    ]
    body = "\n\n".join([ast.get_docstring(node) or "", "\n".join(fields), *methods])
    # A directive's fence is longer than those within it.
    return f"`{FENCE}{{py:class}} {module}.{node.name}\n\n{body}\n`{FENCE}"


def is_public(node: ast.FunctionDef | ast.ClassDef) -> bool:
    """Without a leading underscore, and with a docstring that says what it is."""
    return not node.name.startswith("_") and ast.get_docstring(node) is not None


def directive(kind: str, name: str, node: ast.FunctionDef) -> str:
    """A function's signature as it is written, and its docstring."""
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    arguments = re.sub(r"^(self|cls)(, |$)", "", ast.unparse(node.args))
    signature = f"{name}({arguments}){returns}"
    return f"{FENCE}{{py:{kind}}} {signature}\n\n{ast.get_docstring(node)}\n{FENCE}"
