#!/usr/bin/env bash
# The same way from a push to a live URL with bare tools, as one would write it by hand: one step
# after the other, uv's cache, the clone and the environment reused when they are there.
#
#   bare.sh up     brings BRANCH live and prints one line of JSON: seconds by step, and in total
#   bare.sh down   stops the app and drops its database and role
#
# Environment:
#   REPOSITORY    Git URL or path of examples/fastapi-shop, or an app of the same shape
#   BRANCH        branch to bring live
#   WORK          folder for clone, environment, uv's cache, log and process id
#   POSTGRES_URL  administrator's URL, postgresql://user:password@host:port/database
#   POSTGRES_AT   host:port of the same server, for the app
#   REDIS_URL     with the number of the database to use, redis://host:port/1
#   PORT          where the app listens, on 127.0.0.1
#   MODE          cold: starts with nothing, not even uv's cache; warm (default): reuses what is there
#   NAME          of database and role, bare_preview by default
#   UV, PSQL      the programs, if they are not on PATH
set -euo pipefail

export LC_ALL=C UV_CACHE_DIR="${WORK:?}/cache"
# An ordinary shell does not set it, and without compiled modules every start takes twice as long.
unset PYTHONDONTWRITEBYTECODE
UV="${UV:-uv}" PSQL="${PSQL:-psql}" NAME="${NAME:-bare_preview}" MODE="${MODE:-warm}"
code="$WORK/code"
steps=""

now() { echo "${EPOCHREALTIME/./}"; }

seconds() { printf '%d.%06d' "$(($1 / 1000000))" "$(($1 % 1000000))"; }

step() { # step NAME COMMAND…
  local name="$1" began
  shift
  began="$(now)"
  "$@" >&2
  steps+="\"$name\": $(seconds $(($(now) - began))), "
}

sql() { "$PSQL" --no-psqlrc --quiet --tuples-only --set ON_ERROR_STOP=1 --dbname "${POSTGRES_URL:?}"; }

checkout() {
  if [ -d "$code/.git" ]; then
    git -C "$code" fetch --quiet origin "$BRANCH"
    git -C "$code" checkout --quiet --force --detach FETCH_HEAD
  else
    git clone --quiet --branch "$BRANCH" "$REPOSITORY" "$code"
  fi
}

build() {
  # Compiling at once, on every core, is faster than letting three first starts do it one by one.
  if [ -d .venv ]; then
    "$UV" sync --quiet --locked --no-dev
  else
    "$UV" sync --quiet --locked --no-dev --compile-bytecode
  fi
}

database() {
  [ -z "$(echo "SELECT 1 FROM pg_database WHERE datname = '$NAME';" | sql)" ] || return 0
  sql <<SQL
CREATE ROLE $NAME LOGIN PASSWORD '$NAME';
CREATE DATABASE $NAME OWNER $NAME;
SQL
}

alive() { # a process that only waits to be reaped is gone
  [[ "$(ps -o stat= -p "$1")" == [!Z]* ]]
}

stop() {
  local pid
  [ -f "$WORK/pid" ] || return 0
  pid="$(cat "$WORK/pid")"
  kill "$pid" 2>/dev/null || true
  while alive "$pid"; do sleep 0.01; done
  rm -f "$WORK/pid"
}

start() {
  stop
  nohup uvicorn app.main:app --host 127.0.0.1 --port "$PORT" >"$WORK/log" 2>&1 &
  echo $! >"$WORK/pid"
}

health() {
  until curl --silent --fail --output /dev/null "http://127.0.0.1:$PORT/health"; do
    alive "$(cat "$WORK/pid")" || { cat "$WORK/log" >&2; exit 1; }
    sleep 0.01
  done
}

drop() {
  sql <<SQL
DROP DATABASE IF EXISTS $NAME WITH (FORCE);
DROP ROLE IF EXISTS $NAME;
SQL
}

up() {
  if [ "$MODE" = cold ]; then
    stop
    drop 2>/dev/null
    rm -rf "$code" "$UV_CACHE_DIR"
  fi
  mkdir -p "$WORK"

  export DATABASE_URL="postgresql+asyncpg://$NAME:$NAME@$POSTGRES_AT/$NAME"
  export REDIS_URL PORT PREVIEW_URL="http://127.0.0.1:$PORT" DB_POOL_SIZE=5
  export SECRET_KEY=preview-only-not-for-production API_V1_PREFIX=/api/v1
  export CORS_ORIGINS="[\"$PREVIEW_URL\", \"http://localhost:3000\"]"
  export PATH="$code/.venv/bin:$PATH"

  local began
  began="$(now)"
  step checkout checkout
  cd "$code"
  step build build
  step database database
  step migrations alembic upgrade head
  step seed python -m app.seed_preview
  step start start
  step health health
  printf '{"mode": "%s", "steps": {%s}, "total": %s}\n' \
    "$MODE" "${steps%, }" "$(seconds $(($(now) - began)))"
}

case "${1:-}" in
  up) up ;;
  down)
    stop
    drop 2>/dev/null
    ;;
  *)
    sed -n '2,18s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
