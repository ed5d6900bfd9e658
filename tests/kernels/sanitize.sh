#!/bin/sh
# Kernel tests with the extension built for AddressSanitizer and UndefinedBehaviorSanitizer (GCC).
# Usage: tests/kernels/sanitize.sh [pytest arguments]     PYTHON and CC may be set.
# The sources are built in a copy of the package: the tree and its own build stay as they are.
set -eu
python=${PYTHON:-python3}
cc=${CC:-cc}
root=$(cd "$(dirname "$0")/../.." && pwd)
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT

cp -RL "$root/rrelu_compat" "$root/tests" "$root/pyproject.toml" "$copy/"
rm -f "$copy"/rrelu_compat/kernels/_cpu*.so
include=$("$python" -c 'import sysconfig; print(sysconfig.get_paths()["include"])')
"$cc" -shared -fPIC -O1 -g -std=c11 -ffp-contract=off -fno-omit-frame-pointer \
    -fsanitize=address,undefined -fno-sanitize-recover=all \
    -DPy_LIMITED_API=0x030A0000 -I"$include" \
    "$copy"/rrelu_compat/kernels/_cpu*.c -pthread -o "$copy/rrelu_compat/kernels/_cpu.abi3.so"

# Python itself leaks at exit; and its allocator would hide reads beyond small objects.
export ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1
export PYTHONMALLOC=malloc PYTHONPATH="$copy"
LD_PRELOAD="$("$cc" -print-file-name=libasan.so) $("$cc" -print-file-name=libubsan.so)"
export LD_PRELOAD

cd "$copy"
# Only the extension built here may answer, and it must be one with the sanitizer in it.
"$python" - "$copy" <<'CHECK'
import ctypes, sys
from rrelu_compat.kernels import _cpu
assert _cpu.__file__.startswith(sys.argv[1]), _cpu.__file__
assert hasattr(ctypes.CDLL(_cpu.__file__), "__asan_init"), "built without the sanitizer"
CHECK
# -s: reports end the process, and pytest would keep what it captured
# The sanitizer's own allocator is not safe in a child forked while other threads allocate.
"$python" -m pytest -q -s -p no:cacheprovider -k "not numpy" \
    --deselect tests/kernels/test_calls.py::test_fork_while_threads_run tests/kernels "$@"
echo "sanitizers: clean"
