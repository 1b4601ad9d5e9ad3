"""Whether Markov chains have converged, and how many independent draws they are worth.

Vehtari et al. 2021, Bayesian Analysis 16, 667, for all of it. On the host, in NumPy; chains and
draws are the first two axes, and every further entry is judged by itself.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float, Int

from .posteriors.draws import Chains

_TAILS = (0.05, 0.95)


@final
@dataclass(frozen=True, kw_only=True)
class Diagnostics:
    """Of each image, and of each of its unknowns.

    - `r_hat`: 1 where chains agree, 1.01 and less where they are to be trusted;
    - `bulk`, `tail`: effective numbers of draws for means, and for the ends of 90 % intervals;
    - `acceptance`, `jumped`, `step_size`: means over chains; `divergences`: their sum.
    """

    r_hat: Float[np.ndarray, "b p"]
    bulk: Float[np.ndarray, "b p"]
    tail: Float[np.ndarray, "b p"]
    acceptance: Float[np.ndarray, " b"]
    jumped: Float[np.ndarray, " b"]
    step_size: Float[np.ndarray, " b"]
    divergences: Int[np.ndarray, " b"]


def diagnose(chains: Chains) -> Diagnostics:
    """Diagnostics of the chains of each image. Raises `ValueError` for fewer than 4 draws."""
    draws = np.moveaxis(np.asarray(chains.unknowns), 0, 2)
    return Diagnostics(
        r_hat=r_hat(draws),
        bulk=bulk_size(draws),
        tail=tail_size(draws),
        acceptance=np.asarray(chains.acceptance).mean(axis=1),
        jumped=np.asarray(chains.jumped).mean(axis=1),
        step_size=np.asarray(chains.step_size).mean(axis=1),
        divergences=np.asarray(chains.divergences).sum(axis=1),
    )


def r_hat(draws: Float[np.ndarray, "c n *rest"]) -> Float[np.ndarray, "*rest"]:
    """Split R̂ of rank-normalised draws, and of their distances from the median, the larger: chains
    must agree in place and in width. `ValueError` for fewer than 4 draws."""
    from numpyro.diagnostics import gelman_rubin

    halves = _halves(draws)
    folded = np.abs(halves - np.median(halves, axis=(0, 1)))
    each = [gelman_rubin(_normalised(x)) for x in (halves, folded)]
    return np.asarray(np.maximum(*each))


def bulk_size(draws: Float[np.ndarray, "c n *rest"]) -> Float[np.ndarray, "*rest"]:
    """Effective number of draws, of rank-normalised halves. `ValueError` for fewer than 4 draws."""
    from numpyro.diagnostics import effective_sample_size

    return np.asarray(effective_sample_size(_normalised(_halves(draws))))


def tail_size(draws: Float[np.ndarray, "c n *rest"]) -> Float[np.ndarray, "*rest"]:
    """Effective number of draws for the 5 % and the 95 % quantile, the smaller.

    `ValueError` for fewer than 4 draws."""
    from numpyro.diagnostics import effective_sample_size

    halves = _halves(draws)
    ends = np.quantile(halves, _TAILS, axis=(0, 1))
    sizes = [effective_sample_size((halves <= end).astype(float)) for end in ends]
    return np.asarray(np.minimum(*sizes))


def _halves(draws):
    """First and second half of each chain as chains of their own."""
    if draws.ndim < 2 or draws.shape[1] < 4:
        raise ValueError(
            f"Chains must be `[chain, draw, ...]` with at least 4 draws. Got {draws.shape}."
        )
    half = draws.shape[1] // 2
    return np.concatenate([draws[:, :half], draws[:, -half:]])


def _normalised(draws):
    """Normal scores of the ranks over all chains (Blom's, ties averaged)."""
    from scipy.special import ndtri
    from scipy.stats import rankdata

    flat = draws.reshape(-1, *draws.shape[2:])
    ranks = rankdata(flat, axis=0)
    return ndtri((ranks - 0.375) / (len(flat) + 0.25)).reshape(draws.shape)
