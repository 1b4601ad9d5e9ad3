"""What every method of `fit` is told that trains by stochastic gradients."""

from dataclasses import dataclass

from .image_settings import ImageSettings


@dataclass(frozen=True, kw_only=True)
class TrainingSettings(ImageSettings):
    """How long and how fast networks train, and on what pixels.

    A base for the settings of methods of `fit`.
    """

    batch: int | None = None
    """Images of a step; None: 64, or an eighth of them all where these are few."""
    latent: int = 4
    """Coordinates of the latent; those that are not needed stay at the prior."""
    epochs: int = 40
    """Passes over the images that train the networks."""
    warm_up: float = 0.3
    """Share of the epochs over which the divergence from the prior comes to its full weight."""
    free_nats: float = 0.0
    """Divergence of each latent coordinate that costs nothing."""
    rate: float = 2e-3
    """Learning rate of Adam at the start; it falls to 0 as a cosine."""
    clip: float = 100.0
    """Longest gradient that is taken as it is; longer ones are shortened to it."""
    contrast: float = 0.2
    """Standard deviation of the contrast over images, whose mean is 1."""
    latent_box: int | None = None
    """Pixels of the crop that is worked on; None: up to the resolution of the half-maps, at most
    64."""

    def __post_init__(self):
        check_counts(self, "latent", "epochs")
        check_positive(self, "rate", "clip", "contrast")
        check_shares(self, "warm_up")
        if self.free_nats < 0:
            raise ValueError(f"`--free-nats` must not be negative. Got {self.free_nats}.")
        if self.latent_box is not None and (self.latent_box % 2 or self.latent_box < 8):
            raise ValueError(f"`--latent-box` must be even, from 8. Got {self.latent_box}.")


def check_counts(settings: ImageSettings, *names: str) -> None:
    """`ValueError` unless the fields `names` are 1 or more."""
    for name in names:
        if getattr(settings, name) < 1:
            raise ValueError(f"`{flag(name)}` must be at least 1. Got {getattr(settings, name)}.")


def check_positive(settings: ImageSettings, *names: str) -> None:
    """`ValueError` unless the fields `names` are above 0."""
    for name in names:
        if getattr(settings, name) <= 0:
            raise ValueError(f"`{flag(name)}` must be positive. Got {getattr(settings, name)}.")


def check_shares(settings: ImageSettings, *names: str) -> None:
    """`ValueError` unless the fields `names` lie between 0 and 1."""
    for name in names:
        if not 0 <= getattr(settings, name) <= 1:
            raise ValueError(
                f"`{flag(name)}` must lie between 0 and 1. Got {getattr(settings, name)}."
            )


def flag(name: str) -> str:
    """Of a field, on the command line."""
    return f"--{name.replace('_', '-')}"
