"""Every method of `fit` on every public set of `simulate`, scored; the README's table from it.

    CRYOJAX_HET_DATA=DATA python suite.py OUT                       all, at half the box
    CRYOJAX_HET_DATA=DATA python suite.py OUT --full                all, as the suites have them
    python suite.py OUT --only CaM-1D --methods linear prolate --count 600
    python suite.py OUT --given given.txt --table-only              the tables alone

Sets go to `OUT/sets` (or are read from `--sets`), everything else to `OUT/SET`: `METHOD` (the run),
`METHOD.json` (its CPU and wall seconds), `NAME-maps` and `NAME-scores`, a name for every way to
make maps of a run (`SCORED` of `methods.py`). What is there is not done again, and a fit that was
interrupted goes on. A fault of one method is told at the end and leaves the others. Lines
`SET NAME SCORES [LOG]` of a `--given` file name folders of `validate` made elsewhere, as if they
had been made here.

At the end the table between the markers of the README, and `table.md` beside this file, are written
anew from all scores that are there; cells without are empty.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

from methods import SCORED, WAYS, applies, flags_of
from sets import SETS, simulated, small
from table import read_given, scored_here, write_tables

PROGRAM = [sys.executable, "-m", "cryojax_het"]
ROOT = Path(__file__).resolve().parents[2]


def call(*words) -> None:
    """One call of a program."""
    subprocess.run([str(word) for word in words], check=True)


def timed(log: Path, *words) -> None:
    """One call; its CPU and wall seconds are added to those in `log`: it may have been cut off."""
    spent = json.loads(log.read_text()) if log.is_file() else {}
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.time()
    try:
        call(*words)
    finally:
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        new = {"cpu_seconds": cpu, "wall_seconds": time.time() - start}
        log.write_text(json.dumps({k: spent.get(k, 0) + v for k, v in new.items()}))


def finished(run: Path) -> bool:
    """Whether a run folder is there and at its end."""
    record = run / "run.json"
    return record.is_file() and json.loads(record.read_text())["status"] == "finished"


def fitted(name: str, method: str, kind: Path, out: Path, extra: list) -> Path:
    """The finished run of a method on a set."""
    out.mkdir(parents=True, exist_ok=True)
    run = out / method
    if not finished(run):
        line = ["fit", kind / "particles.star", "-o", run, *flags_of(method, name), *extra]
        timed(out / f"{method}.json", *PROGRAM, *line)
    return run


def one(entry: str, name: str, kind: Path, out: Path, extra: list) -> None:
    """Fit, maps and scores of an entry of the tables, as far as they are not there."""
    scores, maps = out / f"{entry}-scores", out / f"{entry}-maps"
    if (scores / "scores.json").is_file():
        return
    method, by = SCORED[entry]
    run = fitted(name, method, kind, out, extra)
    # Without maps of single images: on those alone of which the others have maps.
    where = ["--rows", kind / "rows.txt"] if by is None else ["--maps", maps]
    if by is not None and not maps.is_dir():
        rows = ",".join((kind / "rows.txt").read_text().split())
        call(*PROGRAM, "volumes", run, "--particles", rows, "--by", by, "-o", maps)
    call(*PROGRAM, "validate", run, *where, "--truth", kind, "-o", scores)


def all_of(options, given) -> list[str]:
    """Every method on every set asked for; what failed, a line each."""
    failed = []
    for name in options.only:
        wanted = [e for e, (m, _) in SCORED.items() if m in options.methods and applies(m, name)]
        wanted = [entry for entry in wanted if (name, entry) not in given]
        if not wanted:
            continue
        kind = (options.sets or options.out / "sets") / name
        simulated(name, kind, [] if options.full else small(name, options.count), options.maps)
        for entry in wanted:
            print(f"{name}: {entry}", flush=True)
            try:
                one(entry, name, kind, options.out / name, options.fit)
            except subprocess.CalledProcessError as error:
                failed.append(f"{name}: {entry}: {' '.join(error.cmd[3:])} ({error.returncode})")
    return failed


def asked():
    """The options."""
    made = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    made.add_argument("out", type=Path)
    made.add_argument("--only", nargs="+", choices=SETS, default=list(SETS), metavar="SET")
    made.add_argument("--methods", nargs="+", choices=WAYS, default=list(WAYS), metavar="METHOD")
    made.add_argument("--sets", type=Path, help="folder of sets that are simulated already")
    made.add_argument("--full", action="store_true", help="box and images of the suites")
    made.add_argument("--count", type=int, default=4000, help="images of a set, if not --full")
    made.add_argument("--maps", type=int, default=24, help="images whose maps are scored")
    made.add_argument("--fit", nargs=argparse.REMAINDER, default=[], help="last: flags of all fits")
    made.add_argument("--given", type=Path, help="file of lines SET NAME SCORES [LOG]")
    made.add_argument("--table-only", action="store_true")
    made.add_argument("--readme", type=Path, default=ROOT / "README.md")
    made.add_argument("--table", type=Path, default=Path(__file__).with_name("table.md"))
    return made.parse_args()


def main() -> None:
    """The runs that are missing, then the tables."""
    options = asked()
    given = read_given(options.given)
    failed = [] if options.table_only else all_of(options, given)
    found = scored_here(options.out) | given
    write_tables(found, options.readme, options.table)
    print("\n".join(["failed:", *failed]) if failed else f"{len(found)} scores in the tables.")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
