#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs what coppice needs on Debian or Ubuntu. Says nothing, and takes no time, where nothing is
# missing; so `make` calls it before every build.
#
#   tools/setup.sh program   what the program needs: libraries, build tools, LibTorch
#   tools/setup.sh tests     what tests, benchmarks, formatting and sanitizers need besides
#   tools/setup.sh           both
#   tools/setup.sh arm64     what `make test-arm64` cross-compiles and emulates with; the libraries are
#                            tools/arm64_sysroot.sh's
#
# Environment:
#   SKIP_SETUP=1        do nothing
#   LIBTORCH=DIR        use this LibTorch (a folder with include/ and lib/) and fetch none
#   COPPICE_GRAPH=OFF   a build without the LibTorch engine: fetch no LibTorch
#   COPPICE_CACHE=DIR   where clones share LibTorch (default: ${XDG_CACHE_HOME:-~/.cache}/coppice)
set -euo pipefail

[ "${SKIP_SETUP:-}" = 1 ] && exit 0

readonly TORCH=2.13.0
readonly PYTORCH_CPU_INDEX=https://download.pytorch.org/whl/cpu
# Megabytes, measured with the x86-64 wheels: +cpu (what is looked for first), and the largest plain
# wheel with the CUDA libraries that it loads.
readonly TORCH_CPU_FETCH=190 TORCH_CPU_DISK=730
readonly TORCH_CUDA_FETCH=3000 TORCH_CUDA_DISK=7000

readonly CACHE=${COPPICE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/coppice}
readonly STEP=${1:-all}

# Debian's package, and what shows that it is there: a <header>, or a command.
readonly PROGRAM="
  g++:g++  make:make  cmake:cmake  ninja-build:ninja  ccache:ccache  pkg-config:pkg-config
  libzmq3-dev:<zmq.h>  cppzmq-dev:<zmq.hpp>  libsodium-dev:<sodium.h>
  libcereal-dev:<cereal/cereal.hpp>  libsqlite3-dev:<sqlite3.h>  libcli11-dev:<CLI/CLI.hpp>
  libtomlplusplus-dev:<toml++/toml.h>  nlohmann-json3-dev:<nlohmann/json.hpp>
  libspdlog-dev:<spdlog/spdlog.h>  libpcre2-dev:<pcre2.h>  libeigen3-dev:<eigen3/Eigen/Core>"
# The module for several processes is LibTorch's Gloo, whose headers its wheel lacks.
readonly CLUSTER="libgloo-dev:<gloo/algorithm.h>"
readonly TESTS="
  libgtest-dev:<gtest/gtest.h>  libgmock-dev:<gmock/gmock.h>
  libbenchmark-dev:<benchmark/benchmark.h>  xz-utils:xz  clang:clang++
  clang-format:clang-format  clang-tidy:clang-tidy  valgrind:valgrind  debootstrap:debootstrap"
readonly ARM64="
  make:make  cmake:cmake  ninja-build:ninja  ccache:ccache  pkg-config:pkg-config
  g++-aarch64-linux-gnu:aarch64-linux-gnu-g++  qemu-user-static:qemu-aarch64-static"

say() { printf 'set-up: %s\n' "$*" >&2; }

# --- What is missing -------------------------------------------------------------------------------

# Prints the packages of a list that are not there. One run of the preprocessor asks for all headers.
missing_packages() {
  local entry package proof question=""
  for entry in $1; do
    package=${entry%%:*} proof=${entry#*:}
    case $proof in
      '<'*) question+="#if !__has_include($proof)"$'\n'"$package"$'\n#endif\n' ;;
      # Debian keeps some commands out of the path of users other than root.
      *) PATH=$PATH:/usr/sbin command -v "$proof" >/dev/null 2>&1 || echo "$package" ;;
    esac
  done
  if command -v g++ >/dev/null 2>&1; then
    printf '%s' "$question" | g++ -E -P -x c++ - | tr -d ' '
  else
    printf '%s' "$question" | grep -v '^#' || true
  fi
}

