"""Simulated stacks with known truth, in the formats that every program reads.

A molecule of 300 Gaussians, images from its closed form (no interpolation, no program's own
projector), CTF, shifts and white noise; written as MRCS + STAR (RELION 3.1) + cryoDRGN pickles.
"""

import pickle
from pathlib import Path

import mrcfile
import numpy as np
from closed_form import (
    AMPLITUDE_CONTRAST,
    CS_MM,
    VOLTAGE_KV,
    Plane,
    molecule_slice,
    transfer,
    voxels,
)
from work import random_ball, random_rotations

RADIUS, WIDTH_PIXELS, SIGNAL_TO_NOISE, CHUNK = 0.30, 1.0, 0.05, 500


def euler_degrees(rotation: np.ndarray) -> np.ndarray:
    """RELION's (rot, tilt, psi) such that A(rot, tilt, psi) is each of the matrices [n, 3, 3]."""
    tilt = np.arccos(np.clip(rotation[:, 2, 2], -1, 1))
    rot = np.arctan2(rotation[:, 2, 1], rotation[:, 2, 0])
    psi = np.arctan2(rotation[:, 1, 2], -rotation[:, 0, 2])
    return np.degrees(np.stack([rot, tilt, psi], axis=1))


def simulate(folder: Path, size: int, count: int, pixel_size: float, seed: int = 0) -> np.ndarray:
    """Write particles.mrcs, particles.star, poses.pkl, ctf.pkl; return the true map [z, y, x]."""
    rng, plane = np.random.default_rng(seed), Plane(size, pixel_size)
    width = WIDTH_PIXELS * pixel_size
    molecule = random_ball(300, RADIUS * size * pixel_size, rng)
    rotation = random_rotations(count, rng)
    shift = rng.normal(scale=1.5 * pixel_size, size=(count, 2))
    defocus = rng.uniform(8000.0, 25000.0, size=count)
    folder.mkdir(parents=True, exist_ok=True)
    sigma = None
    shape = (count, size, size)
    with mrcfile.new_mmap(folder / "particles.mrcs", shape, mrc_mode=2, overwrite=True) as file:
        for start in range(0, count, CHUNK):
            rows = range(start, min(start + CHUNK, count))
            clean = plane.image(
                np.stack(
                    [
                        molecule_slice(molecule, width, rotation[i], plane)
                        * transfer(defocus[i], shift[i], plane)
                        for i in rows
                    ]
                )
            )
            sigma = sigma or np.sqrt(clean.var() / SIGNAL_TO_NOISE)
            file.data[rows.start : rows.stop] = clean / sigma + rng.normal(size=clean.shape)
        file.voxel_size = pixel_size
        file.set_image_stack()
    write_star(folder / "particles.star", size, pixel_size, rotation, shift, defocus)
    write_pickles(folder, size, pixel_size, rotation, shift, defocus)
    return voxels(molecule, width, plane) / sigma


def write_star(path, size, pixel_size, rotation, shift, defocus) -> None:
    """RELION 3.1; shifts as origins, which point the other way."""
    optics = {
        "rlnOpticsGroup": 1,
        "rlnOpticsGroupName": "opticsGroup1",
        "rlnVoltage": VOLTAGE_KV,
        "rlnSphericalAberration": CS_MM,
        "rlnAmplitudeContrast": AMPLITUDE_CONTRAST,
        "rlnImagePixelSize": pixel_size,
        "rlnImageSize": size,
        "rlnImageDimensionality": 2,
    }
    names = ["ImageName", "OpticsGroup", "AngleRot", "AngleTilt", "AnglePsi", "OriginXAngst"]
    names += ["OriginYAngst", "DefocusU", "DefocusV", "DefocusAngle"]
    lines = ["data_optics", "", "loop_", *(f"_{n} #{i}" for i, n in enumerate(optics, 1))]
    lines += [" ".join(map(str, optics.values())), "", "data_particles", "", "loop_"]
    lines += [f"_rln{n} #{i}" for i, n in enumerate(names, 1)]
    angles = euler_degrees(rotation)
    for i, (a, s, d) in enumerate(zip(angles, shift, defocus, strict=True), 1):
        values = [*a, -s[0], -s[1], d, d, 0.0]
        lines.append(f"{i:06d}@{path.stem}.mrcs 1 " + " ".join(f"{v:.6f}" for v in values))
    path.write_text("\n".join(lines) + "\n\n", encoding="utf-8")


def write_pickles(folder, size, pixel_size, rotation, shift, defocus) -> None:
    """cryoDRGN: rotations, minus the shifts as fractions of the box, and nine CTF columns."""
    fractions = -shift / (size * pixel_size)
    columns = np.zeros((len(defocus), 9), np.float32)
    columns[:, 0], columns[:, 1] = size, pixel_size
    columns[:, 2] = columns[:, 3] = defocus
    columns[:, 5:8] = VOLTAGE_KV, CS_MM, AMPLITUDE_CONTRAST
    with open(folder / "poses.pkl", "wb") as file:
        pickle.dump((rotation.astype(np.float32), fractions.astype(np.float32)), file)
    with open(folder / "ctf.pkl", "wb") as file:
        pickle.dump(columns, file)
