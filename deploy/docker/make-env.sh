#!/usr/bin/env bash
# Write .env with new random passwords, unless it is there: make-env.sh [FILE]
set -euo pipefail
cd "$(dirname "$0")/../.."
file=${1:-.env}
[ -e "$file" ] && exit 0
random() { head -c "$1" /dev/urandom | base64 | tr '+/' '-_' | tr -d '=\n'; }
umask 077
written=$(mktemp "$file.XXXXXX")
while IFS= read -r line; do
  case $line in
    DRIFTLINE_CLUSTER_ID=) echo "$line$(random 16)" ;;
    [A-Z]*=) echo "$line$(random 24)" ;;
    *) echo "$line" ;;
  esac
done <deploy/docker/env.example >"$written"
mv "$written" "$file"
echo "wrote $file with new passwords"
