#!/bin/sh
# Add the receivers that the environment names to alertmanager.yml, then start Alertmanager:
# start.sh [OPTION...]
#
# Alertmanager reads no variables. The result goes to a temporary file that only its user can
# read, since the addresses are secrets.
set -eu
umask 077
folder=$(mktemp -d)
config=$folder/alertmanager.yml
quoted() { printf %s "$1" | sed "s/'/''/g; s/^/'/; s/\$/'/"; }

cat "$(dirname "$0")/alertmanager.yml" >"$config"
if [ -n "${DRIFTLINE_ALERT_SLACK_URL:-}" ]; then
  cat >>"$config" <<END
    slack_configs:
      - api_url: $(quoted "$DRIFTLINE_ALERT_SLACK_URL")
        send_resolved: true
        title: '{{ if eq .Status "firing" }}{{ .CommonLabels.severity }}{{ else }}resolved{{ end }}: {{ .CommonLabels.alertname }}'
        text: '{{ range .Alerts }}{{ .Annotations.summary }}{{ "\n" }}{{ end }}'
END
fi
if [ -n "${DRIFTLINE_ALERT_WEBHOOK_URL:-}" ]; then
  cat >>"$config" <<END
    webhook_configs:
      - url: $(quoted "$DRIFTLINE_ALERT_WEBHOOK_URL")
        send_resolved: true
END
fi
exec "${ALERTMANAGER:-/bin/alertmanager}" --config.file="$config" "$@"
