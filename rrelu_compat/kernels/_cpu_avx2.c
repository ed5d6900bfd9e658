/* The AVX2 path (with F16C, which every processor with AVX2 has; checked all the same). */
#include "_cpu.h"

#if RR_X86
#include <cpuid.h>
#include <immintrin.h>

#define TARGET __attribute__((target("avx2,f16c")))
#define INLINE static inline __attribute__((always_inline)) TARGET

/* Not every compiler's __builtin_cpu_supports knows "f16c". That the operating system keeps the registers is
 * part of "avx2". */
static int usable(void)
{
    unsigned a, b, c, d;
    return __builtin_cpu_supports("avx2") && __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}

#define SET(x) _mm256_set1_epi64x((long long)(x))
#define XOR(a, b) _mm256_xor_si256((a), (b))
#define HIGH(x) _mm256_shuffle_epi32((x), 0xF5)
#define SWAP(x) _mm256_shuffle_epi32((x), 0xB1)

/* Sets of 16 elements in flight. Measured at 2**14 float32: 0.85 ns per element with two, 0.73 with four,
 * 0.69 with six; keys widened in memory beforehand make no difference. */
#define SETS 4
#define EACH for (s = 0; s < sets; s++)

typedef struct {
    __m256i lo, hi; /* 16 words: elements 0..7 and 8..15, or as BLOCKS_BY_PARITY says */
} words16;

/* as in _cpu_avx512.c */
#define BLOCKS_IN_ORDER _mm256_setr_epi64x(0, 2, 1, 3)
#define BLOCKS_BY_PARITY _mm256_setr_epi64x(0, 1, 2, 3)

/* SETS times four blocks, one in each 64-bit lane; only the low 32 bits count until the end. */
INLINE void philox16(const rr_run *r, __m256i counter, words16 *w, int sets)
{
    const __m256i m0 = SET(RR_PHILOX_M0), m1 = SET(RR_PHILOX_M1), low = SET(0xFFFFFFFFu);
    __m256i c0[SETS], c1[SETS], c2[SETS], c3[SETS], p0[SETS], p1[SETS];
    int i, s;
    /* rounds 1 to 3 as folded by rr_run_init */
    EACH p0[s] = _mm256_mul_epu32(_mm256_add_epi64(counter, SET(4 * s)), m0);
    EACH c2[s] = XOR(HIGH(p0[s]), SET(r->c3k1));
    EACH p1[s] = _mm256_mul_epu32(c2[s], m1);
    EACH c0[s] = XOR(HIGH(p1[s]), SET(r->c1k0));
    EACH c1[s] = p1[s];
    EACH c2[s] = XOR(p0[s], SET(r->p0k1));
    EACH p1[s] = _mm256_mul_epu32(c2[s], m1);
    EACH p0[s] = _mm256_mul_epu32(c0[s], m0);
    EACH c0[s] = XOR(HIGH(p1[s]), XOR(c1[s], SET(r->k0[2])));
    EACH c1[s] = p1[s];
    EACH c2[s] = XOR(HIGH(p0[s]), SET(r->p0lok1));
    EACH c3[s] = p0[s];
#pragma GCC unroll 8
    for (i = 3; i < RR_PHILOX_ROUNDS - 1; i++) {
        EACH p1[s] = _mm256_mul_epu32(c2[s], m1);
        EACH p0[s] = _mm256_mul_epu32(c0[s], m0);
        EACH c0[s] = XOR(HIGH(p1[s]), XOR(c1[s], SET(r->k0[i])));
        EACH c1[s] = p1[s];
        EACH c2[s] = XOR(HIGH(p0[s]), XOR(c3[s], SET(r->k1[i])));
        EACH c3[s] = p0[s];
    }
    EACH p1[s] = _mm256_mul_epu32(c2[s], m1);
    EACH p0[s] = _mm256_mul_epu32(c0[s], m0);
    EACH c1[s] = XOR(_mm256_and_si256(c1[s], low), SET(r->k0[9]));
    EACH c3[s] = XOR(_mm256_and_si256(c3[s], low), SET(r->k1[9]));
    EACH c0[s] = XOR(SWAP(p1[s]), c1[s]);
    EACH c2[s] = XOR(SWAP(p0[s]), c3[s]);
    EACH w[s].lo = _mm256_unpacklo_epi64(c0[s], c2[s]);
    EACH w[s].hi = _mm256_unpackhi_epi64(c0[s], c2[s]);
}

