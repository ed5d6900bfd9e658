/* Stand-ins that let a C++ compiler of the host take the text of the CUDA kernels: put before it.
 *
 * The 32 lanes of a warp are coroutines. An exchange between lanes suspends each of them until all have
 * come to it; a lane that ends, or comes to another exchange, while others wait is reported.
 */
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <ucontext.h>
#include <utility>

#define RR_KERNEL extern "C" void

namespace host {
struct index {
    unsigned x;
};
const int LANES = 32;
ucontext_t scheduler, lanes[LANES];
char stacks[LANES][1 << 16];
unsigned posted[LANES], seen[LANES];
bool waiting[LANES], ended[LANES];
int lane;
bool divergent;

unsigned exchange(unsigned mask, unsigned value, int distance)
{
    const int me = lane;
    if (mask != 0xFFFFFFFFu)
        divergent = true;
    posted[me] = value;
    waiting[me] = true;
    swapcontext(&lanes[me], &scheduler);
    return seen[me ^ distance];
}
} // namespace host

static host::index threadIdx, blockIdx;

static unsigned __shfl_xor_sync(unsigned mask, unsigned value, int distance)
{
    return host::exchange(mask, value, distance);
}
