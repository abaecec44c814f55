"""The gates that what is known of services leads to: warnings, refusals, what another checkout answers for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devproxy.health.model import Condition, Finding
from devproxy.proxy.gates import Gate, health_gates, warning_field
from devproxy.registry.model import ExposurePolicy, ProxySettings, Registry
from tests.health.things import service

FINDING = Finding(
    code="exposed",
    severity="warning",
    message="vite can be reached",
    address="0.0.0.0:5173",
    fix="Vite: change `--host` to `--host 127.0.0.1`",
    command="vite --host 127.0.0.1",
)
EXPOSED = Condition(exposure="exposed", findings=(FINDING,))


def gate(policy: ExposurePolicy, condition: Condition = EXPOSED, header: bool = True) -> Gate | None:
    registry = Registry(settings=ProxySettings(exposure_header=header), services=(service(exposure=policy),))
    return health_gates(registry, {"web": condition}).get("web")


def test_warn_adds_one_field_and_lets_requests_pass() -> None:
    line = b'Devproxy-Warning: exposed; 0.0.0.0:5173; fix="Vite: change --host to --host 127.0.0.1"\r\n'
    assert gate("warn") == Gate(field=line)


def test_a_refusal_says_what_and_how_and_ends_by_itself_once_it_is_mended() -> None:
    found = gate("refuse")
    assert found is not None
    assert found.refusal is not None
    detail = 'web is exposed: vite can be reached; it is closed by exposure = "refuse"'
    assert found.refusal[:4] == (503, "exposed", detail, FINDING.fix)
    assert found.refusal.reload
    assert found.refusal.run == FINDING.command


def test_the_header_can_be_turned_off_and_a_refusal_stays_one() -> None:
    assert gate("warn", header=False) is None
    found = gate("refuse", header=False)
    assert found is not None
    assert found.refusal is not None
    assert found.field == b""


@pytest.mark.parametrize("condition", [Condition(), Condition(exposure="loopback"), Condition(exposure="unknown")])
def test_only_what_is_exposed(condition: Condition) -> None:
    assert gate("refuse", condition) is None


def test_what_is_allowed_has_none() -> None:
    assert gate("allow") is None


def test_a_service_that_was_never_looked_at_has_none() -> None:
    assert health_gates(Registry(services=(service(),)), {}) == {}


@given(st.text(max_size=500), st.text(max_size=50))
def test_the_field_is_one_line_of_printable_ascii(fix: str, address: str) -> None:
    line = warning_field(Finding(code="exposed", severity="warning", message="", address=address, fix=fix))
    name, _, value = line.partition(b": ")
    assert (name, value[-2:]) == (b"Devproxy-Warning", b"\r\n")
    assert len(value) <= 302
    assert all(0x20 <= byte <= 0x7E for byte in value[:-2])


@pytest.mark.parametrize("policy", ["allow", "warn", "refuse"])
def test_a_service_in_whose_place_another_checkout_answers_is_closed_whatever_the_policy(
    policy: ExposurePolicy,
) -> None:
    taken = Finding(code="checkout", severity="error", message="port 1 is held by node", fix="end it")
    found = gate(policy, Condition(exposure="exposed", findings=(FINDING, taken)))
    assert found is not None
    assert found.refusal is not None
    detail = "web is not what answers: port 1 is held by node"
    assert found.refusal[:4] == (503, "other-checkout", detail, "end it")
    assert found.refusal.reload
    assert found.field == b""


def test_a_service_that_is_dormant_waits_for_a_request() -> None:
    found = gate("warn", Condition(state="down", dormant=True))
    assert found is not None
    assert found.dormant is not None
    assert found.dormant.service.id == "web"
