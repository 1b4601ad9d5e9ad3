"""Four virtual CPU devices, float64, run-time type checks on the whole package, shared data."""

import os
from importlib.metadata import version
from pathlib import Path

import pytest

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Of this process and of those that it starts.
cache = Path(__file__).resolve().parents[1] / ".jax_cache"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(cache))
# Four virtual devices meet on fewer cores: under load one may come late, and XLA would abort.
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "")
    + " --xla_cpu_collective_call_terminate_timeout_seconds=600"
    + " --xla_cpu_collective_timeout_seconds=600"
    # Tests compile much and compute little: a fifth to a quarter less CPU time without them.
    + " --xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
)
# XLA ends the process at a flag that it does not know, and these two come and go; with them
# programs compile in half the time.
if version("jaxlib").startswith("0.10."):
    os.environ["XLA_FLAGS"] += (
        " --xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
    )

import jax

jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_enable_x64", True)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)

from jaxtyping import install_import_hook

install_import_hook("cryojax_het", "beartype.beartype")


@pytest.fixture(scope="session")
def data() -> Path:
    """The shared data folder; where it is absent, tests that need it skip with the reason."""
    root = Path(__file__).resolve().parents[1]
    folder = Path(os.environ.get("CRYOJAX_HET_DATA", root.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no shared data: {folder} is not a folder (set CRYOJAX_HET_DATA)")
    return folder


@pytest.fixture(autouse=True, scope="module")
def room_for_programs():
    """Compiled programs of earlier modules go before the kernel's limit of mapped regions, some
    65,000 a process, is near: beyond it XLA dies."""
    yield
    maps = Path("/proc/self/maps")
    if maps.is_file() and len(maps.read_text().splitlines()) > 30_000:
        jax.clear_caches()
