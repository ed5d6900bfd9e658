/* The path of plain C, for any machine. Written as loops over a group of 64 elements that a
 * compiler can vectorise for its baseline instruction set. */
#include "_cpu.h"

static int usable(void) { return 1; }

static void words(const rr_params *p, size_t blocks, uint32_t *out, uint64_t block)
{
    size_t b;
    /* one block after the other: without wide registers the scalar multiplier is the fastest */
    for (b = 0; b < blocks; b++) {
        const rr_block w = rr_words(p->seed, p->call, block + b);
        memcpy(out + 4 * b, w.word, sizeof w.word);
    }
}

static void words_at(const rr_params *p, size_t n, const uint64_t *index, uint32_t *out)
{
    rr_block held = {{0, 0, 0, 0}};
    size_t k;
    for (k = 0; k < n; k++) {
        if (!k || index[k] >> 2 != index[k - 1] >> 2) held = rr_words(p->seed, p->call, index[k] >> 2);
        out[k] = held.word[index[k] & 3];
    }
}

/* Eight bytes of 0 or 1 to eight bits, and back. The constants take byte i of a little-endian word. */
static uint8_t pack8(const uint8_t *pass)
{
    uint64_t v = 0;
    int i;
    for (i = 0; i < 8; i++) v |= (uint64_t)pass[i] << 8 * i;
    return (uint8_t)((v * 0x0102040810204080ull) >> 56);
}

static void unpack8(uint8_t bits, uint8_t *pass)
{
    const uint64_t v = (bits * 0x0101010101010101ull) & 0x8040201008040201ull;
    const uint64_t ones = ((v + 0x7F7F7F7F7F7F7F7Full) >> 7) & 0x0101010101010101ull;
    int i;
    for (i = 0; i < 8; i++) pass[i] = (uint8_t)(ones >> 8 * i);
}

/* One group; w is NULL where one slope serves all. Pass is made (forward) or given. */
RR_FN void group_f32(const rr_params *p, float *x, uint8_t *pass, const uint32_t *w, int make)
{
    const float lower = p->bounds.lower_f32, width = p->bounds.width_f32, upper = p->bounds.upper_f32;
    int k;
    if (make)
        for (k = 0; k < RR_GROUP; k++) pass[k] = x[k] >= 0;
    for (k = 0; k < RR_GROUP; k++) {
        const float a = w ? rr_slope_f32(w[k], lower, width, upper) : upper;
        const float t = RR_MUL_F32(a, x[k]);
        x[k] = pass[k] ? x[k] : t;
    }
}

RR_FN void group_f64(const rr_params *p, double *x, uint8_t *pass, const uint32_t *w, int make)
{
    const double lower = p->bounds.lower_f64, width = p->bounds.width_f64, upper = p->bounds.upper_f64;
    int k;
    if (make)
        for (k = 0; k < RR_GROUP; k++) pass[k] = x[k] >= 0;
    for (k = 0; k < RR_GROUP; k++) {
        const double a = w ? rr_slope_f64(w[k], lower, width, upper) : upper;
        const double t = RR_MUL_F64(a, x[k]);
        x[k] = pass[k] ? x[k] : t;
    }
}

/* A half that passes keeps its bits: a passing gradient may be any NaN. */
RR_FN void group_half(const rr_params *p, uint16_t *h, uint8_t *pass, const uint32_t *w, int make,
                      int brain)
{
    float x[RR_GROUP];
    int k;
    for (k = 0; k < RR_GROUP; k++) x[k] = brain ? rr_float_of_bf16(h[k]) : rr_float_of_f16(h[k]);
    group_f32(p, x, pass, w, make);
    for (k = 0; k < RR_GROUP; k++) {
        const uint16_t y = brain ? rr_bf16_of_float(x[k]) : rr_f16_of_float(x[k]);
        h[k] = pass[k] ? h[k] : y;
    }
}

RR_FN void walk(const rr_params *p, size_t n, const void *in, void *out, uint8_t *bits, uint64_t block,
                const uint32_t *given, int dtype, int op, int source)
{
    union {
        float f32[RR_GROUP];
        double f64[RR_GROUP];
        uint16_t half[RR_GROUP];
    } x; /* a copy: the pointers need not be aligned, and aliasing is settled */
    uint32_t w[RR_GROUP];
    uint8_t pass[RR_GROUP];
    const size_t size = rr_sizes[dtype];
    const int make = op == RR_FORWARD;
    size_t k, i;
    for (k = 0; k < n; k += RR_GROUP) {
        const size_t m = n - k < RR_GROUP ? n - k : RR_GROUP;
        const char *from = (const char *)in + k * size;
        char *to = (char *)out + k * size;
        if (m < RR_GROUP) { /* padded with NaN */
            memset(&x, 0xFF, sizeof x);
            memset(w, 0, sizeof w);
            memset(pass, 0, sizeof pass);
            memcpy(&x, from, m * size);
        } else {
            memcpy(&x, from, RR_GROUP * size);
        }
        if (source == RR_PHILOX) words(p, (m + 3) / 4, w, block + k / 4);
        if (source == RR_WORDS) memcpy(w, given + k, m * sizeof *w);
        if (!make)
            for (i = 0; i < m; i += 8) unpack8(bits[(k + i) / 8], pass + i);
        if (dtype == RR_F32)
            group_f32(p, x.f32, pass, source == RR_SAME ? NULL : w, make);
        else if (dtype == RR_F64)
            group_f64(p, x.f64, pass, source == RR_SAME ? NULL : w, make);
        else
            group_half(p, x.half, pass, source == RR_SAME ? NULL : w, make, dtype == RR_BF16);
        if (m < RR_GROUP)
            memcpy(to, &x, m * size);
        else
            memcpy(to, &x, RR_GROUP * size);
        /* the padding is NaN, so its bits are 0 */
        if (make && bits)
            for (i = 0; i < m; i += 8) bits[(k + i) / 8] = pack8(pass + i);
    }
}

#define KERNEL_TARGET
#include "_cpu_table.h"

const rr_path rr_path_c = {"c", usable, 1 << 15, words, words_at, RR_TABLES};