INLINE __m256 slopes_f32(const rr_params *p, __m256i w)
{
    const __m256 u = _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_srli_epi32(w, 8)),
                                   _mm256_set1_ps(RR_UNIT_F32));
    const __m256 s = _mm256_add_ps(_mm256_set1_ps(p->bounds.lower_f32),
                                   _mm256_mul_ps(_mm256_set1_ps(p->bounds.width_f32), u));
    return _mm256_min_ps(s, _mm256_set1_ps(p->bounds.upper_f32)); /* s < upper ? s : upper */
}

/* w holds words with the top bit flipped: signed integers 2**31 too small */
INLINE __m256d slopes_f64(const rr_params *p, __m128i w)
{
    const __m256d r = _mm256_add_pd(_mm256_cvtepi32_pd(w), _mm256_set1_pd(2147483648.0));
    const __m256d u = _mm256_mul_pd(r, _mm256_set1_pd(RR_UNIT_F64));
    const __m256d s = _mm256_add_pd(_mm256_set1_pd(p->bounds.lower_f64),
                                    _mm256_mul_pd(_mm256_set1_pd(p->bounds.width_f64), u));
    return _mm256_min_pd(s, _mm256_set1_pd(p->bounds.upper_f64));
}

INLINE __m256 scaled_f32(const rr_params *p, __m256 x, __m256i w, int source)
{
    const __m256 a = source == RR_SAME ? _mm256_set1_ps(p->bounds.upper_f32) : slopes_f32(p, w);
    return _mm256_mul_ps(a, x);
}

/* A step treats 16 elements; pass comes in (backward) or is made and returned (forward). */
#define STEP_ARGS const rr_params *p, const char *in, char *out, unsigned pass, words16 w, int op, int source

INLINE unsigned step_f32(STEP_ARGS)
{
    const __m256i bit = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    unsigned made = 0;
    int i;
#pragma GCC unroll 2
    for (i = 0; i < 2; i++) {
        const __m256 x = _mm256_loadu_ps((const float *)(in + 32 * i));
        __m256 m;
        if (op == RR_FORWARD) {
            m = _mm256_cmp_ps(x, _mm256_setzero_ps(), _CMP_GE_OQ);
            made |= (unsigned)_mm256_movemask_ps(m) << 8 * i;
        } else {
            const __m256i b = _mm256_set1_epi32((int)(pass >> 8 * i));
            m = _mm256_castsi256_ps(_mm256_cmpeq_epi32(_mm256_and_si256(b, bit), bit));
        }
        _mm256_storeu_ps((float *)(out + 32 * i),
                         _mm256_blendv_ps(scaled_f32(p, x, i ? w.hi : w.lo, source), x, m));
    }
    return made;
}

INLINE unsigned step_f64(STEP_ARGS)
{
    const __m256i bit = _mm256_setr_epi64x(1, 2, 4, 8);
    unsigned made = 0;
    int i;
#pragma GCC unroll 4
    for (i = 0; i < 4; i++) {
        const __m256d x = _mm256_loadu_pd((const double *)(in + 32 * i));
        const __m256i flipped = XOR(i < 2 ? w.lo : w.hi, _mm256_set1_epi32((int)0x80000000u));
        const __m128i half = i % 2 ? _mm256_extracti128_si256(flipped, 1) : _mm256_castsi256_si128(flipped);
        const __m256d a = source == RR_SAME ? _mm256_set1_pd(p->bounds.upper_f64) : slopes_f64(p, half);
        __m256d m;
        if (op == RR_FORWARD) {
            m = _mm256_cmp_pd(x, _mm256_setzero_pd(), _CMP_GE_OQ);
            made |= (unsigned)_mm256_movemask_pd(m) << 4 * i;
        } else {
            const __m256i b = SET(pass >> 4 * i);
            m = _mm256_castsi256_pd(_mm256_cmpeq_epi64(_mm256_and_si256(b, bit), bit));
        }
        _mm256_storeu_pd((double *)(out + 32 * i), _mm256_blendv_pd(_mm256_mul_pd(a, x), x, m));
    }
    return made;
}

