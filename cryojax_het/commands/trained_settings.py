"""What every method is told that trains networks over Gaussians."""

from dataclasses import dataclass
from typing import Literal

from .mixture_settings import MixtureSettings
from .training_settings import TrainingSettings, check_counts, check_positive, check_shares


@dataclass(frozen=True, kw_only=True)
class TrainedSettings(MixtureSettings, TrainingSettings):
    """Gaussians moved by a network of a latent that another network reads off each image.

    A base for the settings of methods of `fit`.
    """

    displacement: Literal["anchors", "network", "segments", "modes", "regions"] = "anchors"
    """What moves the Gaussians. anchors: rigid motions of points in space, blended between them;
    network: each Gaussian on its own, by its place; segments: stretches of the chain, rigid, their
    ends learned (needs `--structure`); modes: the softest collective normal modes, as many as the
    latent has coordinates, their widths learned; regions: rigid regions that follow these modes."""
    softest: float = 4.0
    """Å: root mean square displacement of the softest mode per unit of its latent, at first."""
    occupancy: Literal["fixed", "learned"] = "fixed"
    """Whether parts may also come and go with the latent: amplitudes by a network at anchors."""
    bodies: int = 32
    """Number of anchors or segments; at most one to three Gaussians."""
    reach: float | None = None
    """Width over which anchors are blended, Å; None: two thirds of their mean distance to the
    nearest other one."""
    encoder: Literal["score", "pixels"] = "score"
    """What the latent is read off. score: how the image's likelihood pulls at the Gaussians;
    pixels: convolutions of the image."""
    decoder_layers: tuple[int, int] = (64, 3)
    """Width and number of the hidden layers of the displacement's network."""
    encoder_layers: tuple[int, int] = (128, 3)
    """Width and number of the encoder's hidden dense layers."""
    neutral_epochs: int = 3
    """Passes before the others that fit the Gaussians, at rest, to all images."""
    lesson_images: int = 0
    """Images whose posteriors are found by Gauss-Newton from several starts first, to teach the
    encoder; 0: none."""
    lesson_epochs: int = 40
    """Passes over these."""
    lesson_starts: int = 8
    """Conformations that the search of each starts from."""
    bonds: float = 0.0
    """Weight of bond lengths as they are in the structure; 1: as a density would have it."""
    angles: float = 0.0
    """Weight of bond angles."""
    dihedrals: float = 0.0
    """Weight of torsions."""
    clash: float = 0.0
    """Weight of what keeps Gaussians that are not bonded apart."""
    elastic: float = 0.0
    """Weight of the distances between neighbours; the only one of these for pseudo-atoms."""
    bond_width: float = 0.1
    """Standard deviation of a bond's length, Å."""
    elastic_width: float = 1.0
    """Standard deviation that the elastic network allows the distance of neighbours, Å."""
    released: float = 0.05
    """Share of the network's pairs, those that vary most, that may change freely."""
    loose: float = 1.0
    """Share of their weights that all these have at first; they come to it over `stiffening`."""
    stiffening: float = 0.7
    """Share of the epochs until the weights are whole."""
    balance: float | None = None
    """Pull of all these as a share of the images' pull; None: by their weights alone."""

    def __post_init__(self):
        MixtureSettings.__post_init__(self)
        TrainingSettings.__post_init__(self)
        check_counts(self, "bodies", "lesson_epochs", "lesson_starts")
        check_positive(self, "softest")
        check_shares(self, "stiffening")
        if self.lesson_images < 0:
            raise ValueError(f"`--lesson-images` must not be negative. Got {self.lesson_images}.")
        if self.neutral_epochs < 0:
            raise ValueError(f"`--neutral-epochs` must not be negative. Got {self.neutral_epochs}.")
        if not 0 < self.loose <= 1:
            raise ValueError(f"`--loose` must be above 0, at most 1. Got {self.loose}.")
        for name in (*self.restraints(), "released"):
            if getattr(self, name) < 0:
                raise ValueError(f"`--{name}` must not be negative. Got {getattr(self, name)}.")
        chained = [name for name, w in self.restraints().items() if w > 0 and name != "elastic"]
        if self.structure is None and chained:
            raise ValueError(f"`--{chained[0]}` needs `--structure`: a map has no chain.")
        if self.displacement == "segments" and self.structure is None:
            raise ValueError("`--displacement segments` needs `--structure`: a map has no chain.")

    def restraints(self) -> dict[str, float]:
        """Weights of what is known of structures, by name."""
        names = ("bonds", "angles", "dihedrals", "clash", "elastic")
        return {name: getattr(self, name) for name in names}

    @property
    def gaussians_are_free(self) -> bool:
        """Whether places, amplitudes and widths train: those of pseudo-atoms do, while those of a
        structure are its own."""
        return self.structure is None
