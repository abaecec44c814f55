"""NAME: an id, a unique bare name, or a hostname; which services a folder means; and what a wrong one gets."""

from pathlib import Path

import pytest

from devproxy.cli.arguments import find_service, services_meant
from devproxy.errors import DevproxyError, Exit
from devproxy.paths import nearest_project
from devproxy.problems import Problem
from devproxy.registry.model import Project, Registry, Service, Source
from tests.cli.command import Home, write_all, write_project


def service(name: str, project: str | None = None, *hosts: str) -> Service:
    identity = f"{name}.{project}" if project else name
    return Service(
        id=identity,
        name=name,
        project=Project.of(project) if project else None,
        hosts=(f"{identity}.localhost", *hosts),
        source=Source("/registry.toml", 1),
    )


REGISTRY = Registry(
    services=(
        service("aaa", None, "*.localhost", "*.y.shop.localhost"),
        service("admin"),
        service("api", "blog"),
        service("api", "shop"),
        service("web", "shop", "shop.localhost", "*.shop.localhost"),
    )
)

SMALL = Registry(services=REGISTRY.services[1:])


@pytest.mark.parametrize(
    ("name", "identity", "host"),
    [
        ("admin", "admin", "admin.localhost"),
        ("web.shop", "web.shop", "web.shop.localhost"),
        ("web", "web.shop", "web.shop.localhost"),
        ("WEB", "web.shop", "web.shop.localhost"),
        ("api.blog", "api.blog", "api.blog.localhost"),
        ("api.blog.localhost", "api.blog", "api.blog.localhost"),
        ("shop.localhost", "web.shop", "shop.localhost"),
        ("shop.localhost.", "web.shop", "shop.localhost"),
        ("shop", "web.shop", "shop.localhost"),
        ("x.y.shop.localhost", "aaa", "x.y.shop.localhost"),
        ("x.z.shop.localhost", "web.shop", "x.z.shop.localhost"),
        ("other.localhost", "aaa", "other.localhost"),
        ("api.shop.localhost", "api.shop", "api.shop.localhost"),
    ],
)
def test_what_a_name_means(name: str, identity: str, host: str) -> None:
    found = find_service(REGISTRY, name)
    assert (found.service.id, found.host) == (identity, host)


@pytest.mark.parametrize(
    ("registry", "name", "message"),
    [
        (SMALL, "api", "`api` is the name of 2 services\n  fix: say which: api.blog, api.shop"),
        (SMALL, "wbe", "nothing is called `wbe`\n  fix: did you mean `web.shop`?"),
        (SMALL, "zzz", "nothing is called `zzz`\n  fix: devproxy ls shows all 4 services"),
        (
            Registry(),
            "web",
            "nothing is called `web`\n  why: no service is registered yet\n"
            "  fix: devproxy add web PORT (or, in a project's folder, devproxy link)",
        ),
    ],
)
def test_a_wrong_name_is_told_what_there_is(registry: Registry, name: str, message: str) -> None:
    with pytest.raises(DevproxyError) as raised:
        find_service(registry, name)
    assert str(raised.value) == message
    assert raised.value.exit_code == Exit.BAD_NEWS


def test_a_service_that_lost_all_its_hostnames_is_still_found() -> None:
    bare = Service(id="web", name="web", project=None, hosts=(), source=Source("/registry.toml", 1))
    assert find_service(Registry(services=(bare,)), "web").host == ""


@pytest.mark.parametrize("own", ["blog", "shop"])
def test_a_bare_name_is_first_one_of_the_project_at_hand(own: str) -> None:
    mine = [one for one in REGISTRY.services if str(one.project) == own]
    found = find_service(REGISTRY, "api", mine)
    assert (found.service.id, found.host) == (f"api.{own}", f"api.{own}.localhost")
    assert find_service(REGISTRY, "api.blog", mine).service.id == "api.blog"


@pytest.mark.parametrize("command", ["url", "open", "health", "logs"])
def test_every_command_takes_the_name_for_the_project_at_hand(command: str, home: Home) -> None:
    for name in ("blog", "shop"):
        text = f'project = "{name}"\n[services.api]\ncommand = "make"\n'
        assert home.run("link", str(write_project(home, f"{name}/devproxy.toml", text))).code == 0
    done = home.run(command, "api", cwd=home.folder / "shop")
    assert "is the name of 2 services" not in done.err
    assert "api.blog" not in done.out + done.err
    assert "is the name of 2 services" in home.run(command, "api").err


@pytest.mark.parametrize("kind", ["worker", "task"])
@pytest.mark.parametrize("command", ["url", "open"])
def test_what_listens_nowhere_has_no_url_and_says_so(command: str, kind: str, home: Home) -> None:
    text = f'project = "shop"\n[services.jobs]\nkind = "{kind}"\ncommand = "make"\n'
    assert home.run("link", str(write_project(home, "shop/devproxy.toml", text))).code == 0
    done = home.run(command, "jobs")
    assert done.code == 1
    assert f"a {kind} listens nowhere" in done.err


