#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Every example of every manual page of a command, and every one that `vsctl help COMMAND` shows, run as it stands there
# but for where the files lie: /var, /backup, /etc, /srv, /mnt, /usr and /tmp are below a scratch directory. Each .Dl, each
# literal block and each example of the help begins in a place made for it, in which the lines of a block run one after
# the other; on a terminal, where questions are answered with yes. A page without an example fails.
#
# Stand-ins: systemctl, the programs that guard runs, and page-me leave a word behind and succeed. What runs for ever is
# ended after a second, and has to end well. Port 9090 becomes one that is free.
set -u
. "${SOURCE_ROOT:?}/tests/cli/chroma.sh"
place=$scratch/place
world=$scratch/world
port=$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')

# ---- the place ----

# shellcheck disable=SC2016 # its own name, not ours
stand_in() {
    printf '#!/bin/sh\necho "$0" >>%q\n' "$place/ran" >"$1" && chmod +x "$1"
}

# Made once, and copied for each block: a chromem store with three snapshots, a Chroma store, contextd's log, keys, archives
# of the older tool.
make_world() {
    local app=$place/var/lib/app collection
    mkdir -p "$app" "$place"/{backup,etc/app,srv,mnt/usb,tmp,usr/local/bin,var/lib/node,var/lib/node_exporter} \
        "$place"/home/{bin,.claude/contextd/store} && cd "$place/home" || return
    "$python" - "$source/tests/kit" "$app/store" <<'END' || return
import sys
sys.path.insert(0, sys.argv[1])
import chromemstore as kit
for name in ("contextd_memories", "contextd_remediations", "zeta_checkpoints"):
    kit.write_collection(sys.argv[2], name)
    for i in range(15, 20):
        kit.write_document(sys.argv[2], name, f"mem-{i}", f"note {i}", kit.unit_vector(i, 8))
END
    ln -s "$vsctl" bin/vsctl && ln -s store "$app/vectorstore" || return
    cp -a "$stores/base" "$place/var/lib/chroma" && rm "$place/var/lib/chroma/expected.json" || return
    cp -r "$source/tests/data/contextd-wal" .claude/contextd/wal && rm .claude/contextd/wal/README.md &&
        chmod -R u+w .claude || return
    for collection in systemctl ../migrate.py ../embed-again.py ../smoke-test ../model-answers ../../usr/local/bin/page-me; do
        stand_in "bin/$collection" || return
    done
    head -c 32 /dev/urandom >"$place/etc/app/key" && chmod 600 "$place/etc/app/key" || return
    printf 'zeta\nmemories\n' >words.txt && printf 'jobs = 2\n' >new.conf &&
        "$python" -c 'import json; print(json.dumps([i / 12 for i in range(12)]))' >query.json || return
    for collection in before-upgrade nightly snapshot_20260122_140309; do
        runs 0 snapshot create --name $collection "$app/store" || return
    done
    runs 0 export --as collections-json "$app/store" snapshot_20260122_120000.tar.gz &&
        runs 0 export --as collections-json "$app/store" "$place/backup/snapshot_20260122_140309.tar.gz" || return
    runs 0 audit-log verify --json "$app/store" && jq -r .head "$scratch/out" >heads && runs 0 verify "$app/store" &&
        mv "$place" "$world"
}

lose_metadata() {
    rm "$place/var/lib/app/store/e9f85bf6/00000000.gob"
}

# What the lines of a block need beside the world itself, and the damage that they are about.
prepare() {
    local app=$place/var/lib/app/store name
    rm -rf "$place" && cp -a "$world" "$place" && cd "$place/home" || return
    case $1 in
    *"quarantine add"*12ab34cd*)
        name=$(find "$app/e9f85bf6" -name '[1-9a-f]*.gob' | head -n 1) && mv "$name" "$app/e9f85bf6/12ab34cd.gob" ;;
    *"quarantine add"* | *"index check"*) ;;
    *"quarantine purge"*--copy*)
        cp -a "$app/e9f85bf6" "$place/backup" && runs 0 quarantine add --yes --force "$app" e9f85bf6 ;;
    *"quarantine "*) runs 0 quarantine add --yes --force "$app" e9f85bf6 ;;
    *"vsctl undo"*) lose_metadata && runs 1 repair --yes --force "$app" ;;
    *"audit-log verify --key-file"*) runs 0 audit-log seal --key-file "$place/mnt/usb/seal.key" "$app" ;;
    *"create --name before-upgrade"*) rm -rf "$app.vsctl" ;;
    *rollback*) find "$app/e9f85bf6" -name '[1-9a-f]*.gob' -delete ;;
    *recover-metadata* | *"vsctl repair"* | *"inspect"*e9f85bf6* | *"restore --latest-good"*) lose_metadata ;;
    *salvage*)
        rm -rf "$place/var/lib/chroma" && cp -a "$stores/sqlite-page-damage" "$place/var/lib/chroma" &&
            rm "$place/var/lib/chroma/expected.json" ;;
    *"index rebuild"*) rm "$place"/var/lib/chroma/24e69c0e*/header.bin ;;
    esac
}

