#!/bin/sh
# A receiver of webhooks as a CGI program (RFC 3875), with openssl and jq: the web server gives it
# the body on standard input and the headers as HTTP_*. It needs DEMUCSSVC_TOKEN, and in
# HANDLED_DIR a folder that remembers what was handled; what came is kept in KEEP_DIR, if that is set.
#
# openssl takes the token as an argument, which other users of the same machine can see for as long
# as it runs: on a machine that you share, use one of the other receivers.
set -eu
MAX_BYTES=1048576
WINDOW_SECONDS=300

answer() {
  printf 'Status: %s\r\n\r\n' "$1"
  exit 0
}

# Write what came into KEEP_DIR, as `track-tree-audio verify-webhook` reads it.
keep() {
  [ -n "${KEEP_DIR:-}" ] || return 0
  mkdir -p "$KEEP_DIR"
  {
    header X-Timestamp "${HTTP_X_TIMESTAMP:-}"
    header X-Signature "${HTTP_X_SIGNATURE:-}"
    header webhook-id "${HTTP_WEBHOOK_ID:-}"
    header webhook-timestamp "${HTTP_WEBHOOK_TIMESTAMP:-}"
    header webhook-signature "${HTTP_WEBHOOK_SIGNATURE:-}"
  } > "$KEEP_DIR/$1.headers"
  cat "$body" > "$KEEP_DIR/$1.json"
}
header() { [ -z "$2" ] || printf '%s: %s\n' "$1" "$2"; }

refuse() {
  keep refused
  answer '401 Unauthorized'
}

# Two digests are compared: how long that takes tells nothing about what they are digests of.
digest() { printf '%s' "$1" | openssl dgst -sha256 -r; }

# Do your work here. After an exit status other than 0 the event comes again.
handle() { echo "$1 $2" >&2; }

[ "${CONTENT_LENGTH:-0}" -le "$MAX_BYTES" ] || answer '413 Content Too Large'
body=$(mktemp)
trap 'rm -f "$body"' EXIT
head -c "${CONTENT_LENGTH:-0}" > "$body"

stamp=${HTTP_X_TIMESTAMP:-}
case $stamp in
  [1-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]) ;;
  *) refuse ;;
esac
off=$(($(date +%s) - stamp))
[ "${off#-}" -le "$WINDOW_SECONDS" ] || refuse

genuine=no
IFS=', '
set -f # a * in a token is a *
for token in $DEMUCSSVC_TOKEN; do
  hex=$({ cat "$body"; printf '|%s' "$stamp"; } | openssl dgst -sha256 -hmac "$token" -r | cut -c 1-64)
  [ "$(digest "sha256=$hex")" = "$(digest "${HTTP_X_SIGNATURE:-}")" ] && genuine=yes
done
[ "$genuine" = yes ] || refuse

# X-Signature covers the body, not webhook-id: what was handled is remembered by what the body says.
event=$(jq --raw-output .event "$body")
job=$(jq --raw-output .jobId "$body")
mark="$HANDLED_DIR/$job.$event"
if [ ! -e "$mark" ]; then
  keep "$job.$event"
  handle "$event" "$job" || answer '500 Internal Server Error'
  touch "$mark"
fi
answer '204 No Content'
