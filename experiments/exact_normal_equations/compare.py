"""Diagonal against exact least squares on simulated images of a sum of Gaussians.

    python compare.py OUTPUT.md --size 64 --images 500 3000 10000

The images are exact slices, not interpolated ones; poses, shifts and contrast are known; the prior
is that of the true spectrum and the true noise (none for noiseless images). Both solutions are
from one pass over the same images.
"""

import argparse
import time
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from cryojax_het.analysis.fsc import crossing, fourier_shell_correlation
from cryojax_het.imaging import rotation
from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.imaging.image import Batch, Latents, render
from cryojax_het.imaging.noise import WhiteNoise
from cryojax_het.imaging.optics import Optics
from cryojax_het.inference.updates import wiener
from cryojax_het.inference.updates.conjugate_gradients import Stopping
from cryojax_het.inference.updates.normal_equations import NormalEquations
from cryojax_het.inference.updates.toeplitz import (
    Ball,
    ExactEquations,
    WholeBox,
    plane_wave_weights,
    solve_verbosely,
)
from cryojax_het.volumes.gaussians import Gaussians
from cryojax_het.volumes.kernel import cubic, quadratic

BATCH, PIXEL = 100, 2.0
KERNELS = {"quadratic": quadratic, "cubic": cubic}


def molecule(size):
    """200 Gaussians of 3 Å within 0.35 of the box."""
    rng = np.random.default_rng(0)
    direction = rng.normal(size=(200, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    radius = 0.35 * size * PIXEL * rng.uniform(size=(200, 1)) ** (1 / 3)
    return Gaussians(
        jnp.asarray(direction * radius, jnp.float32), jnp.ones(200), jnp.full(200, 3.0)
    )


def latents_and_optics(key):
    keys = jax.random.split(key, 3)
    full = lambda x: jnp.full((BATCH,), x, jnp.float32)
    poses = jax.vmap(rotation.random)(jax.random.split(keys[0], BATCH))
    shifts = 4 * jax.random.normal(keys[1], (BATCH, 2))
    defocus = jax.random.uniform(keys[2], (BATCH,), minval=8e3, maxval=2e4)
    latents = Latents(jnp.zeros((BATCH, 0)), poses, shifts, full(1.0))
    optics = Optics(
        defocus_u=defocus,
        defocus_v=defocus - 300,
        astigmatism_angle=full(0.3),
        wavelength=full(0.0197),
        spherical_aberration=full(2.7e7),
        amplitude_contrast=full(0.1),
        phase_shift=full(0.0),
        b_factor=full(0.0),
        scale=full(1.0),
        group=jnp.zeros(BATCH, jnp.int32),
    )
    return latents, optics


def clean(volume, latents, optics, grid):
    return jax.vmap(lambda l, o: render(volume, l, o, grid))(latents, optics)


def signal_power(volume, grid):
    """Mean over images and pixels of the squared noiseless image, times Å²: density per 1/Å²."""
    latents, optics = latents_and_optics(jax.random.key(99))
    images = clean(volume, latents, optics, grid)
    return float(jnp.mean(jax.vmap(grid.to_image)(images) ** 2)) * PIXEL**2


class Simulation:
    """Batches of images of one volume, compiled once for all noise levels."""

    def __init__(self, volume, grid):
        def make(key, power):
            latents, optics = latents_and_optics(key)
            images = clean(volume, latents, optics, grid)
            keys = jax.random.split(jax.random.fold_in(key, 1), BATCH)
            noisy = jax.vmap(lambda k, mean: WhiteNoise(power).sample(k, mean, grid))(keys, images)
            return Batch(noisy, optics, latents, jnp.arange(BATCH), jnp.ones(BATCH))

        def add(equations, batch, power):
            return equations.add(batch, batch.latents, WhiteNoise(power), grid)

        self.make, self.add = jax.jit(make), jax.jit(add, donate_argnums=0)

    def gather(self, equations, numbers, power, assumed):
        """With the batches of these numbers, and the median of images per second."""
        seconds = []
        for number in numbers:
            batch = jax.block_until_ready(self.make(jax.random.key(number), power))
            begin = time.perf_counter()
            equations = jax.block_until_ready(self.add(equations, batch, assumed))
            seconds.append(time.perf_counter() - begin)
        return equations, BATCH / float(np.median(seconds))


def true_prior(exact, truth):
    """`1/(τ²⟨Λ⟩)` per shell, from the spectrum of the truth and the exact mean weights."""
    n = truth.shape[0]
    shells, inside = wiener._shells(n, n)
    mean = lambda values: wiener._shell_mean(jnp.asarray(values), shells, inside, n)
    power = mean(np.abs(np.fft.rfftn(truth)) ** 2 / n**3)
    weight = mean(plane_wave_weights(exact.convolution()) * PIXEL**6)
    product = power * weight
    # As `wiener.noise_to_signal` does: beyond this nothing passes, and CG pays for the range.
    return jnp.minimum(1 / jnp.maximum(product, 1e-9), 500.0).astype(jnp.float32)


def timed(function, *arguments):
    jax.block_until_ready(function(*arguments))
    begin = time.perf_counter()
    result = jax.block_until_ready(function(*arguments))
    return result, time.perf_counter() - begin


class Comparison:
    """Both solutions for a box of `size` pixels, compiled once for all sets of images."""

    def __init__(self, size, name):
        self.size, self.name = size, name
        self.grid, volume = FourierGrid(size, PIXEL), molecule(size)
        self.kernel, self.ball = KERNELS[name](), Ball(0.40 * size, 3.0)
        self.truth = np.asarray(volume.density(jnp.zeros(0), self.grid))
        self.signal = signal_power(volume, self.grid)
        self.simulation = Simulation(volume, self.grid)
        self.diagonal = eqx.filter_jit(wiener.solve)
        self.exact = {
            label: eqx.filter_jit(lambda e, p, s=support: solve_verbosely(e, p, s, Stopping()))
            for label, support in (("exact", WholeBox()), ("exact, ball", self.ball))
        }

    def run(self, counts, snr):
        """Rows of the table for growing sets of images of one signal-to-noise ratio (0: none)."""
        power = self.signal / snr if snr else 0.0
        assumed = power or self.signal
        zeros = lambda kind: kind.zeros(self.size, jnp.float32(PIXEL), self.kernel)
        gather, done, equations = self.simulation.gather, 0, zeros(ExactEquations)
        diagonal_rate = gather(zeros(NormalEquations), range(5), power, assumed)[1]
        for count in counts:
            numbers = range(done, count // BATCH)
            equations, rate = gather(equations, numbers, power, assumed)
            done = count // BATCH
            prior = true_prior(equations, self.truth) if snr else jnp.zeros(self.size // 2 + 1)
            names = (self.size, count, snr or "∞", self.name)
            for label, v, seconds, steps in self.solutions(equations, prior):
                exact = label.startswith("exact")
                cost = (rate, equations) if exact else (diagonal_rate, equations.diagonal)
                yield row((*names, label, steps), (v, self.truth), seconds, cost)

    def solutions(self, equations, prior):
        plain, seconds = timed(self.diagonal, equations.diagonal, prior)
        yield "diagonal", np.asarray(plain), seconds, ""
        window = np.asarray(self.ball.window(self.size))
        yield "diagonal, masked", np.asarray(plain) * window, seconds, ""
        for label, solve in self.exact.items():
            solution, seconds = timed(solve, equations, prior)
            steps = int(solution.iterations)
            yield label, np.asarray(solution.x), seconds, steps
            if label == "exact":
                yield "exact, masked", np.asarray(solution.x) * window, seconds, steps


def row(names, maps, seconds, cost):
    found, truth = maps
    rate, equations = cost
    error = np.linalg.norm(found - truth) / np.linalg.norm(truth)
    curve = fourier_shell_correlation(found.astype(float), truth.astype(float))
    n = len(curve) - 1
    at = [curve[round(f * n)] for f in (0.125, 0.25, 0.5, 0.75, 0.9)]
    megabytes = sum(x.nbytes for x in jax.tree.leaves(equations)) / 1e6
    text = [*map(str, names), f"{error:.4f}", *(f"{x:.4f}" for x in at)]
    text += [f"{crossing(curve, 0.5) / n:.2f}", f"{rate:.0f}", f"{seconds:.2f}", f"{megabytes:.0f}"]
    return "| " + " | ".join(text) + " |"


HEADER = (
    "| n | N | SNR | kernel | solution | CG | rel. error | FSC at 1/8 Nyquist | 1/4 | 1/2 | 3/4 "
    "| 9/10 | FSC = ½ at | images/s | solve, s | tables, MB |"
)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--images", type=int, nargs="+", default=[500, 3000, 10000])
    parser.add_argument("--kernel", choices=KERNELS, default="quadratic")
    parser.add_argument("--snr", type=float, nargs="+", default=[0.0, 0.5, 0.05])
    options = parser.parse_args()
    lines = [HEADER, "|" + " --- |" * HEADER.count(" | ") + " --- |"]
    comparison = Comparison(options.size, options.kernel)
    for snr in options.snr:
        for line in comparison.run(options.images, snr):
            print(line, flush=True)
            lines.append(line)
    options.output.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
