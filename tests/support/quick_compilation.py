"""XLA's options for programs that run once or twice: optimising them takes longer than it saves."""

from importlib.metadata import version
from importlib.util import find_spec

# Half the time of a small program's compilation is MLIR's; later versions have no such choice, and
# libtpu, which reads the same variable, ends a process that names an option it does not know.
_WITHOUT_MLIR = ["--xla_cpu_use_fusion_emitters=false"]


def xla_flags(devices: int) -> str:
    """The value of XLA_FLAGS for a process with so many `devices` that share its processor."""
    flags = [
        "--xla_backend_optimization_level=0",
        "--xla_llvm_disable_expensive_passes=true",
        "--xla_cpu_parallel_codegen_split_count=1",
        f"--xla_force_host_platform_device_count={devices}",
    ]
    has_choice = version("jaxlib").startswith("0.10.") and find_spec("libtpu") is None
    return " ".join(flags + (_WITHOUT_MLIR if has_choice else []))
