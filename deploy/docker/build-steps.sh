#!/usr/bin/env bash
# What makes the image, outside Docker: the Dockerfile copies the sources and runs this, and
# tests/integration/deploy/test_image_build.py runs it into a folder.
#
#   build-steps.sh SOURCE TARGET
#
# TARGET/venv      Python with the locked dependencies of the stages and Driftline itself
# TARGET/cache     machine code of the kernels, compiled for this CPU
set -euo pipefail
source_folder=$(cd "$1" && pwd)
mkdir -p "$2"
target=$(cd "$2" && pwd)
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1

"${PYTHON:-python3.11}" -m venv "$target/venv"
python=$target/venv/bin/python
"$python" -m pip install --quiet --require-hashes --no-deps -r "$source_folder/requirements/stages.lock"
"$python" -m pip install --quiet --no-deps --no-build-isolation "$source_folder"
"$python" -m pip check

DRIFTLINE_CACHE_DIR=$target/cache "$python" "$source_folder/deploy/docker/smoke.py"
"$target/venv/bin/driftline" --version
