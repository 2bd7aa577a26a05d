"""cnn_jax: classic convolutional networks in JAX, each as its paper has it."""

import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.*)"', (HERE / "cnn_jax/__init__.py").read_text())[1]


class BuildWithConfigs(build_py):
    """An installation holds the configs in its package; an editable one has them beside it."""

    def run(self):
        super().run()
        if not self.editable_mode:
            folder = Path(self.build_lib) / "cnn_jax/configs"
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(HERE / "configs", folder, ignore=shutil.ignore_patterns("__pycache__"))


setup(
    name="cnn_jax",
    version=VERSION,
    description=__doc__.strip(),
    long_description=(HERE / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    packages=find_packages(include=["cnn_jax", "cnn_jax.*"]),
    package_data={
        "cnn_jax": [f"**/*.{end}" for end in "cc csv css h html js json md".split()],
    },
    cmdclass={"build_py": BuildWithConfigs},
    entry_points={"console_scripts": ["cnn_jax = cnn_jax.__main__:main"]},
    python_requires=">=3.11",
    install_requires=[
        "absl-py>=2.1",
        "clu>=0.0.12",
        "dm-pix>=0.4.5",
        "filelock>=3.15",
        "flax>=0.12",
        "grain>=0.2.12",
        "jax>=0.10",
        "jaxtyping>=0.3",
        "matplotlib>=3.9",
        "ml_collections>=1.0",
        "numpy>=2.0",
        "optax>=0.2.5",
        "orbax-checkpoint>=0.11.37",
        "pillow>=11",
        "pooch>=1.8",
        "requests>=2.32",
        "rich>=13",
        "safetensors>=0.5",
        "scikit-learn>=1.5",
        "scipy>=1.13",
        "simplejpeg>=1.8",
        "tensorboardX>=2.6",
        "threadpoolctl>=3.1",
    ],
    extras_require={
        "cloud": ["s3fs>=2025.2", "gcsfs>=2025.2"],
        "test": [
            "beartype>=0.20",
            "flask>=3",
            "flask-cors>=5",
            "flatbuffers>=24",
            "httpx>=0.27",
            "jaxtyping>=0.3",
            "moto[s3]>=5.1",
            "pyright[nodejs]>=1.1.400",
            "pytest>=8",
            "pytest-xdist>=3.6",
            "relplot>=1.0.3",
            "ruff>=0.14",
            "s3fs>=2025.2",
            "starlette>=0.46",
        ],
        "docs": ["sphinx>=8", "myst-nb>=1.3", "sphinx-book-theme>=1.1", "ipykernel>=6"],
        "export": ["flatbuffers>=24"],
        "serve": ["starlette>=0.46", "uvicorn>=0.30"],
        "tfds": ["tensorflow-datasets>=4.9.7", "importlib_resources"],
        "prepare": ["tensorflow", "tensorflow-datasets>=4.9.7", "importlib_resources"],
        "plan": ["libtpu>=0.0.40"],
        "torch": ["torch>=2.10", "torchvision>=0.25", "timm>=1.0"],
    },
)
