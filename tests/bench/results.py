"""What was measured, and the arithmetic over it.

Lives here: samples by proxy and figure, medians, ratios to nginx, the JSON's shape. Not here: the table (`report.py`).
"""

from dataclasses import dataclass, field
from statistics import median

REFERENCE = "nginx"
Samples = dict[str, list[float]]


@dataclass
class Results:
    """Samples in the order of the rounds; a proxy that is not here, and a figure that failed, with why."""

    samples: dict[str, Samples] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    failed: dict[str, list[str]] = field(default_factory=dict)
    tcp: dict[str, Samples] = field(default_factory=dict)
    startup_ms: Samples = field(default_factory=dict)
    monitor: Samples = field(default_factory=dict)
    parser_us: dict[str, dict[str, float]] = field(default_factory=dict)

    def add(self, name: str, key: str, value: float) -> None:
        """One more sample of a figure of a proxy."""
        self.samples.setdefault(name, {}).setdefault(key, []).append(value)

    def add_tcp(self, name: str, key: str, value: float) -> None:
        """One more sample of a figure of TCP forwarding."""
        self.tcp.setdefault(name, {}).setdefault(key, []).append(value)

    def fail(self, what: str, why: str) -> None:
        """Note that one try at a figure gave none."""
        self.failed.setdefault(what, []).append(why)

    def names(self) -> list[str]:
        """The proxies that something is known of, in the order they were asked for."""
        return [name for name in self.versions if name in self.samples]

    def median(self, name: str, key: str) -> float | None:
        """The median of a figure's samples; None where there is none."""
        values = self.samples.get(name, {}).get(key)
        return median(values) if values else None

    def best(self, name: str, key: str) -> float | None:
        """The lowest sample: other work on the machine only ever adds to a cost."""
        return min(self.samples.get(name, {}).get(key, []), default=None)

    def ratio(self, name: str, key: str) -> float | None:
        """How many times nginx's figure a proxy's is: the median of the rounds' own ratios; None without both."""
        ours = self.samples.get(name, {}).get(key, [])
        theirs = self.samples.get(REFERENCE, {}).get(key, [])
        if not ours or len(ours) != len(theirs) or not all(theirs):
            return None
        return median(mine / other for mine, other in zip(ours, theirs, strict=True))

    def as_json(self) -> dict[str, object]:
        """Everything, for `--json`; every ratio is to nginx."""
        proxies = {
            name: {
                "version": self.versions.get(name, "unknown"),
                "median": {key: median(values) for key, values in figures.items()},
                "lowest": {key: min(values) for key, values in figures.items()},
                "ratio": {key: self.ratio(name, key) for key in figures},
                "samples": figures,
            }
            for name, figures in ((name, self.samples[name]) for name in self.names())
        }
        return {
            "reference": REFERENCE,
            "proxies": proxies,
            "missing": self.missing,
            "failed": self.failed,
            "tcp": self.tcp,
            "monitor": {label: median(values) for label, values in self.monitor.items()},
            "startup_ms": {label: median(values) for label, values in self.startup_ms.items()},
            "parser_us": self.parser_us,
        }
