#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Guarded migrations from beginning to end: of each the outcome, the exit status, the records of the audit log, the
# digest of the store, and that no process is left. Every command carries a word of its own in its environment, by which
# its processes are found again wherever they have gone.
# shellcheck disable=SC2016,SC2046 # the commands have variables of their own; what migrate prints is words
set -u
# In memory where that is to be had: everything below is synced many times.
[ ! -w /dev/shm ] || export TMPDIR=/dev/shm
. "${SOURCE_ROOT:?}/tests/cli/cli.sh"

store=$scratch/store
state=$store.vsctl
alpha=8ed3f6ad
mark=guard-test-$$-${RANDOM}
export VSCTL_TEST_MARK=$mark

write() {
    "$python" "$source/tests/kit/chromemstore.py" "$store" "$@"
}

# 1000 documents in one collection and 100 in another: made once, then copied.
fresh() {
    if [ ! -d "$scratch/kept" ]; then
        rm -rf "$store"
        write alpha 0 1000 && write beta 0 100 && cp -a "$store" "$scratch/kept" || return
    fi
    rm -rf "$store" "$store".guard-* "$state" && cp -a "$scratch/kept" "$store"
}

# What vsctl-audit(5) says anybody can compute.
digest() {
    (cd "$1" && find . -type f -print0 | LC_ALL=C sort -z | xargs -0 -r sha256sum -z | sha256sum | cut -d ' ' -f 1)
}

as_before() {
    same "$(digest "$scratch/kept")" "$(digest "$store")"
}

