#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The monitor with real clients: documents, metrics, what is told once, what survives, and what clients and
# commands may do without harm.
# shellcheck disable=SC2016 # the commands of the monitor have variables of their own
set -u
[ ! -w /dev/shm ] || export TMPDIR=/dev/shm
. "${SOURCE_ROOT:?}/tests/cli/cli.sh"
monitor=''

# Cases run in subshells: each ends its own monitor.
stop() {
    [ -z "$monitor" ] || { kill -TERM "$monitor" 2>/dev/null && wait "$monitor"; }
}

fresh() {
    rm -rf "${scratch:?}/${1:-healthy-example}" "$scratch/told"
    fixture "${1:-healthy-example}"
    state=$store.vsctl
    trap stop EXIT
}

# start ARGUMENT...: a monitor on a free port; $url is where it answers, after its first scan.
start() {
    rm -f "$scratch/said"
    "$vsctl" monitor --listen 127.0.0.1:0 "$@" 2>"$scratch/said" >"$scratch/said.out" </dev/null &
    monitor=$!
    within 10 grep -q '/metrics' "$scratch/said" || return
    url=http://127.0.0.1:$(sed -n 's/^vsctl: port \([0-9]*\):.*/\1/p' "$scratch/said" | tail -n 1)
    within 10 scans_are 1
}

# get PATH: the body goes to $scratch/out, the status to $code.
get() {
    code=$(curl -s -m 10 -o "$scratch/out" -w '%{http_code}' "$url$1")
}

metric_is() {
    get /metrics || return
    grep -qxF -- "$1" "$scratch/out" || { grep -F "${1%%\{*}" "$scratch/out" && false; }
}

scans_are() {
    get /metrics && [ "$(sed -n 's/^contextd_vectorstore_health_check_duration_seconds_count{.*} //p' "$scratch/out" | head -n 1)" -ge "$1" ]
}

scan_now() {
    local before
    get /metrics
    before=$(sed -n 's/^contextd_vectorstore_health_checks_total{.*} //p' "$scratch/out" | awk '{ n += $1 } END { print n }')
    kill -HUP "$monitor"
    within 10 more_scans "$before"
}

more_scans() {
    get /metrics && [ "$(sed -n 's/^contextd_vectorstore_health_checks_total{.*} //p' "$scratch/out" | awk '{ n += $1 } END { print n }')" -gt "$1" ]
}

