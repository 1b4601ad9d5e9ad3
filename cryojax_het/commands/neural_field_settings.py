"""What every method is told that makes the molecule a neural field."""

from dataclasses import dataclass
from typing import Literal

from .training_settings import TrainingSettings, check_counts, check_positive

Features = Literal[
    "gaussian",
    "linear",
    "geometric",
    "geometric-full",
    "geometric-low",
    "geometric-middle",
]


@dataclass(frozen=True, kw_only=True)
class NeuralFieldSettings(TrainingSettings):
    """A network that gives the molecule's transform at any frequency and latent.

    A base for the settings of methods of `fit`.
    """

    latent: int = 8
    """Coordinates of the latent (cryoDRGN's zdim)."""
    latent_box: int | None = None
    """Pixels of the crop that is worked on; None: up to the resolution of the half-maps."""
    posterior: Literal["encoder", "table"] = "encoder"
    """Where an image's latent comes from. encoder: a network reads it off the image; table: it is a
    parameter of its own, found with the field."""
    decoder_layers: tuple[int, int] = (256, 3)
    """Width and number of the field's residual layers (dec-dim, dec-layers)."""
    features: Features = "gaussian"
    """Waves that the field is told of a frequency (pe-type: gaussian; linear: linear_lowf;
    geometric: geom_ft; geometric-full, -low, -middle: geom_full, geom_lowf, geom_nohighf)."""
    feature_width: float = 0.5
    """Of gaussian ones (feat-sigma): waves for atoms in a ball of radius r of the box's side have
    4π r/√5."""
    feature_count: int | None = None
    """Waves: of gaussian ones in all, else of each axis (pe-dim); None: as cryoDRGN has, 3/2 or 1/2
    of the box."""
    products: Literal["full", "device", "half"] = "full"
    """How exactly matrices are multiplied. full: single precision; device: as the GPU likes it;
    half: bfloat16, sums in single precision."""
    encoder: Literal["pixels", "convolutions"] = "pixels"
    """The network that reads images: residual layers of all pixels, or convolutions."""
    encoder_layers: tuple[int, int] = (256, 3)
    """Width and number of its dense layers (enc-dim, enc-layers)."""
    image_window: float = 0.85
    """Radius, of half the box, from which the pixels that it sees fade (window-r)."""
    divergence: float = 1.0
    """Weight of the divergence of latents from the prior; 1: the evidence bound."""
    row_rate: float = 0.1
    """Of a table: Adam's learning rate of latents at the start. A latent goes about half of it an
    epoch, at most: few epochs need a higher one than many."""
    row_width: float = 0.1
    """Of a table: standard deviation of its rows at the start."""
    table_epochs: int = 0
    """Of an encoder: epochs, the last of all, in which each image's latent is a parameter of its
    own, begun where the encoder puts it."""
    group: int | None = None
    """Points of an image that are evaluated together; None: all on a GPU, and on a CPU what its
    cache holds of a batch."""

    def __post_init__(self):
        super().__post_init__()
        positive = ("feature_width", "image_window", "row_rate", "row_width")
        check_positive(self, *positive)
        for name in ("group", "feature_count"):
            if getattr(self, name) is not None:
                check_counts(self, name)
        self._check_table_epochs()
        if self.divergence < 0:
            raise ValueError(f"`--divergence` must not be negative. Got {self.divergence}.")

    def _check_table_epochs(self) -> None:
        if self.table_epochs and self.posterior == "table":
            raise ValueError(
                "`--table-epochs` follow an encoder: with `--posterior table` latents are "
                f"parameters in all epochs. Got {self.table_epochs}."
            )
        if not 0 <= self.table_epochs < self.epochs:
            raise ValueError(
                f"`--table-epochs` are the last of the {self.epochs} epochs, and must be fewer. "
                f"Got {self.table_epochs}."
            )