# Processes that carry the mark, other than this shell's own.
left_alive() {
    local file pid
    while read -r file; do
        pid=${file%/environ}
        pid=${pid#/proc/}
        if [ "$pid" = "$BASHPID" ] || [ "$pid" = $$ ]; then
            continue
        fi
        if grep -q $'^State:\t[^Z]' "/proc/$pid/status" 2>/dev/null; then
            echo "alive: $pid $(tr '\0' ' ' <"/proc/$pid/cmdline")"
            return 0
        fi
    done < <(grep -laF -- "VSCTL_TEST_CHILD=$mark" /proc/[0-9]*/environ 2>/dev/null)
    return 1
}

nobody_left() {
    ! left_alive
}

# guard STATUS OPTION... -- COMMAND...: run it, as JSON; the command's processes carry the mark.
guard() {
    local want=$1
    shift
    local options=()
    while [ "$1" != -- ]; do
        options+=("$1")
        shift
    done
    shift
    runs "$want" guard --format json "${options[@]}" "$store" -- env "VSCTL_TEST_CHILD=$mark" "$@" || return
    keep_document guard
    nobody_left
}

migrate() {
    echo "$python" "$source/tests/cli/migrate.py" "$@"
}

# records: "started", "rolled back ... 11" and so on, of the guard's own.
records_are() {
    same "$*" "$(jq -r 'select(.action == "guard") | .phase + (if .exit_status == null then "" else ":\(.exit_status)" end)' "$state/audit.jsonl" | tr '\n' ' ' | sed 's/ $//')"
}

record_digests() {
    local before after
    before=$(jq -r 'select(.action == "guard") | .digest_before' "$state/audit.jsonl" | tail -n 1)
    after=$(jq -r 'select(.action == "guard") | .digest_after' "$state/audit.jsonl" | tail -n 1)
    same "$(digest "$scratch/kept")" "$before" && same "$(digest "$store")" "$after"
}

went_back() {
    as_before && record_digests && jq_is '.outcome == "rolled-back" and .rollback != null and .changed' && runs 0 audit-log verify "$store"
}

# ---- loss ----

# 50 of 1000 is exactly 5 %.
five_percent_stay() {
    fresh && guard 0 -- $(migrate lose alpha 50) && jq_is '.outcome == "kept" and .cause == null and .lost == 50 and .rollback == null' &&
        jq_is '.before.documents == 1100 and .after.documents == 1050 and .command_status == 0' &&
        records_are started finished:0 && record_digests && [ ! -e "$state/guard/run.json" ]
}

a_tenth_more_goes_back() {
    fresh && guard 11 -- $(migrate lose alpha 51) &&
        jq_is '.cause == "loss" and .lost == 51 and .status == 11 and .command_status == 0' &&
        jq_is '.message == "alpha lost 51 of 1000 documents (5.10 %), more than 5 %"' &&
        went_back && records_are started failed:11 && [ ! -e "$state/guard/run.json" ]
}

a_small_collection_counts() {
    fresh && guard 11 -- $(migrate lose beta 6) && jq_is '.lost == 6 and .loss_percent < 1' && went_back
}

another_limit() {
    fresh && guard 0 --max-loss 10.5 -- $(migrate lose alpha 105) && fresh && guard 11 --max-loss 10.4% -- $(migrate lose alpha 105) && went_back &&
        guard 11 --max-loss 0 -- $(migrate lose alpha 1) && went_back
}

# Two hundred new ones do not make up for sixty that are gone.
gains_are_no_loss() {
    fresh && guard 0 -- $(migrate gain alpha 200) && jq_is '.gained == 200 and .lost == 0' && fresh &&
        guard 11 -- sh -c "$(migrate lose alpha 60); $(migrate gain beta 200)" && jq_is '.lost == 60 and .gained == 200' && went_back
}

other_ids() {
    fresh && guard 11 -- $(migrate new-ids beta) && went_back && guard 0 --by-count -- $(migrate new-ids beta) && jq_is '.lost == 0'
}

a_new_name() {
    fresh && guard 10 -- $(migrate rename beta) && jq_is '.cause == "collections" and .lost == 0 and .moved == 100' && went_back &&
        guard 0 --allow collections -- $(migrate rename beta) && jq_is '.outcome == "kept" and .moved == 100'
}

# ---- what else speaks against it ----

zeroed_vectors() {
    fresh && guard 10 -- $(migrate zero alpha 1) &&
        jq_is '([.cause] | inside(["errors", "vectors"])) and ([.collections[] | .unusable_embeddings] | add) == 1' &&
        jq_is '.message | contains("1 embedding became unusable (1 all zero")' && went_back
}

vectors_that_are_no_numbers() {
    fresh && guard 10 -- $(migrate nan alpha 3) && jq_is '.message | contains("3 not finite")' && went_back
}

another_dimension() {
    fresh && guard 10 --allow errors -- $(migrate halve alpha 1000) && jq_is '.cause == "dimension"' && went_back &&
        guard 0 --allow errors,dimension -- $(migrate halve alpha 1000) && jq_is '.outcome == "kept"'
}

metadata_keys() {
    fresh && guard 0 -- $(migrate drop-key alpha 50) && jq_is '.metadata_keys[0] | .key == "n" and .lost == 50 and .had == 1000' && fresh &&
        guard 10 -- $(migrate drop-key alpha 51) && jq_is '.cause == "schema"' && went_back &&
        guard 10 -- $(migrate word-key beta 6) && jq_is '.message | contains("key n is text instead of number in 6 of 100")' && went_back &&
        guard 10 -- $(migrate empty-key beta 100) && jq_is '.cause == "schema"' && went_back &&
        guard 0 --allow schema -- $(migrate empty-key beta 100)
}

a_damaged_store() {
    fresh && guard 10 -- sh -c ': >"$VSCTL_STORE"/'$alpha'/00000000.gob' && jq_is '.cause == "errors" and .new_errors > 0 and .after.loadable == "no"' &&
        went_back
}

# What was wrong before is not laid to the command.
damage_from_before() {
    fresh && : >"$store/$alpha/00000000.gob" && local was
    was=$(digest "$store")
    guard 0 -- $(migrate gain beta 1) && jq_is '.outcome == "kept" and .new_errors == 0 and .before.errors > 0' && rm -rf "$state" &&
        fresh && : >"$store/$alpha/00000000.gob" && guard 11 -- $(migrate lose beta 50) && same "$was" "$(digest "$store")"
}

# Found where no collection is: a rollback of collections alone would leave all of this.
a_store_made_a_mess_of() {
    fresh && guard 10 -- sh -c 'cd "$VSCTL_STORE" && mkdir -p x/y zz && touch a x/y/b zz/c.gob && rm -r f44e64e7 && echo hi >f44e64e7; exit 3' &&
        jq_is '.cause == "command-failed" and .command_status == 3' && went_back && same "$(ls "$scratch/kept")" "$(ls "$store")"
}

a_store_that_is_gone() {
    fresh && chmod 750 "$store" && guard 10 -- sh -c 'rm -rf "$VSCTL_STORE"' && jq_is '.cause == "store-lost" and .after == null' && went_back &&
        same 750 "$(stat -c %a "$store")"
}

a_store_that_is_something_else() {
    fresh && guard 10 -- sh -c 'rm -rf "$VSCTL_STORE" && echo hello >"$VSCTL_STORE"' && as_before &&
        jq_is '.set_aside != null' && same hello "$(cat "$(jq -r .set_aside "$scratch/out")")" &&
        fresh && guard 11 -- sh -c 'rm -rf "$VSCTL_STORE"/* && mkdir "$VSCTL_STORE"/a && touch "$VSCTL_STORE"/a/notes' && as_before
}

# The way back itself has been removed: said, and never a status that means well.
no_way_back() {
    fresh && guard 12 -- sh -c 'rm -rf "$VSCTL_STORE" "$VSCTL_STORE".vsctl/snapshots; exit 1' &&
        jq_is '.outcome == "rollback-failed" and .rollback_failure != null and (.next | startswith("vsctl restore --to"))'
}

an_own_check() {
    fresh && guard 0 --check-cmd 'test -d "$VSCTL_STORE"' -- $(migrate gain alpha 1) && jq_is '.check_status == 0' &&
        fresh && guard 10 --check-cmd 'exit 9' -- $(migrate gain alpha 1) && jq_is '.cause == "check-cmd" and .check_status == 9' && went_back &&
        guard 10 --timeout 1s --kill-after 1s --check-cmd 'sleep 60' -- $(migrate gain alpha 1) && jq_is '.cause == "check-cmd"' && as_before
}

# ---- how it ends ----

nothing_changes() {
    fresh && guard 0 -- true && jq_is '.outcome == "unchanged" and (.changed | not) and .rollback == null' && guard 7 -- sh -c 'exit 7' &&
        jq_is '.outcome == "unchanged" and .command_status == 7' && records_are started finished:0 started finished:7 && as_before &&
        runs 3 guard "$store" -- sh -c 'exit 3' && first_line "$(sed -n 1p "$scratch/out")" && out_has 'unchanged: nothing in the store has changed' &&
        last_line "next: vsctl verify $store"
}

a_crash() {
    fresh && guard 10 -- sh -c "$(migrate lose beta 1); kill -SEGV \$\$" && jq_is '.command_signal == 11 and .cause == "command-failed"' && went_back
}

failure_that_is_kept() {
    fresh && guard 5 --keep-on-failure -- sh -c "$(migrate lose beta 1); exit 5" && jq_is '.outcome == "kept" and .status == 5' &&
        fresh && guard 11 --keep-on-failure -- sh -c "$(migrate lose beta 50); exit 5" && went_back
}

a_command_that_is_not_there() {
    fresh && runs 127 guard "$store" -- "$scratch/nobody" && out_has "not started: $scratch/nobody: No such file or directory" &&
        runs 126 guard "$store" -- /dev/null && as_before && records_are started failed:127 started failed:126 && [ ! -e "$state/guard/run.json" ]
}

a_hang() {
    fresh && guard 124 --timeout 1s -- sh -c "$(migrate lose beta 1); sleep 1000" && jq_is '.cause == "time-limit" and .status == 124' && went_back &&
        records_are started alert failed:124
}

deaf_to_every_word() {
    fresh && guard 124 --timeout 1s --kill-after 1s -- sh -c 'trap "" TERM INT HUP; touch "$VSCTL_STORE"/junk; while :; do sleep 1; done' && went_back
}

# Sessions and groups of their own, orphans, deaf ones, and one that is stopped: all are found.
gone_its_own_ways() {
    fresh && guard 124 --timeout 1s --kill-after 1s -- sh -c '
        setsid sh -c "trap \"\" TERM; while :; do sleep 1; done" &
        (setsid setsid sh -c "while :; do sleep 1; done" >/dev/null 2>&1 &)
        sh -c "kill -STOP \$\$" &
        touch "$VSCTL_STORE"/junk
        sleep 1000' && went_back
}

left_behind() {
    fresh && guard 0 --kill-after 1s -- sh -c "$(migrate gain beta 1); (setsid sleep 1000 &) ; setsid sh -c 'trap \"\" TERM; sleep 1000' & sleep 0.2" &&
        jq_is '.outcome == "kept" and .left_behind >= 2' && records_are started alert finished:0
}

input_and_output() {
    fresh && printf 'one\ntwo\n' | "$vsctl" guard "$store" -- sh -c 'cat; echo to-stderr >&2' >"$scratch/out" 2>"$scratch/err" && out_has two &&
        same one "$(head -n 1 "$scratch/out")" && err_has to-stderr && echo only | "$vsctl" guard --json "$store" -- cat >"$scratch/out" 2>"$scratch/err" &&
        keep_document guard && err_has only && jq_is '.outcome == "unchanged"'
}

# SIGPIPE as everywhere: `yes | head` ends. And what was ignored stays ignored.
signals_of_the_command() {
    fresh && runs 0 guard "$store" -- bash -c 'yes | head -n 1 >/dev/null; exit $((${PIPESTATUS[0]} == 141 ? 0 : 9))' &&
        (trap '' HUP && runs 0 guard "$store" -- sh -c 'kill -HUP $PPID; sleep 0.5; kill -HUP $$; exit 0')
}

# A signal to the guard reaches everything that the command has started.
signal_to_the_guard() {
    local pid
    fresh || return
    for signal in TERM INT HUP QUIT; do
        # A shell has its background jobs ignore two of them.
        env --default-signal=INT,QUIT "$vsctl" guard --json --kill-after 1s "$store" -- env "VSCTL_TEST_CHILD=$mark" sh -c 'touch "$VSCTL_STORE"/begun; sleep 1000 & setsid sleep 1000' \
            >"$scratch/out" 2>"$scratch/err" &
        pid=$!
        within 20 test -e "$store/begun" || return
        kill -$signal $pid
        wait $pid
        same 10 $? && keep_document guard && jq_is '.cause == "signal"' && nobody_left && went_back || return
    done
}

a_guard_in_a_guard() {
    fresh && guard 8 -- "$vsctl" guard "$store" -- true && err_has 'the store is guarded already' && as_before
}

# The command may be a vsctl that writes: only guards keep each other out.
a_vsctl_in_a_guard() {
    fresh && truncate -s 100 "$store/f44e64e7/$(printf doc-7 | sha256sum | cut -c 1-8).gob" &&
        guard 1 --keep-on-failure -- "$vsctl" repair --yes "$store" && jq_is '.outcome == "kept" and .before.errors == 1 and .after.errors == 0'
}

# ---- killed ----

# Kill the guard in the middle of its command; the command ends with it.
kill_one() {
    local pid
    rm -f "$scratch/begun"
    "$vsctl" guard "$store" -- env "VSCTL_TEST_CHILD=$mark" sh -c "$(migrate lose alpha 500); touch '$scratch/begun'; exec sleep 1000" >"$scratch/out" 2>&1 &
    pid=$!
    within 20 test -e "$scratch/begun" || return
    kill -KILL $pid
    wait $pid 2>/dev/null
    within 10 nobody_left || { echo "the command outlives its guard" && return 1; }
}

a_guard_that_is_killed() {
    local id
    fresh && kill_one && [ -e "$state/guard/run.json" ] && id=$(jq -r .snapshot "$state/guard/run.json") &&
        runs 8 guard "$store" -- true && err_has "was cut off" && err_has "vsctl rollback $store $id" && runs 0 rollback --yes "$store" "$id" && as_before &&
        runs 0 guard "$store" -- true && [ ! -e "$state/guard/run.json" ]
}

the_next_one_goes_back() {
    fresh && kill_one && guard 0 --unfinished back -- true && jq_is '.outcome == "unchanged"' && as_before && fresh && kill_one &&
        guard 0 --unfinished keep -- true && jq_is '.before.documents == 600'
}

# ---- a snapshot that is there ----

a_given_snapshot() {
    fresh && runs 0 snapshot create --name one "$store" && guard 11 --snapshot one -- $(migrate lose alpha 500) &&
        jq_is '.snapshot == "one" and (.snapshot_made | not)' && went_back && write alpha 2000 1 && runs 16 guard --snapshot one "$store" -- true &&
        err_has 'is not the store as it is now' && guard 10 --force --snapshot one -- sh -c 'touch "$VSCTL_STORE"/x; exit 1' && as_before &&
        runs 8 guard --snapshot nobody "$store" -- true
}

a_damaged_snapshot() {
    fresh && runs 0 snapshot create --name one "$store" && printf xxxx | dd of="$state/snapshots/one.tar.gz" bs=1 seek=200 conv=notrunc status=none &&
        runs 8 guard --snapshot one "$store" -- touch "$scratch/ran" && err_has damaged && [ ! -e "$scratch/ran" ]
}

# ---- pauses ----

a_probe() {
    fresh && guard 0 --probe "echo x >>'$scratch/asked'" --probe-interval 1s -- sleep 3 && jq_is '.pauses == 0' && [ "$(wc -l <"$scratch/asked")" -ge 2 ]
}

# The command waits for the service, which comes back while the command is stopped.
probe_pauses_and_resumes() {
    fresh && touch "$scratch/down" && (sleep 3 && rm "$scratch/down") &
    sleep 0.2
    guard 0 --probe "test ! -e '$scratch/down'" --probe-interval 1s -- sh -c 'i=0; while [ $i -lt 25 ]; do i=$((i + 1)); sleep 0.1; done' || return
    wait
    jq_is '.pauses == 1 and .paused_seconds > 0.5' && err_has 'paused: the probe failed' && err_has 'resumed: the probe succeeds again' &&
        records_are started alert alert finished:0
}

probe_gives_up() {
    fresh && guard 10 --probe false --probe-interval 1s --probe-give-up 2s -- sh -c 'touch "$VSCTL_STORE"/x; sleep 1000' &&
        jq_is '.cause == "probe" and .pauses == 1' && went_back
}

# ---- room ----

is_root() {
    mkdir -p "$scratch/small" && mount -t tmpfs tmpfs "$scratch/small" 2>/dev/null && umount "$scratch/small"
}

# on_small FUNCTION: with $store on a file system of 16 MiB.
on_small() {
    local kept=$store
    is_root || { echo "no mounts here" && return 0; }
    fresh && mount -t tmpfs -o size=16m tmpfs "$scratch/small" && store=$scratch/small/store state=$scratch/small/store.vsctl &&
        cp -a "$kept" "$store" && "$@"
    local r=$?
    umount "$scratch/small"
    store=$kept state=$kept.vsctl
    return $r
}

fill='while head -c 100000 /dev/zero >>"$VSCTL_STORE"/ballast; do sleep 0.005; done; exit 4'

# It stops before the last of the room is taken, and nobody makes room.
fills_the_disk() {
    VSCTL_MIN_FREE=4M guard 124 --timeout 5s -- sh -c "$fill" && jq_is '.pauses == 1 and .cause == "time-limit"' && err_has 'paused: ' && went_back &&
        records_are started alert alert failed:124
}

somebody_makes_room() {
    head -c 6000000 /dev/zero >"$scratch/small/other"
    (sleep 3 && rm "$scratch/small/other") &
    VSCTL_MIN_FREE=4M guard 0 --allow errors --timeout 60s -- sh -c 'head -c 5000000 /dev/zero >"$VSCTL_STORE"/ballast; sleep 0.5' || return
    wait
    jq_is '.pauses == 1 and .outcome == "kept" and .paused_seconds > 0.5' && err_has 'resumed: '
}

# Faster than anybody can look, to the last byte: there is a way back all the same.
not_a_byte_left() {
    VSCTL_MIN_FREE=0 guard 10 --timeout 60s -- sh -c 'rm -rf "$VSCTL_STORE"/8ed3f6ad; cat /dev/zero >"$VSCTL_STORE"/ballast; exit 4' && went_back
}

no_room_to_begin() {
    runs 8 guard --min-free 1000T "$store" -- touch "$scratch/ran" && err_has 'of the disk are free' && [ ! -e "$scratch/ran" ] && [ ! -e "$state" ]
}

every_writer_asks_first() {
    fresh && : >"$store/$alpha/00000000.gob"
    local words
    for words in "repair --yes" "snapshot create" "metadata backup" "recover-metadata --yes"; do
        # shellcheck disable=SC2086
        unchanged runs 8 $words --min-free 1000T "$store" && err_has 'of the disk are free' && [ ! -e "$state" ] || return
        # shellcheck disable=SC2086
        unchanged runs 8 $words --max-memory 0 "$store" && err_has 'of the memory is in use' && [ ! -e "$state" ] || return
    done
    runs 8 export --min-free 1000T "$store" "$scratch/export.gob" && [ ! -e "$scratch/export.gob" ] && runs 16 repair --max-memory much "$store" &&
        VSCTL_MIN_FREE=1000T runs 8 repair --yes "$store" && VSCTL_MIN_FREE=1000T runs 0 repair --min-free 0 --dry-run "$store"
    [ $status -eq 4 ] || [ $status -eq 0 ]
}

# ---- words ----

bad_words() {
    fresh && runs 16 guard "$store" && err_has 'guard needs CMD' && runs 16 guard --timeout soon "$store" -- true && runs 16 guard --max-loss 101 "$store" -- true &&
        runs 16 guard --allow loss "$store" -- true && err_has 'collections, errors, vectors' && runs 16 guard --probe-interval -1 "$store" -- true &&
        [ ! -e "$state" ] && runs 8 guard "$scratch/nothing" -- true && unchanged true
}

report_for_people() {
    fresh && runs 11 guard "$store" -- $(migrate lose alpha 51) && first_line 'rolled back: alpha lost 51 of 1000 documents (5.10 %), more than 5 %' &&
        last_line "what the command left is kept; next: vsctl snapshot list $store" && runs 0 guard --quiet "$store" -- $(migrate lose alpha 1) && out_is ''
}

a_log_of_the_run() {
    fresh && runs 11 guard "$store" -- $(migrate lose alpha 51) && grep -q 'INFO started: snapshot ' "$state"/logs/guard_*.log &&
        grep -q 'ERROR failed: rolled back' "$state"/logs/guard_*.log
}

# ---- the page ----

# Every example of vsctl-guard(1), as it stands there but for the path of the store. The programs that it names are made
# for it: each leaves a word behind, and migrate.py and embed-again.py change the store.
examples_of_the_page() {
    local line lines name
    mkdir -p "$scratch/page/bin" && cd "$scratch/page" && ln -sf "$vsctl" bin/vsctl || return
    for name in smoke-test model-answers bin/systemctl; do
        printf '#!/bin/sh\nset -e\n: >%q\n' "$scratch/page/ran.${name#bin/}" >"$name" && chmod +x "$name" || return
    done
    printf '#!/bin/sh\nset -e\n: >ran.migrate.py\n%s\n' "$(migrate gain alpha 3)" >migrate.py && chmod +x migrate.py || return
    printf '#!/bin/sh\nset -e\n: >ran.embed-again.py\n%s\n' "$(migrate halve alpha 1000)" >embed-again.py && chmod +x embed-again.py || return
    mapfile -t lines < <(sed -n '/^\.Sh EXAMPLES/,/^\.Sh SEE/s/^\.Dl //p' "$source/man/vsctl-guard.1" | sed 's/\\-/-/g')
    [ ${#lines[@]} -ge 4 ] || return
    for line in "${lines[@]}"; do
        fresh && rm -f ran.* || return
        PATH=$scratch/page/bin:$PATH sh -c "${line//\/var\/lib\/app\/store/$store}" >"$scratch/out" 2>"$scratch/err" </dev/null ||
            { echo "$line" && cat "$scratch/out" "$scratch/err" && return 1; }
        case $line in
        *--quiet*) out_is '' ;;
        *) grep -q '^kept: ' "$scratch/out" ;;
        esac || { echo "$line" && cat "$scratch/out" && return 1; }
        for name in migrate.py embed-again.py smoke-test model-answers systemctl; do
            [[ $line != *"$name"* || $name = model-answers ]] || [ -e "ran.$name" ] ||
                { echo "$line: $name was not run" && return 1; }
        done
        ! as_before >/dev/null || { echo "$line: nothing was changed" && return 1; }
    done
}

# ---- Chroma ----

# A Chroma store of three collections, of which "docs" has vectors of 12 elements in index and queue.
fresh_chroma() {
    rm -rf "$store" "$store".guard-* "$state" "$scratch/kept-chroma" &&
        tar -C "$scratch" -xJf "$source/tests/data/chroma/stores.tar.xz" base && rm "$scratch/base/expected.json" &&
        mv "$scratch/base" "$store" && cp -a "$store" "$scratch/kept-chroma"
}

chroma_as_before() {
    same "$(digest "$scratch/kept-chroma")" "$(digest "$store")"
}

# write_vector OPERATION VECTOR: a row of the queue, as a client writes it, for the first record of "docs".
write_vector() {
    printf '%s' "INSERT INTO embeddings_queue (operation, topic, id, vector, encoding) SELECT $1,
        'persistent://default/default/' || c.id, e.embedding_id, $2, 'FLOAT32' FROM embeddings e
        JOIN segments s ON s.id = e.segment_id JOIN collections c ON c.id = s.collection
        WHERE c.name = 'docs' AND s.scope = 'METADATA' ORDER BY e.id LIMIT 1"
}

chroma_vectors() {
    local vector
    for vector in 'zeroblob(48)' "zeroblob(44) || x'0000c07f'" 'zeroblob(40)'; do
        fresh_chroma || return
        guard 10 -- sh -c 'sqlite3 "$VSCTL_STORE/chroma.sqlite3" "$1"' sh "$(write_vector 1 "CAST($vector AS BLOB)")" &&
            jq_is '([.cause] | inside(["errors", "vectors", "dimension"])) and ([.collections[] | select(.name == "docs") |
                .unusable_embeddings, .other_dimension] | add) >= 1' && chroma_as_before && continue
        echo "$vector"
        return 1
    done
}

