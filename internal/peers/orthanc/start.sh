#!/bin/sh
# Starts an Orthanc on 127.0.0.1 and prints its pid once it answers.
#
#	start.sh DIR PORT
#
# DIR holds everything of it and must have no spaces: the store, which a later
# start on the same DIR finds again, and the log. One DIR and one PORT each.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "${1:?start.sh DIR PORT}"
dir=$(cd "$1" && pwd)
port=${2:?start.sh DIR PORT}
plugin=/usr/share/orthanc/plugins/libOrthancDicomWeb.so
PATH=$PATH:/usr/sbin
pid=

fail() {
	echo "orthanc on port $port: $1" >&2
	if [ -n "$pid" ]; then tail -n 20 "$dir/log" >&2; fi
	exit 1
}
answers() { curl -s -o /dev/null --max-time 2 "http://127.0.0.1:$port/system"; }

# Otherwise somebody else's server would be taken for the one started here.
if answers; then fail "something answers there already"; fi

gcc -shared -fPIC -O2 -Wall -Werror -o "$dir/loopback.so" "$here/loopback.c" -ldl
sed -e "s#@DIR@#$dir#g" -e "s#@PORT@#$port#g" -e "s#@PLUGIN@#$plugin#g" "$here/orthanc.json" >"$dir/orthanc.json"
LD_PRELOAD=$dir/loopback.so Orthanc "$dir/orthanc.json" >"$dir/log" 2>&1 </dev/null &
pid=$!
trap 'kill "$pid" 2>/dev/null' EXIT
trap 'exit 1' INT TERM
for _ in $(seq 600); do
	if answers; then break; fi
	kill -0 "$pid" 2>/dev/null || fail "ended at once"
	sleep 0.2
done
answers || fail "no answer in two minutes"
trap - EXIT
echo "$pid"
