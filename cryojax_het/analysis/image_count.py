"""How many images a folder of results is of, where no particle file tells."""

from pathlib import Path

from ..results.latents import LatentTable


def count_images(folder: Path) -> int | None:
    """Rows of the per-image arrays of a run folder or a plain one (see `outputs.py`); None where
    there are none. Raises `ValueError` where they differ in number."""
    run, plain = LatentTable(Path(folder) / "latents"), LatentTable(folder)
    rows = {name: len(run.read(name)) for name in run.names()}
    known = ("labels", "latents", "latents_covariance", "latents_samples")
    rows |= {name: len(plain.read(name)) for name in plain.names() if name in known}
    if len(set(rows.values())) > 1:
        listed = ", ".join(f"{name} {count}" for name, count in rows.items())
        raise ValueError(f"The arrays of {folder} are of different numbers of images: {listed}.")
    return next(iter(rows.values()), None)
