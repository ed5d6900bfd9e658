/* The two walks over memory that is not contiguous, and what they share. */
#ifndef RRELU_COMPAT_CPU_STRIDED_H
#define RRELU_COMPAT_CPU_STRIDED_H

#include "_cpu.h"

/* elements of one linear step; a multiple of 64, so that no two steps share a byte of bits */
#define RR_LINEAR_BLOCK 1024

/* elements begin .. end; begin is a multiple of the block */
void rr_linear(const rr_job *job, size_t begin, size_t end);

/* 0: tiles would not help, or can't be had */
int rr_plan_tiles(rr_job *job);
void rr_tiled(const rr_job *job, size_t begin, size_t end);

/* n elements of `size` bytes; steps in bytes */
void rr_copy_run(size_t n, size_t size, const char *from, ptrdiff_t from_step, char *to, ptrdiff_t to_step);
void rr_copy_tile(size_t rows, size_t columns, size_t size, const char *from, ptrdiff_t from_row,
                  ptrdiff_t from_column, char *to, ptrdiff_t to_row, ptrdiff_t to_column);

#endif
