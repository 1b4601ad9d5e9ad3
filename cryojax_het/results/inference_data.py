"""Draws of Markov chains as ArviZ `InferenceData`, in a netCDF file. Needs the extra `posterior`.

The one file that imports ArviZ.
"""

import warnings
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Shaped

from ..particles.files import replacing
from .disk import explained

if TYPE_CHECKING:
    import arviz

Draws = Mapping[str, Shaped[np.ndarray, "chain draw ..."]]

_NEEDED = "Posteriors are written by ArviZ: pip install 'cryojax_het[posterior]'."


def check_arviz() -> None:
    """`ImportError` with the remedy where ArviZ is not installed: before the work, not after."""
    if find_spec("arviz") is None:
        raise ImportError(_NEEDED)


def inference_data(
    posterior: Draws,
    *,
    sample_stats: Draws | None = None,
    log_likelihood: Draws | None = None,
    posterior_predictive: Draws | None = None,
    rows: Shaped[np.ndarray, " image"] | None = None,
    dims: Mapping[str, list[str]] | None = None,
) -> "arviz.InferenceData":
    """Groups of arrays `[chain, draw, ...]` by name.

    - `dims`: names of the axes after the first two; `rows`: labels of the axis `image`.

    Raises `ImportError` with the remedy where ArviZ is not installed.
    """
    arviz = _arviz()
    groups = {"posterior": posterior, "sample_stats": sample_stats}
    groups |= {"log_likelihood": log_likelihood, "posterior_predictive": posterior_predictive}
    given: dict[str, Any] = {name: dict(group) for name, group in groups.items() if group}
    return arviz.from_dict(
        **given, coords={} if rows is None else {"image": rows}, dims=dict(dims or {})
    )


def write_inference_data(path: Path, data: "arviz.InferenceData") -> None:
    """Write `path`, whole or not at all."""
    with explained(path), replacing(path) as temporary:
        data.to_netcdf(str(temporary), engine="h5netcdf")


def read_inference_data(path: Path) -> "arviz.InferenceData":
    """What `write_inference_data` wrote. `FileNotFoundError` where there is none, `ImportError`
    where ArviZ is not installed."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: `cryojax-het sample` writes it.")
    return _arviz().from_netcdf(str(path), engine="h5netcdf")


def _arviz():
    """The package, without what it says once a day of its next version: `pyproject.toml` holds it
    below that."""
    check_arviz()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        import arviz
    return arviz
