"""What Python really imports of devproxy in this test run: sources, or the extensions of a compiled build."""

from devproxy.http1 import grammar


def imported_build() -> str:
    """`compiled` or `interpreted`."""
    return "interpreted" if grammar.__file__.endswith(".py") else "compiled"
