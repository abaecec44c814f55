"""`python -m tests.bench`, which `make bench` runs: devproxy beside nginx, Caddy, Traefik and portless.

Lives here: the command line. Needs Linux, two cores, nginx and wrk; fetches the other peers itself (`install.py`).
Everything runs on loopback, on free ports, in a temporary folder, and is ended by its pid.
"""

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.bench.peers import CHECKOUTS, PEERS
from tests.bench.process import BenchError, prepare
from tests.bench.report import render
from tests.bench.stages import PARTS, Bench, Settings


def names(known: Sequence[str], text: str) -> tuple[str, ...]:
    """A comma-separated list of known names; argparse prints the error."""
    chosen = tuple(part.strip() for part in text.split(",") if part.strip())
    unknown = [name for name in chosen if name not in known]
    if unknown or not chosen:
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown) or 'nothing named'}; known: {', '.join(known)}")
    return chosen


def arguments() -> argparse.ArgumentParser:
    """The options; every default is the full run, some forty minutes."""
    parser = argparse.ArgumentParser(prog="make bench ARGS=…", description="Measure devproxy beside its peers.")
    peers, parts = list(PEERS), list(PARTS)
    others = [checkout.name for checkout in CHECKOUTS]
    usual = tuple(name for name in peers if name not in others)
    parser.add_argument("--only", type=lambda text: names(peers, text), default=usual, help="proxies, by comma")
    for name in others:
        parser.add_argument(f"--{name}", type=Path, metavar="FOLDER", help=f"a checkout that is the peer `{name}`")
    parser.add_argument("--parts", type=lambda text: names(parts, text), default=PARTS, help=f"of {','.join(parts)}")
    parser.add_argument("--seconds", type=float, default=3, help="of load in each round, whole seconds")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--changes", type=int, default=15, help="configuration changes timed")
    parser.add_argument("--sockets", type=int, default=5000, help="idle WebSockets")
    parser.add_argument("--downloads", type=int, default=8, help="of 100 MB in each round")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every sample, median and ratio there")
    return parser


def main() -> int:
    """Measure, print the tables, write the JSON; 1 if the bench can't be run here at all."""
    options = vars(arguments().parse_args())
    target: Path | None = options.pop("json")
    for peer in CHECKOUTS:
        peer.checkout = options.pop(peer.name)
        if peer.checkout is not None:
            options["only"] = (*(name for name in options["only"] if name != peer.name), peer.name)
    settings = Settings(**options)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    try:
        cores = prepare()
        with tempfile.TemporaryDirectory(prefix="devproxy-bench-") as folder:
            results = Bench(settings, cores, Path(folder)).run()
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    print(render(results, {name: peer.watches for name, peer in PEERS.items()}))
    if target is not None:
        target.write_text(json.dumps(results.as_json(), indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
