#!/bin/sh
# Looks for memory errors: the tests under AddressSanitizer, then the interpreter's and the AVX2 backend's under valgrind.
#
#     tools/memory.sh [asan|valgrind]        both without an argument
#
# Nothing but stable Rust is installed for it: RUSTC_BOOTSTRAP lets the stable compiler take the flag. AddressSanitizer sees what Rust code does, not what
# native code of ours does; valgrind sees that too, but knows no AVX-512 (3.19), so a CPU looks to it as if it had AVX2 at most. What native code touches
# with AVX-512 is bounded by inaccessible pages in tests/native.rs. Each tool has a target directory of its own. Ends with `memory: no errors`.
set -eu
cd "$(dirname "$0")/.."
what=${1:-both}
target=${CARGO_TARGET_DIR:-target}
# A few hundred random graphs: these tools take 10 to 50 times the time.
cases=${TAPELESS_CASES:-300}

if [ "$what" != valgrind ]; then
    echo "== AddressSanitizer"
    asan() {
        RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address TAPELESS_CASES=$cases CARGO_TARGET_DIR=$target/asan cargo test --release --target x86_64-unknown-linux-gnu "$@"
    }
    asan --test agreement --test rows --test arrow --test bad_input --test threads --test non_finite --test deep --test fuzz_finds --test language
    # Left out: a count of the process's own pages, which the sanitizer's grow beside, and a process without open files, where it can't look for leaks.
    asan --test native -- --skip ten_thousand_programs_leave_no_pages --skip without_executable_pages
    # The tests of batches leak their columns on purpose.
    asan --test fitting -- --skip batches::
    ASAN_OPTIONS=detect_leaks=0 asan --test fitting batches::
fi

if [ "$what" != asan ]; then
    echo "== valgrind $(valgrind --version)"
    # `target-cpu` stays the baseline, so that no AVX-512 is in the tests themselves.
    binaries=$(CARGO_TARGET_DIR=$target cargo test --release --no-run --test native --test agreement --test language 2>&1 | sed -n 's/.*Executable.*(\(.*\))$/\1/p')
    [ "$(echo "$binaries" | wc -l)" = 3 ]
    for backend in interp avx2; do
        for binary in $binaries; do
            echo "== $backend $binary"
            case $binary in
            # The others need AVX-512, start processes, count pages, or set the rounding mode, which valgrind takes for the nearest. It compares NaN wrong, so there is none.
            *native-*) set -- --test-threads=1 no_access ;;
            # What takes minutes here; large matrices and long columns take hours.
            *language-*) set -- --test-threads=1 constraints:: labels:: structure:: ;;
            *) set -- ;;
            esac
            # Sums are NaN or not by what went in, never by what was there before: errors are uninitialised decisions, invalid reads and writes, bad frees.
            TAPELESS_GENTLE=1 TAPELESS_BACKEND=$backend TAPELESS_CASES=$((cases / 10)) valgrind --quiet --error-exitcode=9 --leak-check=no --num-callers=30 "$binary" "$@"
        done
    done
fi
echo "memory: no errors"