# A vector of the index is set to zeros, which SQLite knows nothing of.
chroma_vector_in_the_index() {
    fresh_chroma && guard 10 -- "$python" "$source/tests/cli/zero-element.py" &&
        jq_is '[.collections[].unusable_embeddings] | add == 1' && chroma_as_before
}

# Other vectors of the same kind are what embedding again is for.
chroma_vectors_again() {
    fresh_chroma && guard 0 -- sh -c 'sqlite3 "$VSCTL_STORE/chroma.sqlite3" "$1"' sh \
        "$(write_vector 1 "(SELECT vector FROM embeddings_queue q WHERE length(q.vector) = 48 ORDER BY seq_id DESC LIMIT 1)")" &&
        jq_is '.outcome == "kept" and ([.collections[].unusable_embeddings] | add) == 0'
}

chroma_records() {
    fresh_chroma && guard 11 -- sh -c 'sqlite3 "$VSCTL_STORE/chroma.sqlite3" "$1"' sh \
        "DELETE FROM embeddings WHERE id IN (SELECT e.id FROM embeddings e LIMIT 4)" && chroma_as_before
}

emptied_chroma() {
    fresh_chroma && guard 10 -- sh -c 'rm -rf "$VSCTL_STORE"/*' && chroma_as_before &&
        jq_is '.cause == "store-lost" and (.message | contains("its directory is empty, and it was a chroma store"))'
}

