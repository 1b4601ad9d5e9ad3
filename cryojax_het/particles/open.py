"""One entry for every particle file: the reader is chosen by the name's ending."""

from collections.abc import Sequence
from pathlib import Path

from .arrays import read_npz
from .cryodrgn import read_cryodrgn
from .cryosparc import read_cryosparc
from .relion import read_relion
from .source import AbstractImageSource
from .stack import ReadOptions


def open_particles(
    path: Path,
    options: ReadOptions | None = None,
    *,
    passthrough: Sequence[Path] = (),
    poses: Path | None = None,
    ctf: Path | None = None,
) -> AbstractImageSource:
    """The particles of `path`: `.star` (RELION, Warp, M), `.cs` (cryoSPARC, with `passthrough`),
    `.npz` (ours), or `.mrcs`, `.mrc`, `.txt` with cryoDRGN's `poses` and `ctf` pickles, which
    replace those of a `.star` too.

    Raises `FileNotFoundError`, and `ValueError` for another ending or an option that the format
    has no use for.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    pickled = poses is not None or ctf is not None
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist.")
    if passthrough and (suffix != ".cs" or pickled):
        raise ValueError(f"`--passthrough` belongs to a .cs file alone. Got {path}.")
    if suffix == ".npz":
        if pickled or options not in (None, ReadOptions()):
            raise ValueError(f"{path} is complete: no reading options, poses or CTFs apply to it.")
        return read_npz(path)
    if pickled or suffix in (".mrc", ".mrcs", ".txt"):
        return read_cryodrgn(path, poses, ctf, options)
    if suffix == ".star":
        return read_relion(path, options)
    if suffix == ".cs":
        return read_cryosparc(path, passthrough, options)
    raise ValueError(
        f"{path} has no known ending: .star, .cs, .npz, or .mrcs/.mrc/.txt with `--poses` and "
        "`--ctf` (a .pkl is never opened alone)."
    )