/* x >= 0 on the bits of a half type (+0 up to infinity, and -0), or the given bits, as a mask */
INLINE __m256i mask_half(__m256i x, short infinity, unsigned pass, int op)
{
    if (op == RR_FORWARD)
        return _mm256_or_si256(
            _mm256_cmpeq_epi16(_mm256_min_epu16(x, _mm256_set1_epi16(infinity)), x),
            _mm256_cmpeq_epi16(x, _mm256_set1_epi16((short)0x8000)));
    {
        const __m256i bit = _mm256_setr_epi16(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192,
                                              16384, (short)0x8000);
        return _mm256_cmpeq_epi16(_mm256_and_si256(_mm256_set1_epi16((short)pass), bit), bit);
    }
}

INLINE unsigned bits_of_mask(__m256i m)
{
    const __m128i bytes = _mm_packs_epi16(_mm256_castsi256_si128(m), _mm256_extracti128_si256(m, 1));
    return (unsigned)_mm_movemask_epi8(bytes);
}

/* see _cpu_avx512.c on NaN */
INLINE __m256i round_bf16(__m256 y)
{
    const __m256i u = _mm256_castps_si256(y);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(1));
    return _mm256_srli_epi32(_mm256_add_epi32(_mm256_add_epi32(u, _mm256_set1_epi32(0x7FFF)), odd), 16);
}

INLINE unsigned step_bf16(STEP_ARGS)
{
    const __m256i zero = _mm256_setzero_si256();
    const __m256i x = _mm256_loadu_si256((const __m256i *)in);
    const __m256 x0 = _mm256_castsi256_ps(_mm256_unpacklo_epi16(zero, x));
    const __m256 x1 = _mm256_castsi256_ps(_mm256_unpackhi_epi16(zero, x));
    const __m256i m = mask_half(x, 0x7F80, pass, op);
    const __m256i y = _mm256_packus_epi32(round_bf16(scaled_f32(p, x0, w.lo, source)),
                                          round_bf16(scaled_f32(p, x1, w.hi, source)));
    _mm256_storeu_si256((__m256i *)out, _mm256_blendv_epi8(y, x, m));
    return op == RR_FORWARD ? bits_of_mask(m) : 0;
}

INLINE unsigned step_f16(STEP_ARGS)
{
    const __m256i x = _mm256_loadu_si256((const __m256i *)in);
    const __m256 x0 = _mm256_cvtph_ps(_mm256_castsi256_si128(x));
    const __m256 x1 = _mm256_cvtph_ps(_mm256_extracti128_si256(x, 1));
    const __m256i m = mask_half(x, 0x7C00, pass, op);
    const __m128i y0 = _mm256_cvtps_ph(scaled_f32(p, x0, w.lo, source), _MM_FROUND_TO_NEAREST_INT);
    const __m128i y1 = _mm256_cvtps_ph(scaled_f32(p, x1, w.hi, source), _MM_FROUND_TO_NEAREST_INT);
    const __m256i y = _mm256_inserti128_si256(_mm256_castsi128_si256(y0), y1, 1);
    _mm256_storeu_si256((__m256i *)out, _mm256_blendv_epi8(y, x, m));
    return op == RR_FORWARD ? bits_of_mask(m) : 0;
}

INLINE unsigned step(STEP_ARGS, int dtype)
{
    switch (dtype) {
    case RR_F16: return step_f16(p, in, out, pass, w, op, source);
    case RR_BF16: return step_bf16(p, in, out, pass, w, op, source);
    case RR_F32: return step_f32(p, in, out, pass, w, op, source);
    default: return step_f64(p, in, out, pass, w, op, source);
    }
}

