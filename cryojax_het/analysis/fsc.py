"""Fourier shell correlation: how far, shell by shell, two maps agree, and what may be read from it.

All curves have one value per shell 0 to n//2; shell `s` is the frequency `s / (n pixel_size)`.
Maps of float32 are transformed as such, sums over shells are float64.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Complex, Float, Int

# Half-maps are trusted below the shell where their unmasked FSC first falls under this value, and
# their phases are randomised from there on (Chen et al. 2013).
RANDOMISE_BELOW = 0.8


def fourier_shell_correlation(
    first: Float[np.ndarray, "..."], second: Float[np.ndarray, "..."]
) -> Float[np.ndarray, " s"]:
    """`FSC(s) = Re Σ A B* / sqrt(Σ|A|² Σ|B|²)`, the sums over the frequencies of shell `s`.

    For two volumes `[z, y, x]`, or two images `[y, x]` (a ring correlation). A shell where either
    has no power counts 0. Shells are those of `FourierGrid.shells`: `round(|k| n pixel_size)`.

    Raises `ValueError` where the sides of the box differ, in one map or between the two.

    Harauz & van Heel 1986, Optik 73.
    """
    _check_cubic(first, second)
    return _correlate(np.fft.rfftn(first), np.fft.rfftn(second), first.shape[0])


def shell_frequencies(size: int, pixel_size: float) -> Float[np.ndarray, " s"]:
    """Frequency of each shell 0 to n//2, in 1/Å."""
    return np.arange(size // 2 + 1) / (size * pixel_size)


def crossing(curve: Float[np.ndarray, " s"], threshold: float) -> float:
    """Shell where `curve` first falls below `threshold`, by linear interpolation.

    Shell 0 is taken as 1, whatever the curve has there: the mean says nothing of agreement. The
    last shell where the curve stays above: the answer is then a bound, Nyquist's.
    """
    values = np.concatenate([[1.0], curve[1:]])
    below = np.flatnonzero(values < threshold)
    if not below.size:
        return float(len(curve) - 1)
    after = int(below[0])
    if after == 0:
        return 0.0
    upper, lower = values[after - 1], values[after]
    return float(after - 1 + (upper - threshold) / (upper - lower))


def resolution(curve: Float[np.ndarray, " s"], threshold: float, length: float) -> float:
    """Resolution in Å at the first crossing of `threshold`: `length / crossing`.

    - `length`: side of the box, Å (`n pixel_size`).

    Infinite where the curve is below from the start; no better than Nyquist.
    """
    shell = crossing(curve, threshold)
    return length / shell if shell > 0 else float("inf")


def wiener_fsc(half_maps: Float[np.ndarray, " s"]) -> Float[np.ndarray, " s"]:
    """`2F / (1 + F)`, per shell: the signal's share of the power of the sum of two half-maps.

    With `F = SNR / (1 + SNR)` for each half, the whole has twice the signal-to-noise ratio. It is
    the Wiener weight of the whole map, and the square of the FSC that the whole is expected to
    have with the truth (Rosenthal & Henderson 2003). Negative correlations count 0.
    """
    positive = np.clip(half_maps, 0.0, 1.0)
    return 2 * positive / (1 + positive)


def expected_fsc_to_truth(half_maps: Float[np.ndarray, " s"]) -> Float[np.ndarray, " s"]:
    """`sqrt(2F / (1 + F))`: FSC of the whole map with the truth, from that of its halves.

    It is 0.5 where the half-maps correlate at 1/7 (the 0.143 of Rosenthal & Henderson 2003).
    """
    return np.sqrt(wiener_fsc(half_maps))


@final
@dataclass(frozen=True)
class MaskedFSC:
    """FSC of two half-maps under a mask, corrected for what the mask itself correlates.

    - `unmasked`, `masked`: plain FSC of the maps without and with the mask.
    - `randomised`: under the mask, with phases randomised from shell `randomised_from` on.
    - `corrected`: `(masked - randomised) / (1 - randomised)` beyond that shell, `masked` before.
    """

    unmasked: Float[np.ndarray, " s"]
    masked: Float[np.ndarray, " s"]
    randomised: Float[np.ndarray, " s"]
    corrected: Float[np.ndarray, " s"]
    randomised_from: int


def masked_fsc(
    half1: Float[np.ndarray, "n n n"],
    half2: Float[np.ndarray, "n n n"],
    mask: Float[np.ndarray, "n n n"],
    seed: int = 0,
) -> MaskedFSC:
    """FSC of two half-maps under a soft `mask` (0 to 1), with the phase-randomisation correction.

    A mask convolves both transforms with the same kernel and so makes even noise agree. How much,
    is measured on the same maps with random phases: `FSC_true = (FSC_t - FSC_n) / (1 - FSC_n)`
    (Chen et al. 2013, Ultramicroscopy 135). The first two shells after the randomisation starts
    keep `FSC_t`: there the kernel still mixes in phases that were kept.

    Raises `ValueError` where shapes differ or the mask is empty.
    """
    _check_cubic(half1, half2)
    _check_cubic(half1, mask)
    if not np.any(mask):
        raise ValueError("`mask` is zero everywhere: lower its threshold or give another mask.")
    size = half1.shape[0]
    first, second = np.fft.rfftn(half1), np.fft.rfftn(half2)
    unmasked = _correlate(first, second, size)
    start = _randomisation_shell(unmasked)
    masked = fourier_shell_correlation(half1 * mask, half2 * mask)
    rng = np.random.default_rng(seed)
    randomised = fourier_shell_correlation(
        randomise_phases(first, start, rng) * mask, randomise_phases(second, start, rng) * mask
    )
    beyond = np.arange(len(masked)) >= start + 2
    room = np.maximum(1 - randomised, 1e-6)
    corrected = np.where(beyond, (masked - randomised) / room, masked)
    return MaskedFSC(unmasked, masked, randomised, corrected, start)


def randomise_phases(
    transform: Complex[np.ndarray, "n n h"], start: int, rng: np.random.Generator
) -> Float[np.ndarray, "n n n"]:
    """Real volume with the amplitudes of `transform` (an `rfftn`) and, from shell `start` on,
    the phases of white noise."""
    size = transform.shape[0]
    # The transform of real noise has the symmetry that random angles drawn freely would break.
    real = np.abs(transform[:1, :1, :1]).dtype
    noise = np.fft.rfftn(rng.standard_normal((size,) * 3).astype(real))
    noise *= np.abs(transform) / np.maximum(np.abs(noise), np.finfo(real).tiny)
    changed = np.where(volume_shells((size,) * 3) >= start, noise, transform)
    return np.fft.irfftn(changed, s=(size,) * 3, axes=(0, 1, 2))


def volume_shells(shape: tuple[int, ...]) -> Int[np.ndarray, "..."]:
    """Shell `round(|k| n pixel_size)` of every frequency of an `rfftn` of a map of this shape."""
    size = shape[0]
    axes = [np.fft.fftfreq(size, 1 / size)] * (len(shape) - 1) + [np.arange(size // 2 + 1.0)]
    squared = sum(np.square(axis) for axis in np.meshgrid(*axes, indexing="ij", sparse=True))
    return np.rint(np.sqrt(squared)).astype(np.int32)


def _correlate(first, second, size) -> Float[np.ndarray, " s"]:
    shells = volume_shells((size,) * first.ndim).ravel()
    # Each stored frequency stands for itself and its mirror, except on the two self-paired planes.
    weights = np.full(first.shape[-1], 2.0)
    weights[[0, size // 2]] = 1.0
    count = size // 2 + 1

    def total(values):
        return np.bincount(shells, (values * weights).ravel(), minlength=count)[:count]

    cross = total(np.real(np.multiply(first, second.conj())))
    scale = np.sqrt(total(np.abs(first) ** 2)) * np.sqrt(total(np.abs(second) ** 2))
    return np.divide(cross, scale, out=np.zeros(count), where=scale > 0)


def _randomisation_shell(unmasked: Float[np.ndarray, " s"]) -> int:
    below = np.flatnonzero(unmasked[1:] < RANDOMISE_BELOW)
    return int(below[0]) + 1 if below.size else len(unmasked)


def _check_cubic(first: np.ndarray, second: np.ndarray) -> None:
    if first.shape != second.shape or len(set(first.shape)) != 1:
        raise ValueError(
            f"Both maps must have one and the same number of pixels on every side. "
            f"Got {first.shape} and {second.shape}: crop or resample one of them."
        )
    if first.shape[0] % 2:
        raise ValueError(f"Sides must be even. Got {first.shape}: pad or crop by one pixel.")
