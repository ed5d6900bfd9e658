/* The CUDA kernels: C++ for a device compiler (NVRTC), around the arithmetic of rrelu.h.
 *
 * The kernels that a launch names are in rrelu_cuda_kernels.h. Tests define RR_KERNEL and the thread
 * indices, and compile the same text for the host.
 *
 * A thread makes one Philox block, four elements, and half a byte of bits. Two neighbours put their
 * halves together, so that each byte is written once, by one thread, whatever the others do.
 */
#ifndef RRELU_COMPAT_RRELU_CUDA_H
#define RRELU_COMPAT_RRELU_CUDA_H

#ifndef RRELU_COMPAT_RRELU_H
#include "rrelu.h"
#endif

typedef unsigned char rr_u8;
typedef long long rr_i64;

#define RR_BLOCK_THREADS 256
/* Philox blocks of a thread: the loads of all are on their way before the first is waited for */
#define RR_GROUPS 2

#ifndef RR_KERNEL
#define RR_KERNEL extern "C" __global__ void __launch_bounds__(RR_BLOCK_THREADS)
#endif

/* ---- the four dtypes ---- */

template <int D>
struct rr_type;

template <>
struct rr_type<RR_F16> {
    typedef rr_u16 stored;
    typedef float real;
    RR_FN float widen(rr_u16 h) { return rr_float_of_f16(h); }
    RR_FN rr_u16 narrow(float f) { return rr_f16_of_float(f); }
};

template <>
struct rr_type<RR_BF16> {
    typedef rr_u16 stored;
    typedef float real;
    RR_FN float widen(rr_u16 h) { return rr_float_of_bf16(h); }
    RR_FN rr_u16 narrow(float f) { return rr_bf16_of_float(f); }
};

template <>
struct rr_type<RR_F32> {
    typedef float stored;
    typedef float real;
    RR_FN float widen(float f) { return f; }
    RR_FN float narrow(float f) { return f; }
};

template <>
struct rr_type<RR_F64> {
    typedef double stored;
    typedef double real;
    RR_FN double widen(double f) { return f; }
    RR_FN double narrow(double f) { return f; }
};

RR_FN float rr_slope(rr_u32 word, float lower, float width, float upper)
{
    return rr_slope_f32(word, lower, width, upper);
}

RR_FN double rr_slope(rr_u32 word, double lower, double width, double upper)
{
    return rr_slope_f64(word, lower, width, upper);
}

RR_FN float rr_product(float a, float x) { return RR_MUL_F32(a, x); }
RR_FN double rr_product(double a, double x) { return RR_MUL_F64(a, x); }

/* Four neighbours in memory: one access of 8 or 16 bytes, two for float64. */
template <typename S>
struct alignas(sizeof(S) * 4 < 16 ? sizeof(S) * 4 : 16) rr_four {
    S at[4];
};

/* ---- where slopes come from ---- */

/* `real` values are rounded on the host, from double, as the definition says. */
template <typename R>
struct rr_draw {
    rr_u64 seed, call;
    R lower, width, upper;
    bool random;
};

template <typename R>
RR_FN rr_draw<R> rr_make_draw(const rr_u64 *key, rr_u64 seed, rr_u64 call, R lower, R width, R upper,
                              rr_u64 random)
{
    rr_draw<R> draw = {seed, call, lower, width, upper, random != 0};
    if (key) {
        draw.seed = key[0];
        draw.call = key[1];
    }
    return draw;
}

/* A word by number, without the local memory that an index would cost. */
RR_FN rr_u32 rr_word(const rr_block &b, rr_u32 k)
{
    const rr_u32 low = k & 1 ? b.word[1] : b.word[0];
    const rr_u32 high = k & 1 ? b.word[3] : b.word[2];
    return k & 2 ? high : low;
}

/* The slopes of elements index .. index+3: of one Philox block, if WHOLE says that index % 4 == 0. */
template <bool WHOLE, typename R>
RR_FN void rr_four_slopes(const rr_draw<R> &draw, rr_u64 index, R (&a)[4])
{
    const rr_u32 skip = WHOLE ? 0 : (rr_u32)index & 3;
    rr_block here, next;
    int j;
    if (!draw.random) {
        for (j = 0; j < 4; j++)
            a[j] = draw.upper;
        return;
    }
    here = rr_words(draw.seed, draw.call, index >> 2);
    next = here;
    if (!WHOLE && skip)
        next = rr_words(draw.seed, draw.call, (index >> 2) + 1);
#pragma unroll
    for (j = 0; j < 4; j++) {
        const rr_u32 word = rr_word(j + skip < 4 ? here : next, (j + skip) & 3);
        a[j] = rr_slope(word, draw.lower, draw.width, draw.upper);
    }
}

/* Slopes of elements visited one by one; a block is made once while the index stays in it. */
template <typename R>
struct rr_walk {
    rr_block words;
    rr_u64 block;
    bool any;
};

