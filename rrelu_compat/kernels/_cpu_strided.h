#ifndef RRELU_COMPAT_CPU_STRIDED_H
#define RRELU_COMPAT_CPU_STRIDED_H

#include "_cpu.h"

/* elements of one linear step; a multiple of 64, so that no two steps share a byte of bits */
#define RR_LINEAR_BLOCK 1024

void rr_linear(const rr_job *job, size_t begin, size_t end); /* elements; begin a multiple of the block */
int rr_plan_tiles(rr_job *job);                              /* 0: tiles would not help */
void rr_tiled(const rr_job *job, size_t begin, size_t end);  /* tiles */

#endif
