"""Ruby, Elixir, PHP, Java, Go, Rust, .NET."""

from devproxy.programs.catalog import Option, Row, address, host

LANGUAGES = (
    Row(program="Rails", names=("rails",), options=host("-b", "--binding")),
    Row(
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
    Row(program="rackup", names=("rackup",), options=host("-o", "--host")),
    Row(program="Jekyll", names=("jekyll",), options=host("-H", "--host")),
    Row(
        program="Sinatra",
        names=("*.rb",),
        options=host("-o", add=False),
        file="the application",
        line='set :bind, "127.0.0.1"',
        weak=True,
    ),
    Row(
        program="Phoenix",
        names=("mix", "beam.smp", "beam", "iex", "elixir"),
        contains="phx.server",
        file="config/dev.exs",
        line="http: [ip: {127, 0, 0, 1}, port: {port}]",
    ),
    Row(program="Laravel", names=("artisan",), options=host("--host")),
    Row(program="PHP", names=("php",), words=("-S",), options=address("-S"), weak=True),
    Row(
        program="Elasticsearch",
        names=("elasticsearch", "java"),
        contains="elasticsearch",
        options=(Option(("-E network.host=", "-Enetwork.host=", "-E http.host="), add=False),),
        file="elasticsearch.yml",
        line="network.host: 127.0.0.1",
    ),
    Row(
        program="Spring Boot",
        names=("java", "mvn", "mvnw", "gradle", "gradlew"),
        contains="spring",
        options=(Option(("-Dserver.address=", "--server.address="), add=False),),
        file="application.properties",
        line="server.address=127.0.0.1",
    ),
    Row(
        program="Java",
        names=("java",),
        options=(Option(("--server.address=", "-Dserver.address="), add=False),),
        file="application.properties",
        line="server.address=127.0.0.1",
        note="if it is Spring Boot",
        weak=True,
    ),
    Row(
        program="Go",
        names=("go", "go-build", "air", "dlv", "__debug_bin"),
        file="the source",
        line='http.ListenAndServe("127.0.0.1:{port}", handler)',
        weak=True,
    ),
    Row(
        program="Rust",
        names=("cargo", "target/debug", "target/release"),
        file="the source",
        line='TcpListener::bind("127.0.0.1:{port}")',
        weak=True,
    ),
    Row(
        program=".NET",
        names=("dotnet",),
        options=(Option(("--urls",), "url", "http://127.0.0.1:{port}"),),
        env="ASPNETCORE_URLS",
        env_value="http://127.0.0.1:{port}",
        weak=True,
    ),
)
