"""Workers of queues, watchers of files, migrations: what runs beside a project's servers, and listens on no port.

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


class Portless(msgspec.Struct, frozen=True):
    """A program by its names (`command_line.names_of`), and with which arguments it works without a port."""

    names: tuple[str, ...]
    works: Serving = ALWAYS


WORKERS: tuple[Portless, ...] = (
    Portless(_COMPILERS, _WATCH),
    Portless(("esbuild",), Serving(flags=("--watch",), elsewhere=("--serve", "--servedir"))),
    Portless(("eleventy", "@11ty/eleventy"), Serving(flags=("--watch",), elsewhere=("--serve",))),
    Portless(("vite",), Serving(words=("build",), flags=("--watch", "-w"))),
    Portless(("webpack", "webpack-cli"), Serving(flags=("--watch", "-w"), never=frozenset({"serve", "server", "s"}))),
    Portless(("chokidar", "onchange")),
    Portless(("celery",), Serving(words=("worker", "beat", "events"))),
    Portless(("rq",), Serving(words=("worker", "worker-pool"))),
    Portless(("rqworker", "dramatiq", "huey_consumer", "arq")),
    Portless(("taskiq",), Serving(words=("worker", "scheduler"))),
    Portless(("manage.py", "django-admin", "django"), Serving(words=_DJANGO_TASKS)),
    Portless(("sidekiq", "good_job")),
    Portless(("rails", "rake"), Serving(words=_RAILS_TASKS)),
    Portless(("artisan",), Serving(words=("queue:work", "queue:listen", "horizon", "schedule:work", "pail"))),
)

# What ends once a database has the tables that its code expects. Not those that ask a person (`prisma migrate dev`).
MIGRATIONS: tuple[Portless, ...] = (
    Portless(("manage.py", "django-admin", "django", "artisan", "drizzle-kit", "flyway"), Serving(words=("migrate",))),
    Portless(("alembic", "flask"), Serving(words=("upgrade",), never=frozenset({"run"}))),
    Portless(("rails", "rake"), Serving(words=("db:migrate", "db:prepare"))),
    Portless(("prisma",), Serving(words=("deploy", "push"))),
    Portless(("knex", "sequelize", "sequelize-cli"), Serving(words=("migrate:latest", "db:migrate"))),
    Portless(("typeorm", "typeorm-ts-node-commonjs", "typeorm-ts-node-esm"), Serving(words=("migration:run",))),
    Portless(("dbmate", "goose", "migrate", "node-pg-migrate"), Serving(words=("up",))),
    Portless(("sqlx", "diesel"), Serving(words=("run",))),
    Portless(("mix",), Serving(words=("ecto.migrate",))),
)
