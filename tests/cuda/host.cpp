/* Runs the kernels on the host, a warp at a time: put behind their text. */

namespace host {
void (*body)(void **);
void **values;

void begin()
{
    body(values);
    ended[lane] = true;
}

/* `backwards` reverses the order of lanes, warps and blocks: results may not depend on it. */
bool run_warp(unsigned first_thread, bool backwards)
{
    int left = LANES;
    for (int k = 0; k < LANES; k++) {
        getcontext(&lanes[k]);
        lanes[k].uc_stack.ss_sp = stacks[k];
        lanes[k].uc_stack.ss_size = sizeof stacks[k];
        lanes[k].uc_link = &scheduler;
        makecontext(&lanes[k], begin, 0);
        ended[k] = false;
    }
    divergent = false;
    while (left) {
        int waits = 0, ends = 0;
        for (int k = 0; k < LANES; k++) {
            lane = backwards ? LANES - 1 - k : k;
            if (ended[lane])
                continue;
            waiting[lane] = false;
            threadIdx.x = first_thread + lane;
            swapcontext(&scheduler, &lanes[lane]);
            waits += waiting[lane];
            ends += ended[lane];
        }
        if (divergent || (waits && (ends || waits != left)))
            return false;
        left -= ends;
        memcpy(seen, posted, sizeof seen);
    }
    return true;
}

template <class... P, size_t... I>
void call(void (*kernel)(P...), void **v, std::index_sequence<I...>)
{
    /* as a driver does it: each value lies at its own address */
    kernel(*(P *)v[I]...);
}

template <class... P>
int parameters(void (*)(P...))
{
    return sizeof...(P);
}

int run(int expected, unsigned first, unsigned grid, unsigned block, bool backwards, int count,
        void (*f)(void **), void **v)
{
    if (count != expected)
        return 2;
    body = f;
    values = v;
    for (unsigned b = 0; b < grid; b++) {
        blockIdx.x = first + (backwards ? grid - 1 - b : b);
        for (unsigned w = 0; w < block / LANES; w++)
            if (!run_warp((backwards ? block / LANES - 1 - w : w) * LANES, backwards))
                return 3;
    }
    return 0;
}
} // namespace host

#define ENTRY(kernel)                                                                              \
    if (!strcmp(name, #kernel))                                                                    \
        return host::run(                                                                          \
            host::parameters(kernel), first, grid, block, backwards, count,                               \
            [](void **values) { host::dispatch(kernel, values); }, v);

namespace host {
template <class... P>
void dispatch(void (*kernel)(P...), void **v)
{
    call(kernel, v, std::index_sequence_for<P...>());
}
} // namespace host

/* Runs `grid` blocks from number `first` on. 0: done; 1: no such kernel; 2: a wrong number of values; 3: lanes that did not meet. */
extern "C" int launch(const char *name, unsigned first, unsigned grid, unsigned block, bool backwards,
                      int count, void **v)
{
#ifndef RR_RANK
    ENTRY(rrelu_forward)
    ENTRY(rrelu_forward_vector)
    ENTRY(rrelu_backward)
    ENTRY(rrelu_backward_vector)
#else
    ENTRY(rrelu_forward_strided)
    ENTRY(rrelu_backward_strided)
#if RR_RANK > 1
    ENTRY(rrelu_forward_tiled)
    ENTRY(rrelu_backward_tiled)
#endif
#if RR_DTYPE == 2 || RR_DTYPE == 3
    ENTRY(rrelu_slopes)
#endif
#endif
    return 1;
}
