/* Any layout, in logical (C) order: gather a block into a buffer, run the contiguous kernel, scatter.
 *
 * Two walks. Linear: blocks of consecutive elements, for layouts whose rows are contiguous or nearly so.
 * Tiled: where the smallest stride belongs to another dimension than the last (transposed, channels last),
 * blocks of rows by columns, so that a cache line is used whole while it is near.
 */
#include "_cpu_strided.h"

#define BLOCK RR_LINEAR_BLOCK
#define TILE_BYTES 65536
/* rows of a tile: two cache lines of float32, one of float64 and two to four of the half types */
#define TILE_ROWS 32
#define TILE_COLUMNS 128
/* against columns of a tile that all fall into the same cache set */
#define TILE_PAD 16

/* ---- moving elements ---- */

#define COPY(type)                                                                                    \
    do {                                                                                              \
        size_t i_;                                                                                    \
        type v_;                                                                                      \
        for (i_ = 0; i_ < n; i_++) {                                                                  \
            memcpy(&v_, from + (ptrdiff_t)i_ * from_step, sizeof v_);                                 \
            memcpy(to + (ptrdiff_t)i_ * to_step, &v_, sizeof v_);                                     \
        }                                                                                             \
    } while (0)

/* n elements of `size` bytes; steps in bytes */
static void copy_run(size_t n, size_t size, const char *from, ptrdiff_t from_step, char *to,
                     ptrdiff_t to_step)
{
    if (from_step == (ptrdiff_t)size && to_step == (ptrdiff_t)size)
        memcpy(to, from, n * size);
    else if (size == 2)
        COPY(uint16_t);
    else if (size == 4)
        COPY(uint32_t);
    else
        COPY(uint64_t);
}

/* rows x columns elements; the dimension with the smaller step outside the tile runs inside */
static void copy_tile(size_t rows, size_t columns, size_t size, const char *from, ptrdiff_t from_row,
                      ptrdiff_t from_column, char *to, ptrdiff_t to_row, ptrdiff_t to_column, int by_rows)
{
    size_t i;
    if (by_rows)
        for (i = 0; i < rows; i++)
            copy_run(columns, size, from + (ptrdiff_t)i * from_row, from_column,
                     to + (ptrdiff_t)i * to_row, to_column);
    else
        for (i = 0; i < columns; i++)
            copy_run(rows, size, from + (ptrdiff_t)i * from_column, from_row,
                     to + (ptrdiff_t)i * to_column, to_row);
}

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

/* ---- linear ---- */

/* A place in the tensor and the offset that one array of strides gives it. */
typedef struct {
    const rr_job *job;
    const int64_t *strides;
    int64_t offset;
    size_t at[RR_MAX_DIMS];
} cursor;

static void cursor_init(cursor *c, const rr_job *job, const int64_t *strides, size_t position)
{
    int d;
    c->job = job;
    c->strides = strides;
    c->offset = 0;
    for (d = job->dims; d-- > 0;) {
        c->at[d] = position % job->shape[d];
        position /= job->shape[d];
        c->offset += (int64_t)c->at[d] * strides[d];
    }
}

/* how many of the next n elements stand in this row */
static size_t cursor_run(const cursor *c, size_t n)
{
    const int d = c->job->dims - 1;
    const size_t rest = c->job->shape[d] - c->at[d];
    return n < rest ? n : rest;
}

static void cursor_advance(cursor *c, size_t run)
{
    int d = c->job->dims - 1;
    c->at[d] += run;
    c->offset += (int64_t)run * c->strides[d];
    while (c->at[d] == c->job->shape[d] && d > 0) {
        c->offset -= (int64_t)c->job->shape[d] * c->strides[d];
        c->at[d] = 0;
        d--;
        c->at[d]++;
        c->offset += c->strides[d];
    }
}

static void linear_words(cursor *c, size_t m, uint32_t *words)
{
    const rr_job *job = c->job;
    const int64_t step = c->strides[job->dims - 1];
    size_t done, run, i;
    for (done = 0; done < m; done += run) {
        uint64_t index = job->start + (uint64_t)c->offset, held = 0;
        rr_block block = rr_words(job->params.seed, job->params.call, index >> 2);
        held = index >> 2;
        run = cursor_run(c, m - done);
        for (i = 0; i < run; i++, index += (uint64_t)step) {
            if (index >> 2 != held) {
                held = index >> 2;
                block = rr_words(job->params.seed, job->params.call, held);
            }
            words[done + i] = block.word[index & 3];
        }
        cursor_advance(c, run);
    }
}

