"""Several sources in one folder."""

from pathlib import Path

from devproxy.detect.project import survey
from tests.detect.checkout import write


def test_a_procfile_stands_for_what_is_at_the_root(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "Procfile": "web: npm run dev\n",
            "package.json": '{"name": "shop", "scripts": {"dev": "vite"}}',
            "compose.yaml": "services:\n  web:\n    ports: ['127.0.0.1:8080:80']\n",
        },
    )
    found = survey(tmp_path)
    assert found.project == "shop"
    assert [(service.name, service.origin) for service in found.services] == [
        ("web", "Procfile: web"),
        ("web-2", "compose.yaml: services.web"),
    ]
    assert found.remarks == ("package.json: scripts.dev is left out: the Procfile has it",)


def test_an_empty_folder(tmp_path: Path) -> None:
    assert survey(tmp_path).services == ()