template <typename R>
RR_FN R rr_next_slope(const rr_draw<R> &draw, rr_walk<R> &walk, rr_u64 index)
{
    if (!draw.random)
        return draw.upper;
    if (!walk.any || walk.block != index >> 2) {
        walk.block = index >> 2;
        walk.words = rr_words(draw.seed, draw.call, walk.block);
        walk.any = true;
    }
    return rr_slope(rr_word(walk.words, (rr_u32)index & 3), draw.lower, draw.width, draw.upper);
}

/* One element: in a forward the sign of `v` decides and is returned, in a backward the bit does. */
template <int D, bool BACK>
RR_FN rr_u32 rr_element(typename rr_type<D>::stored &v, rr_u32 bit, typename rr_type<D>::real a)
{
    const typename rr_type<D>::real x = rr_type<D>::widen(v);
    const bool pass = BACK ? (bit & 1) != 0 : x >= 0;
    if (!pass)
        v = rr_type<D>::narrow(rr_product(a, x));
    return pass ? 1u : 0u;
}

/* ---- contiguous tensors ---- */

/* VECTOR: x and y are multiples of rr_four's alignment, and start is one of 4. */
template <int D, bool BACK, bool VECTOR>
RR_FN void rr_linear(const typename rr_type<D>::stored *x, typename rr_type<D>::stored *y, rr_u8 *bits,
                     rr_u64 n, rr_u64 start, const rr_draw<typename rr_type<D>::real> &draw)
{
    typedef typename rr_type<D>::stored stored;
    typedef typename rr_type<D>::real real;
    const rr_u64 first = (rr_u64)blockIdx.x * (RR_GROUPS * RR_BLOCK_THREADS) + threadIdx.x;
    rr_four<stored> v[RR_GROUPS];
    int u, j;
    /* nobody leaves early: the exchange of bits needs every lane of the warp */
#pragma unroll
    for (u = 0; u < RR_GROUPS; u++) {
        const rr_u64 at = 4 * (first + u * RR_BLOCK_THREADS);
        if (VECTOR && at + 4 <= n) {
            v[u] = *(const rr_four<stored> *)(x + at);
        } else {
#pragma unroll
            for (j = 0; j < 4; j++)
                v[u].at[j] = at + j < n ? x[at + j] : stored(0);
        }
    }
#pragma unroll
    for (u = 0; u < RR_GROUPS; u++) {
        const rr_u64 group = first + u * RR_BLOCK_THREADS, at = 4 * group;
        rr_u32 half = 0;
        real a[4];
        if (at < n) {
            const rr_u32 kept = BACK ? (rr_u32)bits[group >> 1] >> 4 * ((rr_u32)group & 1) : 0;
            rr_four_slopes<VECTOR>(draw, start + at, a);
#pragma unroll
            for (j = 0; j < 4; j++) {
                const rr_u32 pass = rr_element<D, BACK>(v[u].at[j], kept >> j, a[j]);
                half |= (at + j < n ? pass : 0) << j;
            }
            if (VECTOR && at + 4 <= n) {
                *(rr_four<stored> *)(y + at) = v[u];
            } else {
#pragma unroll
                for (j = 0; j < 4; j++)
                    if (at + j < n)
                        y[at + j] = v[u].at[j];
            }
        }
        if (!BACK && bits) {
            const rr_u32 other = __shfl_xor_sync(0xFFFFFFFFu, half, 1);
            if (at < n && (threadIdx.x & 1) == 0)
                bits[group >> 1] = (rr_u8)(half | other << 4);
        }
    }
}

/* ---- any layout ---- */

/* One axis: its size, and how far a step along it goes in x, in y and in the Philox index. */
struct rr_axis {
    rr_u64 size;
    rr_i64 x, y, index;
};

/* Where an element is. */
template <int RANK>
struct rr_place {
    rr_u64 along[RANK];
    rr_i64 x, y;
    rr_u64 index;
};

RR_FN rr_u64 rr_divide(rr_u64 a, rr_u64 b)
{
    /* division of 64 bits is a long subroutine, and most tensors need none */
    return (a | b) >> 32 ? a / b : (rr_u64)((rr_u32)a / (rr_u32)b);
}

/* The place of element `at`, counted in C order. */
template <int RANK>
RR_FN rr_place<RANK> rr_locate(const rr_axis (&axes)[RANK], rr_u64 at, rr_u64 start)
{
    rr_place<RANK> p;
    int d;
    p.x = p.y = 0;
    p.index = start;
#pragma unroll
    for (d = RANK - 1; d >= 0; d--) {
        const rr_u64 left = d ? rr_divide(at, axes[d].size) : 0;
        p.along[d] = at - left * axes[d].size;
        p.x += (rr_i64)p.along[d] * axes[d].x;
        p.y += (rr_i64)p.along[d] * axes[d].y;
        p.index += p.along[d] * (rr_u64)axes[d].index;
        at = left;
    }
    return p;
}

