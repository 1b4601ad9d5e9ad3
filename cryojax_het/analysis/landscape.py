"""Populations and free energies of states, recovered against true."""

import numpy as np
from jaxtyping import Float, Int, Integer

from .chance import Score, check_paired
from .neighbours import check_states
from .readout import read_out


def populations(
    state: Integer[np.ndarray, " m"], weight: Float[np.ndarray, " k"], states: int
) -> Float[np.ndarray, " s"]:
    """Share of each of `states` states, from items (images, maps) of a state and a weight each."""
    check_paired(state, weight, ("state", "weight"))
    total = float(weight.sum())
    if np.any(weight < 0) or total <= 0:
        raise ValueError(f"`weight` must be positive somewhere, never negative. Sum {total:g}.")
    if state.min() < 0 or state.max() >= states:
        raise ValueError(
            f"`state` must be from 0 to {states - 1}. Got {state.min()}..{state.max()}."
        )
    return np.bincount(state, weight, minlength=states) / total


def assign_states(
    latent: Float[np.ndarray, "n d"],
    embedding: Float[np.ndarray, "s e"],
    state: Integer[np.ndarray, " m"],
    seed: int = 0,
) -> Int[np.ndarray, " n"]:
    """The state that each image is read to have: that nearest to the `read_out` of the embedding.

    - `embedding`: points of the states (`States.embedding`); `state`: the true one of each image.

    The mean over neighbours draws towards the middle where the latent tells little: populations
    from it are then too narrow, as those of any point estimate are.
    """
    from scipy.spatial import KDTree

    check_states(np.zeros((len(embedding),) * 2), state)
    if not embedding.shape[1]:
        return np.zeros(len(state), np.int64)
    predicted = read_out(latent, embedding[state], seed).predicted
    return np.asarray(KDTree(embedding).query(predicted)[1], np.int64)


def free_energy(
    population: Float[np.ndarray, " s"], floor: float = 1e-4
) -> Float[np.ndarray, " s"]:
    """`-ln((p + ε) / (1 + S ε))` in k_B T, with the pseudo-population `floor` ε of every state.

    Raises `ValueError` where it is not positive: an empty state would have no free energy.
    """
    if floor <= 0:
        raise ValueError(f"`floor` must be positive. Got {floor}.")
    return -np.log((population + floor) / (1 + len(population) * floor))


def free_energy_error(
    recovered: Float[np.ndarray, " s"],
    true: Float[np.ndarray, " s"],
    cutoff: float = 1e-3,
    floor: float = 1e-4,
) -> Score:
    """Root mean square error of the free energy in k_B T, up to a constant; 0 at best.

    Over the states whose true population is above `cutoff`, weighted by it: an error where no
    image is would be decided by `floor`. `chance` is the error of a flat landscape.

    Raises `ValueError` where no state is above the cut-off.
    """
    kept = true > cutoff
    if not kept.any():
        raise ValueError(
            f"No true population is above `cutoff` {cutoff}: the largest is {true.max():g}."
        )
    weight = true[kept] / true[kept].sum()

    def error(population):
        difference = (free_energy(population, floor) - free_energy(true, floor))[kept]
        return float(np.sqrt(weight @ (difference - weight @ difference) ** 2))

    return Score(error(recovered), error(np.full(len(true), 1 / len(true))))
