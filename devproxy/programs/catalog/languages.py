"""Ruby, Elixir, PHP, Java, Go, Rust, .NET."""

from devproxy.programs.catalog.program import ALWAYS, Option, Program, Serving, address, host, port

_SPRING_VARIABLES = (("SERVER_PORT", "{port}"), ("SERVER_ADDRESS", "127.0.0.1"))

LANGUAGES = (
    Program(
        name="Rails",
        names=("rails",),
        serves=Serving(words=("server", "s")),
        port=port("-p", "--port"),
        listen=host("-b", "--binding"),
    ),
    Program(
        name="Puma",
        names=("puma",),
        serves=ALWAYS,
        listen=(
            Option(("-b", "--bind"), "url", "tcp://127.0.0.1:{port}"),
            Option(("-p", "--port"), "port", "-b tcp://127.0.0.1:{port}"),
        ),
        file="config/puma.rb",
        line='bind "tcp://127.0.0.1:{port}"',
        fix_note="under `rails server` the flag is `-b 127.0.0.1`",
    ),
    Program(
        name="rackup",
        names=("rackup",),
        serves=ALWAYS,
        port=port("-p", "--port"),
        listen=host("-o", "--host"),
    ),
    Program(
        name="Jekyll",
        names=("jekyll",),
        serves=Serving(words=("serve", "server", "s")),
        port=port("--port", "-P"),
        listen=host("-H", "--host"),
    ),
    Program(
        name="Sinatra",
        names=("*.rb",),
        generic=True,
        listen=host("-o", add=False),
        file="the application",
        line='set :bind, "127.0.0.1"',
    ),
    Program(
        name="Phoenix",
        names=("mix", "beam.smp", "beam", "iex", "elixir"),
        contains="phx.server",
        start_note="Phoenix reads PORT only where its configuration does: in config/dev.exs "
        '`port: String.to_integer(System.get_env("PORT", "4000"))`',
        file="config/dev.exs",
        line="http: [ip: {127, 0, 0, 1}, port: {port}]",
    ),
    Program(
        name="Laravel",
        names=("artisan",),
        serves=Serving(words=("serve",)),
        port=port("--port"),
        listen=host("--host"),
    ),
    Program(name="PHP", names=("php",), words=("-S",), generic=True, serves=ALWAYS, listen=address("-S")),
    Program(
        name="Elasticsearch",
        names=("elasticsearch", "java"),
        contains="elasticsearch",
        listen=(Option(("-E network.host=", "-Enetwork.host=", "-E http.host="), add=False),),
        file="elasticsearch.yml",
        line="network.host: 127.0.0.1",
    ),
    Program(
        name="Spring Boot",
        names=("java", "mvn", "mvnw", "gradle", "gradlew"),
        contains="spring",
        listen=(Option(("-Dserver.address=", "--server.address="), add=False),),
        variables=_SPRING_VARIABLES,
        file="application.properties",
        line="server.address=127.0.0.1",
    ),
    Program(
        name="Java",
        names=("java",),
        generic=True,
        listen=(Option(("--server.address=", "-Dserver.address="), add=False),),
        variables=_SPRING_VARIABLES,
        file="application.properties",
        line="server.address=127.0.0.1",
        fix_note="if it is Spring Boot",
    ),
    Program(
        name="Go",
        names=("go", "go-build", "air", "dlv", "__debug_bin"),
        generic=True,
        file="the source",
        line='http.ListenAndServe("127.0.0.1:{port}", handler)',
    ),
    Program(
        name="Rust",
        names=("cargo", "target/debug", "target/release"),
        generic=True,
        file="the source",
        line='TcpListener::bind("127.0.0.1:{port}")',
    ),
    Program(
        name=".NET",
        names=("dotnet",),
        generic=True,
        serves=Serving(words=("run",)),
        listen=(Option(("--urls",), "url", "http://127.0.0.1:{port}"),),
        host_variable=("ASPNETCORE_URLS", "http://127.0.0.1:{port}"),
    ),
)
