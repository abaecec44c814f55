"""Names of a survey: valid, unique, and dependencies that follow them."""

from devproxy.detect.model import Candidate, Seen, gather


def seen(*services: Candidate, project: str = "") -> Seen:
    return Seen(services=services, project=project)


def one(name: str, *depends_on: str) -> Candidate:
    return Candidate(name=name, origin="here", depends_on=depends_on)


def test_names_become_labels_and_are_unique() -> None:
    survey = gather([seen(one("Web App"), one("web_app")), seen(one("devproxy"), one("!"))], "My Shop")
    assert survey.project == "my-shop"
    assert [service.name for service in survey.services] == ["web-app", "web-app-2", "devproxy-app", "app"]


def test_names_of_one_source_are_numbered_from_what_they_are_called() -> None:
    survey = gather([seen(one("web")), seen(one("web"), one("web"), one("web-2"))], "x")
    assert [service.name for service in survey.services] == ["web", "web-2", "web-3", "web-2-2"]


def test_a_port_is_given_once() -> None:
    first = Candidate(name="a", origin="a.json", port=3000)
    others = [Candidate(name="b", origin="b.json", port=3000), Candidate(name="c", origin="c.json", listen=3000)]
    survey = gather([seen(first), seen(*others, Candidate(name="d", origin="d", listen=3001))], "x")
    assert [(one.name, one.port, one.listen) for one in survey.services] == [
        ("a", 3000, None),
        ("b", None, None),
        ("c", None, None),
        ("d", None, 3001),
    ]
    assert survey.remarks == (
        "b.json: port 3000 is that of `a`: it gets a free one",
        "c.json: port 3000 is that of `a`: it gets a free one",
    )


def test_dependencies_are_those_of_the_same_source() -> None:
    survey = gather([seen(one("db")), seen(one("db"), one("web", "db", "missing"))], "x")
    assert [(service.name, service.depends_on) for service in survey.services] == [
        ("db", ()),
        ("db-2", ()),
        ("web", ("db-2",)),
    ]


def test_a_project_is_called_as_asked_then_as_a_source_says_then_as_its_folder() -> None:
    assert gather([seen(project="a"), seen(project="b")], "c", "d").project == "d"
    assert gather([seen(project=""), seen(project="b")], "c").project == "b"
    assert gather([seen()], "c").project == "c"
    assert gather([seen()], "…").project == "app"
    assert gather([seen()], "devproxy").project == "devproxy-app"