/* 16 words from memory, in the order that the step of dtype wants */
INLINE words16 load_words(const uint32_t *words, int dtype)
{
    const __m256i a = _mm256_loadu_si256((const __m256i *)words);
    const __m256i b = _mm256_loadu_si256((const __m256i *)(words + 8));
    words16 w = {a, b};
    if (dtype == RR_BF16) {
        w.lo = _mm256_permute2x128_si256(a, b, 0x20);
        w.hi = _mm256_permute2x128_si256(a, b, 0x31);
    }
    return w;
}

/* One turn of the loop. */
INLINE void steps(const rr_params *p, const rr_run *r, __m256i counter, const char *from, char *to,
                  uint8_t *bits, const uint32_t *words, int dtype, int op, int source, int sets)
{
    const size_t bytes = 16 * rr_sizes[dtype];
    words16 w[SETS];
    uint16_t pass[SETS] = {0};
    int s;
    if (source == RR_PHILOX) philox16(r, counter, w, sets);
    if (source == RR_WORDS) EACH w[s] = load_words(words + 16 * s, dtype);
    if (source == RR_SAME) EACH w[s].lo = w[s].hi = _mm256_setzero_si256();
    if (op == RR_BACKWARD) memcpy(pass, bits, 2 * (size_t)sets);
    EACH {
        pass[s] = (uint16_t)step(p, from, to, pass[s], w[s], op, source, dtype);
        from += bytes;
        to += bytes;
    }
    if (op == RR_FORWARD && bits) memcpy(bits, pass, 2 * (size_t)sets);
}

/* Fewer than 16 elements: a whole step on copies. */
INLINE void rest(const rr_params *p, const rr_run *r, __m256i counter, size_t n, const char *from, char *to,
                 uint8_t *bits, const uint32_t *words, int dtype, int op, int source)
{
    const size_t bytes = n * rr_sizes[dtype];
    char x[16 * 8] = {0};
    uint32_t w[16] = {0};
    uint16_t pass = 0;
    memcpy(x, from, bytes);
    if (source == RR_WORDS) memcpy(w, words, n * sizeof *w);
    if (op == RR_BACKWARD) memcpy(&pass, bits, (n + 7) / 8);
    steps(p, r, counter, x, x, (uint8_t *)&pass, w, dtype, op, source, 1);
    pass &= (uint16_t)(0xFFFFu >> (16 - n));
    if (op == RR_FORWARD && bits) memcpy(bits, &pass, (n + 7) / 8);
    memcpy(to, x, bytes);
}

INLINE void walk(const rr_params *p, size_t n, const void *in, void *out, uint8_t *bits, uint64_t block,
                 const uint32_t *words, int dtype, int op, int source)
{
    const size_t size = rr_sizes[dtype];
    const char *from = in;
    char *to = out;
    __m256i counter =
        _mm256_add_epi64(SET(block), dtype == RR_BF16 ? BLOCKS_BY_PARITY : BLOCKS_IN_ORDER);
    rr_run r;
    if (source == RR_PHILOX) rr_run_init(&r, p, (uint32_t)((block & RR_BLOCK_MASK) >> 32));
    while (n >= 16) {
        const int sets = n >= 16 * SETS ? SETS : 1;
        const size_t m = 16 * (size_t)sets;
        if (sets == SETS)
            steps(p, &r, counter, from, to, bits, words, dtype, op, source, SETS);
        else
            steps(p, &r, counter, from, to, bits, words, dtype, op, source, 1);
        counter = _mm256_add_epi64(counter, SET(4 * sets));
        if (source == RR_WORDS) words += m;
        if (bits) bits += m / 8;
        from += m * size;
        to += m * size;
        n -= m;
    }
    if (n) rest(p, &r, counter, n, from, to, bits, words, dtype, op, source);
}

