/* Contiguous ranges: splits them so that the fast kernels' conditions hold. */
#include "_cpu.h"

void rr_params_init(rr_params *p, uint64_t seed, uint64_t call, double lower, double upper)
{
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    int r;
    p->seed = seed;
    p->call = call;
    for (r = 0; r < RR_PHILOX_ROUNDS; r++) {
        p->k0[r] = k0;
        p->k1[r] = k1;
        k0 += RR_PHILOX_W0;
        k1 += RR_PHILOX_W1;
    }
    p->bounds = rr_make_bounds(lower, upper);
    /* equal after rounding is enough: then s >= lower == upper, and the definition takes upper */
    p->same_f32 = p->bounds.lower_f32 == p->bounds.upper_f32 && p->bounds.width_f32 >= 0;
    p->same_f64 = p->bounds.lower_f64 == p->bounds.upper_f64;
}

void rr_run_init(rr_run *r, const rr_params *p, uint32_t high)
{
    const uint32_t c2 = (uint32_t)p->call, c3 = (uint32_t)(p->call >> 32);
    const uint64_t p1 = (uint64_t)RR_PHILOX_M1 * c2;
    const uint64_t p0 = (uint64_t)RR_PHILOX_M0 * ((uint32_t)(p1 >> 32) ^ high ^ p->k0[0]);
    int i;
    r->c3k1 = c3 ^ p->k1[0];
    r->c1k0 = (uint32_t)p1 ^ p->k0[1];
    r->p0k1 = (uint32_t)(p0 >> 32) ^ p->k1[1];
    r->p0lok1 = (uint32_t)p0 ^ p->k1[2];
    for (i = 0; i < RR_PHILOX_ROUNDS; i++) {
        r->k0[i] = p->k0[i];
        r->k1[i] = p->k1[i];
    }
}

#define CHUNK 1024 /* words that pass through memory at a time; 4 KiB stay in the first cache */

const uint32_t *rr_consecutive_words(const rr_path *path, const rr_params *p, size_t n, uint64_t index,
                                     uint32_t *buffer)
{
    const size_t head = index & 3, blocks = (head + n + 3) / 4;
    const uint64_t block = index >> 2, room = 0x100000000ull - (uint32_t)block;
    size_t b;
    if (room >= blocks) {
        path->words(p, blocks, buffer, block);
        return buffer + head;
    }
    for (b = 0; b < blocks; b++) { /* the high counter word changes on the way */
        const rr_block w = rr_words(p->seed, p->call, block + b);
        memcpy(buffer + 4 * b, w.word, sizeof w.word);
    }
    return buffer + head;
}

/* Through memory: for a start inside a block, and where the high counter word changes. */
static RR_NOINLINE void by_words(const rr_path *path, const rr_params *p, rr_kernel *kernel, size_t n,
                                 const char *in, char *out, uint8_t *bits, uint64_t index, size_t size)
{
    uint32_t buffer[CHUNK + 4 + RR_SPILL];
    size_t k;
    for (k = 0; k < n; k += CHUNK) {
        const size_t m = n - k < CHUNK ? n - k : CHUNK;
        size_t i;
        /* memory would wait while words are made: at 2**20 float64 this halves the time */
        for (i = 0; i < m * size; i += 64) {
            RR_PREFETCH(in + k * size + i, 0);
            RR_PREFETCH(out + k * size + i, 1);
        }
        kernel(p, m, in + k * size, out + k * size, bits ? bits + k / 8 : NULL, 0,
               rr_consecutive_words(path, p, m, index + k, buffer));
    }
}

void rr_contiguous(const rr_path *path, const rr_params *p, int op, int dtype, size_t n,
                   const void *in, void *out, uint8_t *bits, uint64_t index)
{
    rr_kernel *const *kernels = path->kernel[dtype][op];
    const size_t size = rr_sizes[dtype];
    const char *from = in;
    char *to = out;
    if (dtype == RR_F64 ? p->same_f64 : p->same_f32) {
        kernels[RR_SAME](p, n, in, out, bits, 0, NULL);
        return;
    }
    if (index & 3) {
        by_words(path, p, kernels[RR_WORDS], n, from, to, bits, index, size);
        return;
    }
    while (n) {
        const uint64_t block = index >> 2;
        const uint64_t room = 4 * (0x100000000ull - (uint32_t)block); /* elements to a new high word */
        size_t m;
        if (room >= n) {
            kernels[RR_PHILOX](p, n, from, to, bits, block, NULL);
            return;
        }
        m = (size_t)(room / RR_GROUP * RR_GROUP);
        if (m) {
            kernels[RR_PHILOX](p, m, from, to, bits, block, NULL);
        } else {
            m = n < RR_GROUP ? n : RR_GROUP;
            by_words(path, p, kernels[RR_WORDS], m, from, to, bits, index, size);
        }
        n -= m;
        from += m * size;
        to += m * size;
        bits = bits ? bits + m / 8 : NULL;
        index += m;
    }
}