# clang does not pull in its sanitizer and libFuzzer runtimes where it is installed without
# recommended packages. Older releases have them in a package that clang does pull in.
missing_clang_runtime() {
  command -v clang++ >/dev/null 2>&1 || { echo libclang-rt-dev; return; }
  local found
  found=$(find "$(clang++ -print-resource-dir)/lib" -name 'libclang_rt.fuzzer*' -print -quit 2>/dev/null || true)
  [ -n "$found" ] || echo libclang-rt-dev
}

# pip writes RECORD last: with it, the wheel is whole.
have_libtorch() {
  if [ "${COPPICE_GRAPH:-ON}" = OFF ]; then return 0; fi
  if [ -n "${LIBTORCH:-}" ]; then
    [ -f "$LIBTORCH/lib/libtorch_cpu.so" ] && [ -f "$LIBTORCH/include/ATen/ATen.h" ]
    return
  fi
  local site
  for site in "$CACHE"/venv/lib/python3*/site-packages; do
    compgen -G "$site/torch-$TORCH*.dist-info/RECORD" >/dev/null &&
      [ -f "$site/torch/lib/libtorch_cpu.so" ] && return 0
  done
  return 1
}

# The first python3 that can make a virtual environment; Debian's own needs python3-venv for that.
python_with_venv() {
  local python
  for python in python3 /usr/bin/python3; do
    if "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
      echo "$python"
      return 0
    fi
  done
  return 1
}

# --- Packages --------------------------------------------------------------------------------------

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

can_install() {
  command -v apt-get >/dev/null 2>&1 || return 1
  [ "$(id -u)" = 0 ] && return 0
  command -v sudo >/dev/null 2>&1 && { sudo -n true 2>/dev/null || [ -t 0 ]; }
}

apt() {
  as_root env DEBIAN_FRONTEND=noninteractive LC_ALL=C \
    apt-get -qq -o DPkg::Lock::Timeout=120 -o Acquire::Retries=2 -o Dpkg::Use-Pty=0 "$@"
}

# Of the names given, those that this release's repositories know.
known_packages() {
  local name
  for name in "$@"; do
    [ "$name" = libclang-rt-dev ] && ! apt-cache show "$name" >/dev/null 2>&1 && continue
    echo "$name"
  done
}

# "Need to get 12 MB of archives. After this operation, 80 MB of additional disk space ..."
apt_sizes() {
  LC_ALL=C apt-get --assume-no --no-install-recommends install "$@" 2>/dev/null |
    grep -E '^(Need to get|After this operation)' | paste -sd ' ' || true
}

install_packages() {
  local log=$CACHE/apt.log
  mkdir -p "$CACHE"
  apt install --yes --no-install-recommends "$@" >"$log" 2>&1 && return 0
  say "apt-get failed; once more, with fresh lists"
  apt update >>"$log" 2>&1 && apt install --yes --no-install-recommends "$@" >>"$log" 2>&1 && return 0
  say "what apt-get said ($log):"
  tail -n 15 "$log" >&2
  return 1
}

# --- LibTorch --------------------------------------------------------------------------------------

reachable() {
  "$1" - "$2" <<'PYTHON' >/dev/null 2>&1
import ssl, sys, urllib.error, urllib.request
try:
    urllib.request.urlopen(sys.argv[1], timeout=5)
except urllib.error.HTTPError:
    pass  # it answered
except urllib.error.URLError as error:
    sys.exit(0 if isinstance(error.reason, ssl.SSLError) else 1)  # pip may know the certificate
PYTHON
}

# A CUDA build's libtorch_cpu loads CUDA libraries, which are wheels of their own.
torch_loads() {
  "$CACHE/venv/bin/python" - "$CACHE"/venv/lib/python3*/site-packages/torch/lib/libtorch_cpu.so <<'PYTHON' 2>/dev/null
import ctypes, sys
ctypes.CDLL(sys.argv[1])
PYTHON
}

# No Python of the wheel is ever run: neither its dependencies nor byte code are needed.
pip_torch() {
  "$CACHE/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile \
    --retries 1 "$@" >>"$CACHE/pip.log" 2>&1
}

