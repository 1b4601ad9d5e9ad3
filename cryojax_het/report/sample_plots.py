"""A figure of how chains went: agreement, worth, and the worst of them."""

from pathlib import Path

import numpy as np
from jaxtyping import Float

from .figures import new_figure, save_figure


def plot_chains(
    path: Path,
    r_hat: Float[np.ndarray, "i q"],
    size: Float[np.ndarray, "i q"],
    worst: Float[np.ndarray, "c n"],
    name: str,
) -> None:
    """Histograms over images of the largest R-hat and the least effective number of draws, and the
    chains of the quantity `name` that agree the least."""
    figure, [axes] = new_figure(10.0, 3.2, (1, 3))
    axes[0].hist(r_hat.max(axis=1), bins=30, color="0.4")
    axes[0].axvline(1.05, color="C3", lw=0.8, ls="--")
    axes[0].set(xlabel="largest R-hat of an image", ylabel="images")
    axes[1].hist(size.min(axis=1), bins=30, color="0.4")
    axes[1].set(xlabel="least effective draws of an image", ylabel="images")
    for chain in worst:
        axes[2].plot(chain, lw=0.7)
    axes[2].set(xlabel="draw", ylabel=name, title="least agreement", xlim=(0, worst.shape[1]))
    save_figure(figure, path)
