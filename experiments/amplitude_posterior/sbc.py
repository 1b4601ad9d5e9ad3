"""Simulation-based calibration of the posterior of mode amplitudes, poses and contrasts.

    CRYOJAX_HET_DATA=... python sbc.py FOLDER [right | double_noise | even_weights | narrow_prior |
                                       no_jumps | nuts | table] ...

Everything is drawn from the prior, simulated and sampled; the truth's rank among draws must be
uniform (Talts et al. 2018, arXiv:1804.06788). Planted bugs must show. Each name runs one variant
and keeps its draws in FOLDER; `table` prints what `sbc.md` holds. Seconds are of one core's CPU.
"""

import argparse
import json
import time
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from world import GRID, NAMES, EvenWeights, ScaledPrior, calmodulin, simulated

from cryojax_het.analysis.calibration import rank_histogram
from cryojax_het.imaging.noise import WhiteNoise
from cryojax_het.inference.chain_diagnostics import diagnose
from cryojax_het.inference.posteriors.draws import AbstractSampler
from cryojax_het.inference.posteriors.gauss_newton import GaussNewton
from cryojax_het.inference.posteriors.hamiltonian import Hamiltonian
from cryojax_het.inference.posteriors.no_u_turn import NoUTurn
from cryojax_het.inference.sampling.mixture import StudentMixture

SNR, SEED, PART, KEPT = 0.3, 1, 50, 100
MODES = GaussNewton(starts=6, steps=12)
HMC = Hamiltonian(MODES, chains=2, warmup=150, draws=250, leapfrogs=8)
NUTS = NoUTurn(MODES, chains=2, warmup=150, draws=250, depth=4)


class WithoutJumps(AbstractSampler):
    """`HMC` whose jumps are all proposed far away, and refused."""

    modes: GaussNewton = MODES
    chains: int = eqx.field(static=True, default=2)

    def walk(self, key, potential, begin, inverse_mass, mixture):
        p = mixture.size
        far = StudentMixture.of(jnp.zeros(1), jnp.full((1, p), 1e4), jnp.eye(p)[None])
        return HMC.walk(key, potential, begin, inverse_mass, far)


same = lambda noise: noise
VARIANTS = {  # sampler, images, what the posterior takes the noise for, its prior's widths
    "right": (HMC, 500, same, 1.0),
    "double_noise": (HMC, 200, lambda noise: WhiteNoise(2 * noise.power), 1.0),
    "even_weights": (HMC, 200, EvenWeights, 1.0),
    "narrow_prior": (HMC, 200, same, 0.6),
    "no_jumps": (WithoutJumps(), 200, same, 1.0),
    "nuts": (NUTS, 100, same, 1.0),
}


def run(name: str, folder: Path) -> None:
    """Draws of every image of one variant, and how its chains went."""
    sampler, count, believed, factor = VARIANTS[name]
    volume = calmodulin()
    batch, noise, truth = simulated(volume, 500, SNR, SEED)
    noise, prior, traces = believed(noise), ScaledPrior(factor), []

    @eqx.filter_jit
    def sampled(batch, noise, prior):
        traces.append(1)
        return sampler.run(jax.random.key(0), volume, noise, prior, batch, GRID)

    drawn, reports, seconds = [], [], []
    for first in range(0, count, PART):
        part = jax.tree.map(lambda x, i=first: x[i : i + PART], batch)
        began = time.process_time()
        chains = jax.block_until_ready(sampled(part, noise, prior))
        seconds.append(time.process_time() - began)
        reports.append(vars(diagnose(chains)))
        drawn.append(np.asarray(chains.unknowns).reshape(PART, -1, len(NAMES)))
        print(name, first + PART, f"{seconds[-1]:.1f} s", flush=True)
    assert len(traces) == 1, f"compiled {len(traces)} times"
    joined = {key: np.concatenate([report[key] for report in reports]) for key in reports[0]}
    usual = np.median(seconds[1:])
    times = {"compiling": seconds[0] - usual, "rate": PART / usual}
    np.savez(
        folder / f"{name}.npz", draws=np.concatenate(drawn), truth=truth[:count], **joined, **times
    )


