"""Realistic command lines, one or more for every row of the table of frameworks, and what each becomes.

Lives here: data. The port is 24000, the hostnames are web.shop.localhost and shop.localhost.
"""
# ruff: noqa: E501

# (command line, what it becomes); the scripts are `SCRIPTS`
ADAPTED: list[tuple[str, str]] = [
    # JavaScript
    ("vite", "vite --port 24000 --host 127.0.0.1"),
    ("npx vite preview", "npx vite preview --port 24000 --host 127.0.0.1"),
    ("node node_modules/vite/bin/vite.js web", "node node_modules/vite/bin/vite.js web --port 24000 --host 127.0.0.1"),
    ("pnpm exec vite dev --open", "pnpm exec vite dev --open --port 24000 --host 127.0.0.1"),
    ("bunx --bun vite", "bunx --bun vite --port 24000 --host 127.0.0.1"),
    ("cross-env NODE_ENV=test vite", "cross-env NODE_ENV=test vite --port 24000 --host 127.0.0.1"),
    ("next", "next -p 24000 -H 127.0.0.1"),
    ("npx next dev --turbopack", "npx next dev --turbopack -p 24000 -H 127.0.0.1"),
    ("next start", "next start -p 24000 -H 127.0.0.1"),
    ("npx nuxi dev", "npx nuxi dev --port 24000 --host 127.0.0.1"),
    ("react-router dev", "react-router dev --port 24000 --host 127.0.0.1"),
    ("remix vite:dev", "remix vite:dev --port 24000 --host 127.0.0.1"),
    ("npx astro dev", "npx astro dev --port 24000 --host 127.0.0.1"),
    ("ng serve shop", "ng serve shop --port 24000 --host 127.0.0.1"),
    ("npx storybook dev --ci", "npx storybook dev --ci -p 24000 -h 127.0.0.1"),
    ("start-storybook", "start-storybook -p 24000 -h 127.0.0.1"),
    ("vitepress dev docs", "vitepress dev docs --port 24000 --host 127.0.0.1"),
    ("docusaurus start", "docusaurus start --port 24000 --host 127.0.0.1"),
    ("gatsby develop", "gatsby develop -p 24000 -H 127.0.0.1"),
    ("parcel index.html", "parcel index.html --port 24000 --host 127.0.0.1"),
    ("vue-cli-service serve", "vue-cli-service serve --port 24000 --host 127.0.0.1"),
    ("wrangler dev", "wrangler dev --port 24000 --ip 127.0.0.1"),
    ("json-server db.json", "json-server db.json --port 24000 --host 127.0.0.1"),
    ("http-server dist", "http-server dist -p 24000 -a 127.0.0.1"),
    ("npx serve dist", "npx serve dist -l tcp://127.0.0.1:24000"),
    ("webpack serve --mode development", "webpack serve --mode development --port 24000 --host 127.0.0.1"),
    ("webpack-dev-server", "webpack-dev-server --port 24000 --host 127.0.0.1"),
    ("rsbuild", "rsbuild --port 24000 --host 127.0.0.1"),
    ("rspack serve", "rspack serve --port 24000 --host 127.0.0.1"),
    ("npx expo start --web", "npx expo start --web --port 24000 --host localhost"),
    ("deno serve -A main.ts", "deno serve --port 24000 --host 127.0.0.1 -A main.ts"),
    # Python
    ("python manage.py runserver", "python manage.py runserver 127.0.0.1:24000"),
    ("./manage.py runserver --noreload", "./manage.py runserver --noreload 127.0.0.1:24000"),
    ("uv run django-admin runserver", "uv run django-admin runserver 127.0.0.1:24000"),
    ("poetry run flask --app web run --debug", "poetry run flask --app web run --debug --port 24000 --host 127.0.0.1"),
    ("python -m flask run", "python -m flask run --port 24000 --host 127.0.0.1"),
    ("fastapi dev main.py", "fastapi dev main.py --port 24000 --host 127.0.0.1"),
    ("uv run --with httptools uvicorn app:app --reload", "uv run --with httptools uvicorn app:app --reload --port 24000 --host 127.0.0.1"),
    ("python3 -m uvicorn app:app", "python3 -m uvicorn app:app --port 24000 --host 127.0.0.1"),
    ("gunicorn app:app -w 4", "gunicorn app:app -w 4 -b 127.0.0.1:24000"),
    ("hypercorn app:app", "hypercorn app:app -b 127.0.0.1:24000"),
    ("granian --interface asgi app:app", "granian --interface asgi app:app --port 24000 --host 127.0.0.1"),
    ("daphne app:app", "daphne app:app -p 24000 -b 127.0.0.1"),
    ("waitress-serve app:app", "waitress-serve --port=24000 --host=127.0.0.1 app:app"),
    ("jupyter lab --no-browser",
     "jupyter lab --no-browser --port 24000 --ip 127.0.0.1 --ServerApp.local_hostnames=localhost"
     " --ServerApp.local_hostnames=web.shop.localhost --ServerApp.local_hostnames=shop.localhost"),
    ("streamlit run app.py -- --mine",
     "streamlit run app.py --server.port 24000 --server.address 127.0.0.1 --browser.serverAddress=web.shop.localhost -- --mine"),
    ("mkdocs serve", "mkdocs serve -a 127.0.0.1:24000"),
    ("python3 -m http.server -d public", "python3 -m http.server -d public 24000 --bind 127.0.0.1"),
    # Ruby, PHP, .NET, Go
    ("bin/rails server", "bin/rails server -p 24000 -b 127.0.0.1"),
    ("bundle exec rails s", "bundle exec rails s -p 24000 -b 127.0.0.1"),
    ("bundle exec puma -C config/puma.rb", "bundle exec puma -C config/puma.rb -b tcp://127.0.0.1:24000"),
    ("rackup", "rackup -p 24000 -o 127.0.0.1"),
    ("bundle exec jekyll serve", "bundle exec jekyll serve --port 24000 -H 127.0.0.1"),
    ("php artisan serve", "php artisan serve --port 24000 --host 127.0.0.1"),
    ("php -S -t public", "php -t public -S 127.0.0.1:24000"),
    ("dotnet run", "dotnet run --urls http://127.0.0.1:24000"),
    ("hugo server -D",
     "hugo server -D --port 24000 --bind 127.0.0.1 --baseURL http://web.shop.localhost/ --appendPort=false"),
    # services
    ("postgres -D data", "postgres -D data -p 24000 -h 127.0.0.1"),
    ("redis-server", "redis-server --port 24000 --bind 127.0.0.1"),
    ("mongod", "mongod --port 24000 --bind_ip 127.0.0.1"),
    ("memcached", "memcached -p 24000 -l 127.0.0.1"),
    # through the scripts of package.json
    ("npm run dev", "npm run dev -- --port 24000 --host 127.0.0.1"),
    ("npm run dev -- --open", "npm run dev -- --open --port 24000 --host 127.0.0.1"),
    ("npm --prefix web run dev", "npm --prefix web run dev -- --port 24000 --host 127.0.0.1"),
    ("npm start", "npm start -- -p 24000 -H 127.0.0.1"),
    ("npm run nested", "npm run nested -- -- --port 24000 --host 127.0.0.1"),
    ("pnpm dev", "pnpm dev --port 24000 --host 127.0.0.1"),
    ("pnpm run dev", "pnpm run dev --port 24000 --host 127.0.0.1"),
    ("yarn dev", "yarn dev --port 24000 --host 127.0.0.1"),
    ("yarn vite", "yarn vite --port 24000 --host 127.0.0.1"),
    ("bun run dev", "bun run dev --port 24000 --host 127.0.0.1"),
    ("node --run dev", "node --run dev -- --port 24000 --host 127.0.0.1"),
    ("npm run both", "npm run both -- --port 24000 --host 127.0.0.1"),
    ("npm run django", "npm run django -- 127.0.0.1:24000"),
    # through npm itself, which keeps options without a -- before them
    ("npm exec vite dev", "npm exec -- vite dev --port 24000 --host 127.0.0.1"),
    ("npm exec vite -- --open", "npm exec -- vite --open --port 24000 --host 127.0.0.1"),
    ("npm x --workspace web -- vite", "npm x --workspace web -- vite --port 24000 --host 127.0.0.1"),
    ("env A=b npm exec -y -p vite vite", "env A=b npm exec -y -p vite -- vite --port 24000 --host 127.0.0.1"),
]  # fmt: skip

