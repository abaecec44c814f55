"""JavaScript: dev servers of frameworks, their built servers, static servers, runtimes."""

from devproxy.programs.catalog import SERVE_CODE, Option, Program, host

_VITE_LINE = 'server: { host: "127.0.0.1" }'

JAVASCRIPT = (
    Program(program="Next.js", names=("next", "next-server"), options=host("-H", "--hostname")),
    Program(
        program="Nuxt",
        names=("nuxt", "nuxi", "@nuxt/cli"),
        options=host("--host", "-h"),
        exposes=("--public",),
        file="nuxt.config.ts",
        line='devServer: { host: "127.0.0.1" }',
    ),
    Program(program="Nuxt (built)", names=(".output/server", "server/index.mjs"), env="HOST"),
    Program(program="SvelteKit (built)", names=("build", "build/index.js"), env="HOST"),
    Program(
        program="React Router / Remix (built)",
        names=("react-router-serve", "@react-router/serve", "remix-serve", "@remix-run/serve"),
        env="HOST",
    ),
    Program(
        program="React Router / Remix",
        names=("react-router", "@react-router/dev", "remix", "@remix-run/dev"),
        options=host("--host"),
        file="vite.config.ts",
        line=_VITE_LINE,
    ),
    Program(program="Astro", names=("astro",), options=host("--host"), file="astro.config.mjs", line=_VITE_LINE),
    Program(
        program="Angular",
        names=("ng", "@angular/cli"),
        options=host("--host", "-H"),
        file="angular.json",
        line='"serve": { "options": { "host": "127.0.0.1" } }',
    ),
    Program(program="Storybook", names=("storybook", "start-storybook"), options=host("-h", "--host")),
    Program(
        program="Create React App",
        names=("react-scripts", "react-app-rewired", "craco", "@craco/craco"),
        env="HOST",
        file=".env.development.local",
        line="HOST=127.0.0.1",
    ),
    Program(program="VitePress", names=("vitepress",), options=host("--host")),
    Program(program="Docusaurus", names=("docusaurus", "@docusaurus/core"), options=host("--host", "-h")),
    Program(program="Gatsby", names=("gatsby", "gatsby-cli"), options=host("-H", "--host")),
    Program(program="Parcel", names=("parcel",), options=host("--host")),
    Program(program="Vue CLI", names=("vue-cli-service", "@vue/cli-service"), options=host("--host")),
    Program(program="Wrangler", names=("wrangler",), options=host("--ip")),
    Program(program="json-server", names=("json-server",), options=host("--host", "-H", "-h")),
    Program(program="http-server", names=("http-server",), options=host("-a")),
    Program(
        program="serve",
        names=("serve",),
        options=(
            Option(("-l", "--listen"), "url", "tcp://127.0.0.1:{port}"),
            Option(("-p", "--port"), "port", "-l tcp://127.0.0.1:{port}"),
        ),
    ),
    Program(
        program="webpack-dev-server",
        names=("webpack-dev-server", "webpack", "webpack-cli"),
        options=host("--host"),
        file="webpack.config.js",
        line='devServer: { host: "127.0.0.1" }',
    ),
    Program(
        program="Rsbuild",
        names=("rsbuild", "@rsbuild/core"),
        options=host("--host"),
        file="rsbuild.config.ts",
        line='server: { host: "127.0.0.1" }',
    ),
    Program(
        program="Rspack",
        names=("rspack", "@rspack/cli"),
        options=host("--host"),
        file="rspack.config.js",
        line='devServer: { host: "127.0.0.1" }',
    ),
    Program(program="Expo", names=("expo", "@expo/cli"), options=(Option(("--host",), safe="localhost"),)),
    Program(
        program="Vite",  # SvelteKit, Solid, Qwik and others run in it
        names=("vite", "rolldown-vite"),
        options=host("--host"),
        file="vite.config.js",
        line=_VITE_LINE,
    ),
    Program(program="Deno", names=("deno",), words=("serve",), options=(Option(("--host",), first=True),)),
    Program(
        program="Deno",
        names=("deno",),
        env="DENO_SERVE_ADDRESS",
        env_value="tcp:127.0.0.1:{port}",
        file=SERVE_CODE,
        line='Deno.serve({ hostname: "127.0.0.1", port: {port} }, handler)',
        weak=True,
    ),
    Program(
        program="Bun",
        names=("bun",),
        file=SERVE_CODE,
        line='Bun.serve({ hostname: "127.0.0.1", port: {port}, … })',
        weak=True,
    ),
    Program(
        program="Node.js",
        names=("node", "nodejs", "tsx", "ts-node"),
        file=SERVE_CODE,
        line='server.listen({port}, "127.0.0.1")',
        weak=True,
    ),
)
