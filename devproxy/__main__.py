"""`python -m devproxy` and the `devproxy` command."""

import gc
import sys


def main() -> int:
    """Run the command line; return its exit code."""
    # Imports make thousands of objects that all stay: looking for garbage among them is a tenth of the start-up time.
    # `LazyCommands.get_command` switches it on again.
    gc.disable()
    from devproxy.cli.app import run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
