#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes packages of what was built: a tarball and a .deb.
#
#   tools/dist.sh BUILD OUT     BUILD: a build with COPPICE_STATIC (presets dist and dist-arm64)
#
# The same build and the same commit give the same bytes: times are the commit's, owners are root's.
# The architecture is that of the program built, whatever this machine's is.
set -euo pipefail
[ $# = 2 ] || { echo "usage: tools/dist.sh BUILD OUT" >&2; exit 2; }

readonly ROOT=$(cd "$(dirname "$0")/.." && pwd)
readonly BUILD=$1 OUT=$2
readonly VERSION=$(sed -nE 's/^project\(coppice VERSION ([0-9.]+).*/\1/p' "$ROOT/CMakeLists.txt")
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$ROOT" log -1 --format=%ct 2>/dev/null || date +%s)}

mkdir -p "$OUT"
readonly STAGE=$(mktemp -d)
trap 'rm -rf "$STAGE"' EXIT

# install COMPONENT PREFIX
install_component() {
  cmake --install "$BUILD" --component "$1" --prefix "$2" --strip >/dev/null
}

# Debian's name of what a program is for. Unlike objdump, readelf reads every machine's.
architecture() {
  case $(LC_ALL=C readelf --file-header "$1" | sed -nE 's/^ *Machine: +//p') in
    'Advanced Micro Devices X86-64') echo amd64 ;;
    AArch64) echo arm64 ;;
    *) dpkg --print-architecture ;;
  esac
}

# The newest version of glibc's symbols that the program asks for.
libc_version() {
  readelf --wide --dyn-syms "$1" | grep -oE 'GLIBC_[0-9.]+' | sed 's/GLIBC_//' | sort -uV | tail -n 1
}

pages() { # FOLDER
  mkdir -p "$1"
  cp "$ROOT/README.md" "$ROOT/CHANGELOG.md" "$ROOT/LICENSE" "$1/"
  cp -r "$ROOT/docs" "$1/docs"
}

readonly ARCHITECTURE=$(architecture "$BUILD/coppice")

# --- Tarball: unpacked anywhere, it works ---------------------------------------------------------
readonly NAME=coppice-$VERSION-linux-$ARCHITECTURE
readonly TREE=$STAGE/$NAME
install_component program "$TREE"
install_component development "$TREE"
# CMake strips programs and shared libraries alone; the build knows the tool of its machine.
readonly STRIP=$(sed -n 's/^CMAKE_STRIP:FILEPATH=//p' "$BUILD/CMakeCache.txt")
find "$TREE" -name '*.a' -exec "$STRIP" --strip-debug --enable-deterministic-archives '{}' +
pages "$TREE/share/doc/coppice"
mkdir -p "$TREE/share/coppice"
cp -r "$ROOT/packaging/systemd" "$ROOT/packaging/default" "$TREE/share/coppice/"
chmod -R u=rwX,go=rX "$TREE"
tar --create --gzip --file "$OUT/$NAME.tar.gz" --directory "$STAGE" --sort=name --owner=0 --group=0 \
  --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" "$NAME"

# --- .deb -----------------------------------------------------------------------------------------
readonly DEB=$STAGE/deb
install_component program "$DEB/usr"
pages "$DEB/usr/share/doc/coppice"
mv "$DEB/usr/share/doc/coppice/LICENSE" "$DEB/usr/share/doc/coppice/copyright"
install -D -m 0644 -t "$DEB/lib/systemd/system" "$ROOT"/packaging/systemd/*.service
install -D -m 0644 -t "$DEB/etc/default" "$ROOT"/packaging/default/*
mkdir "$DEB/DEBIAN"
sed -e "s/@VERSION@/$VERSION/; s/@ARCHITECTURE@/$ARCHITECTURE/" \
  -e "s/@LIBC@/$(libc_version "$DEB/usr/bin/coppice")/" \
  -e "s/@SIZE@/$(du -sk --exclude=DEBIAN "$DEB" | cut -f 1)/" \
  "$ROOT/packaging/deb/control.in" >"$DEB/DEBIAN/control"
install -m 0644 "$ROOT/packaging/deb/conffiles" "$DEB/DEBIAN/"
install -m 0755 "$ROOT"/packaging/deb/{postinst,prerm,postrm} "$DEB/DEBIAN/"
(cd "$DEB" && find usr lib etc -type f -print0 | sort -z | xargs -0 md5sum >DEBIAN/md5sums)
chmod -R u=rwX,go=rX "$DEB"
find "$DEB" -print0 | xargs -0 touch --no-dereference --date="@$SOURCE_DATE_EPOCH"
dpkg-deb --root-owner-group --build "$DEB" "$OUT/coppice_${VERSION}_$ARCHITECTURE.deb" >/dev/null

(cd "$OUT" && sha256sum "$NAME.tar.gz" "coppice_${VERSION}_$ARCHITECTURE.deb" >"coppice-$VERSION-$ARCHITECTURE.sha256")
ls -l "$OUT" >&2
