/* The AVX-512 path (F, BW and VL). */
#include "_cpu.h"

#if RR_X86
#include <immintrin.h>

#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl")))
#define INLINE static inline __attribute__((always_inline)) TARGET

static int usable(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl");
}

#define SET(x) _mm512_set1_epi64((long long)(x))
#define XOR3(a, b, c) _mm512_ternarylogic_epi64((a), (b), (c), 0x96)
/* The high halves, to where the low halves were. A shuffle: shifts share a port with multiplications. */
#define HIGH(x) _mm512_shuffle_epi32((x), (_MM_PERM_ENUM)0xF5)
#define SWAP(x) _mm512_shuffle_epi32((x), (_MM_PERM_ENUM)0xB1)

/* Sets of 32 elements in flight. Measured at 2**14 float32: 0.34 ns per element with two, 0.23 with four,
 * 0.20 with six (as many as the registers hold), 0.22 with eight. */
#define SETS 6
#define EACH for (s = 0; s < sets; s++)

typedef struct {
    __m512i lo, hi; /* 32 words: elements 0..15 and 16..31, or as BLOCKS_BY_PARITY says */
} words32;

/* Which block each 64-bit lane counts. The unpacking at the end of philox32 puts even lanes into lo and
 * odd lanes into hi, so this order makes both run through the elements in order ... */
#define BLOCKS_IN_ORDER _mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7)
/* ... and this one puts even blocks into lo and odd blocks into hi, as unpacking halves does. */
#define BLOCKS_BY_PARITY _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7)

/* SETS times eight blocks, one in each 64-bit lane. A multiplication reads the low 32 bits of its lanes
 * only, so what stands above them may be anything until the end. The sets go side by side through every
 * round: one chain of multiplications alone leaves the processor waiting. */
INLINE void philox32(const rr_run *r, __m512i counter, words32 *w, int sets)
{
    const __m512i m0 = SET(RR_PHILOX_M0), m1 = SET(RR_PHILOX_M1), low = SET(0xFFFFFFFFu);
    __m512i c0[SETS], c1[SETS], c2[SETS], c3[SETS], p0[SETS], p1[SETS];
    int i, s;
    /* rounds 1 and 2, folded by rr_run_init */
    EACH p0[s] = _mm512_mul_epu32(_mm512_add_epi64(counter, SET(8 * s)), m0);
    EACH c2[s] = _mm512_xor_si512(HIGH(p0[s]), SET(r->c3k1));
    EACH p1[s] = _mm512_mul_epu32(c2[s], m1);
    EACH c0[s] = _mm512_xor_si512(HIGH(p1[s]), SET(r->c1k0));
    EACH c1[s] = p1[s];
    EACH c2[s] = _mm512_xor_si512(p0[s], SET(r->p0k1));
    /* round 3: low(p0) of round 2 is constant */
    EACH p1[s] = _mm512_mul_epu32(c2[s], m1);
    EACH p0[s] = _mm512_mul_epu32(c0[s], m0);
    EACH c0[s] = XOR3(HIGH(p1[s]), c1[s], SET(r->k0[2]));
    EACH c1[s] = p1[s];
    EACH c2[s] = _mm512_xor_si512(HIGH(p0[s]), SET(r->p0lok1));
    EACH c3[s] = p0[s];
#pragma GCC unroll 8
    for (i = 3; i < RR_PHILOX_ROUNDS - 1; i++) {
        EACH p1[s] = _mm512_mul_epu32(c2[s], m1);
        EACH p0[s] = _mm512_mul_epu32(c0[s], m0);
        EACH c0[s] = XOR3(HIGH(p1[s]), c1[s], SET(r->k0[i]));
        EACH c1[s] = p1[s];
        EACH c2[s] = XOR3(HIGH(p0[s]), c3[s], SET(r->k1[i]));
        EACH c3[s] = p0[s];
    }
    /* round 10: halves swapped, so that each lane holds two words in order; (c & low) ^ key ^ product */
    EACH p1[s] = _mm512_mul_epu32(c2[s], m1);
    EACH p0[s] = _mm512_mul_epu32(c0[s], m0);
    EACH c1[s] = _mm512_ternarylogic_epi64(c1[s], low, SET(r->k0[9]), 0x6A);
    EACH c3[s] = _mm512_ternarylogic_epi64(c3[s], low, SET(r->k1[9]), 0x6A);
    EACH c0[s] = _mm512_xor_si512(SWAP(p1[s]), c1[s]);
    EACH c2[s] = _mm512_xor_si512(SWAP(p0[s]), c3[s]);
    EACH w[s].lo = _mm512_unpacklo_epi64(c0[s], c2[s]);
    EACH w[s].hi = _mm512_unpackhi_epi64(c0[s], c2[s]);
}

