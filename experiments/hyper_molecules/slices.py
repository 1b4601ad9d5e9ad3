"""Set-up of the basis, its accuracy, and the ways to slice a hyper-molecule, timed.

    python slices.py

One process, one thread; medians of CPU milliseconds per slice, compilation left out. Relative
differences are to `AtEveryPoint`, exact.
"""

import time

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.special

from cryojax_het.imaging import rotation as so3
from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.volumes.hyper_molecule import HyperMolecule
from cryojax_het.volumes.latent_functions.interval import Legendre
from cryojax_het.volumes.prolate.basis import prolate_basis
from cryojax_het.volumes.prolate.radial import radial_prolates
from cryojax_het.volumes.prolate.slicing import AtEveryPoint, AtTurnedPlane

BATCH, ROUNDS, ORDER = 16, 5, 3
BOXES = (16, 24, 32, 48)  # pixels; the ball reaches 0.4 of them, the band to Nyquist


def accuracy() -> None:
    """Gram error, eigen-relation and eigenvalues by a discretised operator at c = 20π."""
    c = 20 * np.pi
    began = time.process_time()
    total, l = 0, 0
    while count := int(np.sum(radial_prolates(l, c).share > 0.5)):
        total, l = total + count * (2 * l + 1), l + 1
    seconds = time.process_time() - began
    print(f"c = 20π: {total} functions of more than half their energy in the band, {seconds:.1f} s")
    nodes, weights = np.polynomial.legendre.leggauss(400)
    y, w = 0.5 * (nodes + 1), 0.5 * weights
    worst = np.zeros(3)
    for l in range(41):
        found = radial_prolates(l, c).leading(15)
        own = found.values(y) * y
        product = c * np.outer(y, y)
        kernel = scipy.special.jv(l + 0.5, product) * np.sqrt(product)
        gram = np.abs((own * w) @ own.T - np.eye(15)).max()
        relation = np.abs((kernel * w) @ own.T - found.gamma * own.T).max()
        direct = np.linalg.eigvalsh(np.sqrt(w[:, None] * w) * kernel)
        direct = np.abs(direct)[np.argsort(-np.abs(direct))][:15]
        value = np.abs(np.sort(np.abs(found.gamma))[::-1] - direct).max()
        worst = np.maximum(worst, [gram, relation, value])
    print("l to 40, n to 15: Gram {:.1e}, eigen-relation {:.1e}, eigenvalues {:.1e}".format(*worst))


def timed(call, *arguments) -> float:
    """Median of process seconds."""
    jax.block_until_ready(call(*arguments))
    times = []
    for _ in range(ROUNDS):
        began = time.process_time()
        jax.block_until_ready(call(*arguments))
        times.append(time.process_time() - began)
    return float(np.median(times))


def ways(size: int) -> None:
    """One row of the table."""
    grid = FourierGrid(size, jnp.float32(1.0))
    basis = prolate_basis(0.4 * size, 0.5, 0.5)
    rng = np.random.default_rng(size)
    a = jnp.asarray(rng.normal(size=(basis.size, ORDER + 1)), jnp.float32)
    rotation = jax.vmap(so3.random)(jax.random.split(jax.random.key(0), BATCH))
    latent = jnp.asarray(rng.uniform(-1, 1, (BATCH, 1)), jnp.float32)
    plain = HyperMolecule(a, basis, Legendre(ORDER), AtEveryPoint())
    turned = HyperMolecule(a, basis, Legendre(ORDER), AtTurnedPlane.of(basis))
    voxels = eqx.filter_jit(lambda v: v.expanded(grid).prepare(grid))(plain)
    sliced = eqx.filter_jit(
        lambda v, z, r: jax.lax.map(lambda x: v.slice(x[0], x[1], grid), (z, r), batch_size=4)
    )
    exact = sliced(plain, latent, rotation)
    cells = []
    for volume in (plain, turned, voxels):
        found = sliced(volume, latent, rotation)
        error = float(jnp.linalg.norm(found - exact) / jnp.linalg.norm(exact))
        cells.append(f"{1e3 * timed(sliced, volume, latent, rotation) / BATCH:.2f} ({error:.0e})")
    print(
        f"| {size} | {basis.bandlimit:.1f} | {basis.size} | " + " | ".join(cells) + " |", flush=True
    )


def main() -> None:
    """Both."""
    accuracy()
    print("\n| box | c | functions | at every point | turned plane | voxels of each term |")
    print("|---|---|---|---|---|---|")
    for size in BOXES:
        ways(size)


if __name__ == "__main__":
    main()
