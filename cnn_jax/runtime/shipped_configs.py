"""The configs that travel with the package, which Python finds as `configs` from any folder.

An installation holds them within the package, a checkout beside it.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

PACKAGE = Path(__file__).resolve().parents[1]
SHIPPED = PACKAGE / "configs" if (PACKAGE / "configs").is_dir() else PACKAGE.parent / "configs"
ABSENT = (
    f"the configs of cnn_jax are neither in {PACKAGE} nor beside it: install the whole of it, by "
    "`pip install .` in its checkout"
)


def shipped_configs() -> list[Path]:
    """The config files of the package that can be named, in order."""
    return sorted(p for p in SHIPPED.glob("*.py") if p.stem not in ("__init__", "base"))


class ConfigsFinder:
    """The last of Python's finders: `configs` is the package's where no folder of one's own is."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """How `configs` is imported; None for other names. Raises `ModuleNotFoundError`."""
        del path, target
        if name != "configs":
            return None
        if not (SHIPPED / "base.py").is_file():
            raise ModuleNotFoundError(ABSENT, name=name)
        return importlib.util.spec_from_file_location(
            name, SHIPPED / "__init__.py", submodule_search_locations=[str(SHIPPED)]
        )


def install_finder() -> None:
    if ConfigsFinder not in sys.meta_path:
        sys.meta_path.append(ConfigsFinder)