INLINE __m512 slopes_f32(const rr_params *p, __m512i w)
{
    const __m512 u = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_srli_epi32(w, 8)),
                                   _mm512_set1_ps(RR_UNIT_F32));
    const __m512 s = _mm512_add_ps(_mm512_set1_ps(p->bounds.lower_f32),
                                   _mm512_mul_ps(_mm512_set1_ps(p->bounds.width_f32), u));
    return _mm512_min_ps(s, _mm512_set1_ps(p->bounds.upper_f32)); /* s < upper ? s : upper */
}

INLINE __m512d slopes_f64(const rr_params *p, __m256i w)
{
    const __m512d u = _mm512_mul_pd(_mm512_cvtepu32_pd(w), _mm512_set1_pd(RR_UNIT_F64));
    const __m512d s = _mm512_add_pd(_mm512_set1_pd(p->bounds.lower_f64),
                                    _mm512_mul_pd(_mm512_set1_pd(p->bounds.width_f64), u));
    return _mm512_min_pd(s, _mm512_set1_pd(p->bounds.upper_f64));
}

/* a * x where fail, else x */
INLINE __m512 apply_f32(const rr_params *p, __m512 x, __mmask16 fail, __m512i w, int source)
{
    const __m512 a = source == RR_SAME ? _mm512_set1_ps(p->bounds.upper_f32) : slopes_f32(p, w);
    return _mm512_mask_mul_ps(x, fail, a, x);
}

/* A step treats 32 elements, those of them that are valid; pass comes in (backward) or is made and
 * returned (forward). Full steps know all are valid when compiled. */
#define STEP_ARGS                                                                                     \
    const rr_params *p, const char *in, char *out, __mmask32 valid, __mmask32 pass, words32 w, int op, \
        int source, int full

INLINE __mmask32 step_f32(STEP_ARGS)
{
    const __mmask16 v0 = (__mmask16)valid, v1 = (__mmask16)(valid >> 16);
    const __m512 x0 = full ? _mm512_loadu_ps(in) : _mm512_maskz_loadu_ps(v0, in);
    const __m512 x1 = full ? _mm512_loadu_ps(in + 64) : _mm512_maskz_loadu_ps(v1, in + 64);
    __mmask16 f0, f1;
    __m512 y0, y1;
    if (op == RR_FORWARD) {
        f0 = _mm512_cmp_ps_mask(x0, _mm512_setzero_ps(), _CMP_NGE_UQ);
        f1 = _mm512_cmp_ps_mask(x1, _mm512_setzero_ps(), _CMP_NGE_UQ);
    } else {
        f0 = (__mmask16)~pass;
        f1 = (__mmask16)(~pass >> 16);
    }
    y0 = apply_f32(p, x0, f0, w.lo, source);
    y1 = apply_f32(p, x1, f1, w.hi, source);
    if (full) {
        _mm512_storeu_ps(out, y0);
        _mm512_storeu_ps(out + 64, y1);
    } else {
        _mm512_mask_storeu_ps(out, v0, y0);
        _mm512_mask_storeu_ps(out + 64, v1, y1);
    }
    return ~((__mmask32)f0 | (__mmask32)f1 << 16);
}

