"""Huge pages for the arrays of a run, where Linux gives them on request.

XLA allocates its CPU buffers anew in every call. Pages of 4 kB then cost a fit a quarter of its
time in the system, page faults most of all; pages of 2 MB less than half of that
(`experiments/linear_cost`). The allocator of the C library asks for them if told so before the
program starts (glibc 2.35 and later).
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

_POLICY = Path("/sys/kernel/mm/transparent_hugepage/enabled")
_NAME, _TUNABLE = "GLIBC_TUNABLES", "glibc.malloc.hugetlb"


def restart_with_huge_pages() -> None:
    """Starts this very command again, in the same process, with huge pages asked for; returns where
    there is nothing to gain. For the command line alone, before anything else is done."""
    try:
        policy = _POLICY.read_text()
    except OSError:  # not Linux, or without huge pages
        return
    environment = asking(os.environ, policy)
    if environment is not None and sys.executable:
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)


def asking(environment: Mapping[str, str], policy: str) -> dict[str, str] | None:
    """`environment` with the request, or None where it would change nothing: huge pages are never
    given, or always, or the user has already said which.

    - `policy`: the kernel's, e.g. `always [madvise] never`.
    """
    said = environment.get(_NAME, "")
    if "[madvise]" not in policy or _TUNABLE in said:
        return None
    return {**environment, _NAME: ":".join(filter(None, (said, f"{_TUNABLE}=1")))}