static TARGET void words(const rr_params *p, size_t blocks, uint32_t *out, uint64_t block)
{
    __m256i counter = _mm256_add_epi64(SET(block), BLOCKS_IN_ORDER);
    rr_run r;
    size_t done;
    rr_run_init(&r, p, (uint32_t)((block & RR_BLOCK_MASK) >> 32));
    for (done = 0; done < blocks; done += 4 * SETS, out += 16 * SETS) {
        words16 w[SETS];
        int s;
        philox16(&r, counter, w, SETS);
        for (s = 0; s < SETS; s++) {
            _mm256_storeu_si256((__m256i *)(out + 16 * s), w[s].lo);
            _mm256_storeu_si256((__m256i *)(out + 16 * s + 8), w[s].hi);
        }
        counter = _mm256_add_epi64(counter, SET(4 * SETS));
    }
}

/* One index in each 64-bit lane: a quarter of the blocks' words are used. */
INLINE void words_at_many(const rr_params *p, const uint64_t *index, uint32_t *out)
{
    const __m256i m0 = SET(RR_PHILOX_M0), m1 = SET(RR_PHILOX_M1);
    __m256i at[SETS], c0[SETS], c1[SETS], c2[SETS], c3[SETS], p0[SETS], p1[SETS];
    const int sets = SETS;
    int i, s;
    EACH at[s] = _mm256_loadu_si256((const __m256i *)(index + 4 * s));
    EACH c0[s] = _mm256_srli_epi64(at[s], 2);
    EACH c1[s] = _mm256_srli_epi64(at[s], 34);
    EACH c2[s] = SET((uint32_t)p->call);
    EACH c3[s] = SET(p->call >> 32);
#pragma GCC unroll 10
    for (i = 0; i < RR_PHILOX_ROUNDS; i++) {
        EACH p1[s] = _mm256_mul_epu32(c2[s], m1);
        EACH p0[s] = _mm256_mul_epu32(c0[s], m0);
        EACH c0[s] = XOR(HIGH(p1[s]), XOR(c1[s], SET(p->k0[i])));
        EACH c1[s] = p1[s];
        EACH c2[s] = XOR(HIGH(p0[s]), XOR(c3[s], SET(p->k1[i])));
        EACH c3[s] = p0[s];
    }
    EACH {
        /* blends look at the highest bit of each lane */
        const __m256d odd = _mm256_castsi256_pd(_mm256_slli_epi64(at[s], 63));
        const __m256d upper = _mm256_castsi256_pd(_mm256_slli_epi64(at[s], 62));
        const __m256d first =
            _mm256_blendv_pd(_mm256_castsi256_pd(c0[s]), _mm256_castsi256_pd(c1[s]), odd);
        const __m256d second =
            _mm256_blendv_pd(_mm256_castsi256_pd(c2[s]), _mm256_castsi256_pd(c3[s]), odd);
        const __m256i word = _mm256_castpd_si256(_mm256_blendv_pd(first, second, upper));
        /* the low halves of the four lanes, next to each other */
        const __m256i near = _mm256_permute4x64_epi64(_mm256_shuffle_epi32(word, 0x08), 0x08);
        _mm_storeu_si128((__m128i *)(out + 4 * s), _mm256_castsi256_si128(near));
    }
}

static TARGET void words_at(const rr_params *p, size_t n, const uint64_t *index, uint32_t *out)
{
    enum { MANY = 4 * SETS };
    uint64_t last[MANY] = {0};
    uint32_t made[MANY];
    for (; n >= MANY; n -= MANY, index += MANY, out += MANY) words_at_many(p, index, out);
    memcpy(last, index, n * sizeof *index);
    if (n) words_at_many(p, last, made);
    memcpy(out, made, n * sizeof *out);
}

#define KERNEL_TARGET TARGET
#include "_cpu_table.h"

const rr_path rr_path_avx2 = {"avx2", usable, 1 << 17, words, words_at, RR_TABLES};
#else
typedef int rr_avx2_not_here;
#endif