INLINE __mmask32 step_f64(STEP_ARGS)
{
    __mmask32 fails = 0;
    int i;
#pragma GCC unroll 4
    for (i = 0; i < 4; i++) {
        const __mmask8 v = (__mmask8)(valid >> 8 * i);
        const __m512i words = i < 2 ? w.lo : w.hi;
        const __m256i half = i % 2 ? _mm512_extracti64x4_epi64(words, 1) : _mm512_castsi512_si256(words);
        const __m512d x = full ? _mm512_loadu_pd(in + 64 * i) : _mm512_maskz_loadu_pd(v, in + 64 * i);
        const __m512d a = source == RR_SAME ? _mm512_set1_pd(p->bounds.upper_f64) : slopes_f64(p, half);
        __mmask8 f;
        __m512d y;
        if (op == RR_FORWARD) {
            f = _mm512_cmp_pd_mask(x, _mm512_setzero_pd(), _CMP_NGE_UQ);
            fails |= (__mmask32)f << 8 * i;
        } else {
            f = (__mmask8)(~pass >> 8 * i);
        }
        y = _mm512_mask_mul_pd(x, f, a, x);
        if (full)
            _mm512_storeu_pd(out + 64 * i, y);
        else
            _mm512_mask_storeu_pd(out + 64 * i, v, y);
    }
    return ~fails;
}

/* x >= 0 on the bits of a half type: +0 up to infinity, and -0 */
INLINE __mmask32 passes_half(__m512i x, short infinity)
{
    return _mm512_cmple_epu16_mask(x, _mm512_set1_epi16(infinity)) |
           _mm512_cmpeq_epi16_mask(x, _mm512_set1_epi16((short)0x8000));
}

/* To bfloat16, still in the high halves. Integer rounding: the hardware's conversion flushes denormals.
 * No case for NaN: here it is the product of bfloat16 and a slope, and a processor hands on the NaN it is
 * given or makes one whose low half is zero, so nothing carries. */
INLINE __m512i round_bf16(__m512 y)
{
    const __m512i u = _mm512_castps_si512(y);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
    return _mm512_add_epi32(_mm512_add_epi32(u, _mm512_set1_epi32(0x7FFF)), odd);
}

/* Words come by parity: unpacking with zeros turns blocks 0, 2, 4, 6 and 1, 3, 5, 7 into floats. */
INLINE __mmask32 step_bf16(STEP_ARGS)
{
    const __m512i zero = _mm512_setzero_si512();
    const __m512i x = full ? _mm512_loadu_si512(in) : _mm512_maskz_loadu_epi16(valid, in);
    const __m512 x0 = _mm512_castsi512_ps(_mm512_unpacklo_epi16(zero, x));
    const __m512 x1 = _mm512_castsi512_ps(_mm512_unpackhi_epi16(zero, x));
    __m512i y;
    if (op == RR_FORWARD) pass = passes_half(x, 0x7F80);
    y = _mm512_packus_epi32(
        _mm512_srli_epi32(round_bf16(apply_f32(p, x0, 0xFFFF, w.lo, source)), 16),
        _mm512_srli_epi32(round_bf16(apply_f32(p, x1, 0xFFFF, w.hi, source)), 16));
    y = _mm512_mask_blend_epi16(pass, y, x);
    if (full)
        _mm512_storeu_si512(out, y);
    else
        _mm512_mask_storeu_epi16(out, valid, y);
    return pass;
}

/* VCVTPH2PS and VCVTPS2PH ignore the flush modes: subnormal halves are exact either way. */
INLINE __mmask32 step_f16(STEP_ARGS)
{
    const __m512i x = full ? _mm512_loadu_si512(in) : _mm512_maskz_loadu_epi16(valid, in);
    const __m512 x0 = _mm512_cvtph_ps(_mm512_castsi512_si256(x));
    const __m512 x1 = _mm512_cvtph_ps(_mm512_extracti64x4_epi64(x, 1));
    __m512i y;
    if (op == RR_FORWARD) pass = passes_half(x, 0x7C00);
    y = _mm512_inserti64x4(
        _mm512_castsi256_si512(_mm512_cvtps_ph(apply_f32(p, x0, 0xFFFF, w.lo, source),
                                               _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)),
        _mm512_cvtps_ph(apply_f32(p, x1, 0xFFFF, w.hi, source),
                        _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC),
        1);
    y = _mm512_mask_blend_epi16(pass, y, x);
    if (full)
        _mm512_storeu_si512(out, y);
    else
        _mm512_mask_storeu_epi16(out, valid, y);
    return pass;
}