break_store() {
    rm "$store"/*/00000000.gob
}

told() {
    same "$1" "$(tr '\n' ' ' <"$scratch/told" 2>/dev/null)"
}

hooks=(--on-degraded 'echo "$MONITOR_EVENT" >>"$told"' --on-recovered 'echo "$MONITOR_EVENT" >>"$told"'
    --on-error 'echo "$MONITOR_EVENT" >>"$told"')
export told=$scratch/told

# ---- documents ----

health_of_a_sound_store() {
    fresh && start "$store" && get /health && [ "$code" = 200 ] &&
        jq_is '. == {"status":"ok","metadata":{"status":"healthy","healthy_count":1,"corrupt_count":0,"empty_count":0,"total":1,"corrupt_hashes":[]}}' &&
        get /api/v1/health/metadata && [ "$code" = 200 ] &&
        jq_is 'keys == ["check_duration","corrupt","corrupt_count","details","empty","healthy","healthy_count","last_check_time","total"]' &&
        jq_is '.healthy == ["ab5aa970"] and .check_duration > 0 and .details == {}'
}

health_of_the_incident() {
    fresh incident-missing-metadata && start "$store" && get /health && [ "$code" = 503 ] &&
        jq_is '.status == "degraded" and .metadata.corrupt_hashes == ["e9f85bf6"] and .metadata.healthy_count == 21 and .metadata.total == 22' &&
        get /api/v1/health/metadata && [ "$code" = 503 ] && jq_is '.details.e9f85bf6 | test("no metadata file")'
}

several_stores() {
    local other
    fresh incident-missing-metadata && other=$store && fresh && start "$store" "$other" && get /health && [ "$code" = 503 ] &&
        jq_is ".metadata.total == 23 and .metadata.corrupt_hashes == [\"$other/e9f85bf6\"]"
}

other_paths_and_methods() {
    fresh && start "$store" && get /nothing && [ "$code" = 404 ] && get '/health?x=1' && [ "$code" = 200 ] || return
    [ "$(curl -s -o /dev/null -w '%{http_code}' -X POST -d x "$url/health")" = 405 ] &&
        [ "$(curl -s -o /dev/null -w '%{http_code}' -I "$url/health")" = 200 ] &&
        [ "$(curl -s -o /dev/null -w '%{http_code}' -X DELETE "$url/metrics")" = 405 ]
}

# ---- metrics ----

promtool_accepts_them() {
    command -v promtool >/dev/null || return 0
    fresh && start "$store" && get /metrics && promtool check metrics <"$scratch/out" &&
        promtool check metrics <"$scratch/out" 2>&1 | { ! grep .; }
}

the_promised_names() {
    local name
    fresh && start "$store" && get /metrics || return
    for name in collections_total health_status health_check_duration_seconds health_checks_total \
        corrupt_collections_detected_total quarantine_operations_total; do
        grep -q "^# TYPE contextd_vectorstore_$name " "$scratch/out" || { echo "$name" && return 1; }
    done
    grep -q '^vectorstore_collections_healthy{' "$scratch/out" && grep -q '^vectorstore_collections_corrupt{' "$scratch/out"
}

counters_survive_a_restart() {
    fresh && start "$store" && break_store && scan_now && stop && start "$store" &&
        metric_is "contextd_vectorstore_corrupt_collections_detected_total{store=\"$store\"} 1" &&
        metric_is "contextd_vectorstore_health_checks_total{store=\"$store\",result=\"success\"} 3" &&
        metric_is "contextd_vectorstore_health_status{store=\"$store\"} 0"
}

drill_and_quarantine_are_counted() {
    fresh healthy-contextd && runs 0 snapshot create "$store" && runs 0 snapshot drill "$store" &&
        runs 0 quarantine add --yes "$store" "$(basename "$(find "$store" -mindepth 1 -maxdepth 1 -type d | head -n 1)")" &&
        start "$store" && metric_is "contextd_vectorstore_quarantine_operations_total{store=\"$store\",result=\"success\"} 1" &&
        metric_is "vsctl_snapshots{store=\"$store\"} 1" &&
        grep -qE '^vsctl_drill_good_timestamp_seconds\{.*\} 1[0-9.e+]+$' "$scratch/out"
}

textfile() {
    fresh && mkdir -p "$scratch/prom" && runs 0 monitor --once --textfile "$scratch/prom/v.prom" "$store" &&
        grep -q '^contextd_vectorstore_health_status{.*} 1$' "$scratch/prom/v.prom" &&
        runs 0 monitor --once --textfile "$scratch/prom/v.prom" "$store" &&
        grep -q 'result="success"} 2$' "$scratch/prom/v.prom" && [ "$(find "$scratch/prom" -type f | wc -l)" -eq 1 ] &&
        runs 8 monitor --once --textfile "$scratch/nowhere/v.prom" "$store" && err_has nowhere
}

# ---- transitions ----

told_once() {
    fresh && start "${hooks[@]}" "$store" && told '' && cp -a "$store" "$scratch/copy" && break_store && scan_now &&
        within 10 told 'degraded ' && scan_now && scan_now && told 'degraded ' && rm -rf "$store" &&
        mv "$scratch/copy" "$store" && scan_now && within 10 told 'degraded recovered ' && scan_now && told 'degraded recovered '
}

told_once_over_restarts() {
    fresh && start "${hooks[@]}" "$store" && break_store && scan_now && within 10 told 'degraded ' && stop &&
        start "${hooks[@]}" "$store" && scan_now && told 'degraded ' && stop &&
        runs 4 monitor --once "${hooks[@]}" "$store" && told 'degraded '
}

# The verdict is that of the last scan that could be made; nobody is told that the store recovered.
failed_scans_keep_the_state() {
    fresh incident-missing-metadata && start "${hooks[@]}" "$store" && within 10 told 'degraded ' && mv "$store" "$store.away" &&
        scan_now && within 10 told 'degraded error ' && scan_now && told 'degraded error ' && get /health && [ "$code" = 503 ] &&
        jq_is '.metadata.corrupt_count == 1 and .metadata.total == 22' && metric_is "vsctl_scan_failed{store=\"$store\"} 1" &&
        mv "$store.away" "$store" && scan_now && metric_is "vsctl_scan_failed{store=\"$store\"} 0" && told 'degraded error '
}

hanging_command() {
    local begin=$SECONDS
    fresh && start --hook-limit 1 --on-degraded 'echo $$ >"$told"; trap "" TERM; sleep 300 & sleep 300' "$store" && break_store &&
        scan_now && within 10 grep -q 'was ended after 1 s' "$scratch/said" && [ $((SECONDS - begin)) -lt 20 ] || return
    get /health && [ "$code" = 503 ] && ! pgrep -r R,S,D,T -g "$(cat "$told")"
}

failing_command() {
    fresh incident-missing-metadata && runs 4 monitor --once --on-degraded 'exit 3' "$store" &&
        err_has 'the command for degraded ended with status 3' &&
        runs 4 monitor --once --on-degraded 'exit 3' "$store" && ! grep -q 'status 3' "$scratch/err"
}

# ---- scans ----

opens_of_documents() {
    grep -c 'openat(.*\.gob"' "$scratch/trace"
}

unchanged_is_not_read_again() {
    local once
    command -v strace >/dev/null && strace -o /dev/null true 2>/dev/null || return 0
    fresh && sleep 2.2 || return
    strace -f -e trace=openat -o "$scratch/trace" "$vsctl" monitor --interval 1s --full-every 4 "$store" 2>"$scratch/said" &
    monitor=$!
    within 10 [ -e "$state/monitor.json" ] || return
    once=$(opens_of_documents)
    [ "$once" -ge 2 ] && within 10 jq -e '.successes == 3' "$state/monitor.json" && same "$once" "$(opens_of_documents)" &&
        within 10 jq -e '.successes == 5' "$state/monitor.json" && same $((2 * once)) "$(opens_of_documents)"
    local r=$?
    pkill -TERM -P "$monitor"
    wait "$monitor"
    monitor=''
    return $r
}

# value NAME: of a metric with one sample.
value() {
    get /metrics && sed -n "s/^$1{.*} //p" "$scratch/out"
}

# What is written in place leaves the directory as it was; only documents that may have changed are decoded.
unchanged_is_not_decoded() {
    local file documents
    fresh healthy-contextd && start "$store" && documents=$(value vsctl_documents) && [ "$documents" -ge 4 ] &&
        same "$documents" "$(value vsctl_documents_read_total)" && scan_now && scan_now && scan_now || return
    if [ "$(value vsctl_store_watched)" = 1 ]; then
        same "$documents" "$(value vsctl_documents_read_total)" && same 1 "$(value vsctl_scans_read_total)" || return
    fi
    file=$(find "$store"/*/ -name '*.gob' ! -name 00000000.gob | sort | head -n 1)
    head -c 40 "$file" >"$scratch/start" && cat "$scratch/start" >"$file" && scan_now && get /health && [ "$code" = 503 ]
}

