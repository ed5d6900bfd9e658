/* The arithmetic of RReLU, shared by every compiled kernel.
 *
 * Plain C, no includes: a C compiler takes it as it is, and so does a CUDA compiler (NVRTC).
 * The bits that come out are those of the definition in rrelu_compat/slopes.py. Two things keep
 * them so: every operation rounds on its own (build with -ffp-contract=off; on a device the _rn
 * intrinsics are never contracted), and the half types are converted by integer arithmetic (the
 * hardware conversion to bfloat16 flushes denormals).
 */
#ifndef RRELU_COMPAT_RRELU_H
#define RRELU_COMPAT_RRELU_H

typedef unsigned short rr_u16;
typedef unsigned int rr_u32;
typedef unsigned long long rr_u64;

#if defined(__CUDACC__) || defined(__CUDACC_RTC__)
#define RR_DEVICE 1
#define RR_FN static __device__ __forceinline__
#define RR_MUL_F32(a, b) __fmul_rn((a), (b))
#define RR_ADD_F32(a, b) __fadd_rn((a), (b))
#define RR_MUL_F64(a, b) __dmul_rn((a), (b))
#define RR_ADD_F64(a, b) __dadd_rn((a), (b))
#else
#if defined(__GNUC__) || defined(__clang__)
#define RR_FN static inline __attribute__((always_inline, unused))
#elif defined(_MSC_VER)
#define RR_FN static __forceinline
#else
#define RR_FN static inline
#endif
#define RR_MUL_F32(a, b) ((a) * (b))
#define RR_ADD_F32(a, b) ((a) + (b))
#define RR_MUL_F64(a, b) ((a) * (b))
#define RR_ADD_F64(a, b) ((a) + (b))
#endif

/* dtype codes of the kernel contract */
enum { RR_F16 = 0, RR_BF16 = 1, RR_F32 = 2, RR_F64 = 3, RR_DTYPES = 4 };

/* ---- Philox4x32-10 (Salmon et al., SC 2011) ---- */

#define RR_PHILOX_M0 0xD2511F53u
#define RR_PHILOX_M1 0xCD9E8D57u
#define RR_PHILOX_W0 0x9E3779B9u
#define RR_PHILOX_W1 0xBB67AE85u
#define RR_PHILOX_ROUNDS 10
/* the block number is index / 4, so it has 62 bits however the 64-bit index wraps */
#define RR_BLOCK_MASK 0x3FFFFFFFFFFFFFFFull

typedef struct {
    rr_u32 word[4];
} rr_block;

RR_FN rr_block rr_philox4x32_10(rr_u32 c0, rr_u32 c1, rr_u32 c2, rr_u32 c3, rr_u32 k0, rr_u32 k1)
{
    rr_block out;
    int round;
    for (round = 0; round < RR_PHILOX_ROUNDS; round++) {
        const rr_u64 p0 = (rr_u64)RR_PHILOX_M0 * c0;
        const rr_u64 p1 = (rr_u64)RR_PHILOX_M1 * c2;
        c0 = (rr_u32)(p1 >> 32) ^ c1 ^ k0;
        c1 = (rr_u32)p1;
        c2 = (rr_u32)(p0 >> 32) ^ c3 ^ k1;
        c3 = (rr_u32)p0;
        k0 += RR_PHILOX_W0;
        k1 += RR_PHILOX_W1;
    }
    out.word[0] = c0;
    out.word[1] = c1;
    out.word[2] = c2;
    out.word[3] = c3;
    return out;
}

/* The four words of elements 4*block .. 4*block+3. */
RR_FN rr_block rr_words(rr_u64 seed, rr_u64 call, rr_u64 block)
{
    return rr_philox4x32_10((rr_u32)block, (rr_u32)((block & RR_BLOCK_MASK) >> 32), (rr_u32)call,
                            (rr_u32)(call >> 32), (rr_u32)seed, (rr_u32)(seed >> 32));
}

/* ---- slopes ---- */

#define RR_UNIT_F32 5.9604644775390625e-08f        /* 2**-24 */
#define RR_UNIT_F64 2.3283064365386962890625e-10   /* 2**-32 */

/* Bounds in both compute dtypes. Each is rounded from double, width from the double difference. */
typedef struct {
    float lower_f32, width_f32, upper_f32;
    double lower_f64, width_f64, upper_f64;
} rr_bounds;

