"""What every method is told that deforms the map by a field in space."""

from dataclasses import dataclass
from typing import Literal

from .training_settings import TrainingSettings, check_counts


@dataclass(frozen=True, kw_only=True)
class FlowSettings(TrainingSettings):
    """The consensus map, deformed by a field that follows a latent which a network reads off each
    image.

    A base for the settings of methods of `fit`.
    """

    volume: Literal["flex", "zernike"] = "flex"
    latent: int = 2
    epochs: int = 30
    rounds: int = 6
    """Rounds that the epochs are shared out to: before each but the first, the map is solved for
    through the field as it is by then."""
    encoder: Literal["score", "pixels"] = "score"
    """What the latent is read off. score: how the image's likelihood pulls at the map's voxels;
    pixels: convolutions of the image."""
    encoder_layers: tuple[int, int] = (128, 3)
    """Width and number of the encoder's hidden dense layers."""
    decoder_layers: tuple[int, int] = (64, 6)
    """Width and number of the hidden layers between a latent and the field."""

    def __post_init__(self):
        super().__post_init__()
        check_counts(self, "rounds")
        if self.rounds > self.epochs:
            raise ValueError(f"`--rounds` must not exceed the {self.epochs} epochs.")
