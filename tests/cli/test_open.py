"""`devproxy open`: the browser gets the URL that works, or the person is told why not."""

from tests.cli.command import Home, pretend_running, write_all


def test_open_needs_the_proxy(home: Home) -> None:
    write_all(home)
    assert home.run("open", "api") == (
        3,
        "",
        "the proxy is not running\n"
        "  why: a browser would find nothing at http://api.shop.localhost\n"
        "  fix: devproxy start\n",
    )


def test_open_starts_the_browser_with_the_url(home: Home) -> None:
    write_all(home)
    pretend_running(home, 7080)
    seen = home.folder / "seen"
    browser = home.folder / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {seen}\n')
    browser.chmod(0o755)
    done = home.run("open", "api", BROWSER=f"{browser} %s")
    assert done == (0, "http://api.shop.localhost:7080\n", "")
    assert seen.read_text() == "http://api.shop.localhost:7080\n"


def test_open_without_a_browser_says_so(home: Home) -> None:
    write_all(home)
    pretend_running(home, 7080)
    done = home.run("open", "api", PATH="", DISPLAY="", WAYLAND_DISPLAY="", BROWSER="/nowhere/browser %s")
    assert (done.code, done.out) == (1, "http://api.shop.localhost:7080\n")
    assert done.err.startswith("no browser could be started\n")


def test_open_refuses_what_is_not_http(home: Home) -> None:
    write_all(home)
    pretend_running(home, 7080)
    done = home.run("open", "db")
    assert done.code == 1
    assert done.err == (
        '`db.shop` is nothing for a browser\n  why: its protocol is "tcp", not HTTP\n'
        "  fix: its address: devproxy url db.shop\n"
    )
