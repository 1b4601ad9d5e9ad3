"""How the coordinator talks to a worker process: one command line in, one JSON line out.

Two programs that need two interpreters, or two sets of libraries, are timed in alternation, call
by call, so that whatever else the machine does falls on both. Standard library and NumPy only:
this file runs under every peer's interpreter.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np


def serve(builders: dict[str, Callable[[], tuple[Callable, tuple]]], wait: Callable) -> None:
    """Worker side: answer `names`, `time NAME REPEATS`, `save NAME PATH` and `drop NAME`.

    A builder returns a compiled function and its arguments. Building, compiling and one warm-up
    call happen at the first mention of a name and are never timed. `wait` blocks on a result.
    """
    channel, sys.stdout = (
        sys.stdout,
        sys.stderr,
    )  # a library that prints must not break the protocol
    ready: dict[str, tuple[Callable, tuple]] = {}
    for line in sys.stdin:
        command, *arguments = line.split()
        if command == "names":
            answer: object = sorted(builders)
        elif command == "drop":
            answer = ready.pop(arguments[0], None) is not None
        else:
            answer = _run(command, arguments, builders, ready, wait)
        print(json.dumps(answer), file=channel, flush=True)


def _run(command, arguments, builders, ready, wait):
    name = arguments[0]
    if name not in ready:
        ready[name] = builders[name]()
        wait(ready[name][0](*ready[name][1]))
    function, inputs = ready[name]
    if command == "save":
        np.save(arguments[1], np.asarray(function(*inputs)))
        return True
    repeats = int(arguments[1])
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(repeats):
        wait(function(*inputs))
    return [(time.process_time() - cpu) / repeats, (time.perf_counter() - wall) / repeats]


class Worker:
    """Coordinator side: a child process under its own interpreter."""

    def __init__(self, python: str, script: Path, *arguments: str, threads: int | None = None):
        command = [python, str(script), *arguments]
        if threads is not None:
            cores = sorted(os.sched_getaffinity(0))[:threads]
            command = ["taskset", "-c", ",".join(map(str, cores)), *command]
        self.name = script.stem
        # the program measured is the one of this work tree, installed or not
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def ask(self, *words: object):
        """The worker's answer to one command. Raises `RuntimeError` if the worker has died."""
        pipe = self.process.stdin
        pipe.write(" ".join(map(str, words)) + "\n")
        pipe.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(
                f"{self.name} died on `{' '.join(map(str, words))}`; see its output."
            )
        return json.loads(line)

    def output(self, name: str, folder: Path) -> np.ndarray:
        """The array that a work returns."""
        path = folder / f"{self.name}.npy"
        self.ask("save", name, path)
        return np.load(path)

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def alternate(
    entries: list[tuple[Worker, str]], rounds: int, seconds: float
) -> list[tuple[float, float]]:
    """Median (CPU, wall) seconds per call of each entry, the entries taking turns in every round.

    Short works are repeated within a turn until the turn lasts about `seconds`.
    """
    repeats = []
    for worker, name in entries:
        _, wall = worker.ask("time", name, 1)
        repeats.append(max(1, int(seconds / max(wall, 1e-6))))
    turns = np.zeros((rounds, len(entries), 2))
    for turn in turns:
        for column, ((worker, name), count) in enumerate(zip(entries, repeats, strict=True)):
            turn[column] = worker.ask("time", name, count)
    return [(float(cpu), float(wall)) for cpu, wall in np.median(turns, axis=0)]
