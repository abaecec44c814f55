"""JavaScript: dev servers of frameworks, their built servers, static servers, runtimes."""

from devproxy.programs.catalog import SERVE_CODE, Option, Row, host

_VITE_LINE = 'server: { host: "127.0.0.1" }'

JAVASCRIPT = (
    Row(program="Next.js", names=("next", "next-server"), options=host("-H", "--hostname")),
    Row(
        program="Nuxt",
        names=("nuxt", "nuxi", "@nuxt/cli"),
        options=host("--host", "-h"),
        exposes=("--public",),
        file="nuxt.config.ts",
        line='devServer: { host: "127.0.0.1" }',
    ),
    Row(program="Nuxt (built)", names=(".output/server", "server/index.mjs"), env="HOST"),
    Row(program="SvelteKit (built)", names=("build", "build/index.js"), env="HOST"),
    Row(
        program="React Router / Remix (built)",
        names=("react-router-serve", "@react-router/serve", "remix-serve", "@remix-run/serve"),
        env="HOST",
    ),
    Row(
        program="React Router / Remix",
        names=("react-router", "@react-router/dev", "remix", "@remix-run/dev"),
        options=host("--host"),
        file="vite.config.ts",
        line=_VITE_LINE,
    ),
    Row(program="Astro", names=("astro",), options=host("--host"), file="astro.config.mjs", line=_VITE_LINE),
    Row(
        program="Angular",
        names=("ng", "@angular/cli"),
        options=host("--host", "-H"),
        file="angular.json",
        line='"serve": { "options": { "host": "127.0.0.1" } }',
    ),
    Row(program="Storybook", names=("storybook", "start-storybook"), options=host("-h", "--host")),
    Row(
        program="Create React App",
        names=("react-scripts", "react-app-rewired", "craco", "@craco/craco"),
        env="HOST",
        file=".env.development.local",
        line="HOST=127.0.0.1",
    ),
    Row(program="VitePress", names=("vitepress",), options=host("--host")),
    Row(program="Docusaurus", names=("docusaurus", "@docusaurus/core"), options=host("--host", "-h")),
    Row(program="Gatsby", names=("gatsby", "gatsby-cli"), options=host("-H", "--host")),
    Row(program="Parcel", names=("parcel",), options=host("--host")),
    Row(program="Vue CLI", names=("vue-cli-service", "@vue/cli-service"), options=host("--host")),
    Row(program="Wrangler", names=("wrangler",), options=host("--ip")),
    Row(program="json-server", names=("json-server",), options=host("--host", "-H", "-h")),
    Row(program="http-server", names=("http-server",), options=host("-a")),
    Row(
        program="serve",
        names=("serve",),
        options=(
            Option(("-l", "--listen"), "url", "tcp://127.0.0.1:{port}"),
            Option(("-p", "--port"), "port", "-l tcp://127.0.0.1:{port}"),
        ),
    ),
    Row(
        program="webpack-dev-server",
        names=("webpack-dev-server", "webpack", "webpack-cli"),
        options=host("--host"),
        file="webpack.config.js",
        line='devServer: { host: "127.0.0.1" }',
    ),
    Row(
        program="Rsbuild",
        names=("rsbuild", "@rsbuild/core"),
        options=host("--host"),
        file="rsbuild.config.ts",
        line='server: { host: "127.0.0.1" }',
    ),
    Row(
        program="Rspack",
        names=("rspack", "@rspack/cli"),
        options=host("--host"),
        file="rspack.config.js",
        line='devServer: { host: "127.0.0.1" }',
    ),
    Row(program="Expo", names=("expo", "@expo/cli"), options=(Option(("--host",), safe="localhost"),)),
    Row(
        program="Vite",  # SvelteKit, Solid, Qwik and others run in it
        names=("vite", "rolldown-vite"),
        options=host("--host"),
        file="vite.config.js",
        line=_VITE_LINE,
    ),
    Row(program="Deno", names=("deno",), words=("serve",), options=(Option(("--host",), first=True),)),
    Row(
        program="Deno",
        names=("deno",),
        env="DENO_SERVE_ADDRESS",
        env_value="tcp:127.0.0.1:{port}",
        file=SERVE_CODE,
        line='Deno.serve({ hostname: "127.0.0.1", port: {port} }, handler)',
        weak=True,
    ),
    Row(
        program="Bun",
        names=("bun",),
        file=SERVE_CODE,
        line='Bun.serve({ hostname: "127.0.0.1", port: {port}, … })',
        weak=True,
    ),
    Row(
        program="Node.js",
        names=("node", "nodejs", "tsx", "ts-node"),
        file=SERVE_CODE,
        line='server.listen({port}, "127.0.0.1")',
        weak=True,
    ),
)
