#!/usr/bin/env bash
# The same way from a push to a live container by hand: one step after the other, the clone and
# BuildKit's cache reused when they are there.
#
#   bare_docker.sh up     brings BRANCH live and prints one line of JSON: seconds by step, in total
#                         until the new container is ready, and for stopping the one before
#   bare_docker.sh down   stops the app and drops its database and role
#
# Environment:
#   REPOSITORY    Git URL or path of examples/fastapi-shop, or an app of the same shape
#   BRANCH        branch to bring live
#   WORK          folder for the clone and the name of the container that is live
#   DOCKER        a client that builds with BuildKit, `docker` by default
#   NETWORK       where the containers POSTGRES and REDIS are, and the app's goes
#   LABEL         key=value on everything that is made
#   NAME          of image, database and role, bare_preview by default
set -euo pipefail

export LC_ALL=C DOCKER_BUILDKIT=1
DOCKER="${DOCKER:-docker}" NAME="${NAME:-bare_preview}"
code="${WORK:?}/code"
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

sql() { "$DOCKER" exec --interactive "$POSTGRES" psql --username postgres --quiet --tuples-only --set ON_ERROR_STOP=1; }

checkout() {
  if [ -d "$code/.git" ]; then
    git -C "$code" fetch --quiet origin "$BRANCH"
    git -C "$code" checkout --quiet --force --detach FETCH_HEAD
  else
    git clone --quiet --branch "$BRANCH" "$REPOSITORY" "$code"
  fi
  commit="$(git -C "$code" rev-parse --short HEAD)"
}

build() { "$DOCKER" build --quiet --label "$LABEL" --tag "$NAME:$commit" "$code"; }

database() {
  [ -z "$(echo "SELECT 1 FROM pg_database WHERE datname = '$NAME';" | sql)" ] || return 0
  sql <<SQL
CREATE ROLE $NAME LOGIN PASSWORD '$NAME';
CREATE DATABASE $NAME OWNER $NAME;
SQL
}

start() {
  container="$NAME-$commit"
  "$DOCKER" run --detach --name "$container" --label "$LABEL" --network "$NETWORK" --init \
    --env "DATABASE_URL=postgresql+asyncpg://$NAME:$NAME@$POSTGRES:5432/$NAME" \
    --env "REDIS_URL=redis://$REDIS:6379/1" --env DB_POOL_SIZE=5 \
    --env SECRET_KEY=preview-only-not-for-production --env API_V1_PREFIX=/api/v1 \
    --env PREVIEW_URL=http://localhost:3000 --env 'CORS_ORIGINS=["http://localhost:3000"]' \
    "$NAME:$commit"
}

health() {
  local address tries=0
  address="$("$DOCKER" inspect --format "{{(index .NetworkSettings.Networks \"$NETWORK\").IPAddress}}" "$container")"
  until curl --silent --fail --noproxy '*' --output /dev/null "http://$address:3000/health"; do
    sleep 0.01
    # Asking each time would take the app's own time away from it.
    [ $((++tries % 200)) != 0 ] || alive || { "$DOCKER" logs "$container" >&2; exit 1; }
  done
}

alive() { [ "$("$DOCKER" inspect --format '{{.State.Running}}' "$container")" = true ]; }

post_deploy() { "$DOCKER" exec "$container" bash bin/preview-entrypoint.sh; }

stop() {
  local old
  [ -f "$WORK/live" ] || return 0
  old="$(cat "$WORK/live")"
  "$DOCKER" stop "$old"
  "$DOCKER" rm "$old"
  rm "$WORK/live"
}

drop() {
  sql <<SQL
DROP DATABASE IF EXISTS $NAME WITH (FORCE);
DROP ROLE IF EXISTS $NAME;
SQL
}

up() {
  mkdir -p "$WORK"
  local began total
  began="$(now)"
  step checkout checkout
  step build build
  step database database
  step start start
  step health health
  step post-deploy post_deploy
  total="$(seconds $(($(now) - began)))"
  began="$(now)"
  stop >&2
  echo "$container" >"$WORK/live"
  printf '{"steps": {%s}, "total": %s, "stop": %s}\n' \
    "${steps%, }" "$total" "$(seconds $(($(now) - began)))"
}

case "${1:-}" in
  up) up ;;
  down)
    stop >&2
    drop >&2
    ;;
  *)
    sed -n '2,18s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
