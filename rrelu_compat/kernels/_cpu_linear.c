/* Any layout by blocks of consecutive elements in logical (C) order: gather a block into a buffer, run the
 * contiguous kernel, scatter. What stands next to each other already is not copied. */
#include "_cpu_strided.h"

/* A place in the tensor and the offset that one array of strides gives it. */
typedef struct {
    const rr_job *job;
    const uint64_t *strides;
    uint64_t offset;
    size_t at[RR_MAX_DIMS];
} cursor;

static void cursor_init(cursor *c, const rr_job *job, const uint64_t *strides, size_t position)
{
    int d;
    c->job = job;
    c->strides = strides;
    c->offset = 0;
    for (d = job->dims; d-- > 0;) {
        c->at[d] = position % job->shape[d];
        position /= job->shape[d];
        c->offset += c->at[d] * strides[d];
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
    c->offset += run * c->strides[d];
    while (c->at[d] == c->job->shape[d] && d > 0) {
        c->offset -= c->job->shape[d] * c->strides[d];
        c->at[d] = 0;
        d--;
        c->at[d]++;
        c->offset += c->strides[d];
    }
}

/* Runs shorter than this are made index by index, each from a block of its own. */
#define SHORT_RUN 24

/* The words of the next m elements, whatever their indices. */
static void gather_words(cursor *c, size_t m, uint32_t *words)
{
    const rr_job *job = c->job;
    const uint64_t step = c->strides[job->dims - 1];
    const int by_run = step == 1 && job->shape[job->dims - 1] >= SHORT_RUN;
    uint64_t indices[RR_LINEAR_BLOCK];
    uint32_t buffer[RR_LINEAR_BLOCK + 4 + RR_SPILL];
    size_t done, run, i;
    for (done = 0; done < m; done += run) {
        const uint64_t index = job->start + c->offset;
        run = cursor_run(c, m - done);
        if (by_run)
            memcpy(words + done, rr_consecutive_words(job->path, &job->params, run, index, buffer),
                   run * sizeof *words);
        else
            for (i = 0; i < run; i++) indices[done + i] = index + i * step;
        cursor_advance(c, run);
    }
    if (!by_run) job->path->words_at(&job->params, m, indices, words);
}

void rr_linear(const rr_job *job, size_t begin, size_t end)
{
    char in_buffer[RR_LINEAR_BLOCK * 8], out_buffer[RR_LINEAR_BLOCK * 8];
    uint32_t words[RR_LINEAR_BLOCK];
    uint8_t none[RR_LINEAR_BLOCK / 8];
    const int last = job->dims - 1, counting = job->in == NULL;
    const size_t size = rr_sizes[job->dtype];
    const ptrdiff_t in_step = (ptrdiff_t)(job->in_strides[last] * size);
    const ptrdiff_t out_step = (ptrdiff_t)(job->out_strides[last] * size);
    cursor in, out, index;
    size_t k, m, i, run;
    if (counting) { /* slopes: the gradient of ones, none of which passes */
        const float one_f32 = 1;
        const double one_f64 = 1;
        memset(none, 0, sizeof none);
        for (i = 0; i < RR_LINEAR_BLOCK; i++)
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
        m = end - k < RR_LINEAR_BLOCK ? end - k : RR_LINEAR_BLOCK;
        if (!counting && cursor_run(&in, m) == m && in_step == (ptrdiff_t)size) {
            from = job->in + (ptrdiff_t)(in.offset * size);
            cursor_advance(&in, m);
        } else if (!counting) {
            for (i = 0; i < m; i += run) {
                run = cursor_run(&in, m - i);
                rr_copy_run(run, size, job->in + (ptrdiff_t)(in.offset * size), in_step, in_buffer + i * size,
                         (ptrdiff_t)size);
                cursor_advance(&in, run);
            }
        }
        direct = cursor_run(&out, m) == m && out_step == (ptrdiff_t)size;
        if (direct) to = job->out + (ptrdiff_t)(out.offset * size);
        if (job->c_order) {
            rr_contiguous(job->path, &job->params, job->op, job->dtype, m, from, to, bits, job->start + k);
        } else if (cursor_run(&index, m) == m && job->index_strides[last] == 1) {
            rr_contiguous(job->path, &job->params, job->op, job->dtype, m, from, to, bits,
                          job->start + index.offset);
            cursor_advance(&index, m);
        } else {
            gather_words(&index, m, words);
            job->path->kernel[job->dtype][job->op][RR_WORDS](&job->params, m, from, to, bits, 0, words);
        }
        if (direct) {
            cursor_advance(&out, m);
            continue;
        }
        for (i = 0; i < m; i += run) {
            run = cursor_run(&out, m - i);
            rr_copy_run(run, size, out_buffer + i * size, (ptrdiff_t)size,
                     job->out + (ptrdiff_t)(out.offset * size), out_step);
            cursor_advance(&out, run);
        }
    }
}
