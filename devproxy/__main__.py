"""`python -m devproxy` and the `devproxy` command."""

import sys


def main() -> int:
    """Run the command line; return its exit code."""
    from devproxy.cli.app import run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
