#!/bin/sh
# What the official image's entrypoint does:
# https://github.com/valkey-io/valkey-container/blob/mainline/docker-entrypoint.sh
set -e

if [ "${1#-}" != "$1" ] || [ "${1%.conf}" != "$1" ]; then
  set -- valkey-server "$@"
fi
if [ "$1" = valkey-server ] && [ "$(id -u)" = 0 ]; then
  find . \! -user valkey -exec chown valkey '{}' +
  exec setpriv --reuid=valkey --regid=valkey --clear-groups -- "$0" "$@"
fi
[ "$(umask)" != 0022 ] || umask 0077
# The official server is compiled with protected mode off.
if [ "$1" = valkey-server ]; then
  case ${2:-} in
    -h | --help | -v | --version) ;;
    '' | -*)
      shift
      set -- valkey-server --protected-mode no "$@"
      ;;
  esac
fi
exec "$@" $VALKEY_EXTRA_FLAGS
