/* Moving elements between memory of any layout and buffers. */
#include "_cpu_strided.h"

#define COPY(type)                                                                                    \
    do {                                                                                              \
        size_t i_;                                                                                    \
        type v_;                                                                                      \
        for (i_ = 0; i_ < n; i_++) {                                                                  \
            memcpy(&v_, from + (ptrdiff_t)i_ * from_step, sizeof v_);                                 \
            memcpy(to + (ptrdiff_t)i_ * to_step, &v_, sizeof v_);                                     \
        }                                                                                             \
    } while (0)

void rr_copy_run(size_t n, size_t size, const char *from, ptrdiff_t from_step, char *to, ptrdiff_t to_step)
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

/* Squares of 16-byte vectors, turned by perfect shuffles: each stage interleaves vector i with the one half
 * the square further on. The compiler makes what the machine has of them. */
#if defined(__clang__) || (defined(__GNUC__) && __GNUC__ >= 12)
typedef uint16_t vector2 __attribute__((vector_size(16)));
typedef uint32_t vector4 __attribute__((vector_size(16)));
typedef uint64_t vector8 __attribute__((vector_size(16)));

#define LOW2(a, b) __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
#define HIGH2(a, b) __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15)
#define LOW4(a, b) __builtin_shufflevector(a, b, 0, 4, 1, 5)
#define HIGH4(a, b) __builtin_shufflevector(a, b, 2, 6, 3, 7)
#define LOW8(a, b) __builtin_shufflevector(a, b, 0, 2)
#define HIGH8(a, b) __builtin_shufflevector(a, b, 1, 3)

#define SQUARE(bytes)                                                                                 \
    static inline void square##bytes(const char *from, ptrdiff_t from_step, char *to, ptrdiff_t to_step) \
    {                                                                                                 \
        enum { SIDE = 16 / bytes };                                                                   \
        vector##bytes a[SIDE], b[SIDE];                                                               \
        int i, stage;                                                                                 \
        for (i = 0; i < SIDE; i++) memcpy(&a[i], from + i * from_step, 16);                           \
        for (stage = 1; stage < SIDE; stage *= 2) {                                                   \
            for (i = 0; i < SIDE / 2; i++) {                                                          \
                b[2 * i] = LOW##bytes(a[i], a[i + SIDE / 2]);                                         \
                b[2 * i + 1] = HIGH##bytes(a[i], a[i + SIDE / 2]);                                    \
            }                                                                                         \
            memcpy(a, b, sizeof a);                                                                   \
        }                                                                                             \
        for (i = 0; i < SIDE; i++) memcpy(to + i * to_step, &a[i], 16);                               \
    }
SQUARE(2)
SQUARE(4)
SQUARE(8)

/* The lines of the wider step are finished one after the other: far lines often share a cache set. */
#define SQUARES(bytes)                                                                                \
    for (i = 0; i + side <= outer; i += side)                                                         \
        for (j = 0; j + side <= inner; j += side) {                                                   \
            const size_t line = by_length ? j : i, at = by_length ? i : j;                            \
            square##bytes(from + (ptrdiff_t)line * from_step + (ptrdiff_t)(at * size), from_step,     \
                          to + (ptrdiff_t)at * to_step + (ptrdiff_t)(line * size), to_step);          \
        }
#endif

static ptrdiff_t magnitude(ptrdiff_t step) { return step < 0 ? -step : step; }

/* `lines` lines of `length` adjacent elements become `length` lines of `lines` adjacent elements. */
static void transpose(size_t lines, size_t length, size_t size, const char *from, ptrdiff_t from_step,
                      char *to, ptrdiff_t to_step)
{
    size_t done_lines = 0, done_length = 0, i;
#ifdef SQUARES
    const size_t side = 16 / size;
    const int by_length = magnitude(to_step) > magnitude(from_step);
    const size_t outer = by_length ? length : lines, inner = by_length ? lines : length;
    size_t j;
    if (size == 2) {
        SQUARES(2)
    } else if (size == 4) {
        SQUARES(4)
    } else {
        SQUARES(8)
    }
    done_lines = lines - lines % side;
    done_length = length - length % side;
#endif
    for (i = done_length; i < length; i++)
        rr_copy_run(done_lines, size, from + i * size, from_step, to + (ptrdiff_t)i * to_step,
                    (ptrdiff_t)size);
    for (i = done_lines; i < lines; i++)
        rr_copy_run(length, size, from + (ptrdiff_t)i * from_step, (ptrdiff_t)size, to + i * size, to_step);
}

void rr_copy_tile(size_t rows, size_t columns, size_t size, const char *from, ptrdiff_t from_row,
                  ptrdiff_t from_column, char *to, ptrdiff_t to_row, ptrdiff_t to_column)
{
    const ptrdiff_t one = (ptrdiff_t)size;
    size_t i;
    if (from_row == one && to_column == one)
        transpose(columns, rows, size, from, from_column, to, to_row);
    else if (from_column == one && to_row == one)
        transpose(rows, columns, size, from, from_row, to, to_column);
    else if (magnitude(from_row) + magnitude(to_row) < magnitude(from_column) + magnitude(to_column))
        for (i = 0; i < columns; i++)
            rr_copy_run(rows, size, from + (ptrdiff_t)i * from_column, from_row,
                        to + (ptrdiff_t)i * to_column, to_row);
    else
        for (i = 0; i < rows; i++)
            rr_copy_run(columns, size, from + (ptrdiff_t)i * from_row, from_column,
                        to + (ptrdiff_t)i * to_row, to_column);
}
