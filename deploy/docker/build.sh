#!/usr/bin/env bash
# Build the image of the stages: build.sh [TAG]
set -euo pipefail
cd "$(dirname "$0")/../.."
exec docker build --file deploy/docker/Dockerfile --tag "${1:-driftline:0.1.0}" .