check "5.0 percent are kept" five_percent_stay
check "5.1 percent are rolled back" a_tenth_more_goes_back
check "a small collection counts by itself" a_small_collection_counts
check "another limit" another_limit
check "gains are no loss" gains_are_no_loss
check "other ids" other_ids
check "a collection under a new name" a_new_name
check "zeroed vectors" zeroed_vectors
check "vectors that are no numbers" vectors_that_are_no_numbers
check "another dimension" another_dimension
check "metadata keys" metadata_keys
check "vectors of a Chroma store" chroma_vectors
check "a vector in the index of a Chroma store" chroma_vector_in_the_index
check "other vectors for a Chroma store" chroma_vectors_again
check "records of a Chroma store" chroma_records
check "a Chroma store that was emptied" emptied_chroma
check "a damaged store" a_damaged_store
check "damage from before" damage_from_before
check "a store made a mess of" a_store_made_a_mess_of
check "a store that is gone" a_store_that_is_gone
check "a store that is something else" a_store_that_is_something_else
check "no way back" no_way_back
check "a check of one's own" an_own_check
check "nothing changes" nothing_changes
check "a crash" a_crash
check "a failure that is kept" failure_that_is_kept
check "a command that is not there" a_command_that_is_not_there
check "a hang" a_hang
check "deaf to every word" deaf_to_every_word
check "gone its own ways" gone_its_own_ways
check "left behind" left_behind
check "input and output" input_and_output
check "signals of the command" signals_of_the_command
check "a signal to the guard" signal_to_the_guard
check "a guard in a guard" a_guard_in_a_guard
check "a vsctl in a guard" a_vsctl_in_a_guard
check "a guard that is killed" a_guard_that_is_killed
check "the next one goes back" the_next_one_goes_back
check "a given snapshot" a_given_snapshot
check "a damaged snapshot" a_damaged_snapshot
check "a probe that succeeds" a_probe
check "a probe pauses and resumes" probe_pauses_and_resumes
check "a probe that gives up" probe_gives_up
check "a command that fills the disk" on_small fills_the_disk
check "somebody makes room" on_small somebody_makes_room
check "not a byte left" on_small not_a_byte_left
check "no room to begin" no_room_to_begin
check "every writer asks first" every_writer_asks_first
check "bad words" bad_words
check "the report for people" report_for_people
check "a log of the run" a_log_of_the_run
check "examples of the page" examples_of_the_page
finish_cli
