/* The kernels that a launch names, of one dtype: the bodies are in rrelu_cuda.h.
 *
 * Whoever compiles this defines RR_DTYPE (a dtype code) first, and RR_RANK, RR_AXIS_PARAMS and RR_AXES for
 * the kernels of any layout: see _cuda_program.py.
 */
#ifndef RRELU_COMPAT_RRELU_CUDA_KERNELS_H
#define RRELU_COMPAT_RRELU_CUDA_KERNELS_H

#ifndef RRELU_COMPAT_RRELU_CUDA_H
#include "rrelu_cuda.h"
#endif

typedef rr_type<RR_DTYPE>::stored rr_stored;
typedef rr_type<RR_DTYPE>::real rr_real;

#define RR_PARAMS                                                                                          \
    const rr_stored *x, rr_stored *y, rr_u8 *bits, rr_u64 n, rr_u64 start, const rr_u64 *key, rr_u64 seed, \
        rr_u64 call, rr_real lower, rr_real width, rr_real upper, rr_u64 random
#define RR_DRAW rr_make_draw<rr_real>(key, seed, call, lower, width, upper, random)

#ifndef RR_RANK

RR_KERNEL rrelu_forward(RR_PARAMS)
{
    rr_linear<RR_DTYPE, false, false>(x, y, bits, n, start, RR_DRAW);
}
RR_KERNEL rrelu_forward_vector(RR_PARAMS)
{
    rr_linear<RR_DTYPE, false, true>(x, y, bits, n, start, RR_DRAW);
}
RR_KERNEL rrelu_backward(RR_PARAMS)
{
    rr_linear<RR_DTYPE, true, false>(x, y, bits, n, start, RR_DRAW);
}
RR_KERNEL rrelu_backward_vector(RR_PARAMS)
{
    rr_linear<RR_DTYPE, true, true>(x, y, bits, n, start, RR_DRAW);
}

#else

RR_KERNEL rrelu_forward_strided(RR_PARAMS, RR_AXIS_PARAMS)
{
    const rr_axis axes[RR_RANK] = {RR_AXES};
    rr_strided<RR_DTYPE, false, RR_RANK>(x, y, bits, n, start, RR_DRAW, axes);
}
RR_KERNEL rrelu_backward_strided(RR_PARAMS, RR_AXIS_PARAMS)
{
    const rr_axis axes[RR_RANK] = {RR_AXES};
    rr_strided<RR_DTYPE, true, RR_RANK>(x, y, bits, n, start, RR_DRAW, axes);
}
#if RR_RANK > 1
RR_KERNEL rrelu_forward_tiled(RR_PARAMS, RR_AXIS_PARAMS)
{
    const rr_axis axes[RR_RANK] = {RR_AXES};
    rr_tiled<RR_DTYPE, false, RR_RANK>(x, y, bits, n, start, RR_DRAW, axes);
}
RR_KERNEL rrelu_backward_tiled(RR_PARAMS, RR_AXIS_PARAMS)
{
    const rr_axis axes[RR_RANK] = {RR_AXES};
    rr_tiled<RR_DTYPE, true, RR_RANK>(x, y, bits, n, start, RR_DRAW, axes);
}
#endif
#if RR_DTYPE == 2 || RR_DTYPE == 3 /* the compute dtypes; an enumerator is no number to the preprocessor */
RR_KERNEL rrelu_slopes(RR_PARAMS, RR_AXIS_PARAMS)
{
    const rr_axis axes[RR_RANK] = {RR_AXES};
    rr_slopes<rr_real, RR_RANK>(y, n, start, RR_DRAW, axes);
}
#endif

#endif

#endif
