"""The text reads back as the survey that it was made of."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devproxy.detect.model import Candidate, Seen, gather
from devproxy.detect.render import document
from devproxy.registry.decode import decode_project
from devproxy.registry.model import ServiceKind


def test_a_file_as_a_person_would_write_it() -> None:
    service = Candidate(name="db", origin="compose.yaml: services.db", command=("docker", "up"), port=5432)
    text = document(gather([Seen(services=(service,), project="shop")], "x"))
    assert text.endswith(
        'project = "shop"\n\n[services.db]  # compose.yaml: services.db\nport = 5432\ncommand = ["docker", "up"]\n'
    )


def test_a_service_of_compose_as_a_person_would_write_it() -> None:
    service = Candidate(
        name="db",
        origin="compose.yaml: services.db",
        command=("docker", "compose", "up", "db"),
        protocol="tcp",
        listen=5432,
        scheme="postgresql",
        env={"COMPOSE_PROJECT_NAME": "{project}-{checkout}", "DB_PORT": "{port}"},
        notes=("compose.yaml:4:9: change it",),
    )
    text = document(gather([Seen(services=(service,), project="shop")], "x"))
    assert text.endswith(
        "[services.db]  # compose.yaml: services.db\n# compose.yaml:4:9: change it\n"
        'protocol = "tcp"\nlisten = 5432\nscheme = "postgresql"\ncommand = ["docker", "compose", "up", "db"]\n'
        'env = { COMPOSE_PROJECT_NAME = "{project}-{checkout}", DB_PORT = "{port}" }\n'
    )


printable = st.text(st.characters(min_codepoint=32, max_codepoint=0x24F, exclude_characters="\x7f"), min_size=1)
candidates = st.builds(
    Candidate,
    name=st.text(max_size=80),
    origin=st.text(max_size=20),
    command=st.none() | printable.map(lambda text: "run " + text.replace("{", "(")),
    port=st.none() | st.integers(1, 65535),
    env=st.dictionaries(st.text("AZ_.\"' é", min_size=1, max_size=5), st.text(max_size=20), max_size=2),
    notes=st.lists(st.text(max_size=20), max_size=2).map(tuple),
)


@pytest.mark.parametrize("kind", ["worker", "task"])
def test_what_listens_nowhere_says_so(kind: ServiceKind) -> None:
    service = Candidate(name="jobs", kind=kind, origin="Procfile: jobs", command="celery worker")
    decoded = decode_project(document(gather([Seen(services=(service,))], "shop")), "/shop/devproxy.toml")
    assert decoded.ok
    assert decoded.value is not None
    assert decoded.value.services["jobs"].kind == kind


@given(st.lists(candidates, max_size=4))
def test_whatever_was_found_it_is_valid_toml(services: list[Candidate]) -> None:
    survey = gather([Seen(services=tuple(services))], "shop")
    decoded = decode_project(document(survey), "/shop/devproxy.toml")
    assert decoded.value is not None
    assert list(decoded.value.services) == [service.name for service in survey.services] or decoded.problems
    for service in survey.services:
        if service.name in decoded.value.services and service.port is not None:
            assert decoded.value.services[service.name].port == service.port
        if service.name in decoded.value.services and service.env:
            assert decoded.value.services[service.name].env == service.env
    assert msgspec.json.encode(survey)
