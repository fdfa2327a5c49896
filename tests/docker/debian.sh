#!/usr/bin/env bash
# Writes a small Debian 12 with Python as a tar to the path that is given.
set -euo pipefail

# The machine's own sources, where it is a Debian 12 itself: they may be a mirror.
sources=()
if grep -qs '^VERSION_CODENAME=bookworm' /etc/os-release; then
  for file in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list; do
    [ -s "$file" ] && sources=("$file") && break
  done
fi

# Merged from the start, /usr needs no usrmerge, which would bring the whole of Perl.
mmdebstrap --quiet --variant=minbase --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
  --include=bash,ca-certificates,python3,python3-venv,usr-is-merged \
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
  --dpkgopt='path-exclude=/usr/share/info/*' --dpkgopt='path-exclude=/usr/share/man/*' \
  --dpkgopt='path-exclude=/usr/share/locale/*' \
  bookworm "$1" "${sources[@]}"
