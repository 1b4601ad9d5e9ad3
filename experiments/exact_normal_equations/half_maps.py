"""The prior as `reconstruct` has it, from the FSC of half-maps: diagonal against exact solution.

python half_maps.py OUTPUT.md --size 48 --images 3000
"""

import argparse
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from compare import BATCH, PIXEL, Comparison

from cryojax_het.analysis.fsc import fourier_shell_correlation
from cryojax_het.inference.updates.toeplitz import ExactEquations
from cryojax_het.inference.updates.wiener import noise_to_signal

SHELLS = (0.25, 0.5, 0.625, 0.75)  # of Nyquist


def lines(comparison, count, snr):
    """One row per solution: FSC of the raw masked halves, errors of the raw and filtered maps."""
    power, middle = comparison.signal / snr, count // BATCH // 2
    halves = []
    for numbers in (range(middle), range(middle, 2 * middle)):
        empty = ExactEquations.zeros(comparison.size, jnp.float32(PIXEL), comparison.kernel)
        halves.append(comparison.simulation.gather(empty, numbers, power, power)[0])
    total, none = halves[0].plus(halves[1]), jnp.zeros(comparison.size // 2 + 1)
    window = np.asarray(comparison.ball.window(comparison.size))
    truth = comparison.truth
    error = lambda v: np.linalg.norm(v * window - truth) / np.linalg.norm(truth)
    solvers = {"diagonal": lambda e, p: comparison.diagonal(e.diagonal, p)}
    for label in ("exact", "exact, ball"):
        solvers[label] = lambda e, p, label=label: comparison.exact[label](e, p).x
    for label, solve in solvers.items():
        first, second = (np.asarray(solve(half, none), float) for half in halves)
        curve = fourier_shell_correlation(first * window, second * window)
        ratio = noise_to_signal(jnp.asarray(curve, jnp.float32))
        filtered = np.asarray(solve(total, ratio), float)
        at = [f"{curve[round(f * (len(curve) - 1))]:.3f}" for f in SHELLS]
        errors = [f"{error((first + second) / 2):.3f}", f"{error(filtered):.3f}"]
        yield "| " + " | ".join([str(snr), label, *at, *errors]) + " |"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("--size", type=int, default=48)
    parser.add_argument("--images", type=int, default=3000)
    options = parser.parse_args()
    comparison = Comparison(options.size, "quadratic")
    head = "| SNR | solution | FSC of halves at 1/4 Nyquist | 1/2 | 5/8 | 3/4 | error, no prior "
    table = [head + "| error, FSC prior |", "|" + " --- |" * 8]
    for snr in (0.5, 0.05):
        table += lines(comparison, options.images, snr)
    options.output.write_text("\n".join(table) + "\n")


if __name__ == "__main__":
    main()
