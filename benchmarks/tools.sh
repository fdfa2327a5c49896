#!/usr/bin/env bash
# What the docker runtime is measured with and against: an Engine, base images, wrk, docker compose.
# Whatever cannot be had here is said, and left out of the results.
set -uo pipefail
cd "$(dirname "$0")"

say() { echo "bench: $*" >&2; }

../tests/docker/prepare.sh || { say "docker is not measured"; exit 0; }
for program in wrk docker-compose; do
  command -v "$program" >/dev/null && continue
  say "Installing $program …"
  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$program" >/dev/null 2>&1 ||
    say "there is no $program: what needs it is not measured"
done
