#!/usr/bin/env bash
# A code-only push with docker compose: `compose.sh` checks out BRANCH, has compose build and replace
# the container, waits for /health, runs the entrypoint script, and prints one line of JSON.
#
# Environment: REPOSITORY, BRANCH, WORK (the clone is in it), COMPOSE (the program), PROJECT, FILE
# (the compose file), URL (of the published port).
set -euo pipefail

export LC_ALL=C DOCKER_BUILDKIT=1 COMPOSE_DOCKER_CLI_BUILD=1
export CODE="${WORK:?}/code"
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

compose() { "$COMPOSE" --project-name "$PROJECT" --file "$FILE" "$@"; }

checkout() {
  if [ -d "$CODE/.git" ]; then
    git -C "$CODE" fetch --quiet origin "$BRANCH"
    git -C "$CODE" checkout --quiet --force --detach FETCH_HEAD
  else
    git clone --quiet --branch "$BRANCH" "$REPOSITORY" "$CODE"
  fi
}

up() { compose up --detach --build web; }

health() {
  until curl --silent --fail --noproxy '*' --output /dev/null "$URL/health"; do sleep 0.01; done
}

post_deploy() { compose exec -T web bash bin/preview-entrypoint.sh </dev/null; }

began="$(now)"
step checkout checkout
step up up
step health health
step post-deploy post_deploy
printf '{"steps": {%s}, "total": %s}\n' "${steps%, }" "$(seconds $(($(now) - began)))"
