/* How this thread rounds and treats subnormal numbers: the definition's way while a kernel works. */
#include "_cpu.h"

/* A framework may set a thread to flush subnormal numbers to zero, or another rounding, and threads of one
 * process may differ. Not inlined: no arithmetic may move across. */
#if defined(__x86_64__) || defined(_M_X64) || defined(__SSE__)
#include <xmmintrin.h>

#define DEFAULT 0x1F80u /* nothing flushed, to nearest, no traps */
#define FLAGS 0x3Fu     /* what happened so far: no mode */

RR_NOINLINE uint64_t rr_float_mode_default(void)
{
    const unsigned before = _mm_getcsr();
    if ((before & ~FLAGS) != DEFAULT) _mm_setcsr(DEFAULT);
    return before;
}

RR_NOINLINE void rr_float_mode_restore(uint64_t before)
{
    if ((before & ~(uint64_t)FLAGS) != DEFAULT) _mm_setcsr((unsigned)before);
}

#elif defined(__aarch64__)

RR_NOINLINE uint64_t rr_float_mode_default(void)
{
    uint64_t before;
    __asm__ volatile("mrs %0, fpcr" : "=r"(before) : : "memory");
    if (before) __asm__ volatile("msr fpcr, %0" : : "r"((uint64_t)0) : "memory");
    return before;
}

RR_NOINLINE void rr_float_mode_restore(uint64_t before)
{
    if (before) __asm__ volatile("msr fpcr, %0" : : "r"(before) : "memory");
}

#else /* the mode is left as it is */

RR_NOINLINE uint64_t rr_float_mode_default(void) { return 0; }

RR_NOINLINE void rr_float_mode_restore(uint64_t before) { (void)before; }

#endif
