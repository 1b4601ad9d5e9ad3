"""What chains must show before their draws are reported, and which of it they fail.

On the host, in NumPy; draws are `[chain, draw, ...]`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float

from .chain_diagnostics import bulk_size, r_hat, tail_size


@final
@dataclass(frozen=True, kw_only=True)
class Gate:
    """Limits of global quantities, and of those of single images.

    `r_hat` at most, `r_hat_image` at most for the median image's worst; effective numbers of draws
    for means and tails at least `size`; E-BFMI at least `energy`; divergent share at most
    `divergent`.
    """

    r_hat: float = 1.01
    r_hat_image: float = 1.05
    size: float = 400.0
    energy: float = 0.3
    divergent: float = 0.0


def energy_information(energy: Float[np.ndarray, "c n"]) -> Float[np.ndarray, " c"]:
    """`Σ (E_t - E_{t-1})² / Σ (E_t - Ē)²` of each chain: below 0.3 the momenta drawn anew do not
    carry the chain through the posterior's energies (E-BFMI; Betancourt 2016, arXiv:1604.00695)."""
    steps = np.sum(np.diff(energy, axis=1) ** 2, axis=1)
    spread = np.sum((energy - energy.mean(axis=1, keepdims=True)) ** 2, axis=1)
    return steps / np.maximum(spread, np.finfo(spread.dtype).tiny)


def failures(
    shared: Mapping[str, Float[np.ndarray, "c n ..."]],
    images: Mapping[str, Float[np.ndarray, "c n i ..."]],
    *,
    energy: Float[np.ndarray, "c n"] | None = None,
    divergent: float = 0.0,
    gate: Gate | None = None,
) -> list[str]:
    """A sentence for everything that fails; an empty list where nothing does.

    - `shared`: draws of global quantities; `images`: of those of every image;
    - `energy` of Hamiltonian steps of global parameters; `divergent`: share of such steps after
      warm-up.
    """
    limits, found = gate or Gate(), []
    for name, draws in shared.items():
        worst, least = float(np.max(r_hat(draws))), float(np.min(_size(draws)))
        if not worst < limits.r_hat:
            found.append(f"R-hat of {name} is {worst:.3f}, not below {limits.r_hat}.")
        if not least >= limits.size:
            found.append(f"{name} is worth {least:.0f} draws, not {limits.size:.0f}.")
    for name, draws in images.items():
        each = r_hat(draws)
        middle = float(np.median(each.reshape(len(each), -1).max(axis=1)))
        if not middle < limits.r_hat_image:
            found.append(f"R-hat of {name}, median over images, is {middle:.3f}.")
    if energy is not None:
        least = float(energy_information(energy).min())
        if not least > limits.energy:
            found.append(f"E-BFMI is {least:.2f}, not above {limits.energy}.")
    if divergent > limits.divergent:
        found.append(f"{100 * divergent:.2g} % of trajectories diverged after warm-up.")
    return found


def _size(draws):
    return np.minimum(bulk_size(draws), tail_size(draws))
