#!/bin/bash
# Drives the fuzz targets: `run` fuzzes each on nightly for FUZZ_SECONDS, `coverage` says what the stored corpus reaches,
# `merge TARGET FOLDER` adds the files of a folder that reach something new.
set -euo pipefail
cd "$(dirname "$0")"

target_dir=${CARGO_TARGET_DIR:-$PWD/../target}
host=$(rustc -vV | sed -n 's/^host: //p')
targets=$(cd libfuzzer/fuzz_targets && ls ./*.rs | sed 's|^\./||; s|\.rs$||')

# The drivers with libFuzzer's instrumentation and AddressSanitizer; what cargo-fuzz does, without the tool.
build() {
    if ! rustc +nightly -V >/dev/null 2>&1; then
        echo "fuzzing needs the nightly toolchain, which is not installed: rustup toolchain install nightly" >&2
        echo "the stored corpus is replayed without it by: cargo test --package fastgate-fuzz" >&2
        exit 1
    fi
    local level='-Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters'
    RUSTFLAGS="-Cpasses=sancov-module $level -Cllvm-args=-sanitizer-coverage-pc-table \
        -Cllvm-args=-sanitizer-coverage-trace-compares -Zsanitizer=address --cfg fuzzing" \
        cargo +nightly build --release --locked --target "$host" \
        --manifest-path libfuzzer/Cargo.toml --target-dir "$target_dir/libfuzzer"
}

driver() {
    echo "$target_dir/libfuzzer/$host/release/$1"
}

# What is found lies outside the repository until it is merged; a failing input is named by libFuzzer.
run() {
    build
    for target in $targets; do
        local found="$target_dir/fuzz-found/$target"
        mkdir -p "$found"
        echo "fuzzing $target for ${FUZZ_SECONDS:-20} s"
        nice "$(driver "$target")" -max_total_time="${FUZZ_SECONDS:-20}" -max_len=4096 -timeout=10 -verbosity=0 \
            -print_final_stats=1 -artifact_prefix="$found-failed-" "$found" "corpus/$target" 2>&1 |
            { grep -Ev '^INFO|^"|NEW_FUNC|dictionary|stat::(new_units|slowest|peak)' || true; }
    done
}

merge() {
    build
    mkdir -p "$target_dir/fuzz-found"
    nice "$(driver "$1")" -set_cover_merge=1 -artifact_prefix="$target_dir/fuzz-found/$1-failed-" "corpus/$1" "$2"
}

# The same compiler that built the code brings the tools that read its profile.
coverage() {
    local tools
    tools=$(rustc --print sysroot)/lib/rustlib/$host/bin
    if ! [ -x "$tools/llvm-cov" ]; then
        echo "coverage needs the component llvm-tools, which is not installed: rustup component add llvm-tools" >&2
        exit 1
    fi
    local dir=$target_dir/fuzz-coverage binary
    rm -rf "$dir/profiles"
    # Not optimised, so that inlining hides no region.
    export RUSTFLAGS='-Cinstrument-coverage' CARGO_PROFILE_DEV_OPT_LEVEL=0 LLVM_PROFILE_FILE="$dir/profiles/%p-%m.profraw"
    cargo test --quiet --package fastgate-fuzz --locked --target-dir "$dir" --test replay >&2
    binary=$(cargo test --package fastgate-fuzz --locked --target-dir "$dir" --test replay --no-run --message-format=json 2>/dev/null |
        sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)
    "$tools/llvm-profdata" merge -sparse "$dir"/profiles/*.profraw -o "$dir/fuzz.profdata"
    local least=${FUZZ_COVERAGE:-95}
    "$tools/llvm-cov" report "$binary" -instr-profile="$dir/fuzz.profdata" ../core/src/http1 ../core/src/websocket | tee "$dir/report.txt"
    "$tools/llvm-cov" show "$binary" -instr-profile="$dir/fuzz.profdata" ../core/src/http1 ../core/src/websocket \
        --show-regions >"$dir/regions.txt"
    awk -v least="$least" '$1 == "TOTAL" { seen = 1; sub("%", "", $4); if ($4 + 0 < least) {
        printf "the corpus reaches %s %% of the codec'\''s regions, at least %s %% are asked for\n", $4, least; exit 1 } }
        END { if (!seen) { print "nothing was measured"; exit 1 } }' "$dir/report.txt"
}

case ${1:-} in
    run | coverage) "$1" ;;
    merge) merge "${2:?a target}" "${3:?a folder}" ;;
    *) echo "usage: fuzz.sh run | coverage | merge TARGET FOLDER" >&2; exit 2 ;;
esac