void rr_linear(const rr_job *job, size_t begin, size_t end)
{
    char in_buffer[BLOCK * 8], out_buffer[BLOCK * 8];
    uint32_t words[BLOCK];
    uint8_t none[BLOCK / 8];
    const int last = job->dims - 1, counting = job->in == NULL;
    const size_t size = rr_sizes[job->dtype];
    const ptrdiff_t in_step = (ptrdiff_t)(job->in_strides[last] * (int64_t)size);
    const ptrdiff_t out_step = (ptrdiff_t)(job->out_strides[last] * (int64_t)size);
    cursor in, out, index;
    size_t k, m, i, run;
    if (counting) { /* slopes: the gradient of ones, none of which passes */
        const float one_f32 = 1;
        const double one_f64 = 1;
        memset(none, 0, sizeof none);
        for (i = 0; i < BLOCK; i++)
            memcpy(in_buffer + i * size, job->dtype == RR_F64 ? (const void *)&one_f64 : &one_f32, size);
    }
    cursor_init(&in, job, job->in_strides, begin);
    cursor_init(&out, job, job->out_strides, begin);
    cursor_init(&index, job, job->index_strides, begin);
    for (k = begin; k < end; k += m) {
        const char *from = in_buffer;
        char *to = out_buffer;
        uint8_t *bits = counting ? none : job->bits ? job->bits + k / 8 : NULL;
        int direct;
        m = end - k < BLOCK ? end - k : BLOCK;
        if (!counting && cursor_run(&in, m) == m && in_step == (ptrdiff_t)size) {
            from = job->in + in.offset * (int64_t)size;
            cursor_advance(&in, m);
        } else if (!counting) {
            for (i = 0; i < m; i += run) {
                run = cursor_run(&in, m - i);
                copy_run(run, size, job->in + in.offset * (int64_t)size, in_step, in_buffer + i * size,
                         (ptrdiff_t)size);
                cursor_advance(&in, run);
            }
        }
        direct = cursor_run(&out, m) == m && out_step == (ptrdiff_t)size;
        if (direct) to = job->out + out.offset * (int64_t)size;
        if (job->c_order) {
            rr_contiguous(job->path, &job->params, job->op, job->dtype, m, from, to, bits, job->start + k);
        } else if (cursor_run(&index, m) == m && job->index_strides[last] == 1) {
            rr_contiguous(job->path, &job->params, job->op, job->dtype, m, from, to, bits,
                          job->start + (uint64_t)index.offset);
            cursor_advance(&index, m);
        } else {
            linear_words(&index, m, words);
            job->path->kernel[job->dtype][job->op][RR_WORDS](&job->params, m, from, to, bits, 0, words);
        }
        if (direct) {
            cursor_advance(&out, m);
            continue;
        }
        for (i = 0; i < m; i += run) {
            run = cursor_run(&out, m - i);
            copy_run(run, size, out_buffer + i * size, (ptrdiff_t)size,
                     job->out + out.offset * (int64_t)size, out_step);
            cursor_advance(&out, run);
        }
    }
}

/* ---- tiled ---- */

static int64_t magnitude(int64_t stride) { return stride < 0 ? -stride : stride; }

/* The dimension other than the last that moves least in memory, or -1 if that is the last itself. */
static int fast_dimension(const rr_job *job, const int64_t *strides)
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
    job->whole_rows = f == last - 1 && job->c_order && columns < 2 * TILE_COLUMNS;
    if (job->whole_rows) {
        size_t fit = TILE_BYTES / 2 / (columns * size);
        if (fit > 256) fit = 256;
        if (fit > 8) fit -= fit % 8;
        job->tile_rows = rows < fit ? rows : fit;
        job->tile_columns = columns;
    } else {
        job->tile_rows = rows < TILE_ROWS ? rows : TILE_ROWS;
        job->tile_columns = columns < TILE_COLUMNS ? columns : TILE_COLUMNS;
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
    const int64_t size = (int64_t)rr_sizes[job->dtype];
    size_t column = number % job->column_tiles * job->tile_columns;
    size_t row = number / job->column_tiles % job->row_tiles * job->tile_rows;
    size_t rest = number / job->column_tiles / job->row_tiles;
    size_t rows = job->shape[f] - row, columns = job->shape[last] - column, r;
    int64_t in = 0, out = 0, index = 0, position = 0, stride = 1, row_position = 0, pitch;
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
        in += (int64_t)at * job->in_strides[d];
        out += (int64_t)at * job->out_strides[d];
        index += (int64_t)at * job->index_strides[d];
        position += (int64_t)at * stride;
        stride *= (int64_t)job->shape[d];
    }
    from = job->in + in * size;
    to = job->out + out * size;
    pitch = job->whole_rows ? (int64_t)columns * size : (TILE_COLUMNS + TILE_PAD) * size;
    copy_tile(rows, columns, (size_t)size, from, job->in_strides[f] * size, job->in_strides[last] * size,
              buffer, pitch, size, magnitude(job->in_strides[last]) <= magnitude(job->in_strides[f]));
    if (job->whole_rows)
        piece(job, rows * columns, buffer, buffer, (size_t)position, job->start + (uint64_t)index);
    else
        for (r = 0; r < rows; r++)
            piece(job, columns, buffer + (int64_t)r * pitch, buffer + (int64_t)r * pitch,
                  (size_t)(position + (int64_t)r * row_position),
                  job->start + (uint64_t)(index + (int64_t)r * job->index_strides[f]));
    copy_tile(rows, columns, (size_t)size, buffer, pitch, size, to, job->out_strides[f] * size,
              job->out_strides[last] * size,
              magnitude(job->out_strides[last]) <= magnitude(job->out_strides[f]));
}

void rr_tiled(const rr_job *job, size_t begin, size_t end)
{
    char buffer[TILE_BYTES];
    size_t t;
    for (t = begin; t < end; t++) tile(job, buffer, t);
}
