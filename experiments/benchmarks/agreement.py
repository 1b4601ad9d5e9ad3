"""How well a map agrees with the truth: Fourier shell correlation inside a soft sphere."""

import numpy as np


def soft_sphere(size: int, radius: float, edge: float) -> np.ndarray:
    """1 inside `radius` pixels, a cosine edge of `edge` pixels outwards, then 0: [n, n, n].

    Keep the edge wide: a narrow one leaks the strong low shells into the weak high ones, where
    two leaks then correlate.
    """
    axis = np.arange(size) - size // 2
    distance = np.sqrt(axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2)
    return 0.5 + 0.5 * np.cos(np.pi * np.clip((distance - radius) / edge, 0, 1))


def fsc(a: np.ndarray, b: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Correlation per shell 0 .. n//2 - 1, one Fourier pixel wide."""
    size = a.shape[0]
    k = np.fft.fftfreq(size, 1 / size)
    shell = np.rint(np.sqrt(k[:, None, None] ** 2 + k[:, None] ** 2 + k**2)).astype(int).ravel()
    fa, fb = np.fft.fftn(a * mask), np.fft.fftn(b * mask)

    def total(values):
        return np.bincount(shell, values.ravel())[: size // 2]

    return total((fa * fb.conj()).real) / np.sqrt(total(np.abs(fa) ** 2) * total(np.abs(fb) ** 2))


def resolution(curve: np.ndarray, size: int, pixel_size: float, level: float = 0.5) -> float:
    """Å where the curve first falls below `level`, linear between shells; 2 pixels if never."""
    below = np.nonzero(curve[1:] < level)[0]
    if not len(below):
        return 2 * pixel_size
    high = int(below[0]) + 1
    low, step = curve[high - 1], curve[high - 1] - curve[high]
    shell = high - 1 + (low - level) / step
    return float(size * pixel_size / max(shell, 1e-3))