RR_FN rr_bounds rr_make_bounds(double lower, double upper)
{
    rr_bounds b;
    const double width = RR_ADD_F64(upper, -lower);
    b.lower_f32 = (float)lower;
    b.width_f32 = (float)width;
    b.upper_f32 = (float)upper;
    b.lower_f64 = lower;
    b.width_f64 = width;
    b.upper_f64 = upper;
    return b;
}

RR_FN float rr_slope_f32(rr_u32 word, float lower, float width, float upper)
{
    /* 24 bits fit a signed int, whose conversion every vector unit has */
    const float u = RR_MUL_F32((float)(int)(word >> 8), RR_UNIT_F32);
    const float s = RR_ADD_F32(lower, RR_MUL_F32(width, u));
    return s < upper ? s : upper;
}

RR_FN double rr_slope_f64(rr_u32 word, double lower, double width, double upper)
{
    const double u = RR_MUL_F64((double)word, RR_UNIT_F64);
    const double s = RR_ADD_F64(lower, RR_MUL_F64(width, u));
    return s < upper ? s : upper;
}

/* ---- the step itself: pass is x >= 0, which is true for -0.0 and false for NaN ---- */

RR_FN float rr_apply_f32(int pass, float a, float x) { return pass ? x : RR_MUL_F32(a, x); }
RR_FN double rr_apply_f64(int pass, double a, double x) { return pass ? x : RR_MUL_F64(a, x); }

/* ---- half types as bit patterns ---- */

RR_FN rr_u32 rr_bits_of_float(float f)
{
#ifdef RR_DEVICE
    return __float_as_uint(f);
#else
    union {
        float f;
        rr_u32 u;
    } v;
    v.f = f;
    return v.u;
#endif
}

RR_FN float rr_float_of_bits(rr_u32 u)
{
#ifdef RR_DEVICE
    return __uint_as_float(u);
#else
    union {
        rr_u32 u;
        float f;
    } v;
    v.u = u;
    return v.f;
#endif
}

RR_FN float rr_float_of_bf16(rr_u16 h) { return rr_float_of_bits((rr_u32)h << 16); }

RR_FN rr_u16 rr_bf16_of_float(float f)
{
    const rr_u32 u = rr_bits_of_float(f);
    /* rounding up could carry a NaN's mantissa into infinity, or past it */
    const rr_u32 nan = (u >> 16) | 0x40u;
    const rr_u32 rounded = (u + 0x7FFFu + ((u >> 16) & 1u)) >> 16;
    return (rr_u16)((u & 0x7FFFFFFFu) > 0x7F800000u ? nan : rounded);
}

RR_FN float rr_float_of_f16(rr_u16 h)
{
    const rr_u32 sign = (rr_u32)(h & 0x8000u) << 16;
    const rr_u32 magnitude = h & 0x7FFFu;
    const rr_u32 rebias = magnitude >= 0x7C00u ? 224u << 23 : 112u << 23;
    const rr_u32 normal = (magnitude << 13) + rebias;
    /* a subnormal is an integer count of 2**-24, exact in float32 */
    const rr_u32 subnormal = rr_bits_of_float(RR_MUL_F32((float)(int)magnitude, RR_UNIT_F32));
    return rr_float_of_bits(sign | (magnitude < 0x0400u ? subnormal : normal));
}

/* Free of branches, for the sake of vectorising compilers. */
RR_FN rr_u16 rr_f16_of_float(float f)
{
    const rr_u32 u = rr_bits_of_float(f);
    const rr_u32 sign = (u >> 16) & 0x8000u;
    const rr_u32 m = u & 0x7FFFFFFFu;
    /* from 65520 on this carries into infinity */
    const rr_u32 normal = (m - (112u << 23) + 0x0FFFu + ((m >> 13) & 1u)) >> 13;
    /* the last bit of 0.5 is worth 2**-24, as that of a subnormal half: the addition rounds there */
    const rr_u32 sum = rr_bits_of_float(RR_ADD_F32(rr_float_of_bits(m), 0.5f));
    const rr_u32 finite = m < 0x38800000u ? sum - 0x3F000000u : normal;
    const rr_u32 special = m > 0x7F800000u ? 0x7E00u : 0x7C00u;
    return (rr_u16)(sign | (m < 0x47800000u ? finite : special));
}

#endif
