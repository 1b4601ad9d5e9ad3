"""RECOVAR's command line with two faults of version 1.0.5 on the CPU put right.

    ENV/bin/python recovar_on_cpu.py pipeline ...        as `recovar pipeline ...`

1. Its slicer without CUDA (`core.relion_interp`) takes image frequencies as indices of the volume's
   grid whatever that grid's padding. On a grid padded by f = 2 every slice then lies at half its
   frequency: the mean, and all that follows from it, is magnified by two and cropped. (FSC of the
   mean to the truth at half of Nyquist, 2,000 images: 0.0 as it is, 0.98 so.) Cubic slices and the
   CUDA kernels do scale. Rotations times f are the same as frequencies times f, and the slicer
   clips by the unrotated frequency, which stays right.
2. `compute_state` pads each of its 50 groups of images to the largest batch that memory allows, so
   that it is compiled once; a CPU then works 50 times as long. Padding to a power of two gives the
   same sums (padded rows have weight zero) and few compilations.

This folder holds no file named as a package of the peer's: the folder of a script comes first on
its path.
"""

from collections.abc import Callable

from recovar.command_line import main_commands
from recovar.core import relion_interp
from recovar.heterogeneity import adaptive_kernel_discretization as kernels


def on_padded_grid(slicer: Callable) -> Callable:
    """The slicer, or its adjoint, with frequencies in units of the volume's grid."""

    def scaled(values, rotations, image_shape, volume_shape, **options):
        padding = volume_shape[0] // image_shape[0]
        return slicer(values, rotations * padding, image_shape, volume_shape, **options)

    return scaled


def to_power_of_two(pad: Callable) -> Callable:
    """Padding to the next power of two instead of a whole batch."""

    def padded(images, *rest, target_batch_size):
        enough = 1 << (len(images) - 1).bit_length()
        return pad(images, *rest, target_batch_size=min(enough, target_batch_size))

    return padded


if __name__ == "__main__":
    relion_interp.project = on_padded_grid(relion_interp.project)
    relion_interp.backproject = on_padded_grid(relion_interp.backproject)
    kernels._pad_heterogeneity_kernel_batch = to_power_of_two(
        kernels._pad_heterogeneity_kernel_batch
    )
    main_commands()