/* On to the next element in C order. */
template <int RANK>
RR_FN void rr_advance(const rr_axis (&axes)[RANK], rr_place<RANK> &p)
{
    bool carry = true;
    int d;
#pragma unroll
    for (d = RANK - 1; d >= 0; d--) {
        if (carry) {
            p.along[d]++;
            p.x += axes[d].x;
            p.y += axes[d].y;
            p.index += (rr_u64)axes[d].index;
            carry = p.along[d] == axes[d].size;
            if (carry) {
                p.along[d] = 0;
                p.x -= (rr_i64)axes[d].size * axes[d].x;
                p.y -= (rr_i64)axes[d].size * axes[d].y;
                p.index -= axes[d].size * (rr_u64)axes[d].index;
            }
        }
    }
}

/* A thread has eight elements, so that it alone writes its byte of bits. */
template <int D, bool BACK, int RANK>
RR_FN void rr_strided(const typename rr_type<D>::stored *x, typename rr_type<D>::stored *y, rr_u8 *bits,
                      rr_u64 n, rr_u64 start, const rr_draw<typename rr_type<D>::real> &draw,
                      const rr_axis (&axes)[RANK])
{
    const rr_u64 byte = (rr_u64)blockIdx.x * RR_BLOCK_THREADS + threadIdx.x;
    const rr_u32 count = n - 8 * byte < 8 ? (rr_u32)(n - 8 * byte) : 8;
    rr_walk<typename rr_type<D>::real> walk;
    rr_u32 kept = 0, made = 0, j;
    if (8 * byte >= n)
        return;
    if (BACK)
        kept = bits[byte];
    walk.any = false;
    rr_place<RANK> p = rr_locate(axes, 8 * byte, start);
    for (j = 0; j < count; j++) {
        typename rr_type<D>::stored v = x[p.x];
        made |= rr_element<D, BACK>(v, kept >> j, rr_next_slope(draw, walk, p.index)) << j;
        y[p.y] = v;
        rr_advance(axes, p);
    }
    if (!BACK && bits)
        bits[byte] = (rr_u8)made;
}

/* Channels last, and whatever is like it: the Philox index runs along the second-last axis while memory
 * runs along the last. A thread has 4 by 8 elements there: 8 Philox blocks, every word of them used, and
 * 4 bytes. The launcher sees to it that the last axis is a multiple of 8 and the other of 4, and that
 * every row of tiles begins with a Philox block. */
template <int D, bool BACK, int RANK>
RR_FN void rr_tiled(const typename rr_type<D>::stored *x, typename rr_type<D>::stored *y, rr_u8 *bits,
                    rr_u64 n, rr_u64 start, const rr_draw<typename rr_type<D>::real> &draw,
                    const rr_axis (&axes)[RANK])
{
    const rr_axis row = axes[RANK - 2], column = axes[RANK - 1];
    const rr_u64 tile = (rr_u64)blockIdx.x * RR_BLOCK_THREADS + threadIdx.x;
    const rr_u64 across = column.size / 8;
    const rr_u64 band = rr_divide(tile, across);
    /* counted in C order, the first element of each of the four rows */
    const rr_u64 at = 4 * band * column.size + 8 * (tile - band * across);
    typename rr_type<D>::real a[4];
    rr_u32 kept[4] = {0, 0, 0, 0}, made[4] = {0, 0, 0, 0}, j, r;
    if (tile >= n / 32)
        return;
    const rr_place<RANK> p = rr_locate(axes, at, start);
    if (BACK) {
#pragma unroll
        for (r = 0; r < 4; r++)
            kept[r] = bits[(at + r * column.size) >> 3];
    }
#pragma unroll
    for (j = 0; j < 8; j++) {
        rr_four_slopes<true>(draw, p.index + j * (rr_u64)column.index, a);
#pragma unroll
        for (r = 0; r < 4; r++) {
            typename rr_type<D>::stored v = x[p.x + (rr_i64)r * row.x + (rr_i64)j * column.x];
            made[r] |= rr_element<D, BACK>(v, kept[r] >> j, a[r]) << j;
            y[p.y + (rr_i64)r * row.y + (rr_i64)j * column.y] = v;
        }
    }
    if (!BACK && bits) {
#pragma unroll
        for (r = 0; r < 4; r++)
            bits[(at + r * column.size) >> 3] = (rr_u8)made[r];
    }
}

/* The slopes themselves, contiguous, four by a thread. */
template <typename R, int RANK>
RR_FN void rr_slopes(R *out, rr_u64 n, rr_u64 start, const rr_draw<R> &draw, const rr_axis (&axes)[RANK])
{
    const rr_u64 at = 4 * ((rr_u64)blockIdx.x * RR_BLOCK_THREADS + threadIdx.x);
    const rr_u32 count = n - at < 4 ? (rr_u32)(n - at) : 4;
    rr_walk<R> walk;
    rr_u32 j;
    if (at >= n)
        return;
    walk.any = false;
    rr_place<RANK> p = rr_locate(axes, at, start);
    for (j = 0; j < count; j++) {
        out[at + j] = rr_next_slope(draw, walk, p.index);
        rr_advance(axes, p);
    }
}

#endif