INLINE __mmask32 step(STEP_ARGS, int dtype)
{
    switch (dtype) {
    case RR_F16: return step_f16(p, in, out, valid, pass, w, op, source, full);
    case RR_BF16: return step_bf16(p, in, out, valid, pass, w, op, source, full);
    case RR_F32: return step_f32(p, in, out, valid, pass, w, op, source, full);
    default: return step_f64(p, in, out, valid, pass, w, op, source, full);
    }
}

/* Words from memory, in the order that the step of dtype wants. */
INLINE words32 load_words(const uint32_t *words, __mmask32 valid, int full, int dtype)
{
    const __m512i a = full ? _mm512_loadu_si512(words) : _mm512_maskz_loadu_epi32((__mmask16)valid, words);
    const __m512i b = full ? _mm512_loadu_si512(words + 16)
                           : _mm512_maskz_loadu_epi32((__mmask16)(valid >> 16), words + 16);
    words32 w = {a, b};
    if (dtype == RR_BF16) {
        const __m512i even = _mm512_setr_epi64(0, 1, 4, 5, 8, 9, 12, 13);
        const __m512i odd = _mm512_setr_epi64(2, 3, 6, 7, 10, 11, 14, 15);
        w.lo = _mm512_permutex2var_epi64(a, even, b);
        w.hi = _mm512_permutex2var_epi64(a, odd, b);
    }
    return w;
}

/* One turn of the loop. */
INLINE void steps(const rr_params *p, const rr_run *r, __m512i counter, const char *from, char *to,
                  uint8_t *bits, const uint32_t *words, int dtype, int op, int source)
{
    const size_t bytes = 32 * rr_sizes[dtype];
    const int sets = SETS;
    words32 w[SETS];
    __mmask32 pass[SETS] = {0};
    int s;
    if (source == RR_PHILOX) philox32(r, counter, w, sets);
    if (source == RR_WORDS) EACH w[s] = load_words(words + 32 * s, 0, 1, dtype);
    if (op == RR_BACKWARD) memcpy(pass, bits, sizeof pass);
    EACH {
        pass[s] = step(p, from, to, 0, pass[s], w[s], op, source, 1, dtype);
        from += bytes;
        to += bytes;
    }
    if (op == RR_FORWARD && bits) memcpy(bits, pass, sizeof pass);
}

INLINE void walk(const rr_params *p, size_t n, const void *in, void *out, uint8_t *bits, uint64_t block,
                 const uint32_t *words, int dtype, int op, int source)
{
    const size_t size = rr_sizes[dtype];
    const char *from = in;
    char *to = out;
    const __m512i order = dtype == RR_BF16 ? BLOCKS_BY_PARITY : BLOCKS_IN_ORDER;
    __m512i counter = _mm512_add_epi64(SET(block), order);
    words32 w = {_mm512_setzero_si512(), _mm512_setzero_si512()};
    rr_run r;
    if (source == RR_PHILOX) rr_run_init(&r, p, (uint32_t)((block & RR_BLOCK_MASK) >> 32));
    for (; n >= 32 * SETS; n -= 32 * SETS) {
        steps(p, &r, counter, from, to, bits, words, dtype, op, source);
        counter = _mm512_add_epi64(counter, SET(8 * SETS));
        if (source == RR_WORDS) words += 32 * SETS;
        if (bits) bits += 4 * SETS;
        from += 32 * SETS * size;
        to += 32 * SETS * size;
    }
    while (n) {
        const size_t m = n < 32 ? n : 32, bytes = (m + 7) / 8;
        const __mmask32 valid = (__mmask32)0xFFFFFFFFu >> (32 - m);
        __mmask32 pass = 0;
        if (source == RR_PHILOX) {
            philox32(&r, counter, &w, 1);
            counter = _mm512_add_epi64(counter, SET(8));
        } else if (source == RR_WORDS) {
            w = load_words(words, valid, 0, dtype);
            words += 32;
        }
        if (op == RR_BACKWARD) memcpy(&pass, bits, bytes);
        pass = step(p, from, to, valid, pass, w, op, source, 0, dtype) & valid;
        if (op == RR_FORWARD && bits) memcpy(bits, &pass, bytes);
        if (bits) bits += bytes;
        from += m * size;
        to += m * size;
        n -= m;
    }
}