def band(ranks, count: int, seed: int = 0) -> float:
    """p-value of the largest distance of the ranks' distribution from the uniform one."""
    steps = (np.arange(KEPT + 1) + 1) / (KEPT + 1)
    uniform = np.random.default_rng(seed).integers(0, KEPT + 1, (2000, count))
    distance = lambda r: np.abs(
        np.cumsum(np.bincount(r, minlength=KEPT + 1)) / len(r) - steps
    ).max()
    return (1 + sum(distance(each) >= distance(ranks) for each in uniform)) / 2001


def scores(name: str, folder: Path, count: int | None = None) -> dict:
    """Calibration of each unknown over the first `count` images, and the chains' diagnostics."""
    held = np.load(folder / f"{name}.npz")
    draws, truth = held["draws"][:count], held["truth"][:count]
    thin = draws[:, :: draws.shape[1] // KEPT]
    ranks = (thin < truth[:, None]).sum(axis=1)
    low, high = np.quantile(draws, (0.05, 0.95), axis=1)
    per = [rank_histogram(thin[..., i], truth[:, i]) for i in range(len(NAMES))]
    return {
        "images": len(draws),
        "p": [each.p_value for each in per],
        "counts": [each.counts.tolist() for each in per],
        "band": [band(ranks[:, i], len(ranks)) for i in range(len(NAMES))],
        "coverage": ((low <= truth) & (truth <= high)).mean(axis=0).tolist(),
        "held": {key: held[key] for key in held.files if key not in ("draws", "truth")},
    }


def table(folder: Path):
    """Lines of the report."""
    found = {n: scores(n, folder) for n in VARIANTS if (folder / f"{n}.npz").is_file()}
    right = found["right"]
    yield f"## Calibration, {right['images']} images"
    yield "\n| unknown | p of χ² (10 bins) | p of the ECDF | 90 % interval covers | counts |"
    yield "|---|---|---|---|---|"
    for i, name in enumerate(NAMES):
        values = f"{right['p'][i]:.3f} | {right['band'][i]:.3f} | {right['coverage'][i]:.3f}"
        yield f"| {name} | {values} | {' '.join(map(str, right['counts'][i]))} |"
    yield "\n## Variants: the smallest p of the eight unknowns, times eight"
    yield "\n| variant | images | χ² | ECDF | coverage, least and most | worst unknown |"
    yield "|---|---|---|---|---|---|"
    rows = [("right", right), ("right, first 200", scores("right", folder, 200))]
    for name, one in rows + [(n, s) for n, s in found.items() if n != "right"]:
        worst = NAMES[int(np.argmin(one["p"]))]
        least = [min(1.0, len(NAMES) * min(one[kind])) for kind in ("p", "band")]
        cover = f"{min(one['coverage']):.3f} to {max(one['coverage']):.3f}"
        yield f"| {name} | {one['images']} | {least[0]:.2g} | {least[1]:.2g} | {cover} | {worst} |"
    yield "\n## Chains"
    yield (
        "\n| variant | R̂: median, 95 %, most | bulk ESS: median, 5 % | tail ESS | trajectories "
        "accepted | jumps accepted | step | divergences | images/s, compilation |"
    )
    yield "|---" * 9 + "|"
    for name, one in found.items():
        yield chain_row(name, one["held"])
    (folder / "scores.json").write_text(
        json.dumps({n: {k: v for k, v in s.items() if k != "held"} for n, s in found.items()})
    )


def chain_row(name: str, held: dict) -> str:
    """One line about the chains of a variant."""
    r_hat, bulk, tail = held["r_hat"].max(axis=1), held["bulk"].min(axis=1), held["tail"].min(1)
    cells = [
        f"{np.median(r_hat):.3f}, {np.quantile(r_hat, 0.95):.3f}, {r_hat.max():.3f}",
        *(f"{np.median(x):.0f}, {np.quantile(x, 0.05):.0f}" for x in (bulk, tail)),
        f"{held['acceptance'].mean():.2f}",
        f"{np.median(held['jumped']):.2f}",
        f"{np.median(held['step_size']):.2f}",
        f"{held['divergences'].sum()}",
        f"{float(held['rate']):.1f}, {float(held['compiling']):.0f} s",
    ]
    return f"| {name} | " + " | ".join(cells) + " |"


def main() -> None:
    """Run what is named, in that order."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", default=[*VARIANTS, "table"])
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for name in options.names:
        if name == "table":
            print("\n".join(table(options.folder)))
        else:
            run(name, options.folder)


if __name__ == "__main__":
    main()
