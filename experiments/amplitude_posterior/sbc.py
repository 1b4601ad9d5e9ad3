"""Simulation-based calibration of the posterior of mode amplitudes, poses and contrasts.

    CRYOJAX_HET_DATA=... python sbc.py FOLDER [right | right_long | double_noise | even_weights |
                                       narrow_prior | no_jumps | nuts | table] ...

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
from cryojax_het.imaging.image import render
from cryojax_het.imaging.noise import WhiteNoise
from cryojax_het.inference.chain_diagnostics import diagnose
from cryojax_het.inference.posteriors.draws import AbstractSampler
from cryojax_het.inference.posteriors.gauss_newton import GaussNewton
from cryojax_het.inference.posteriors.hamiltonian import Hamiltonian
from cryojax_het.inference.posteriors.no_u_turn import NoUTurn
from cryojax_het.inference.posteriors.unknowns import ConformationPoseContrast
from cryojax_het.inference.sampling.mixture import StudentMixture

SNR, PART, KEPT = 0.3, 50, 100
TESTED = (*NAMES, "misfit")
MODES = GaussNewton(starts=6, steps=12)
HMC = Hamiltonian(MODES, chains=2, warmup=150, draws=250, leapfrogs=8)
LONG = Hamiltonian(MODES, chains=2, warmup=150, draws=600, leapfrogs=8)
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
    "right_again": (HMC, 500, same, 1.0),
    "right_long": (LONG, 500, same, 1.0),
    "double_noise": (HMC, 200, lambda noise: WhiteNoise(2 * noise.power), 1.0),
    "even_weights": (HMC, 200, EvenWeights, 1.0),
    "narrow_prior": (HMC, 200, same, 0.6),
    "no_jumps": (WithoutJumps(), 100, same, 1.0),
    "nuts": (NUTS, 100, same, 1.0),
}


TRACES = []


@eqx.filter_jit
def sampled(sampler, volume, noise, prior, batch):
    """One program for all parts, and for all variants of the same sampler and kind of noise."""
    TRACES.append(type(sampler).__name__)
    return sampler.run(jax.random.key(0), volume, noise, prior, batch, GRID)


def run(name: str, folder: Path) -> None:
    """Draws of every image of one variant, and how its chains went."""
    sampler, count, believed, factor = VARIANTS[name]
    volume = calmodulin()
    batch, noise, truth = simulated(volume, 500, SNR, seed_of(name))
    noise, prior, before = believed(noise), ScaledPrior(factor), len(TRACES)
    drawn, reports, seconds = [], [], []
    for first in range(0, count, PART):
        part = jax.tree.map(lambda x, i=first: x[i : i + PART], batch)
        began = time.process_time()
        chains = jax.block_until_ready(sampled(sampler, volume, noise, prior, part))
        seconds.append(time.process_time() - began)
        reports.append(vars(diagnose(chains)))
        drawn.append(np.asarray(chains.unknowns).reshape(PART, -1, len(NAMES)))
        print(name, first + PART, f"{seconds[-1]:.1f} s", TRACES, flush=True)
    assert len(TRACES) <= before + 1, f"compiled {len(TRACES) - before} times"
    joined = {key: np.concatenate([report[key] for report in reports]) for key in reports[0]}
    usual = np.median(seconds[1:])
    times = {"compiling": seconds[0] - usual, "rate": PART / usual}
    np.savez(
        folder / f"{name}.npz", draws=np.concatenate(drawn), truth=truth[:count], **joined, **times
    )


def seed_of(name: str) -> int:
    """All variants see the same images but one."""
    return 2 if name == "right_again" else 1


def band(ranks, count: int, seed: int = 0) -> float:
    """p-value of the largest distance of the ranks' distribution from the uniform one."""
    steps = (np.arange(KEPT + 1) + 1) / (KEPT + 1)
    uniform = np.random.default_rng(seed).integers(0, KEPT + 1, (2000, count))
    distance = lambda r: np.abs(
        np.cumsum(np.bincount(r, minlength=KEPT + 1)) / len(r) - steps
    ).max()
    return (1 + sum(distance(each) >= distance(ranks) for each in uniform)) / 2001


