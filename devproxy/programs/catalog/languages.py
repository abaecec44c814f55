"""Ruby, Elixir, PHP, Java, Go, Rust, .NET."""

from devproxy.programs.catalog import Option, Program, address, host

LANGUAGES = (
    Program(program="Rails", names=("rails",), options=host("-b", "--binding")),
    Program(
        program="Puma",
        names=("puma",),
        options=(
            Option(("-b", "--bind"), "url", "tcp://127.0.0.1:{port}"),
            Option(("-p", "--port"), "port", "-b tcp://127.0.0.1:{port}"),
        ),
        file="config/puma.rb",
        line='bind "tcp://127.0.0.1:{port}"',
        note="under `rails server` the flag is `-b 127.0.0.1`",
    ),
    Program(program="rackup", names=("rackup",), options=host("-o", "--host")),
    Program(program="Jekyll", names=("jekyll",), options=host("-H", "--host")),
    Program(
        program="Sinatra",
        names=("*.rb",),
        options=host("-o", add=False),
        file="the application",
        line='set :bind, "127.0.0.1"',
        weak=True,
    ),
    Program(
        program="Phoenix",
        names=("mix", "beam.smp", "beam", "iex", "elixir"),
        contains="phx.server",
        file="config/dev.exs",
        line="http: [ip: {127, 0, 0, 1}, port: {port}]",
    ),
    Program(program="Laravel", names=("artisan",), options=host("--host")),
    Program(program="PHP", names=("php",), words=("-S",), options=address("-S"), weak=True),
    Program(
        program="Elasticsearch",
        names=("elasticsearch", "java"),
        contains="elasticsearch",
        options=(Option(("-E network.host=", "-Enetwork.host=", "-E http.host="), add=False),),
        file="elasticsearch.yml",
        line="network.host: 127.0.0.1",
    ),
    Program(
        program="Spring Boot",
        names=("java", "mvn", "mvnw", "gradle", "gradlew"),
        contains="spring",
        options=(Option(("-Dserver.address=", "--server.address="), add=False),),
        file="application.properties",
        line="server.address=127.0.0.1",
    ),
    Program(
        program="Java",
        names=("java",),
        options=(Option(("--server.address=", "-Dserver.address="), add=False),),
        file="application.properties",
        line="server.address=127.0.0.1",
        note="if it is Spring Boot",
        weak=True,
    ),
    Program(
        program="Go",
        names=("go", "go-build", "air", "dlv", "__debug_bin"),
        file="the source",
        line='http.ListenAndServe("127.0.0.1:{port}", handler)',
        weak=True,
    ),
    Program(
        program="Rust",
        names=("cargo", "target/debug", "target/release"),
        file="the source",
        line='TcpListener::bind("127.0.0.1:{port}")',
        weak=True,
    ),
    Program(
        program=".NET",
        names=("dotnet",),
        options=(Option(("--urls",), "url", "http://127.0.0.1:{port}"),),
        env="ASPNETCORE_URLS",
        env_value="http://127.0.0.1:{port}",
        weak=True,
    ),
)
