/* One call: simplifies its layout, chooses the walk and splits large work over threads. */
#define _POSIX_C_SOURCE 200809L /* -std=c11 hides POSIX */
#include "_cpu_strided.h"

#if RR_THREADS
#include <pthread.h>
#include <signal.h>
#endif

/* A thread costs tens of microseconds to start and join: fewer elements than this are not worth one. */
#define PER_THREAD 131072
#define MAX_THREADS 64
/* contiguous work is split at multiples of this: no two threads share a byte of bits */
#define CONTIGUOUS_UNIT 4096

static void natural_strides(rr_job *job)
{
    int64_t stride = 1;
    int d;
    for (d = job->dims; d-- > 0;) {
        job->index_strides[d] = stride;
        stride *= (int64_t)job->shape[d];
    }
}

/* Drops dimensions of one element and joins those that every array walks as one. */
static void coalesce(rr_job *job)
{
    int kept = 0, d;
    for (d = 0; d < job->dims; d++) {
        const size_t n = job->shape[d];
        const int p = kept - 1;
        if (n == 1) continue;
        if (kept && job->in_strides[p] == job->in_strides[d] * (int64_t)n &&
            job->out_strides[p] == job->out_strides[d] * (int64_t)n &&
            job->index_strides[p] == job->index_strides[d] * (int64_t)n) {
            job->shape[p] *= n;
        } else {
            job->shape[kept++] = n;
        }
        job->in_strides[kept - 1] = job->in_strides[d];
        job->out_strides[kept - 1] = job->out_strides[d];
        job->index_strides[kept - 1] = job->index_strides[d];
    }
    if (!kept) {
        job->shape[0] = 1;
        job->in_strides[0] = job->out_strides[0] = job->index_strides[0] = 1;
        kept = 1;
    }
    job->dims = kept;
}

static int is_c_order(const rr_job *job)
{
    int64_t stride = 1;
    int d;
    for (d = job->dims; d-- > 0;) {
        if (job->index_strides[d] != stride) return 0;
        stride *= (int64_t)job->shape[d];
    }
    return 1;
}

enum { CONTIGUOUS, LINEAR, TILED };

static int choose_walk(rr_job *job)
{
    const rr_params *p = &job->params;
    if (job->dims < 0) return CONTIGUOUS;
    /* one slope for all: which index an element has is of no consequence */
    if (job->dtype == RR_F64 ? p->same_f64 : p->same_f32) natural_strides(job);
    coalesce(job);
    if (job->in && job->dims == 1 && job->in_strides[0] == 1 && job->out_strides[0] == 1 &&
        job->index_strides[0] == 1)
        return CONTIGUOUS;
    job->c_order = is_c_order(job);
    if (!rr_plan_tiles(job)) return LINEAR;
    /* tiles merge the bits that begin or end inside a byte into zeros */
    if (job->bits && job->op == RR_FORWARD) memset(job->bits, 0, (job->n + 7) / 8);
    return TILED;
}

typedef struct {
    const rr_job *job;
    int walk;
    size_t begin, end; /* units */
} part;

static void run_part(const part *p)
{
    const rr_job *job = p->job;
    if (p->walk == TILED) {
        rr_tiled(job, p->begin, p->end);
    } else {
        const size_t unit = p->walk == LINEAR ? RR_LINEAR_BLOCK : CONTIGUOUS_UNIT;
        const size_t size = rr_sizes[job->dtype], begin = p->begin * unit;
        const size_t end = p->end * unit < job->n ? p->end * unit : job->n;
        if (p->walk == LINEAR)
            rr_linear(job, begin, end);
        else
            rr_contiguous(job->path, &job->params, job->op, job->dtype, end - begin,
                          job->in + begin * size, job->out + begin * size,
                          job->bits ? job->bits + begin / 8 : NULL, job->start + begin);
    }
}

#if RR_THREADS
static void *thread_main(void *p)
{
    run_part(p);
    return NULL;
}

/* Threads live for this call only, so nothing of them is left for a fork or the interpreter's exit. */
static RR_NOINLINE void run_parts(const rr_job *job, int walk, size_t units, size_t count)
{
    part parts[MAX_THREADS];
    pthread_t threads[MAX_THREADS];
    int started[MAX_THREADS];
    sigset_t all, before;
    pthread_attr_t attributes;
    size_t i;
    for (i = 0; i < count; i++) {
        /* units * i would overflow only for more units than memory can hold */
        parts[i].job = job;
        parts[i].walk = walk;
        parts[i].begin = units * i / count;
        parts[i].end = units * (i + 1) / count;
    }
    /* signals are for the threads that Python knows */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 1 << 20); /* some C libraries give 128 KiB */
    for (i = 1; i < count; i++)
        started[i] = !pthread_create(&threads[i], &attributes, thread_main, &parts[i]);
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    run_part(&parts[0]);
    for (i = 1; i < count; i++)
        if (started[i])
            pthread_join(threads[i], NULL);
        else
            run_part(&parts[i]);
}
#endif

void rr_execute(rr_job *job, long long threads)
{
    part whole;
    whole.job = job;
    whole.walk = choose_walk(job);
    whole.begin = 0;
    if (whole.walk == TILED)
        whole.end = job->tiles;
    else if (whole.walk == LINEAR)
        whole.end = (job->n + RR_LINEAR_BLOCK - 1) / RR_LINEAR_BLOCK;
    else
        whole.end = (job->n + CONTIGUOUS_UNIT - 1) / CONTIGUOUS_UNIT;
#if RR_THREADS
    {
        size_t count = job->n / PER_THREAD;
        if ((long long)count > threads) count = (size_t)threads;
        if (count > MAX_THREADS) count = MAX_THREADS;
        if (count > whole.end) count = whole.end;
        if (count > 1) {
            run_parts(job, whole.walk, whole.end, count);
            return;
        }
    }
#else
    (void)threads;
#endif
    run_part(&whole);
}