# ---- running them ----

# 0 where it is done, 1 where damage was mended, 4 where damage is shown and left.
expected() {
    case $1 in
    "vsctl repair --dry-run"* | "vsctl repair --plan"* | "vsctl index rebuild --dry-run"* | "vsctl salvage "*) echo 4 ;;
    "vsctl repair --yes"* | "vsctl repair --apply"* | "vsctl recover-metadata "* | "vsctl index rebuild "*) echo 1 ;;
    *) echo 0 ;;
    esac
}

run_line() {
    local line=$1 status want
    export NO_COLOR=1
    want=$(expected "$line")
    line=$(sed -E "s#(^|[ ='\"])/(var|backup|etc|srv|mnt|tmp|usr)/#\1$place/\2/#g; s#(^|[ ])/(tmp)( |$)#\1$place/\2\3#g; s/127\.0\.0\.1:9090/127.0.0.1:$port/; s# STORE( |$)# $place/var/lib/app/store\1#g" <<<"$line")
    case $line in
    "vsctl monitor --once"*) ;;
    "vsctl monitor"*) line="timeout --preserve-status -s TERM 2 $line" ;;
    esac
    PATH=$place/home/bin:$PATH timeout 100 "$python" "$source/tests/cli/on-terminal.py" --yes bash -c "$line" >"$scratch/out" 2>"$scratch/err"
    status=$?
    [ $status -eq "$want" ] || { echo "$1" && echo "status $status" && cat "$scratch/out" "$scratch/err" && return 1; }
}

# The lines of a block; lines behind "$ " have what they print below them.
run_block() {
    local line said=
    prepare "$1" || { echo "cannot be prepared: $1" && cat "$scratch/err" && return 1; }
    while IFS= read -r line; do
        line=$(sed -E 's/^([0-9*]+ ){5}root //; s/^ExecStartPre=//' <<<"$line")
        case $line in
        "$ vsctl "*) run_line "${line#$ }" || return ;;
        "vsctl "*) run_line "$line" || return ;;
        *) said+=$line$'\n' ;;
        esac
    done <<<"$1"
    said=${said//"[Service]"$'\n'/}
    [ -z "$said" ] || diff <(cat "$scratch/out") <(printf %s "$said")
}

# Blocks of a page, each ended by a line with a dot.
blocks_of_page() {
    sed 's/\\-/-/g; s/\\(dq/"/g' "$1" | awk '
/^\.Sh / { inside = $2 == "EXAMPLES" }
!inside { next }
/^\.Dl / { print substr($0, 5); print "." }
/^\.Bd -literal/ { block = 1; next }
/^\.Ed/ { block = 0; print "."; next }
block { print }'
}

blocks_of_help() {
    "$vsctl" help --list | awk -F'\t' '$1 == "command" || $1 == "group" { print $2 }' | while read -r words; do
        # shellcheck disable=SC2086
        "$vsctl" help $words </dev/null | sed -n '/^examples/,/^exit status/s/^  vsctl /vsctl /p'
    done | sort -u | sed 's/$/\n./'
}

run_blocks() {
    local line block='' count=0
    while IFS= read -r line; do
        if [ "$line" = . ]; then
            run_block "${block%$'\n'}" || return
            block=
            count=$((count + 1))
        else
            block+=$line$'\n'
        fi
    done
    echo "$count examples"
    [ $count -gt 0 ]
}

page_runs() {
    run_blocks < <(blocks_of_page "$1")
}

help_line_runs() {
    run_block "$1"
}

check "a place for them" make_world
for page in "$source"/man/vsctl-*.1; do
    name=${page##*/}
    check "${name%.1}(1)" page_runs "$page"
done
while IFS= read -r line; do
    [ "$line" = . ] || check "help: $line" help_line_runs "$line"
done < <(blocks_of_help)
finish
