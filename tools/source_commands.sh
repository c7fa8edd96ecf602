#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# How BUILD compiles each source by itself, where it compiles several at once (COPPICE_UNITY), and
# without g++'s precompiled headers, which no other tool reads: BUILD/tidy/compile_commands.json.
#
#   tools/source_commands.sh BUILD
set -euo pipefail
source=$(cd "$(dirname "$0")/.." && pwd)
[ -f "$1/CMakeCache.txt" ] || { echo "$1 is not configured; make build first" >&2; exit 1; }
build=$(cd "$1" && pwd)
mkdir -p "$build/tidy"
sed "s|$build|$build/tidy|g" "$build/CMakeCache.txt" >"$build/tidy/CMakeCache.txt"
cmake -S "$source" -B "$build/tidy" -DCOPPICE_UNITY=OFF --log-level=WARNING >/dev/null
sed -E -i 's/ -Winvalid-pch//g; s/ -include [^ ]*cmake_pch\.hxx//g' "$build/tidy/compile_commands.json"