# The same size, and the times put back: nothing of it shows in a listing but the change of the inode.
in_place_same_size() {
    local file
    fresh && sleep 2.2 && start "$store" && get /health && [ "$code" = 200 ] || return
    file=$(find "$store"/*/ -name '*.gob' ! -name 00000000.gob | sort | head -n 1)
    cp -p "$file" "$scratch/before" && head -c "$(stat -c %s "$file")" /dev/zero | dd of="$file" conv=notrunc status=none &&
        touch -r "$scratch/before" "$file" && scan_now && get /health && [ "$code" = 503 ]
}

# Where the kernel tells nothing, the times of all files are looked at.
unwatched() {
    local file read
    unshare -Ur sh -c 'echo 0 >/proc/sys/user/max_inotify_instances' 2>/dev/null || return 0
    fresh && sleep 2.2 || return
    printf '#!/bin/sh\nexec unshare -Ur sh -c '\''echo 0 >/proc/sys/user/max_inotify_instances; exec "$@"'\'' sh %q "$@"\n' "$vsctl" >"$scratch/unwatched" &&
        chmod +x "$scratch/unwatched" || return
    vsctl=$scratch/unwatched start "$store" && same 0 "$(value vsctl_store_watched)" && read=$(value vsctl_documents_read_total) &&
        scan_now && scan_now && same "$read" "$(value vsctl_documents_read_total)" || return
    file=$(find "$store"/*/ -name '*.gob' ! -name 00000000.gob | sort | head -n 1)
    head -c 40 "$file" >"$scratch/start" && cat "$scratch/start" >"$file" && scan_now && get /health && [ "$code" = 503 ]
}

a_change_is_seen() {
    fresh && sleep 2.2 && start "$store" && get /health && [ "$code" = 200 ] && break_store && scan_now && get /health && [ "$code" = 503 ]
}

# Documents that come and go by rename, as the library writes them, are no errors.
beside_a_writer() {
    local writer i r
    fresh && start --interval 1s "${hooks[@]}" "$store" || return
    (
        file=$(find "$store" -name '*.gob' ! -name 00000000.gob | head -n 1)
        while :; do
            cp "$file" "$store/writing" && mv "$store/writing" "$file"
        done
    ) &
    writer=$!
    for i in 1 2 3 4 5; do
        scan_now || break
    done
    r=$?
    kill "$writer" && wait "$writer" 2>/dev/null
    [ $r -eq 0 ] && told '' && [ "$i" -eq 5 ]
}

store_is_not_written() {
    fresh && unchanged runs 0 monitor --once "$store"
}

# ---- clients ----

