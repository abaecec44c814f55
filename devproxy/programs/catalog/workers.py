"""Workers of queues and watchers of files: what runs beside a project's services, and listens on no port.

Not here: what serves (the other files). A program may do both: `esbuild --watch` only watches, `--serve` serves.
"""

import msgspec

from devproxy.programs.catalog.program import ALWAYS, Serving

_WATCH = Serving(flags=("--watch", "-w"))
_COMPILERS = (
    *("tsc", "vue-tsc", "tsgo", "tsup", "rollup", "sass", "postcss", "swc", "babel", "unocss", "graphql-codegen"),
    *("tailwindcss", "@tailwindcss/cli"),
)
_DJANGO_TASKS = (
    *("celery", "qcluster", "rqworker", "rqscheduler", "db_worker", "process_tasks", "run_huey", "tailwind"),
)
_RAILS_TASKS = ("tailwindcss:watch", "dartsass:watch", "jobs:work", "solid_queue:start", "resque:work")


class Worker(msgspec.Struct, frozen=True):
    """A program by its names (`command_line.names_of`), and with which arguments it works without a port."""

    names: tuple[str, ...]
    works: Serving = ALWAYS


WORKERS: tuple[Worker, ...] = (
    Worker(_COMPILERS, _WATCH),
    Worker(("esbuild",), Serving(flags=("--watch",), elsewhere=("--serve", "--servedir"))),
    Worker(("eleventy", "@11ty/eleventy"), Serving(flags=("--watch",), elsewhere=("--serve",))),
    Worker(("vite",), Serving(words=("build",), flags=("--watch", "-w"))),
    Worker(("webpack", "webpack-cli"), Serving(flags=("--watch", "-w"), never=frozenset({"serve", "server", "s"}))),
    Worker(("chokidar", "onchange")),
    Worker(("celery",), Serving(words=("worker", "beat", "events"))),
    Worker(("rq",), Serving(words=("worker", "worker-pool"))),
    Worker(("rqworker", "dramatiq", "huey_consumer", "arq")),
    Worker(("taskiq",), Serving(words=("worker", "scheduler"))),
    Worker(("manage.py", "django-admin", "django"), Serving(words=_DJANGO_TASKS)),
    Worker(("sidekiq", "good_job")),
    Worker(("rails", "rake"), Serving(words=_RAILS_TASKS)),
    Worker(("artisan",), Serving(words=("queue:work", "queue:listen", "horizon", "schedule:work", "pail"))),
)
