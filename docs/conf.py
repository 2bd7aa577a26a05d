"""How the documentation is built: `sphinx-build -W docs build/docs`."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
os.environ.setdefault("JAX_PLATFORMS", "cpu")  # the notebooks run where the pages are built
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])

import cnn_jax  # noqa: E402
from docs import generate  # noqa: E402

project = "cnn_jax"
author = "the cnn_jax authors"
release = version = cnn_jax.__version__

extensions = ["myst_nb", "sphinx.ext.mathjax"]
exclude_patterns = ["build", "generated/README.md"]
source_suffix = {".md": "myst-nb", ".ipynb": "myst-nb"}
# A docstring may begin below its page's level; two modules may have a class of one name.
suppress_warnings = ["myst.header", "ref.python"]

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "off" if os.environ.get("CNN_JAX_DOCS") == "quick" else "cache"
nb_execution_timeout = 600
nb_execution_raise_on_error = True
nb_merge_streams = True

html_theme = "sphinx_book_theme"
html_title = "cnn_jax"
html_theme_options = {"show_toc_level": 2, "use_download_button": True}
if repository := os.environ.get("GITHUB_REPOSITORY"):  # as GitHub's workflows set it: owner/name
    html_theme_options |= {
        "repository_url": f"https://github.com/{repository}",
        "path_to_docs": "docs",
        "use_repository_button": True,
        "launch_buttons": {"colab_url": "https://colab.research.google.com"},
    }

generate.write_all()
