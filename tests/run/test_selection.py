"""The name of what is run: the argument, else what the folder says."""

from pathlib import Path

import msgspec
import pytest

from devproxy.errors import DevproxyError, Exit
from devproxy.registry.model import Project, Registry, Service, Source
from devproxy.run.selection import select_service
from tests.repository import repository, worktree

EMPTY = Registry()


def service(name: str, project: str | None = None) -> Service:
    return Service(
        id=f"{name}.{project}" if project else name,
        name=name,
        project=Project.of(project) if project else None,
        hosts=(),
        source=Source("", 1),
    )


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    (folder / "web" / "src").mkdir(parents=True)
    (folder / "devproxy.toml").write_text(
        'project = "shop"\n[services.web]\ncwd = "web"\n[services.api]\ncwd = "api"\n', "utf-8"
    )
    return folder


@pytest.mark.parametrize(
    ("files", "name", "origin"),
    [
        ({}, "my-app", "the folder's name"),
        ({"package.json": '{"name": "@acme/Web_UI"}'}, "web-ui", "package.json"),
        ({"pyproject.toml": '[project]\nname = "Shop.API"'}, "shop-api", "pyproject.toml"),
        ({"pyproject.toml": '[tool.poetry]\nname = "api"'}, "api", "pyproject.toml"),
        ({"package.json": '{"name": "a"}', "pyproject.toml": '[project]\nname = "b"'}, "a", "package.json"),
        ({"package.json": "{", "pyproject.toml": "["}, "my-app", "the folder's name"),
        ({"package.json": '{"name": "devproxy"}'}, "my-app", "the folder's name"),
        ({"package.json": '["name"]', "pyproject.toml": "project = 1"}, "my-app", "the folder's name"),
    ],
)
def test_the_folder_says_it(tmp_path: Path, files: dict[str, str], name: str, origin: str) -> None:
    folder = tmp_path / "My App"
    folder.mkdir()
    for file, text in files.items():
        (folder / file).write_text(text, "utf-8")
    found = select_service(None, folder, EMPTY)
    assert (found.id, found.origin, found.project_file) == (name, origin, None)


@pytest.mark.parametrize("where", ["web", "web/src"])
def test_a_projects_service_is_found_by_its_folder(shop: Path, where: str) -> None:
    found = select_service(None, shop / where, Registry(services=(service("web", "shop"),)))
    assert (found.id, found.project_file) == ("web.shop", shop / "devproxy.toml")
    assert found.service is not None


def test_in_the_root_of_a_project_with_many_services_the_folder_names_one(shop: Path) -> None:
    assert select_service(None, shop, EMPTY).id == "shop.shop"


@pytest.mark.parametrize("where", [".", "docs"])
def test_without_name_and_command_a_linked_projects_services_are_listed(shop: Path, where: str) -> None:
    (shop / "docs").mkdir()
    services = tuple(
        msgspec.structs.replace(service(name, project), command="x")
        for name, project in (("web", "shop"), ("api", "shop"), ("app", "other"))
    )
    registry = Registry(services=(*services, service("db", "shop")))
    with pytest.raises(DevproxyError) as told:
        select_service(None, shop / where, registry, has_command=False)
    assert told.value.exit_code == Exit.USAGE
    assert told.value.fix == "one of:\ndevproxy run web\ndevproxy run api"
    assert select_service(None, shop / "web", registry, has_command=False).id == "web.shop"
    assert select_service(None, shop / where, registry).service is None  # with a command it is a new one


def test_a_project_that_is_not_linked_lists_nothing(shop: Path) -> None:
    registry = Registry(services=(msgspec.structs.replace(service("app"), command="x"),))
    assert select_service(None, shop, registry, has_command=False).id == "shop.shop"


def test_the_only_service_of_a_project_is_meant_in_its_root(shop: Path) -> None:
    (shop / "devproxy.toml").write_text('project = "shop"\n[services.web]\ncwd = "web"\n', "utf-8")
    assert select_service(None, shop, EMPTY).id == "web.shop"


def test_the_local_file_renames_the_project(shop: Path) -> None:
    (shop / "devproxy.local.toml").write_text('project = "shop-2"\n', "utf-8")
    assert select_service("web", shop, EMPTY).id == "web.shop-2"


@pytest.mark.parametrize(
    ("argument", "identity", "known"),
    [
        ("web", "web.shop", True),
        ("new", "new.shop", False),
        ("app.other", "app.other", True),
        ("WEB", "web.shop", True),
    ],
)
def test_an_argument_means_the_projects_own_first(shop: Path, argument: str, identity: str, known: bool) -> None:
    registry = Registry(services=(service("web"), service("web", "shop"), service("app", "other")))
    found = select_service(argument, shop, registry)
    assert (found.id, found.service is not None) == (identity, known)


@pytest.mark.parametrize(
    ("argument", "identity"), [("app", "app"), ("web", "web.shop"), ("api", "api"), ("new", "new"), ("x.y", "x.y")]
)
def test_outside_a_project_a_name_is_the_users_or_the_only_one(tmp_path: Path, argument: str, identity: str) -> None:
    services = (service("app"), service("web", "shop"), service("api", "shop"), service("api", "other"))
    assert select_service(argument, tmp_path, Registry(services=services)).id == identity


@pytest.mark.parametrize("argument", ["we b", "", "devproxy", "a.b.c.d", "web.devproxy", "-", "web."])
def test_what_is_no_name_is_refused(tmp_path: Path, argument: str) -> None:
    with pytest.raises(DevproxyError) as told:
        select_service(argument, tmp_path, EMPTY)
    assert told.value.exit_code == Exit.USAGE
    assert told.value.fix


def test_a_folder_without_a_usable_name_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "日本"
    folder.mkdir()
    with pytest.raises(DevproxyError, match="nothing here gives the service a name"):
        select_service(None, folder, EMPTY)


def test_a_project_file_with_a_syntax_error_tells_no_name(shop: Path) -> None:
    (shop / "devproxy.toml").write_text("project = ", "utf-8")
    assert select_service(None, shop / "web", EMPTY).id == "web"


def test_in_a_worktree_the_project_has_its_label_linked_or_not(tmp_path: Path) -> None:
    main = repository(tmp_path / "shop", {"devproxy.toml": 'project = "shop"\n[services.web]\n'})
    there = worktree(main, tmp_path / "there", "fix/ui")
    assert select_service("web", main, EMPTY).id == "web.shop"
    assert select_service("web", there, EMPTY).id == "web.fix-ui.shop"
    assert select_service("web.shop", there, EMPTY).id == "web.shop"
    linked = Service(
        id="web.two.shop",
        name="web",
        project=Project("shop", "two"),
        hosts=(),
        source=Source(str(there / "devproxy.toml"), 2),
    )
    found = select_service("web", there, Registry(services=(linked,)))
    assert (found.id, found.service) == ("web.two.shop", linked)
    assert select_service("web.two.shop", tmp_path, Registry(services=(linked,))).service == linked
