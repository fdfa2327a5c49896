#!/usr/bin/env bash
# What the official image's entrypoint does, shorter:
# https://github.com/docker-library/postgres/blob/master/18/trixie/docker-entrypoint.sh
set -Eeuo pipefail

fail() {
  echo "Error: $*" >&2
  exit 1
}

# Sets a variable from itself, from the file that NAME_FILE names, or to a default.
file_env() {
  local name=$1 file="$1_FILE"
  [ -z "${!name:-}" ] || [ -z "${!file:-}" ] || fail "both $name and $file are set"
  [ -z "${!file:-}" ] || export "$name=$(<"${!file}")"
  export "$name=${!name:-${2:-}}"
  unset "$file"
}

sql() { psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --no-password --no-psqlrc "$@"; }

initialise() {
  local file method
  [ -n "$POSTGRES_PASSWORD" ] || [ "${POSTGRES_HOST_AUTH_METHOD:-}" = trust ] ||
    fail "Database is uninitialized and superuser password is not specified (POSTGRES_PASSWORD)."
  ! mountpoint -q /var/lib/postgresql/data ||
    fail "in 18+, the mount belongs at /var/lib/postgresql, not at /var/lib/postgresql/data."
  eval 'initdb --username="$POSTGRES_USER" --pwfile=<(echo "$POSTGRES_PASSWORD") \
    --set unix_socket_directories=/var/run/postgresql '"$POSTGRES_INITDB_ARGS"
  method=${POSTGRES_HOST_AUTH_METHOD:-$(postgres -C password_encryption "${@:2}")}
  printf '\nhost all all all %s\n' "$method" >>"$PGDATA/pg_hba.conf"

  export PGPASSWORD=$POSTGRES_PASSWORD
  pg_ctl -D "$PGDATA" -o "$(printf '%q ' "${@:2}" -c listen_addresses= -p "${PGPORT:-5432}")" -w start
  [ "$POSTGRES_DB" = postgres ] ||
    sql --dbname postgres --set db="$POSTGRES_DB" <<<'CREATE DATABASE :"db";'
  for file in /docker-entrypoint-initdb.d/*; do
    case $file in
      *.sql) sql --dbname "$POSTGRES_DB" --file "$file" ;;
      *.sh) . "$file" ;;
    esac
  done
  pg_ctl -D "$PGDATA" -m fast -w stop
  unset PGPASSWORD
  printf '\nPostgreSQL init process complete; ready for start up.\n\n'
}

[ "${1:0:1}" != - ] || set -- postgres "$@"
if [ "$1" = postgres ] && [[ ! " $* " =~ " "(--help|--version|-V|--describe-config)" " ]]; then
  file_env POSTGRES_PASSWORD
  file_env POSTGRES_USER postgres
  file_env POSTGRES_DB "$POSTGRES_USER"
  file_env POSTGRES_INITDB_ARGS
  mkdir -p "$PGDATA" /var/run/postgresql
  chmod 700 "$PGDATA" || :
  chmod 3775 /var/run/postgresql || :
  if [ "$(id -u)" = 0 ]; then
    find "$PGDATA" /var/run/postgresql \! -user postgres -exec chown postgres '{}' +
    exec setpriv --reuid=postgres --regid=postgres --init-groups -- "$0" "$@"
  fi
  [ -s "$PGDATA/PG_VERSION" ] || initialise "$@"
fi
exec "$@"
