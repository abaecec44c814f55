"""What the proxy is told of exposed services, by policy."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devproxy.health.model import Condition, Finding
from devproxy.proxy.gates import field, warned, wrong_checkouts
from devproxy.registry.model import ExposurePolicy, ProxySettings, Registry
from tests.health.things import service

FINDING = Finding(
    code="exposed",
    severity="warning",
    message="vite can be reached",
    address="0.0.0.0:5173",
    fix="Vite: change `--host` to `--host 127.0.0.1`",
)
EXPOSED = Condition(exposure="exposed", findings=(FINDING,))


def told(policy: ExposurePolicy, condition: Condition = EXPOSED, header: bool = True) -> object:
    registry = Registry(settings=ProxySettings(exposure_header=header), services=(service(exposure=policy),))
    return warned(registry, {"web": condition}).get("web")


def test_warn() -> None:
    assert told("warn") == (
        b'exposed; 0.0.0.0:5173; fix="Vite: change --host to --host 127.0.0.1"',
        "web is exposed: vite can be reached",
        FINDING.fix,
        False,
    )


def test_refuse() -> None:
    assert told("refuse")[3] is True  # type: ignore[index]


def test_the_header_can_be_turned_off_and_a_refusal_stays_one() -> None:
    assert told("refuse", header=False)[::3] == (b"", True)  # type: ignore[index]


@pytest.mark.parametrize("condition", [Condition(), Condition(exposure="loopback"), Condition(exposure="unknown")])
def test_only_what_is_exposed(condition: Condition) -> None:
    assert told("refuse", condition) is None


def test_what_is_allowed_is_not_in_it() -> None:
    assert told("allow") is None


def test_a_service_that_was_never_looked_at_is_not_in_it() -> None:
    assert warned(Registry(services=(service(),)), {}) == {}


@given(st.text(max_size=500), st.text(max_size=50))
@settings(deadline=None)
def test_the_field_is_one_line_of_printable_ascii(fix: str, address: str) -> None:
    value = field(Finding(code="exposed", severity="warning", message="", address=address, fix=fix))
    assert len(value) <= 300
    assert all(0x20 <= byte <= 0x7E for byte in value)


def test_a_service_in_whose_place_another_checkout_answers_is_closed_whatever_the_policy() -> None:
    finding = Finding(code="checkout", severity="error", message="port 1 is held by node", fix="end it")
    registry = Registry(services=(service(exposure="allow"), service("api")))
    conditions = {"web": Condition(findings=(FINDING, finding)), "api": EXPOSED}
    assert wrong_checkouts(registry, conditions) == {
        "web": ("web is not what answers: port 1 is held by node", "end it"),
    }
    assert wrong_checkouts(registry, {}) == {}
