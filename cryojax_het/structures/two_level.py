"""Soft modes of large networks: iterations helped by rigid motions of small blocks."""

from typing import Any, NamedTuple, final

import numpy as np
from jaxtyping import Float, Int

from .davidson import Davidson, smallest
from .hessian import diagonal_blocks, rigid_motions, sparse_hessian, stiffness_scale
from .linear_operator import symmetric_operator
from .modes import LOOSE, AbstractModeSolver, sorted_modes
from .network import Network
from .partition import bisected
from .rigid_blocks import block_motions

_DAMPING = 2 / 3  # 4/3 over the largest eigenvalue of D⁻¹H, which is at most 2


@final
class TwoLevelDavidson(AbstractModeSolver):
    """Block Davidson with a two-level preconditioner, for 5,000 nodes and more.

    The coarse level is smoothed aggregation (Vaněk, Mandel & Brezina 1996, Computing 56): rigid
    motions of compact blocks, bent by one step towards lower energy, `(I - ω D⁻¹ H) P`; it is
    factorised. The fine level is `D⁻¹`, the inverse of the diagonal blocks. Rigid motions of the
    whole are projected out. Raises `ValueError` for hardly more nodes than modes.

    - `block`: nodes to a coarse block at most. The coarse matrix is dense and has 6 rows for each:
      0.7 GB for 150,000 nodes. Smaller where many modes are asked for.
    - `guard`: vectors iterated beside those asked for; close eigenvalues converge sooner.
    """

    block: int = 96
    guard: int = 4
    how: Davidson = Davidson()

    def softest(self, network, count):
        nodes, sought = len(network.positions), count + self.guard
        if nodes <= sought + 6:
            raise ValueError(f"{nodes} nodes are too few to iterate for {count} modes.")
        parts = bisected(network.positions, min(self.block, nodes // (sought + 6)))
        # Neighbours in space side by side in memory: products are twice as fast.
        order = np.argsort(parts, kind="stable")
        network, parts = _reordered(network, order), parts[order]
        hessian = sparse_hessian(network)
        levels = _levels(network, hessian, parts)
        rigid = rigid_motions(network.positions)
        project = lambda v: v - rigid @ (rigid.T @ v)
        found = smallest(
            hessian.tocsr(),
            project(levels.softest(sought)),
            count,
            lambda residual: project(levels.apply(project(residual))),
            self.how,
            LOOSE * stiffness_scale(network),
        )
        vectors = np.empty_like(found.vectors)
        vectors.reshape(-1, 3, count)[order] = found.vectors.reshape(-1, 3, count)
        return sorted_modes(np.maximum(found.values, 0), vectors)


class _Levels(NamedTuple):
    """`M = S (Sᵀ H S)⁻¹ Sᵀ + ω D⁻¹`: the coarse columns `S`, their factorised energy, `D⁻¹`."""

    columns: Any
    transposed: Any
    energy: Float[np.ndarray, "m m"]
    factor: Any
    diagonal: Any

    def apply(self, residual: Float[np.ndarray, "m b"]) -> Float[np.ndarray, "m b"]:
        from scipy.linalg import cho_solve

        coarse = cho_solve(self.factor, self.transposed @ residual, check_finite=False)
        return self.columns @ coarse + _DAMPING * (self.diagonal @ residual)

    def softest(self, count: int) -> Float[np.ndarray, "m b"]:
        """Where to start: the softest coarse motions after six that are rigid."""
        from scipy.linalg import cho_solve
        from scipy.sparse.linalg import eigsh

        solve = lambda v: cho_solve(self.factor, v, check_finite=False)
        size = len(self.energy)
        inverse = symmetric_operator(size, solve)
        mass = self.transposed @ self.columns
        start = np.random.default_rng(0).normal(size=size)
        rough: dict[str, Any] = {"tol": 1e-2}
        vectors = eigsh(self.energy, count + 6, mass, 0, v0=start, OPinv=inverse, **rough)[1]
        return self.columns @ vectors[:, 6:]


def _levels(network: Network, hessian: Any, parts: Int[np.ndarray, " n"]) -> _Levels:
    from scipy.linalg import cho_factor
    from scipy.sparse import bsr_matrix

    count, scale = len(parts), stiffness_scale(network)
    # A node held in a plane or along a line alone leaves its block singular.
    inverse = np.linalg.inv(diagonal_blocks(network) + LOOSE * scale * np.eye(3))
    diagonal = bsr_matrix((inverse, np.arange(count), np.arange(count + 1)))
    motions = block_motions(network.positions, parts)
    columns = (motions - _DAMPING * (diagonal @ (hessian @ motions))).tocsr()
    transposed = columns.T.tocsr()
    energy = (transposed @ (hessian @ columns)).toarray()
    shifted = energy + 1e-9 * scale * (transposed @ columns).toarray()
    factor = cho_factor(shifted, lower=True, check_finite=False)
    return _Levels(columns, transposed, energy, factor, diagonal.tocsr())


def _reordered(network: Network, order: Int[np.ndarray, " n"]) -> Network:
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return network._replace(positions=network.positions[order], pairs=place[network.pairs])
