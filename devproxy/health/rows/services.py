"""Databases, brokers, web servers and container engines: what a project's services are made of."""

from devproxy.health.rows import Option, Row, host

_RABBIT = ("beam.smp", "beam", "rabbitmq-server", "erl")

SERVICES = (
    Row(
        program="Docker",
        names=(
            *("docker-proxy", "rootlesskit", "rootlessport", "slirp4netns", "pasta", "pasta.avx2", "conmon"),
            *("com.docker.backend", "vpnkit-bridge"),
        ),
        file="compose.yaml",
        line='ports: ["127.0.0.1:{port}:{container}"]',
        note="with `docker run`: `-p 127.0.0.1:{port}:{container}`",
    ),
    Row(
        program="Docker Compose",
        names=("docker-compose", "podman-compose"),
        file="compose.yaml",
        line='ports: ["127.0.0.1:{port}:{container}"]',
    ),
    Row(
        program="Docker Compose",
        names=("docker", "podman"),
        words=("compose",),
        file="compose.yaml",
        line='ports: ["127.0.0.1:{port}:{container}"]',
    ),
    Row(
        program="Docker",
        names=("docker", "podman", "nerdctl"),
        words=("run", "create"),
        options=(Option(("-p", "--publish"), "publish", add=False),),
        file="the command",
        line="-p 127.0.0.1:{port}:{container}",
    ),
    Row(
        program="PostgreSQL",
        names=("postgres", "postmaster"),
        options=(
            Option(("-h",)),
            Option(("-c listen_addresses=", "--listen_addresses=", "--listen-addresses="), safe="localhost"),
        ),
        exposes=("-i",),
        file="postgresql.conf",
        line="listen_addresses = 'localhost'",
    ),
    Row(
        program="MySQL (X protocol)",
        names=("mysqld", "mariadbd"),
        port=33060,
        options=host("--mysqlx-bind-address="),
        file="my.cnf",
        line="[mysqld] mysqlx-bind-address = 127.0.0.1",
    ),
    Row(
        program="MySQL",
        names=("mysqld", "mariadbd"),
        options=host("--bind-address=", "--bind_address="),
        file="my.cnf",
        line="[mysqld] bind-address = 127.0.0.1",
    ),
    Row(
        program="Redis",
        names=("redis-server", "valkey-server", "keydb-server"),
        options=host("--bind", many=True),
        file="redis.conf",
        line="bind 127.0.0.1 -::1",
    ),
    Row(
        program="MongoDB",
        names=("mongod", "mongos"),
        options=host("--bind_ip", "--bind-ip"),
        exposes=("--bind_ip_all",),
        file="mongod.conf",
        line="net: { bindIp: 127.0.0.1 }",
    ),
    Row(
        program="RabbitMQ (management)",
        names=_RABBIT,
        contains="rabbit",
        port=15672,
        file="rabbitmq.conf",
        line="management.tcp.ip = 127.0.0.1",
    ),
    Row(
        program="RabbitMQ (inter-node)",
        names=_RABBIT,
        contains="rabbit",
        port=25672,
        file="advanced.config",
        line="[{kernel, [{inet_dist_use_interface, {127,0,0,1}}]}].",
    ),
    Row(
        program="RabbitMQ",
        names=_RABBIT,
        contains="rabbit",
        file="rabbitmq.conf",
        line="listeners.tcp.local = 127.0.0.1:{port}",
        note="in place of any other `listeners.tcp` line",
    ),
    Row(program="epmd", names=("epmd",), options=host("-address"), env="ERL_EPMD_ADDRESS"),
    Row(
        program="Ollama",
        names=("ollama",),
        env="OLLAMA_HOST",
        env_value="127.0.0.1:{port}",
        note="as a service: `systemctl edit ollama`, `Environment=OLLAMA_HOST=127.0.0.1:{port}`",
    ),
    Row(
        program="memcached",
        names=("memcached",),
        options=host("-l", "--listen="),
        file="memcached.conf",
        line="-l 127.0.0.1",
    ),
    Row(program="nginx", names=("nginx",), file="nginx.conf", line="listen 127.0.0.1:{port};"),
    Row(
        program="Apache",
        names=("apache2", "httpd"),
        file="ports.conf or httpd.conf",
        line="Listen 127.0.0.1:{port}",
    ),
    Row(
        program="Caddy",
        names=("caddy",),
        options=(Option(("--listen", "-l", "--from"), "address", add=False),),
        file="Caddyfile",
        line="bind 127.0.0.1 ::1",
    ),
    Row(
        program="AirPlay Receiver",
        names=("ControlCenter", "ControlCe"),
        file="System Settings → General → AirDrop & Handoff",
        line="AirPlay Receiver: off",
    ),
)
