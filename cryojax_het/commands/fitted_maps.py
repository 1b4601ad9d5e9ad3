"""Maps at latents by the model of a run: which class makes them, by the run's `volume`."""

from collections.abc import Callable, Mapping

from ..analysis.expanded_maps import ExpandedMaps, expanded_maps
from ..analysis.flow_maps import flow_maps
from ..analysis.map_series import LinearMaps, linear_maps
from ..analysis.mixture_maps import mixture_maps
from ..analysis.model_maps import AbstractModelMaps
from ..analysis.neural_field_maps import neural_field_maps
from ..results.run import RunFolder
from .fit import FLOWS, MIXTURES, NEURAL_FIELDS

FittedMaps = LinearMaps | ExpandedMaps | AbstractModelMaps

# A new kind of model is one more entry.
MODELS: Mapping[str, Callable[[RunFolder], FittedMaps]] = {
    "linear": linear_maps,
    "prolate": expanded_maps,
    **dict.fromkeys(MIXTURES, mixture_maps),
    **dict.fromkeys(FLOWS, flow_maps),
    **dict.fromkeys(NEURAL_FIELDS, neural_field_maps),
}
