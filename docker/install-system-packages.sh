#!/bin/sh
# Installs the distribution's GStreamer, gst-python and the few libraries the Python wheels expect;
# or the packages that are named, in place of those: the tests' browser.
# Quick and silent when everything is there; says the exact line to run where it may not install.
set -eu
python_version=$(/usr/bin/python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true)
packages="python3 python3-venv libpython${python_version:-3} libgl1 libglib2.0-0 libgomp1
 libegl1 libgl1-mesa-dri
 gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad
 gstreamer1.0-plugins-ugly gstreamer1.0-libav python3-gst-1.0
 gir1.2-gst-plugins-base-1.0 gir1.2-gst-plugins-bad-1.0"
[ $# = 0 ] || packages="$*"

is_installed() {
  dpkg-query -W -f='${Status}\n' "$1" 2>/dev/null | grep -q 'install ok installed' && return 0
  # Ubuntu 24.04 renamed some packages (libpython3.12t64) that still provide the old name.
  dpkg-query -W -f='${Status} ${Provides}\n' 2>/dev/null | grep '^install ok installed' | grep -qE "[ ,]$1( |,|\$)"
}

command -v dpkg-query >/dev/null || {
  echo "SpotOn sets itself up on Debian and Ubuntu; here, install the equivalents of: $packages" >&2
  exit 1
}
missing=""
for package in $packages; do is_installed "$package" || missing="$missing $package"; done
[ -n "$missing" ] || exit 0

line="apt-get install -y --no-install-recommends$missing"
if [ "$(id -u)" = 0 ]; then
  sudo=""
elif command -v sudo >/dev/null && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
  sudo="sudo"
else
  echo "System packages are missing and this user may not install them. Run as root:" >&2
  echo "  apt-get update && $line" >&2
  exit 1
fi
echo "Installing system packages:$missing"
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -qq
# shellcheck disable=SC2086  # the list is words on purpose
$sudo env DEBIAN_FRONTEND=noninteractive $line
