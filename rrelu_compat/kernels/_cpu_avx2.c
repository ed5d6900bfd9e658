/* The AVX2 path (with F16C, which every processor with AVX2 has; checked all the same). */
#include "_cpu.h"

#if RR_X86
#include <immintrin.h>

#define TARGET __attribute__((target("avx2,f16c")))
#define INLINE static inline __attribute__((always_inline)) TARGET

static int usable(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("f16c"); }

#define SET(x) _mm256_set1_epi64x((long long)(x))
#define XOR(a, b) _mm256_xor_si256((a), (b))
#define HIGH(x) _mm256_srli_epi64((x), 32)

typedef struct {
    __m256i lo, hi; /* 16 words: elements 0..7 and 8..15, or as BLOCKS_BY_PARITY says */
} words16;

/* as in _cpu_avx512.c */
#define BLOCKS_IN_ORDER _mm256_setr_epi64x(0, 2, 1, 3)
#define BLOCKS_BY_PARITY _mm256_setr_epi64x(0, 1, 2, 3)

/* Four blocks, one in each 64-bit lane; only the low 32 bits count until the end. */
INLINE words16 philox16(const rr_run *r, __m256i counter)
{
    const __m256i m0 = SET(RR_PHILOX_M0), m1 = SET(RR_PHILOX_M1), low = SET(0xFFFFFFFFu);
    __m256i c0, c1, c2, c3, p0, p1;
    words16 w;
    int i;
    p0 = _mm256_mul_epu32(counter, m0);
    c2 = XOR(HIGH(p0), SET(r->c3k1));
    p1 = _mm256_mul_epu32(c2, m1);
    c0 = XOR(HIGH(p1), SET(r->c1k0));
    c1 = p1;
    c2 = XOR(p0, SET(r->p0k1));
    p1 = _mm256_mul_epu32(c2, m1);
    p0 = _mm256_mul_epu32(c0, m0);
    c0 = XOR(HIGH(p1), XOR(c1, SET(r->k0[2])));
    c1 = p1;
    c2 = XOR(HIGH(p0), SET(r->p0lok1));
    c3 = p0;
#pragma GCC unroll 8
    for (i = 3; i < RR_PHILOX_ROUNDS - 1; i++) {
        p1 = _mm256_mul_epu32(c2, m1);
        p0 = _mm256_mul_epu32(c0, m0);
        c0 = XOR(HIGH(p1), XOR(c1, SET(r->k0[i])));
        c1 = p1;
        c2 = XOR(HIGH(p0), XOR(c3, SET(r->k1[i])));
        c3 = p0;
    }
    p1 = _mm256_mul_epu32(c2, m1);
    p0 = _mm256_mul_epu32(c0, m0);
    c0 = XOR(_mm256_shuffle_epi32(p1, 0xB1), XOR(_mm256_and_si256(c1, low), SET(r->k0[9])));
    c2 = XOR(_mm256_shuffle_epi32(p0, 0xB1), XOR(_mm256_and_si256(c3, low), SET(r->k1[9])));
    w.lo = _mm256_unpacklo_epi64(c0, c2);
    w.hi = _mm256_unpackhi_epi64(c0, c2);
    return w;
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

INLINE void walk(const rr_params *p, size_t n, const void *in, void *out, uint8_t *bits, uint64_t block,
                 const uint32_t *words, int dtype, int op, int source)
{
    const size_t size = rr_sizes[dtype];
    const char *from = in;
    char *to = out;
    const __m256i order = dtype == RR_BF16 ? BLOCKS_BY_PARITY : BLOCKS_IN_ORDER;
    __m256i counter = _mm256_add_epi64(SET(block), order);
    words16 w0 = {_mm256_setzero_si256(), _mm256_setzero_si256()}, w1 = w0;
    char partial[32 * 8];
    uint32_t partial_words[32];
    rr_run r;
    if (source == RR_PHILOX) rr_run_init(&r, p, (uint32_t)((block & RR_BLOCK_MASK) >> 32));
    while (n) {
        const size_t m = n < 32 ? n : 32;
        const char *src = from;
        char *dst = to;
        uint32_t pass = 0;
        unsigned m0, m1;
        if (m < 32) { /* the rest goes through a full-sized copy */
            memset(partial, 0, sizeof partial);
            memcpy(partial, from, m * size);
            src = dst = partial;
            if (source == RR_WORDS) {
                memset(partial_words, 0, sizeof partial_words);
                memcpy(partial_words, words, m * 4);
                words = partial_words;
            }
            if (op == RR_BACKWARD) memcpy(&pass, bits, (m + 7) / 8);
        } else if (op == RR_BACKWARD) {
            memcpy(&pass, bits, 4);
        }
        if (source == RR_PHILOX) {
            w0 = philox16(&r, counter);
            w1 = philox16(&r, _mm256_add_epi64(counter, SET(4)));
            counter = _mm256_add_epi64(counter, SET(8));
        } else if (source == RR_WORDS) {
            w0 = load_words(words, dtype);
            w1 = load_words(words + 16, dtype);
            words += 32;
        }
        m0 = step(p, src, dst, pass & 0xFFFFu, w0, op, source, dtype);
        m1 = step(p, src + 16 * size, dst + 16 * size, pass >> 16, w1, op, source, dtype);
        if (op == RR_FORWARD && bits) {
            pass = m0 | (uint32_t)m1 << 16;
            if (m == 32) {
                memcpy(bits, &pass, 4);
            } else {
                pass &= 0xFFFFFFFFu >> (32 - m);
                memcpy(bits, &pass, (m + 7) / 8);
            }
        }
        if (m < 32) {
            memcpy(to, partial, m * size);
            return;
        }
        if (bits) bits += 4;
        from += 32 * size;
        to += 32 * size;
        n -= 32;
    }
}

static TARGET void words(const rr_params *p, size_t blocks, uint32_t *out, uint64_t block)
{
    __m256i counter = _mm256_add_epi64(SET(block), BLOCKS_IN_ORDER);
    rr_run r;
    size_t done;
    rr_run_init(&r, p, (uint32_t)((block & RR_BLOCK_MASK) >> 32));
    for (done = 0; done < blocks; done += RR_GROUP_BLOCKS, out += RR_GROUP) {
        int i;
#pragma GCC unroll 4
        for (i = 0; i < 4; i++) {
            const words16 w = philox16(&r, _mm256_add_epi64(counter, SET(4 * i)));
            _mm256_storeu_si256((__m256i *)(out + 16 * i), w.lo);
            _mm256_storeu_si256((__m256i *)(out + 16 * i + 8), w.hi);
        }
        counter = _mm256_add_epi64(counter, SET(16));
    }
}

#define KERNEL_TARGET TARGET
#include "_cpu_table.h"

const rr_path rr_path_avx2 = {"avx2", usable, words, RR_TABLES};
#else
typedef int rr_avx2_not_here;
#endif