fetch_torch() {
  say "LibTorch: torch==$TORCH+cpu from pip"
  pip_torch --no-deps "torch==$TORCH+cpu" && return 0
  if reachable "$1" "$PYTORCH_CPU_INDEX/torch/"; then
    say "LibTorch: torch==$TORCH+cpu from PyTorch's own index of CPU wheels"
    pip_torch --no-deps --index-url "$PYTORCH_CPU_INDEX" "torch==$TORCH+cpu" && return 0
  fi
  say "LibTorch: no CPU wheel; plain torch==$TORCH (where that is a CUDA build: up to" \
    "$TORCH_CUDA_FETCH MB to fetch, $TORCH_CUDA_DISK MB of disk)"
  pip_torch --no-deps "torch==$TORCH" || return 1
  torch_loads || pip_torch "torch==$TORCH"
}

install_libtorch() {
  local python
  python=$(python_with_venv) || { say "no python3 here can make a virtual environment"; return 1; }
  mkdir -p "$CACHE"
  exec 9>"$CACHE/lock"
  command -v flock >/dev/null 2>&1 && flock 9  # another clone may be at it
  have_libtorch && return 0
  rm -rf "$CACHE/venv"
  : >"$CACHE/pip.log"
  "$python" -m venv "$CACHE/venv" >>"$CACHE/pip.log" 2>&1 && fetch_torch "$python" &&
    have_libtorch && torch_loads && return 0
  say "LibTorch could not be fetched. What pip said ($CACHE/pip.log):"
  tail -n 15 "$CACHE/pip.log" >&2
  return 1
}

# --- Main ------------------------------------------------------------------------------------------

stop() {
  say "$1 Missing:"
  [ -z "$packages" ] || printf '  package  %s\n' $packages >&2
  [ "$torch" = no ] || printf '  LibTorch %s, CPU: set LIBTORCH=DIR, or: pip install torch==%s+cpu in the venv %s\n' \
    "$TORCH" "$TORCH" "$CACHE/venv" >&2
  say "Install them and run again; or SKIP_SETUP=1 to go on without."
  exit 1
}

program=$PROGRAM
[ "${COPPICE_GRAPH:-ON}" = OFF ] || program+=" $CLUSTER"
packages="" torch=no
case $STEP in
  program) packages=$(missing_packages "$program") ;;
  tests) packages=$(missing_packages "$TESTS"; missing_clang_runtime) ;;
  arm64) packages=$(missing_packages "$ARM64") ;;
  all) packages=$(missing_packages "$program$TESTS"; missing_clang_runtime) ;;
  *) echo "usage: tools/setup.sh [program|tests|arm64]" >&2; exit 2 ;;
esac
if { [ "$STEP" = program ] || [ "$STEP" = all ]; } && ! have_libtorch; then
  torch=yes
  if [ -n "${LIBTORCH:-}" ]; then
    packages="" stop "LIBTORCH=$LIBTORCH has no lib/libtorch_cpu.so with include/ATen/ATen.h."
  fi
  python_with_venv >/dev/null || packages+=$'\n'python3-venv
fi
[ -z "$packages" ] && [ "$torch" = no ] && exit 0

if [ -n "$packages" ]; then
  can_install || stop "Can't install packages here (it takes apt-get, and root or sudo)."
  say "$(wc -w <<<"$packages") packages are missing:" $packages
  say "refreshing the package lists (10 to 40 MB)"
  apt update >&2 || apt update >&2 || say "the package lists could not be refreshed; trying as they are"
  packages=$(known_packages $packages)
  [ -z "$packages" ] || say "$(apt_sizes $packages) About 1 minute for each 100 MB."
fi
if [ "$torch" = yes ]; then
  say "LibTorch $TORCH: about $TORCH_CPU_FETCH MB to fetch, $TORCH_CPU_DISK MB of disk in $CACHE, 1 to 3 minutes"
  mkdir -p "$CACHE"
  free=$(df -Pm "$CACHE" | awk 'NR == 2 { print $4 }')
  [ "$free" -ge $((TORCH_CPU_DISK + TORCH_CPU_FETCH)) ] || stop "Only $free MB of disk are free in $CACHE."
fi

began=$SECONDS
if [ -n "$packages" ]; then
  install_packages $packages || stop "apt-get could not install the packages."
fi
if [ "$torch" = yes ]; then
  packages=""
  install_libtorch || stop "LibTorch could not be installed."
fi
say "done in $((SECONDS - began)) s"
