#!/bin/sh
# ceph.sh PORT FOLDER: a Ceph of one monitor, one store in memory and one S3 gateway, on loopback.
# ACCESS_KEY and SECRET_KEY are those of its one user. Runs in the foreground until it is ended.
set -eu
port=$1 folder=$2
monitor=$((10000 + port % 20000)) # below the ports that systems give to clients
conf=$folder/ceph.conf
id=$(cat /proc/sys/kernel/random/uuid)
trap 'trap - TERM EXIT; kill 0' TERM INT EXIT # the monitor and the store go with the gateway
rm -rf "$folder/mon" "$folder/osd" "$folder/run" "$folder/gateway"
mkdir -p "$folder/mon" "$folder/osd" "$folder/run" "$folder/gateway"

cat >"$conf" <<CONF
[global]
fsid = $id
mon host = v1:127.0.0.1:$monitor
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind msgr2 = false
auth cluster required = none
auth service required = none
auth client required = none
auth supported = none
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pgp num = 8
osd pool default pg autoscale mode = off
mon allow pool size one = true
mon warn on pool no redundancy = false
mon max pg per osd = 1000
osd crush chooseleaf type = 0
run dir = $folder/run
admin socket = $folder/run/\$name.asok
log file = $folder/run/\$name.log
mon cluster log file = $folder/run/cluster.log
pid file = $folder/run/\$name.pid
osd objectstore = memstore
memstore device bytes = 2147483648
[mon.a]
mon data = $folder/mon
[osd.0]
osd data = $folder/osd
[client.rgw.a]
rgw data = $folder/gateway
rgw frontends = beast endpoint=127.0.0.1:$port
rgw dns name = localhost
rgw enable usage log = false
rgw enable ops log = false
rgw thread pool size = 64
CONF

ceph() { command ceph -c "$conf" --connect-timeout 5 "$@" 2>/dev/null; }
until_true() {
    for _ in $(seq 150); do
        "$@" && return 0
        sleep 0.2
    done
    return 1
}

monmaptool --create --clobber --addv a "[v1:127.0.0.1:$monitor]" --fsid "$id" "$folder/map" >/dev/null
ceph-mon -c "$conf" --mkfs -i a --monmap "$folder/map"
ceph-mon -c "$conf" -i a -f &
until_true ceph -s >/dev/null

store=$(cat /proc/sys/kernel/random/uuid)
ceph osd new "$store" >/dev/null
ceph-osd -c "$conf" -i 0 --mkfs --osd-uuid "$store"
ceph-osd -c "$conf" -i 0 -f &
osd=$!
store_is_up() {
    ceph osd stat | grep -q '1 up' && return 0
    # on a loaded machine it may end once, complaining of a wrong fsid
    kill -0 "$osd" 2>/dev/null || { ceph-osd -c "$conf" -i 0 -f & osd=$!; }
    return 1
}
until_true store_is_up

radosgw-admin -c "$conf" -n client.rgw.a user create --uid=test --display-name=test \
    --access-key="$ACCESS_KEY" --secret-key="$SECRET_KEY" >/dev/null
radosgw -c "$conf" -n client.rgw.a -f &
wait $!