@pytest.mark.parametrize("command", [("up", "-d"), ("url",), ("health",), ("logs",), ("restart",)])
@pytest.mark.parametrize("name", ["docs", "docs.shop"])
def test_a_service_that_its_file_has_with_an_error_is_told_with_it(
    command: tuple[str, ...], name: str, home: Home
) -> None:
    text = 'project = "shop"\n[services.web]\ncommand = "make"\n[services.docs]\ncommand = "make"\n'
    file = write_project(home, "shop/devproxy.toml", text)
    assert home.run("link", str(file)).code == 0
    file.write_text(text + "prot = 3\n")
    done = home.run(*command, name, cwd=file.parent)
    assert done.code == 1
    assert f"{file}:6:1: `{name}` is left out, for an error in its file: unknown key `prot`" in done.err
    assert "rename `prot` to `port`" in done.err


# Which services are meant, by the folder one stands in and by names


def service_in(name: str, project: str | None, file: Path) -> Service:
    identity = f"{name}.{project}" if project else name
    return Service(
        id=identity, name=name, project=Project.of(project) if project else None, hosts=(), source=Source(str(file), 1)
    )


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    services = []
    for project in ("shop", "blog"):
        (tmp_path / project / "deep").mkdir(parents=True)
        file = tmp_path / project / "devproxy.toml"
        file.touch()
        services += [
            service_in("web", project, file),
            service_in("api", project, file.with_name("devproxy.local.toml")),
        ]
    return Registry(services=(*services, service_in("tool", None, tmp_path / "registry.toml")))


def ids(registry: Registry, folder: Path, *names: str) -> list[str]:
    return [found.id for found in services_meant(registry, names, folder)]


def test_the_folder_says_which_project(registry: Registry, tmp_path: Path) -> None:
    assert ids(registry, tmp_path / "shop" / "deep") == ["web.shop", "api.shop"]
    assert ids(registry, tmp_path / "blog", "web", "web.shop", "tool", "web") == ["web.blog", "web.shop", "tool"]


def test_elsewhere_a_project_must_be_the_only_one(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(DevproxyError, match=r"no devproxy\.toml here"):
        ids(registry, tmp_path)
    only = Registry(services=registry.services[:2])
    assert ids(only, tmp_path) == ["web.shop", "api.shop"]
    with pytest.raises(DevproxyError, match="2 services"):
        ids(registry, tmp_path, "web")


def test_a_file_that_is_not_linked_gives_nothing(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "devproxy.toml").touch()
    assert nearest_project(tmp_path / "new") == tmp_path / "new" / "devproxy.toml"
    with pytest.raises(DevproxyError, match="no services that could be used") as error:
        ids(registry, tmp_path / "new")
    assert "not linked yet" in error.value.why
    assert "devproxy up links it" in error.value.fix


def test_a_file_with_an_error_is_to_be_checked(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    file = tmp_path / "new" / "devproxy.toml"
    file.touch()
    problem = Problem(code="unknown-key", file=str(file), line=1, column=1, message="it is wrong")
    with pytest.raises(DevproxyError, match="no services that could be used") as error:
        ids(Registry(services=registry.services, problems=(problem,)), file.parent)
    assert error.value.fix == f"devproxy check {file}"


def test_before_the_first_project_there_is_init(tmp_path: Path) -> None:
    with pytest.raises(DevproxyError, match=r"no devproxy\.toml here") as error:
        ids(Registry(), tmp_path)
    assert "devproxy init" in error.value.fix


class TestInAProject:
    """Hints and completion stay in the project that one stands in."""

    def test_a_hint_names_its_own(self, home: Home) -> None:
        write_all(home)
        real = home.folder / "real" / "devproxy.toml"
        real.parent.mkdir()
        real.write_text('project = "real"\n[services.front]\ncommand = "true"\n', "utf-8")
        home.run("link", cwd=real.parent)
        assert "did you mean `front`?" in home.run("logs", "frnt", cwd=real.parent).err
        strange = home.run("logs", "webb", cwd=real.parent).err
        assert "this project has front; all there are: devproxy ls --all" in strange
        assert "web.shop" not in strange

    def test_completion_offers_its_own_by_their_names(self, home: Home) -> None:
        shop = write_all(home).parent

        def offered(word: str, cwd: Path) -> list[str]:
            words = {"_DEVPROXY_COMPLETE": "bash_complete", "COMP_WORDS": f"devproxy logs {word}", "COMP_CWORD": "2"}
            return [line.partition(",")[2] for line in home.run(cwd=cwd, **words).out.splitlines()]

        assert offered("", shop) == ["api", "db", "web"]
        assert offered("web.", shop) == ["web.shop"]
        assert "admin" in offered("", home.folder)
