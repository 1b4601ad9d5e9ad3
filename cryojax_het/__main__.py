"""`cryojax-het`, or `python -m cryojax_het`: the command line as a program of its own."""

import sys

from .cli import main
from .commands.huge_pages import restart_with_huge_pages


def console() -> int:
    """The command line, with an allocator that suits it."""
    restart_with_huge_pages()
    return main()


if __name__ == "__main__":
    sys.exit(console())
