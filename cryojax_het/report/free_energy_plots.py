"""Figures of free energies along a path of conformations."""

from pathlib import Path

import numpy as np
from jaxtyping import Float

from ..inference.free_energy.profile import FreeEnergyProfile, LeftOut
from .figures import new_figure, save_figure


def plot_profile(
    path: Path,
    place: tuple[str, Float[np.ndarray, " m"]],
    profile: FreeEnergyProfile,
    histogram: Float[np.ndarray, " m"],
    left_out: list[LeftOut],
) -> None:
    """The free energy of each node with its 50 and 90 % bands, beside the naive histogram and the
    means without one node each, at the level of the whole; below, the images that each node has.

    - `place`: what the nodes are along, and where they are.
    """
    figure, axes = new_figure(6.0, 5.4, (2, 1))
    (above,), (below,) = axes
    name, position = place
    for share, alpha in ((0.9, 0.2), (0.5, 0.3)):
        low, high = profile.band(share)
        above.fill_between(position, low, high, color="C0", alpha=alpha, lw=0, label=f"{share:.0%}")
    above.plot(position, profile.mean(), "o-", color="C0", lw=1.8, ms=4, label="mean")
    for number, one in enumerate(left_out):
        about = {"color": "C1", "lw": 0.6, "alpha": 0.6}
        kept = np.isfinite(one.free_energy)
        label = "one node left out" if number == 0 else None
        # Without a node the others share its images: what matters is how they change apart.
        level = np.mean((one.free_energy - profile.mean())[kept])
        above.plot(position[kept], one.free_energy[kept] - level, label=label, **about)
    with np.errstate(divide="ignore"):
        naive = -np.log(histogram)
    above.step(position, naive - naive.min(), where="mid", color="0.5", lw=1, label="histogram")
    top = max(3.0, 1.1 * float(profile.band()[1].max()))
    above.set(ylabel="free energy (k$_B$T)", ylim=(min(-0.5, profile.band()[0].min()), top))
    above.legend(frameon=False, fontsize=8, ncols=2)
    width = 0.8 * np.gradient(position)
    below.bar(position, profile.counts, width=width, color="C0", alpha=0.7)
    below.set(xlabel=name, ylabel="images")
    above.set_xlim(below.get_xlim())
    for axis in (above, below):
        axis.grid(alpha=0.25)
    save_figure(figure, path)
