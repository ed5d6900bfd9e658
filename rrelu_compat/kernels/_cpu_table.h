/* A path's table of kernels: its walk(), compiled for every dtype, direction and source of slopes.
 * The including file defines walk() and KERNEL_TARGET. */
#define KERNEL(name, dtype, op, source)                                                               \
    static KERNEL_TARGET void name(const rr_params *p, size_t n, const void *in, void *out,           \
                                   uint8_t *bits, uint64_t block, const uint32_t *given)              \
    {                                                                                                 \
        walk(p, n, in, out, bits, block, given, dtype, op, source);                                   \
    }
#define KERNELS(dtype)                                                                                \
    KERNEL(forward_philox_##dtype, RR_##dtype, RR_FORWARD, RR_PHILOX)                                 \
    KERNEL(forward_words_##dtype, RR_##dtype, RR_FORWARD, RR_WORDS)                                   \
    KERNEL(forward_same_##dtype, RR_##dtype, RR_FORWARD, RR_SAME)                                     \
    KERNEL(backward_philox_##dtype, RR_##dtype, RR_BACKWARD, RR_PHILOX)                               \
    KERNEL(backward_words_##dtype, RR_##dtype, RR_BACKWARD, RR_WORDS)                                 \
    KERNEL(backward_same_##dtype, RR_##dtype, RR_BACKWARD, RR_SAME)
#define TABLE(dtype)                                                                                  \
    {                                                                                                 \
        {forward_philox_##dtype, forward_words_##dtype, forward_same_##dtype},                        \
        {                                                                                             \
            backward_philox_##dtype, backward_words_##dtype, backward_same_##dtype                    \
        }                                                                                             \
    }

KERNELS(F16)
KERNELS(BF16)
KERNELS(F32)
KERNELS(F64)

/* in the order of the dtype codes */
#define RR_TABLES {TABLE(F16), TABLE(BF16), TABLE(F32), TABLE(F64)}
