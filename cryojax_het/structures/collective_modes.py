"""The normal modes worth moving a molecule along: soft ones in which much of it takes part."""

import numpy as np
from jaxtyping import Float

from .collectivity import collectivity
from .mode_solver import suited_solver
from .modes import Modes, normal_modes
from .network import Network

HELD_BY = 8  # neighbours that a pseudo-atom has within the cutoff, but for one in twenty
COLLECTIVE = 0.15  # below it a mode is a dangling end
_SPARE = 20  # modes looked at beyond those wanted, for each one found


def usual_reach(positions: Float[np.ndarray, "n 3"]) -> float:
    """Distance, Å, within which all but one in twenty points have eight neighbours."""
    from scipy.spatial import KDTree

    near = min(HELD_BY, len(positions) - 1)
    apart = np.asarray(KDTree(positions).query(positions, near + 1)[0])[:, -1]
    return float(np.quantile(apart, 0.95))


def collective_modes(network: Network, count: int) -> tuple[Modes, Float[np.ndarray, " k"], int]:
    """The `count` softest modes of collectivity 0.15 or more, that of each, and how many softer
    ones are left out: ends that dangle. `ValueError` where there are not so many."""
    nodes = len(network.positions)
    most = min(count + _SPARE * count, 3 * nodes - 6)
    found = normal_modes(network, most, suited_solver(nodes))
    share = collectivity(found.vectors)
    kept = np.flatnonzero(share >= COLLECTIVE)[:count]
    if len(kept) < count:
        raise ValueError(
            f"Only {len(kept)} of the {most} softest modes move a good part of the molecule: ask "
            "for fewer by `--modes`, or a longer `--cutoff`."
        )
    dropped = int(kept[-1] + 1 - count)
    return Modes(found.eigenvalues[kept], found.vectors[kept]), share[kept], dropped
