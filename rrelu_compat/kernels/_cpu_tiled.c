/* Any layout by tiles, where the smallest stride belongs to another dimension than the last (transposed,
 * channels last): rows by columns go through a buffer, so that a cache line is used whole while it is near. */
#include "_cpu_strided.h"

#define TILE_BYTES 65536
#define TILE_ROWS 32
#define TILE_ELEMENTS 4096
/* against rows of a tile that all fall into the same cache set */
#define TILE_PAD 16
/* Below the first, a row is not worth a call of the kernel; below the second, tiles take rows whole where
 * several together are consecutive, and make one call of them. */
#define SHORT_ROW 32
#define LONG_ROW 256

/* ---- bits that begin or end inside a byte ---- */

static void or_shared(uint8_t *byte, uint8_t value)
{
#if RR_THREADS
    __atomic_fetch_or(byte, value, __ATOMIC_RELAXED); /* another thread may own its other bits */
#else
    *byte |= value;
#endif
}

/* n bits of src into the zeros at bit `at` of dst */
static void put_bits(uint8_t *dst, size_t at, const uint8_t *src, size_t n)
{
    const unsigned shift = at & 7;
    const size_t first = at / 8, last = (at + n - 1) / 8;
    size_t b;
    for (b = first; b <= last; b++) {
        const size_t i = b - first;
        unsigned v = i < (n + 7) / 8 ? (unsigned)src[i] << shift : 0;
        if (shift && i) v |= (unsigned)src[i - 1] >> (8 - shift);
        if (b == first || b == last)
            or_shared(dst + b, (uint8_t)v);
        else
            dst[b] = (uint8_t)v;
    }
}

static void get_bits(uint8_t *dst, const uint8_t *src, size_t at, size_t n)
{
    const unsigned shift = at & 7;
    const size_t last = (at + n - 1) / 8;
    size_t i;
    for (i = 0; i < (n + 7) / 8; i++) {
        const size_t b = at / 8 + i;
        unsigned v = (unsigned)src[b] >> shift;
        if (shift && b < last) v |= (unsigned)src[b + 1] << (8 - shift);
        dst[i] = (uint8_t)v;
    }
}

/* m elements whose positions and indices are consecutive */
static void piece(const rr_job *job, size_t m, const void *in, void *out, size_t position, uint64_t index)
{
    uint8_t own[TILE_BYTES / 2 / 8 + 1];
    uint8_t *bits = job->bits ? job->bits + position / 8 : NULL;
    const int shared = bits && (position % 8 || (m % 8 && position + m != job->n));
    if (shared) {
        bits = own;
        if (job->op == RR_BACKWARD) get_bits(own, job->bits, position, m);
    }
    rr_contiguous(job->path, &job->params, job->op, job->dtype, m, in, out, bits, index);
    if (shared && job->op == RR_FORWARD) put_bits(job->bits, position, own, m);
}

static uint64_t magnitude(uint64_t stride) { return (int64_t)stride < 0 ? 0 - stride : stride; }

/* The dimension other than the last that moves least in memory, or -1 if that is the last itself. */
static int fast_dimension(const rr_job *job, const uint64_t *strides)
{
    const int last = job->dims - 1;
    int best = last, d;
    for (d = 0; d < last; d++)
        if (strides[d] && job->shape[d] > 1 && magnitude(strides[d]) < magnitude(strides[best])) best = d;
    return best == last ? -1 : best;
}

int rr_plan_tiles(rr_job *job)
{
    const int last = job->dims - 1;
    const size_t size = rr_sizes[job->dtype];
    size_t columns, rows;
    int f, d;
    if (last < 1 || !job->in || job->index_strides[last] != 1) return 0;
    f = fast_dimension(job, job->in_strides);
    if (f < 0) f = fast_dimension(job, job->out_strides);
    if (f < 0) return 0;
    columns = job->shape[last];
    rows = job->shape[f];
    job->whole_rows = f == last - 1 && job->c_order && columns < LONG_ROW;
    if (job->whole_rows) {
        size_t fit = TILE_BYTES / 2 / (columns * size);
        if (fit > 256) fit = 256;
        if (fit > 8) fit -= fit % 8;
        job->tile_rows = rows < fit ? rows : fit;
        job->tile_columns = columns;
    } else {
        size_t fit;
        if (columns < SHORT_ROW) return 0;
        job->tile_rows = rows < TILE_ROWS ? rows : TILE_ROWS;
        fit = TILE_ELEMENTS / job->tile_rows / 64 * 64;
        job->tile_columns = columns < fit ? columns : fit;
    }
    job->fast = f;
    job->row_tiles = (rows + job->tile_rows - 1) / job->tile_rows;
    job->column_tiles = (columns + job->tile_columns - 1) / job->tile_columns;
    job->tiles = job->row_tiles * job->column_tiles;
    for (d = 0; d < last; d++)
        if (d != f) job->tiles *= job->shape[d];
    return 1;
}

static void tile(const rr_job *job, char *buffer, size_t number)
{
    const int last = job->dims - 1, f = job->fast;
    const size_t size = rr_sizes[job->dtype];
    size_t column = number % job->column_tiles * job->tile_columns;
    size_t row = number / job->column_tiles % job->row_tiles * job->tile_rows;
    size_t rest = number / job->column_tiles / job->row_tiles;
    size_t rows = job->shape[f] - row, columns = job->shape[last] - column, r;
    uint64_t in = 0, out = 0, index = 0;
    size_t position = 0, stride = 1, row_position = 0, pitch;
    const char *from;
    char *to;
    int d;
    if (rows > job->tile_rows) rows = job->tile_rows;
    if (columns > job->tile_columns) columns = job->tile_columns;
    for (d = last; d >= 0; d--) {
        size_t at;
        if (d == last) {
            at = column;
        } else if (d == f) {
            at = row;
            row_position = stride;
        } else {
            at = rest % job->shape[d];
            rest /= job->shape[d];
        }
        in += at * job->in_strides[d];
        out += at * job->out_strides[d];
        index += at * job->index_strides[d];
        position += at * stride;
        stride *= job->shape[d];
    }
    from = job->in + (ptrdiff_t)(in * size);
    to = job->out + (ptrdiff_t)(out * size);
    pitch = (job->whole_rows ? columns : job->tile_columns + TILE_PAD) * size;
    rr_copy_tile(rows, columns, size, from, (ptrdiff_t)(job->in_strides[f] * size),
                 (ptrdiff_t)(job->in_strides[last] * size), buffer, (ptrdiff_t)pitch, (ptrdiff_t)size);
    if (job->whole_rows)
        piece(job, rows * columns, buffer, buffer, position, job->start + index);
    else
        for (r = 0; r < rows; r++)
            piece(job, columns, buffer + r * pitch, buffer + r * pitch, position + r * row_position,
                  job->start + index + r * job->index_strides[f]);
    rr_copy_tile(rows, columns, size, buffer, (ptrdiff_t)pitch, (ptrdiff_t)size, to,
                 (ptrdiff_t)(job->out_strides[f] * size), (ptrdiff_t)(job->out_strides[last] * size));
}

void rr_tiled(const rr_job *job, size_t begin, size_t end)
{
    char buffer[TILE_BYTES];
    size_t t;
    for (t = begin; t < end; t++) tile(job, buffer, t);
}
