"""The command line asks for huge pages once, and only where that can help."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cryojax_het.commands.huge_pages import asking

MADVISE = "always [madvise] never\n"


@pytest.mark.parametrize("policy", ["[always] madvise never\n", "always madvise [never]\n"])
def test_nothing_changes_where_pages_are_always_huge_or_never(policy):
    assert asking({"HOME": "/"}, policy) is None


def test_the_request_stands_beside_what_the_user_has_set():
    assert asking({"HOME": "/"}, MADVISE) == {
        "HOME": "/",
        "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
    }
    other = asking({"GLIBC_TUNABLES": "glibc.malloc.check=1"}, MADVISE)
    assert other == {"GLIBC_TUNABLES": "glibc.malloc.check=1:glibc.malloc.hugetlb=1"}


def test_what_the_user_has_said_stands():
    assert asking({"GLIBC_TUNABLES": "glibc.malloc.hugetlb=0"}, MADVISE) is None
    again = asking({}, MADVISE)
    assert again is not None
    assert asking(again, MADVISE) is None  # no second restart


def test_the_program_starts_again_with_its_arguments(tmp_path):
    policy = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    if not policy.is_file() or asking({}, policy.read_text()) is None:
        pytest.skip("huge pages are not given on request here")
    program = (
        "import os, sys\n"
        "from cryojax_het.commands.huge_pages import restart_with_huge_pages\n"
        "print(os.getpid(), flush=True)\n"
        "restart_with_huge_pages()\n"
        "print(os.environ['GLIBC_TUNABLES'], sys.argv[1:])\n"
    )
    path = tmp_path / "program.py"
    path.write_text(program)
    environment = {k: v for k, v in os.environ.items() if k != "GLIBC_TUNABLES"}
    line = [sys.executable, str(path), "a b", "--flag"]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=True)
    first, second, last = done.stdout.splitlines()
    assert first == second  # the same process
    assert last == "glibc.malloc.hugetlb=1 ['a b', '--flag']"
