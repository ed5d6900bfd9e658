/* One call: simplifies its layout, chooses the walk and splits large work over threads. */
#define _POSIX_C_SOURCE 200809L /* -std=c11 hides POSIX */
#include "_cpu_strided.h"

#if RR_THREADS
#include <pthread.h>
#include <signal.h>
#endif

#define MAX_THREADS 64
/* Fewer elements are not worth a thread that is there already (measured: two pay from 2**16 on). */
#define PER_LENT_THREAD ((size_t)1 << 15)
/* contiguous work is split at multiples of this: no two threads share a byte of bits */
#define CONTIGUOUS_UNIT 4096

static void natural_strides(rr_job *job)
{
    uint64_t stride = 1;
    int d;
    for (d = job->dims; d-- > 0;) {
        job->index_strides[d] = stride;
        stride *= job->shape[d];
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
        if (kept && job->in_strides[p] == job->in_strides[d] * n &&
            job->out_strides[p] == job->out_strides[d] * n &&
            job->index_strides[p] == job->index_strides[d] * n) {
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
    uint64_t stride = 1;
    int d;
    for (d = job->dims; d-- > 0;) {
        if (job->index_strides[d] != stride) return 0;
        stride *= job->shape[d];
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

/* A call's work in units, of which no two share a byte of bits. Threads take some at a time, so that one that
 * comes late (a busy machine) keeps nobody waiting. */
typedef struct {
    const rr_job *job;
    int walk;
    size_t units, grain;
    size_t next; /* atomic */
} share;

static void run_units(const share *work, size_t begin, size_t end)
{
    const rr_job *job = work->job;
    if (work->walk == TILED) {
        rr_tiled(job, begin, end);
    } else {
        const size_t unit = work->walk == LINEAR ? RR_LINEAR_BLOCK : CONTIGUOUS_UNIT;
        const size_t size = rr_sizes[job->dtype], first = begin * unit;
        const size_t beyond = end < work->units ? end * unit : job->n;
        if (work->walk == LINEAR)
            rr_linear(job, first, beyond);
        else
            rr_contiguous(job->path, &job->params, job->op, job->dtype, beyond - first,
                          job->in + first * size, job->out + first * size,
                          job->bits ? job->bits + first / 8 : NULL, job->start + first);
    }
}

#if RR_THREADS
static void *take_units(void *p)
{
    share *work = p;
    const uint64_t mode = rr_float_mode_default(); /* a lent thread has its own */
    for (;;) {
        const size_t begin = __atomic_fetch_add(&work->next, work->grain, __ATOMIC_RELAXED);
        const size_t rest = begin < work->units ? work->units - begin : 0;
        if (!rest) break;
        run_units(work, begin, begin + (rest < work->grain ? rest : work->grain));
    }
    rr_float_mode_restore(mode);
    return NULL;
}

static rr_team *lent; /* atomic; NULL: threads of our own */

static void forget_team(void)
{
    __atomic_store_n(&lent, NULL, __ATOMIC_RELEASE);
}

void rr_use_team(rr_team *team)
{
    static int told;
    /* an OpenMP that ran threads before a fork hangs in the child */
    if (!told) told = pthread_atfork(NULL, NULL, forget_team) == 0;
    __atomic_store_n(&lent, told ? team : NULL, __ATOMIC_RELEASE);
}

static void take_units_in_team(void *p)
{
    take_units(p);
}

/* Threads of our own live for this call only, so nothing of them is left for a fork or the interpreter's
 * exit. A team is asked for whole, though `count` would do: it is made anew where another number is wanted. */
static RR_NOINLINE void run_threads(share *work, size_t count, rr_team *team, unsigned all_of_team)
{
    pthread_t threads[MAX_THREADS];
    size_t started = 0, i;
    sigset_t all, before;
    pthread_attr_t attributes;
    work->grain = work->units / (count * 8) + 1;
    if (team) {
        team(take_units_in_team, work, all_of_team, 0);
        return;
    }
    /* signals are for the threads that Python knows */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 1 << 20); /* some C libraries give 128 KiB */
    /* where a thread can't be had, the others do its work */
    while (started < count - 1 && !pthread_create(&threads[started], &attributes, take_units, work)) started++;
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    take_units(work);
    for (i = 0; i < started; i++) pthread_join(threads[i], NULL);
}
#else
void rr_use_team(rr_team *team)
{
    (void)team;
}
#endif

void rr_execute(rr_job *job, long long threads)
{
    share work;
    work.job = job;
    work.walk = choose_walk(job);
    work.next = 0;
    if (work.walk == TILED)
        work.units = job->tiles;
    else if (work.walk == LINEAR)
        work.units = (job->n + RR_LINEAR_BLOCK - 1) / RR_LINEAR_BLOCK;
    else
        work.units = (job->n + CONTIGUOUS_UNIT - 1) / CONTIGUOUS_UNIT;
#if RR_THREADS
    {
        rr_team *const team = __atomic_load_n(&lent, __ATOMIC_ACQUIRE);
        const size_t enough = job->path->per_thread;
        size_t count = job->n / (team && enough > PER_LENT_THREAD ? PER_LENT_THREAD : enough);
        if (count > MAX_THREADS) count = MAX_THREADS;
        if (count > (unsigned long long)threads) count = (size_t)threads;
        if (count > work.units) count = work.units;
        if (count > 1) {
            run_threads(&work, count, team, threads > 4096 ? 4096 : (unsigned)threads);
            return;
        }
    }
#else
    (void)threads;
#endif
    run_units(&work, 0, work.units);
}
