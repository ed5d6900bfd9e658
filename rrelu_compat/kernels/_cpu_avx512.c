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
#define HIGH(x) _mm512_srli_epi64((x), 32)

typedef struct {
    __m512i lo, hi; /* 32 words: elements 0..15 and 16..31, or as BLOCKS_BY_PARITY says */
} words32;

/* Which block each 64-bit lane counts. The unpacking at the end of philox32 puts even lanes into lo and
 * odd lanes into hi, so this order makes both run through the elements in order ... */
#define BLOCKS_IN_ORDER _mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7)
/* ... and this one puts even blocks into lo and odd blocks into hi, as unpacking halves does. */
#define BLOCKS_BY_PARITY _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7)

/* Eight blocks, one in each 64-bit lane. A multiplication reads the low 32 bits of its lanes only, so
 * what stands above them may be anything until the end. */
INLINE words32 philox32(const rr_run *r, __m512i counter)
{
    const __m512i m0 = SET(RR_PHILOX_M0), m1 = SET(RR_PHILOX_M1);
    __m512i c0, c1, c2, c3, p0, p1;
    words32 w;
    int i;
    /* rounds 1 and 2, folded by rr_run_init */
    p0 = _mm512_mul_epu32(counter, m0);
    c2 = _mm512_xor_si512(HIGH(p0), SET(r->c3k1));
    p1 = _mm512_mul_epu32(c2, m1);
    c0 = _mm512_xor_si512(HIGH(p1), SET(r->c1k0));
    c1 = p1;
    c2 = _mm512_xor_si512(p0, SET(r->p0k1));
    /* round 3: low(p0) of round 2 is constant */
    p1 = _mm512_mul_epu32(c2, m1);
    p0 = _mm512_mul_epu32(c0, m0);
    c0 = XOR3(HIGH(p1), c1, SET(r->k0[2]));
    c1 = p1;
    c2 = _mm512_xor_si512(HIGH(p0), SET(r->p0lok1));
    c3 = p0;
#pragma GCC unroll 8
    for (i = 3; i < RR_PHILOX_ROUNDS - 1; i++) {
        p1 = _mm512_mul_epu32(c2, m1);
        p0 = _mm512_mul_epu32(c0, m0);
        c0 = XOR3(HIGH(p1), c1, SET(r->k0[i]));
        c1 = p1;
        c2 = XOR3(HIGH(p0), c3, SET(r->k1[i]));
        c3 = p0;
    }
    /* round 10: halves swapped, so that each lane holds two words in order */
    p1 = _mm512_mul_epu32(c2, m1);
    p0 = _mm512_mul_epu32(c0, m0);
    {
        const __m512i low = SET(0xFFFFFFFFu);
        /* (c & low) ^ key, then ^ swapped product */
        const __m512i t1 = _mm512_ternarylogic_epi64(c1, low, SET(r->k0[9]), 0x6A);
        const __m512i t3 = _mm512_ternarylogic_epi64(c3, low, SET(r->k1[9]), 0x6A);
        c0 = _mm512_xor_si512(_mm512_shuffle_epi32(p1, (_MM_PERM_ENUM)0xB1), t1);
        c2 = _mm512_xor_si512(_mm512_shuffle_epi32(p0, (_MM_PERM_ENUM)0xB1), t3);
    }
    w.lo = _mm512_unpacklo_epi64(c0, c2);
    w.hi = _mm512_unpackhi_epi64(c0, c2);
    return w;
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

INLINE void walk(const rr_params *p, size_t n, const void *in, void *out, uint8_t *bits, uint64_t block,
                 const uint32_t *words, int dtype, int op, int source)
{
    const size_t size = rr_sizes[dtype];
    const char *from = in;
    char *to = out;
    const __m512i order = dtype == RR_BF16 ? BLOCKS_BY_PARITY : BLOCKS_IN_ORDER;
    __m512i counter = _mm512_add_epi64(SET(block), order);
    words32 w0 = {_mm512_setzero_si512(), _mm512_setzero_si512()}, w1 = w0;
    rr_run r;
    if (source == RR_PHILOX) rr_run_init(&r, p, (uint32_t)((block & RR_BLOCK_MASK) >> 32));
    /* two sets of 32 in flight: one set's chain of multiplications is much longer than its work */
    for (; n >= 64; n -= 64) {
        uint64_t pass = 0;
        __mmask32 m0, m1;
        if (source == RR_PHILOX) {
            w0 = philox32(&r, counter);
            w1 = philox32(&r, _mm512_add_epi64(counter, SET(8)));
            counter = _mm512_add_epi64(counter, SET(16));
        } else if (source == RR_WORDS) {
            w0 = load_words(words, 0, 1, dtype);
            w1 = load_words(words + 32, 0, 1, dtype);
            words += 64;
        }
        if (op == RR_BACKWARD) memcpy(&pass, bits, 8);
        m0 = step(p, from, to, 0, (__mmask32)pass, w0, op, source, 1, dtype);
        m1 = step(p, from + 32 * size, to + 32 * size, 0, (__mmask32)(pass >> 32), w1, op, source, 1, dtype);
        if (op == RR_FORWARD && bits) {
            pass = (uint64_t)m0 | (uint64_t)m1 << 32;
            memcpy(bits, &pass, 8);
        }
        if (bits) bits += 8;
        from += 64 * size;
        to += 64 * size;
    }
    while (n) {
        const size_t m = n < 32 ? n : 32, bytes = (m + 7) / 8;
        const __mmask32 valid = (__mmask32)0xFFFFFFFFu >> (32 - m);
        __mmask32 pass = 0;
        if (source == RR_PHILOX) {
            w0 = philox32(&r, counter);
            counter = _mm512_add_epi64(counter, SET(8));
        } else if (source == RR_WORDS) {
            w0 = load_words(words, valid, 0, dtype);
            words += 32;
        }
        if (op == RR_BACKWARD) memcpy(&pass, bits, bytes);
        pass = step(p, from, to, valid, pass, w0, op, source, 0, dtype) & valid;
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
    rr_run r;
    size_t done;
    rr_run_init(&r, p, (uint32_t)((block & RR_BLOCK_MASK) >> 32));
    for (done = 0; done < blocks; done += RR_GROUP_BLOCKS, out += RR_GROUP) {
        const words32 a = philox32(&r, counter);
        const words32 b = philox32(&r, _mm512_add_epi64(counter, SET(8)));
        counter = _mm512_add_epi64(counter, SET(16));
        _mm512_storeu_si512(out, a.lo);
        _mm512_storeu_si512(out + 16, a.hi);
        _mm512_storeu_si512(out + 32, b.lo);
        _mm512_storeu_si512(out + 48, b.hi);
    }
}

#define KERNEL_TARGET TARGET
#include "_cpu_table.h"

const rr_path rr_path_avx512 = {"avx512", usable, words, RR_TABLES};

#else
typedef int rr_avx512_not_here;
#endif
