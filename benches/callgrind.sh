#!/bin/sh
# Instructions per token event of our client, and the functions that take most
# of them, counted by valgrind's callgrind. Counting does not depend on what
# else the machine does. Two lengths of the same run are subtracted, so that
# set-up and whatever is done once per request cancel.
#
#   benches/callgrind.sh [CASE...]     default: one case of each way
#
# Environment: TOKENS (tokens of the longer run's answers, 200; the shorter
# run's are half), STREAMS (8), GAP_US (10000), FUNCTIONS (5), PROGRAM (the benchmark, if it is
# built already).
#
# Few streams, because the client runs some 50 times slower: each token is to
# find it waiting, as on a machine that keeps up.
set -eu

cases=${*:-http-paced grpc-paced grpc-paced-8k tis-paced ensemble-paced}
tokens=${TOKENS:-200}
streams=${STREAMS:-8}
half=$((tokens / 2))
functions=${FUNCTIONS:-5}
cd "$(dirname "$0")/.."

command -v valgrind >/dev/null || {
    echo "valgrind is not installed" >&2
    exit 2
}
program=${PROGRAM:-$(cargo bench --bench events --no-run --message-format=json 2>/dev/null |
    sed -n 's/.*"name":"events".*"executable":"\([^"]*\)".*/\1/p')}
test -n "$program" || {
    echo "cargo bench --bench events --no-run failed" >&2
    exit 2
}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# count CASE TOKENS FILE: "INSTRUCTIONS FUNCTION" for each function
count() {
    valgrind --tool=callgrind --callgrind-out-file="$3.out" --quiet "$program" \
        --once --unpinned --case "$1" --tokens "$2" --streams "$streams" \
        --gap-us "${GAP_US:-10000}" >"$3.said" 2>&1 || {
        cat "$3.said" >&2
        exit 2
    }
    callgrind_annotate --threshold=100 --auto=no "$3.out" |
        sed -n 's/^ *\([0-9,]*\) *([ 0-9.]*%) *\(.*\)$/\1 \2/p' |
        sed 's/^\([0-9,]*\) [^ :]*:\([^ ].*\)$/\1 \2/; s/ \[[^]]*\]$//' |
        awk '{ n = $1; gsub(",", "", n); $1 = ""; print n $0 }' >"$3"
}

for case in $cases; do
    count "$case" "$half" "$folder/short"
    count "$case" "$tokens" "$folder/long"
    awk -v events=$(((tokens - half) * streams)) -v most="$functions" -v case="$case" '
        { n = $1; $1 = ""; name = substr($0, 2) }
        name ~ /PROGRAM TOTALS/ { total += FNR == NR ? -n : n; next }
        { cost[name] += FNR == NR ? -n : n }
        END {
            printf "%s: %.0f instructions per event\n", case, total / events
            for (at = 0; at < most; at++) {
                best = ""
                for (name in cost) if (best == "" || cost[name] > cost[best]) best = name
                printf "  %8.0f  %4.1f %%  %s\n", cost[best] / events, 100 * cost[best] / total, best
                delete cost[best]
            }
        }' "$folder/short" "$folder/long"
done
