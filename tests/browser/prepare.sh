#!/usr/bin/env bash
# A Chromium for the tests that look at pages, of Debian's packages unless there is one.
set -euo pipefail

command -v chromium >/dev/null && exit 0
[ "$(id -u)" = 0 ] || { echo "browser: Install chromium, or run this as root." >&2; exit 1; }
echo "browser: Installing chromium …" >&2
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium >&2
