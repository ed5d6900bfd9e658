/* Shared by the C files of the CPU extension. None of it knows about Python but _cpu_module.c. */
#ifndef RRELU_COMPAT_CPU_H
#define RRELU_COMPAT_CPU_H

#include <float.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "rrelu.h"

#if defined(FLT_EVAL_METHOD) && FLT_EVAL_METHOD != 0 && FLT_EVAL_METHOD != 16
#error "intermediate results in a wider type break the definition's rounding; NumPy serves here"
#endif

#if defined(__FAST_MATH__) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__)
#error "-ffast-math and -ffinite-math-only give other bits: build with -fno-fast-math -fno-finite-math-only"
#endif

#if (defined(__GNUC__) || defined(__clang__)) && defined(__x86_64__)
#define RR_X86 1
#else
#define RR_X86 0
#endif

#if (defined(__GNUC__) || defined(__clang__)) && !defined(_WIN32)
#define RR_THREADS 1
#else
#define RR_THREADS 0
#endif

#if defined(__GNUC__) || defined(__clang__)
#define RR_NOINLINE __attribute__((noinline))
#define RR_PREFETCH(address, write) __builtin_prefetch((address), (write))
#else
#define RR_NOINLINE
#define RR_PREFETCH(address, write) ((void)0)
#endif

/* What one call keeps constant. */
typedef struct {
    uint64_t seed, call;
    uint32_t k0[RR_PHILOX_ROUNDS], k1[RR_PHILOX_ROUNDS]; /* the key of every round */
    rr_bounds bounds;
    int same_f32, same_f64; /* one slope for all (evaluation): no random words */
} rr_params;

/* Philox with the first two rounds folded, for blocks that share the high counter word: there the
 * call and the high word are constant, and so are half of the products. 64-bit, because the vector
 * paths keep 32-bit words in 64-bit lanes. */
typedef struct {
    uint64_t c3k1;              /* round 1: c3 ^ k1 */
    uint64_t c1k0, p0k1, p0lok1; /* round 2: c1 ^ k0, high(p0) ^ k1; round 3: low(p0) ^ k1 */
    uint64_t k0[RR_PHILOX_ROUNDS], k1[RR_PHILOX_ROUNDS];
} rr_run;

/* Sets this thread's floating-point mode to the definition's and returns what it was before; puts that back.
 * All arithmetic stands between the two, in every thread. */
uint64_t rr_float_mode_default(void);
void rr_float_mode_restore(uint64_t before);

void rr_params_init(rr_params *p, uint64_t seed, uint64_t call, double lower, double upper);
void rr_run_init(rr_run *r, const rr_params *p, uint32_t high);

enum { RR_FORWARD = 0, RR_BACKWARD = 1, RR_OPS = 2 };
/* where slopes come from: made in the loop, from words in memory, one for all */
enum { RR_PHILOX = 0, RR_WORDS = 1, RR_SAME = 2, RR_SOURCES = 3 };

/* n contiguous elements from in to out (which may be the same). Forward writes bits (unless NULL),
 * backward reads them. RR_PHILOX starts at block, and the high word of the block number must not
 * change on the way; RR_WORDS takes word k for element k. */
typedef void rr_kernel(const rr_params *p, size_t n, const void *in, void *out, uint8_t *bits,
                       uint64_t block, const uint32_t *words);

/* Makes the words of some blocks, and up to RR_SPILL words beyond them. */
#define RR_SPILL 128
typedef void rr_words_fn(const rr_params *p, size_t blocks, uint32_t *words, uint64_t block);

/* The words of n elements of any indices. */
typedef void rr_words_at_fn(const rr_params *p, size_t n, const uint64_t *index, uint32_t *words);

typedef struct {
    const char *name;
    int (*usable)(void);
    /* A thread costs tens of microseconds to start and join; fewer elements than this are not worth one
     * that has to be made. */
    size_t per_thread;
    rr_words_fn *words;
    rr_words_at_fn *words_at;
    rr_kernel *kernel[RR_DTYPES][RR_OPS][RR_SOURCES];
} rr_path;

extern const rr_path rr_path_c;
#if RR_X86
extern const rr_path rr_path_avx2, rr_path_avx512;
#endif

static const size_t rr_sizes[RR_DTYPES] = {2, 2, 4, 8};

/* n contiguous elements whose indices run from index upwards. */
void rr_contiguous(const rr_path *path, const rr_params *p, int op, int dtype, size_t n,
                   const void *in, void *out, uint8_t *bits, uint64_t index);

/* Contiguous work is split at multiples of this: whole bytes of bits, and whole vectors. */
#define RR_GROUP 64

/* Words of n consecutive indices; the first stands at the returned address, within the buffer given, which
 * has room for n + 4 + RR_SPILL. */
const uint32_t *rr_consecutive_words(const rr_path *path, const rr_params *p, size_t n, uint64_t index,
                                     uint32_t *buffer);

#define RR_MAX_DIMS 64

/* One call of any form. in may be NULL: then out receives the slopes themselves. */
typedef struct {
    const rr_path *path;
    rr_params params;
    int op, dtype;
    const char *in;
    char *out;
    uint8_t *bits;
    uint64_t start;
    size_t n;
    int dims; /* -1: contiguous, with no shape or strides */
    size_t shape[RR_MAX_DIMS];
    /* in elements; negative ones as in two's complement, because indices wrap at 2**64 */
    uint64_t in_strides[RR_MAX_DIMS], out_strides[RR_MAX_DIMS], index_strides[RR_MAX_DIMS];
    /* filled in on the way */
    int c_order;          /* indices count up with positions */
    int fast, whole_rows; /* tiles: see _cpu_tiled.c */
    size_t tile_rows, tile_columns, row_tiles, column_tiles, tiles;
} rr_job;

void rr_execute(rr_job *job, long long threads);

/* Runs work(data) on that many threads, the caller among them, and returns when all are done: what GNU's
 * OpenMP exports as GOMP_parallel. */
typedef void rr_team(void (*work)(void *), void *data, unsigned threads, unsigned flags);

/* Large calls run on this from now on; NULL: on threads of their own. */
void rr_use_team(rr_team *team);

#endif