# command lines that stay as they are
UNTOUCHED: list[str] = [
    "vite build", "npx astro build", "flask shell", "python manage.py migrate", "next build", "webpack", "hugo",
    "storybook build", "node server.js", "python app.py", "go run .", "deno run -A main.ts", "make dev", "npm install",
    "npm run missing", "npm run loop", "npm run build", "npm ci", "mix phx.server", "java -jar shop.jar", "bun install",
    "npm exec vite build", "npm exec vite -- build",
    "uvicorn app:app --uds app.sock", "waitress-serve --listen=127.0.0.1:8080 app:app", "java -jar spring-boot.jar",
]  # fmt: skip

# what the command says itself: (command line, what it becomes, the port it will listen on)
SAID: list[tuple[str, str, int]] = [
    ("vite --port 3000", "vite --port 3000 --host 127.0.0.1", 3000),
    ("vite --port=3000 --host 0.0.0.0", "vite --port=3000 --host 0.0.0.0", 3000),
    ("npm run fixed", "npm run fixed -- --host 127.0.0.1", 3000),
    ("next dev -p3000 -H localhost", "next dev -p3000 -H localhost", 3000),
    ("python manage.py runserver 8000", "python manage.py runserver 8000", 8000),
    ("gunicorn -b :8000 app:app", "gunicorn -b :8000 app:app", 8000),
    ("php -S localhost:8000 -t public", "php -S localhost:8000 -t public", 8000),
    ("python -m http.server 8000", "python -m http.server 8000 --bind 127.0.0.1", 8000),
    ("puma -p 9292", "puma -p 9292", 9292),
    ("npx serve -l tcp://127.0.0.1:3000", "npx serve -l tcp://127.0.0.1:3000", 3000),
]  # fmt: skip

