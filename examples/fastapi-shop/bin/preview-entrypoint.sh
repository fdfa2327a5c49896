#!/usr/bin/env bash
# Makes a preview ready: runs inside it, beside the app that has started already.
set -euo pipefail

# Slim Python images have no curl; bash can ask by itself.
health() {
  (
    exec 3<>"/dev/tcp/localhost/${PORT:-3000}"
    printf 'GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n' >&3
    IFS=' ' read -r -t 5 _ status _ <&3
    [ "$status" = 200 ]
  ) 2>/dev/null
}

echo "→ Running database migrations…"
alembic upgrade head

echo "→ Loading seed data for preview…"
python -m app.seed_preview

echo "→ Verifying health endpoint…"
for attempt in 1 2 3 4 5; do
  if health; then break; fi
  if [ "$attempt" = 5 ]; then
    echo "Health check failed!" >&2
    exit 1
  fi
  sleep 1
done

echo "✓ Preview environment ready: ${PREVIEW_URL:-http://localhost:${PORT:-3000}}"
