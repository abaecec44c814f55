"""`python -m devproxy` and the `devproxy` command."""

import gc
import sys


def main() -> int:
    """Run the command line; return its exit code."""
    # Imports make thousands of objects that all stay: looking for garbage among them, while a command runs and when it
    # ends, is a fifth of the time that `devproxy ls` takes. `LazyCommands.get_command` switches it on again.
    gc.disable()
    from devproxy.cli.app import run

    code = run(sys.argv[1:])
    gc.freeze()  # the interpreter looks for garbage three more times as it ends, and all goes with the process anyway
    return code


if __name__ == "__main__":
    sys.exit(main())