rubbish() {
    local port
    fresh && start "$store" && port=${url##*:} || return
    head -c 100000 /dev/urandom | timeout 5 bash -c "cat >/dev/tcp/127.0.0.1/$port" 2>"$scratch/until"
    printf 'GET / HTTP/9.9\r\n\r\n' | timeout 5 bash -c "cat >/dev/tcp/127.0.0.1/$port"
    printf 'GET /%s HTTP/1.1\r\n\r\n' "$(head -c 60000 /dev/zero | tr '\0' a)" | timeout 5 bash -c "cat >/dev/tcp/127.0.0.1/$port" 2>"$scratch/until"
    get /health && [ "$code" = 200 ]
}

# A thousand connections that say nothing, and one that asks once they are gone; and 64 clients at once
# while scans run.
many_clients() {
    local limit=8192
    # A sanitizer keeps what was freed.
    ! ldd "$vsctl" | grep -q libasan || limit=262144
    fresh healthy-contextd && start --full-every 1 "$store" || return
    "$python" "$source/tests/cli/many-clients.py" "${url##*:}" "$monitor" $limit
}

notify() {
    fresh
    "$python" "$source/tests/cli/notified.py" "$scratch/notify" "$vsctl" monitor --interval 1s "$store"
}

# ---- the command line ----

where_to_listen() {
    fresh
    runs 16 monitor --listen 0.0.0.0:0 "$store" && err_has 'add --listen-any' && runs 16 monitor --listen '[::]:0' "$store" &&
        runs 16 monitor --listen 192.0.2.1:9090 "$store" && runs 16 monitor --listen 9090 "$store" &&
        runs 16 monitor --listen 127.0.0.1:99999 "$store" && runs 16 monitor --listen nowhere:1 "$store" &&
        start "$store" && runs 8 monitor --listen "${url#http://}" "$store" && err_has 'cannot listen' && stop &&
        start --listen-any --listen 0.0.0.0:0 "$store"
}

once() {
    fresh && json monitor 0 monitor --once "$store" && jq_is '.well and .stores[0].verdict == "healthy"' &&
        runs 0 monitor --once --quiet "$store" && out_is '' && break_store &&
        json monitor 4 monitor --once "$store" && jq_is '(.well | not) and .stores[0].corrupt == 1' &&
        runs 4 monitor --once "$store" && first_line 'degraded: 1 of 1 stores corrupt, 0 could not be looked at' &&
        last_line "next: vsctl verify $store" && rm -r "$store" &&
        json monitor 8 monitor --once "$store" && jq_is '.stores[0].verdict == "failed" and .stores[0].failure != null'
}

told_by_status() {
    fresh && runs 0 monitor --once "$store" && json status 0 status "$store" &&
        jq_is '.last_verify.source == "scan" and .corruption_free == true and .last_scan != null' && break_store &&
        runs 4 monitor --once "$store" && runs 0 status --json "$store" && jq_is '.health_status == "ERROR" and .corruption_free == false'
}

broken_record() {
    fresh && mkdir "$state" && echo '{"schema":1}' >"$state/monitor.json" && runs 0 monitor --once "$store" &&
        err_has 'counting begins anew' && jq -e '.successes == 1' "$state/monitor.json" >"$scratch/until"
}

bad_input() {
    fresh
    runs 16 monitor && runs 16 monitor --interval 0 "$store" && err_has 'a time such as 5m' && runs 16 monitor --interval x "$store" &&
        runs 16 monitor --state "$scratch/s" "$store" "$store" && err_has 'is for one store' && runs 0 monitor --help &&
        : >"$scratch/file" && runs 8 monitor --once --state "$scratch/file" "$store"
}

check "health of a sound store" health_of_a_sound_store
check "health of the incident" health_of_the_incident
check "several stores" several_stores
check "other paths and methods" other_paths_and_methods
check "promtool accepts the metrics" promtool_accepts_them
check "the promised names" the_promised_names
check "counters survive a restart" counters_survive_a_restart
check "drills and quarantine are counted" drill_and_quarantine_are_counted
check "a textfile" textfile
check "a transition is told once" told_once
check "a transition is told once over restarts" told_once_over_restarts
check "failed scans keep the state" failed_scans_keep_the_state
check "a command that hangs" hanging_command
check "a command that fails" failing_command
check "what is unchanged is not read again" unchanged_is_not_read_again
check "unchanged documents are not decoded" unchanged_is_not_decoded
check "written in place, with size and times put back" in_place_same_size
check "without word from the kernel" unwatched
check "a change is seen" a_change_is_seen
check "beside a writer" beside_a_writer
check "the store is not written" store_is_not_written
check "clients that send rubbish" rubbish
check "many clients" many_clients
check "the service manager is told" notify
check "where to listen" where_to_listen
check "one scan" once
check "status has it from the record" told_by_status
check "a broken record" broken_record
check "bad input" bad_input
finish_cli
