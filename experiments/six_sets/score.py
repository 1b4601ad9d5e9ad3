"""Every peer output on the six small sets scored by `cryojax-het validate`; the table of peers.md.

    python score.py SETS PEERS            score what is there and was not scored
    python score.py SETS PEERS --table    print the tables

All maps of a set are of the same 24 images (`rows.txt`): each of them gets the peer's consensus.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from score_table import METHODS, tables
from simulate import SNR


def maps_folder(peer: Path, maps: str, scored: Path, rows: list[int]) -> Path:
    """The folder of maps named `maps` of a peer; a consensus becomes the map of each row."""
    if maps != "consensus.mrc":
        return peer / maps
    folder = scored / "maps"
    folder.mkdir(parents=True, exist_ok=True)
    for row in rows:
        link = folder / f"particle_{row:06d}.mrc"
        if not link.is_symlink():
            link.symlink_to((peer / maps).resolve())
    return folder


def score(data: Path, peer: Path, scored: Path, maps: str) -> None:
    """One call of the command line; its table goes to a log beside the scores."""
    rows = [int(row) for row in (data / "rows.txt").read_text().split()]
    folder = maps_folder(peer, maps, scored, rows)
    command = [sys.executable, "-m", "cryojax_het", "validate", folder.parent]
    command += ["--maps", folder, "--truth", data, "-o", scored / "validation"]
    if maps != "consensus.mrc":
        command[4] = peer
    scored.mkdir(parents=True, exist_ok=True)
    with open(scored / "validate.log", "w") as log:
        subprocess.run([str(word) for word in command], stdout=log, stderr=log, check=True)


def main() -> None:
    """Score, or print."""
    made = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    made.add_argument("sets", type=Path)
    made.add_argument("peers", type=Path)
    made.add_argument("--table", action="store_true")
    options = made.parse_args()
    if options.table:
        print(tables(options.peers, list(SNR)))
        return
    for name in SNR:
        for method, (peer, maps) in METHODS.items():
            folder, scored = options.peers / name / peer, options.peers / name / "scores" / method
            ready = (folder / maps).exists() and (folder / "latents.npy").exists()
            if ready and not (scored / "validation" / "scores.json").exists():
                print(name, method, flush=True)
                score(options.sets / name, folder, scored, maps)


if __name__ == "__main__":
    main()