# the same where the registry says the port
INSISTED: list[tuple[str, str]] = [
    ("vite --port 3000", "vite --port 24000 --host 127.0.0.1"),
    ("vite --port=3000", "vite --port=24000 --host 127.0.0.1"),
    ("next dev -p3000 -H localhost", "next dev -p24000 -H localhost"),
    ("npm run fixed", "npm run fixed -- --port 24000 --host 127.0.0.1"),
    ("python manage.py runserver 0.0.0.0:8000", "python manage.py runserver 0.0.0.0:24000"),
    ("gunicorn --bind=127.0.0.1:8000 app:app", "gunicorn --bind=127.0.0.1:24000 app:app"),
    ("php -S localhost:8000 -t public", "php -S localhost:24000 -t public"),
    ("python -m http.server 8000", "python -m http.server 24000 --bind 127.0.0.1"),
    ("npx serve -l tcp://127.0.0.1:3000", "npx serve -l tcp://127.0.0.1:24000"),
]  # fmt: skip

# (a shell's text, what it becomes)
SHELL: list[tuple[str, str]] = [
    ("cd web && vite", "cd web && vite --port 24000 --host 127.0.0.1"),
    ("vite | tee log", "vite --port 24000 --host 127.0.0.1 | tee log"),
    ("vite > log 2>&1", "vite > log 2>&1 --port 24000 --host 127.0.0.1"),
    ("A='x y' exec vite", "A='x y' exec vite --port 24000 --host 127.0.0.1"),
    ("vite --port $PORT", "vite --port $PORT --host 127.0.0.1"),
    ('vite --port "${PORT}" --host localhost', 'vite --port "${PORT}" --host localhost'),
    ("waitress-serve app:app", "waitress-serve --port=24000 --host=127.0.0.1 app:app"),
    ("(cd web; npm run dev) & wait", "(cd web; npm run dev -- --port 24000 --host 127.0.0.1) & wait"),
    ("echo 'vite; next dev'", "echo 'vite; next dev'"),
    ("docker compose up", "docker compose up"),
    ("echo 'open", "echo 'open"),
]  # fmt: skip