static TARGET void words(const rr_params *p, size_t blocks, uint32_t *out, uint64_t block)
{
    __m512i counter = _mm512_add_epi64(SET(block), BLOCKS_IN_ORDER);
    enum { sets = RR_SPILL / 32 };
    rr_run r;
    size_t done;
    rr_run_init(&r, p, (uint32_t)((block & RR_BLOCK_MASK) >> 32));
    for (done = 0; done < blocks; done += 8 * sets, out += 32 * sets) {
        words32 w[SETS];
        int s;
        philox32(&r, counter, w, sets);
        for (s = 0; s < sets; s++) {
            _mm512_storeu_si512(out + 32 * s, w[s].lo);
            _mm512_storeu_si512(out + 32 * s + 16, w[s].hi);
        }
        counter = _mm512_add_epi64(counter, SET(8 * sets));
    }
}

/* One index in each 64-bit lane: a quarter of the blocks' words are used. */
INLINE void words_at_many(const rr_params *p, const uint64_t *index, uint32_t *out)
{
    const __m512i m0 = SET(RR_PHILOX_M0), m1 = SET(RR_PHILOX_M1);
    __m512i at[SETS], c0[SETS], c1[SETS], c2[SETS], c3[SETS], p0[SETS], p1[SETS];
    const int sets = SETS;
    int i, s;
    EACH at[s] = _mm512_loadu_si512(index + 8 * s);
    EACH c0[s] = _mm512_srli_epi64(at[s], 2);
    EACH c1[s] = _mm512_srli_epi64(at[s], 34);
    EACH c2[s] = SET((uint32_t)p->call);
    EACH c3[s] = SET(p->call >> 32);
#pragma GCC unroll 10
    for (i = 0; i < RR_PHILOX_ROUNDS; i++) {
        EACH p1[s] = _mm512_mul_epu32(c2[s], m1);
        EACH p0[s] = _mm512_mul_epu32(c0[s], m0);
        EACH c0[s] = XOR3(HIGH(p1[s]), c1[s], SET(p->k0[i]));
        EACH c1[s] = p1[s];
        EACH c2[s] = XOR3(HIGH(p0[s]), c3[s], SET(p->k1[i]));
        EACH c3[s] = p0[s];
    }
    EACH {
        const __mmask8 odd = _mm512_test_epi64_mask(at[s], SET(1));
        const __mmask8 upper = _mm512_test_epi64_mask(at[s], SET(2));
        const __m512i first = _mm512_mask_mov_epi64(c0[s], odd, c1[s]);
        const __m512i second = _mm512_mask_mov_epi64(c2[s], odd, c3[s]);
        const __m512i word = _mm512_mask_mov_epi64(first, upper, second);
        _mm256_storeu_si256((__m256i *)(out + 8 * s), _mm512_cvtepi64_epi32(word));
    }
}

static TARGET void words_at(const rr_params *p, size_t n, const uint64_t *index, uint32_t *out)
{
    enum { MANY = 8 * SETS };
    uint64_t last[MANY] = {0};
    uint32_t made[MANY];
    for (; n >= MANY; n -= MANY, index += MANY, out += MANY) words_at_many(p, index, out);
    memcpy(last, index, n * sizeof *index);
    if (n) words_at_many(p, last, made);
    memcpy(out, made, n * sizeof *out);
}

#define KERNEL_TARGET TARGET
#include "_cpu_table.h"

const rr_path rr_path_avx512 = {"avx512", usable, 1 << 18, words, words_at, RR_TABLES};

#else
typedef int rr_avx512_not_here;
#endif
