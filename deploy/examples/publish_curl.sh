#!/bin/sh
# Publish the JSON body on stdin with curl, through the management plugin. To try things out: it opens a
# connection for each message, and its user needs the tag `management`.
#
#     RABBITMQ_MANAGEMENT_URL=http://USER:PASSWORD@HOST:15672 sh publish_curl.sh wa.inbound 491700000001 < body.json
#
# RABBITMQ_VHOST names another virtual host than `/`, with `/` written as %2F.
set -eu

exchange=$1
routing_key=$2
payload=$(base64 | tr -d '\n')
message=$(cat <<END
{
  "properties": {"content_type": "application/json", "delivery_mode": 2},
  "routing_key": "$routing_key",
  "payload": "$payload",
  "payload_encoding": "base64"
}
END
)
url="$RABBITMQ_MANAGEMENT_URL/api/exchanges/${RABBITMQ_VHOST:-%2F}/$exchange/publish"
answer=$(curl --silent --show-error --fail-with-body --max-time 10 --data "$message" "$url" 2>&1) || true
case $answer in
    *'"routed":true'*) echo confirmed ;;
    *) echo "not confirmed: $answer" >&2; exit 1 ;; # the same body may be published again
esac