# commands that name the port by its variable: nothing is added for the port
REFERRED: list[tuple[str, str]] = [
    ("python -m http.server $PORT", "python -m http.server $PORT --bind 127.0.0.1"),
    ('python3 -m http.server -d public "${PORT}"', 'python3 -m http.server -d public "${PORT}" --bind 127.0.0.1'),
    ("python -m http.server ${PORT:-8000} --bind ::1", "python -m http.server ${PORT:-8000} --bind ::1"),
    ("python -m http.server $(cat port)", "python -m http.server $(cat port) --bind 127.0.0.1"),
    ("python -m http.server %PORT%", "python -m http.server %PORT% --bind 127.0.0.1"),
    ("python manage.py runserver $PORT", "python manage.py runserver $PORT"),
    ("python manage.py runserver 0:$WEB_PORT --noreload", "python manage.py runserver 0:$WEB_PORT --noreload"),
    ('uv run manage.py runserver "[::1]:${PORT}"', 'uv run manage.py runserver "[::1]:${PORT}"'),
    ('python manage.py runserver "${HOST:-localhost}:${PORT:?}"', 'python manage.py runserver "${HOST:-localhost}:${PORT:?}"'),
    ("python manage.py runserver 127.0.0.1:%PORT%", "python manage.py runserver 127.0.0.1:%PORT%"),
    ("flask run -p $PORT", "flask run -p $PORT --host 127.0.0.1"),
    ("flask --app web run -p$PORT", "flask --app web run -p$PORT --host 127.0.0.1"),
    ("uvicorn app:app --port ${PORT:-8000} --reload", "uvicorn app:app --port ${PORT:-8000} --reload --host 127.0.0.1"),
    ("gunicorn -b :$PORT app:app", "gunicorn -b :$PORT app:app"),
    ("waitress-serve --port=$PORT app:app", "waitress-serve --host=127.0.0.1 --port=$PORT app:app"),
    ("streamlit run app.py --server.port=$PORT --server.headless=true",
     "streamlit run app.py --server.port=$PORT --server.headless=true --server.address 127.0.0.1 --browser.serverAddress=web.shop.localhost"),
    ("php -S localhost:$PORT", "php -S localhost:$PORT"),
    ('php -S "127.0.0.1:${PORT}" -t public', 'php -S "127.0.0.1:${PORT}" -t public'),
    ("bin/rails server -p ${PORT-3000}", "bin/rails server -p ${PORT-3000} -b 127.0.0.1"),
    ("puma -b tcp://127.0.0.1:$PORT", "puma -b tcp://127.0.0.1:$PORT"),
    ("hugo server -p $PORT -b http://localhost", "hugo server -p $PORT -b http://localhost --bind 127.0.0.1"),
    ("next dev -p $PORT", "next dev -p $PORT -H 127.0.0.1"),
    ("vite --port ${PORT:-5173}", "vite --port ${PORT:-5173} --host 127.0.0.1"),
    ("vite --port $((PORT + 1))", "vite --port $((PORT + 1)) --host 127.0.0.1"),
    ("vite --port $PORT2 --strictPort", "vite --port $PORT2 --strictPort --host 127.0.0.1"),
    ("vite --port %PORT%", "vite --port %PORT% --host 127.0.0.1"),
    ("deno serve --port $PORT main.ts", "deno serve --host 127.0.0.1 --port $PORT main.ts"),
    ("npx serve -l tcp://127.0.0.1:$PORT dist", "npx serve -l tcp://127.0.0.1:$PORT dist"),
    ("npm run referring", "npm run referring -- --host 127.0.0.1"),
    # other variables say nothing about the port
    ("python -m http.server -d $DOCS", "python -m http.server -d $DOCS 24000 --bind 127.0.0.1"),
    ("A=$PORT python manage.py runserver", "A=$PORT python manage.py runserver 127.0.0.1:24000"),
]  # fmt: skip

SCRIPTS: dict[tuple[str, str], str] = {
    ("", "dev"): "vite", ("web", "dev"): "vite", ("", "start"): "next dev", ("", "nested"): "npm run dev",
    ("", "build"): "vite build", ("", "both"): "tsc -w & vite", ("", "pipe"): "vite | tee log",
    ("", "fixed"): "vite --port 3000", ("", "loop"): "npm run loop", ("", "django"): "python manage.py runserver",
    ("", "bind"): "gunicorn -b :8000 app:app", ("", "waitress"): "waitress-serve app:app",
    ("", "referring"): "vite --port $PORT",
}  # fmt: skip
