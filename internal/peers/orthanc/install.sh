#!/bin/sh
# Makes sure that what start.sh needs is installed, from Debian's packages. It
# fails where that cannot be done unasked: no apt-get, no root or sudo without a
# password, or systemd, under which the package would start a server of its own
# that listens on every address.
set -eu
packages="orthanc orthanc-dicomweb dcmtk gcc curl python3-pydicom"
PATH=$PATH:/usr/sbin

here() {
	for tool in Orthanc dump2dcm gcc curl; do command -v "$tool" || return 1; done
	[ -e /usr/share/orthanc/plugins/libOrthancDicomWeb.so ] && [ -d /usr/lib/python3/dist-packages/pydicom/data/test_files ]
}
if here >/dev/null; then exit 0; fi

fail() {
	echo "$1; install yourself: $packages" >&2
	exit 1
}
command -v apt-get >/dev/null || fail "no apt-get"
if [ -d /run/systemd/system ]; then fail "the package would start a service under systemd"; fi
sudo=
if [ "$(id -u)" != 0 ]; then sudo="sudo -n"; fi
$sudo true 2>/dev/null || fail "neither root nor sudo without a password"

apt() { $sudo env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=120 -o Acquire::Retries=3 "$@"; }
# The lists may be missing or old.
# shellcheck disable=SC2086 # several packages
apt install --no-install-recommends $packages || { apt update && apt install --no-install-recommends $packages; }
here >/dev/null || fail "the packages do not bring what is needed"