@eqx.filter_jit
def misfits(volume, noise, batch, unknowns):
    """`|whitened residual|²` of each image at each of `unknowns` `[b, s, 8]`, in all truth."""

    def one(image, start, optics, u):
        latents = ConformationPoseContrast().moved(start, u)
        residual = image - render(volume, latents, optics, GRID)
        return jnp.sum(noise.whiten(residual, GRID) ** 2)

    over = jax.vmap(jax.vmap(one, (None, None, None, 0)))
    return over(batch.images, batch.latents, batch.optics, unknowns)


def with_misfit(name: str, draws, truth):
    """`draws` `[b, s, 8]` and `truth` `[b, 8]` with the misfit for a ninth: whether images fit as
    well as they should shows bugs of the likelihood that single unknowns hide (Modrák et al. 2023,
    Bayesian Analysis)."""
    volume = calmodulin()
    batch, noise, _ = simulated(volume, 500, SNR, seed_of(name))
    batch = jax.tree.map(lambda x: x[: len(truth)], batch)
    both = np.concatenate([truth[:, None], draws], axis=1).astype(np.float32)
    found = np.asarray(misfits(volume, noise, batch, jnp.asarray(both)))
    both = np.concatenate([both, found[..., None]], axis=2)
    return both[:, 1:], both[:, 0]


def scores(names: tuple, folder: Path, count: int | None = None) -> dict:
    """Calibration over the first `count` images of variants together, and how chains went."""
    held = [np.load(folder / f"{name}.npz") for name in names]
    thinned, inside = [], []
    for name, one in zip(names, held, strict=True):
        draws, truth = one["draws"][:count], one["truth"][:count]
        low, high = np.quantile(draws, (0.05, 0.95), axis=1)
        inside.append((low <= truth) & (truth <= high))
        thinned.append(with_misfit(name, draws[:, :: draws.shape[1] // KEPT], truth))
    thin, truth = (np.concatenate(parts) for parts in zip(*thinned, strict=True))
    ranks = (thin < truth[:, None]).sum(axis=1)
    per = [rank_histogram(thin[..., i], truth[:, i]) for i in range(len(TESTED))]
    return {
        "images": len(truth),
        "p": [each.p_value for each in per],
        "counts": [each.counts.tolist() for each in per],
        "band": [band(ranks[:, i], len(ranks)) for i in range(len(TESTED))],
        "coverage": np.concatenate(inside).mean(axis=0).tolist(),
        "held": {key: held[0][key] for key in held[0].files if key not in ("draws", "truth")},
    }


def table(folder: Path):
    """Lines of the report."""
    found = {n: scores((n,), folder) for n in VARIANTS if (folder / f"{n}.npz").is_file()}
    right = scores(("right", "right_again"), folder)
    yield f"## Calibration, {right['images']} images of two seeds"
    yield "\n| unknown | p of χ² (10 bins) | p of the ECDF | 90 % interval covers | counts |"
    yield "|---|---|---|---|---|"
    for i, name in enumerate(TESTED):
        covers = f"{right['coverage'][i]:.3f}" if name in NAMES else ""
        values = f"{right['p'][i]:.3f} | {right['band'][i]:.3f} | {covers}"
        yield f"| {name} | {values} | {' '.join(map(str, right['counts'][i]))} |"
    yield "\n## Variants: the smallest p of the nine tested, times nine"
    yield "\n| variant | images | χ² | ECDF | coverage, least and most | worst |"
    yield "|---|---|---|---|---|---|"
    rows = [("right, both", right), ("right, first 200", scores(("right",), folder, 200))]
    for name, one in [*rows, *found.items()]:
        worst = TESTED[int(np.argmin(one["p"]))]
        least = [min(1.0, len(TESTED) * min(one[kind])) for kind in ("p", "band")]
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
