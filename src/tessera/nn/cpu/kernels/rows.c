/* Few rows times a weight that streams through once: y[m][n] = sum_k w[n][k] x[m][k] + bias[n].

   Weights are bfloat16, int8 with a scale a row, or four bits that name one of 16 levels, with a scale a
   group of 64. x and y are bfloat16, sums are float32. A row's result does not depend on the other rows, nor
   on the number of threads. Four weight rows by up to four rows of x are in registers at once. */

#include <stdlib.h>

#include "library.h"
#include "vectors.h"

#define WIDE 4   /* weight rows in one tile */
#define DEEP 4   /* rows of x in one tile */
#define GROUP 64 /* four-bit weights that share a scale */
#define NEAR 8192 /* bytes, see fetch */
#define APART 32  /* numbers between rows of x: powers of two apart they would fight for one place in the cache */
#define SMALL (1 << 18) /* multiplications below which one thread is faster than several */

enum kind { BF16, INT8, INT4 };

struct product {
  enum kind kind;
  const void *weight;
  const uint16_t *scale, *bias; /* bfloat16; none is a null pointer */
  const number *levels;         /* int4: the 16 levels */
  const number *x;
  uint16_t *y;
  long rows, outs, inner, stride, ahead;
};

#ifdef __AVX512BF16__
typedef __m512i table;
INLINE table read_levels(const number *levels) {
  return _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_loadu_si256((const void *)levels)),
                            _mm256_loadu_si256((const void *)levels), 1);
}
/* 64 weights: the first of each pair (high bits), then the second. Bit 4 of an index changes nothing. */
INLINE void weights_int4(operand out[2], const uint8_t *at, table levels) {
  __m512i pair = _mm512_cvtepu8_epi16(_mm256_loadu_si256((const void *)at));
  out[0] = (operand)_mm512_permutexvar_epi16(_mm512_srli_epi16(pair, 4), levels);
  out[1] = (operand)_mm512_permutexvar_epi16(pair, levels);
}
#else
typedef const float *table;
INLINE table read_levels(const number *levels) { return levels; }
INLINE floats look_up(words index, table levels) {
#ifdef __AVX512F__
  return (floats)_mm512_permutexvar_ps((__m512i)index, _mm512_loadu_ps(levels));
#else
  floats out;
  for (int i = 0; i < 16; i++) out[i] = levels[index[i]];
  return out;
#endif
}
INLINE void weights_int4(operand out[4], const uint8_t *at, table levels) {
  UNROLL for (int half = 0; half < 2; half++) {
    words pair = (words)__builtin_convertvector(*(const bytes *)(at + 16 * half), words) & 255;
    out[half] = look_up(pair >> 4, levels);
    out[2 + half] = look_up(pair & 15, levels);
  }
}
#endif

/* Ask for `bytes` of the weight, a tile behind `at`, from front to back: rows are short, and the processor's own
   guesses end with each. The passes over a tile, one for each few rows of x, take turns in it, so that the
   memory has something to do all the time. */
INLINE void fetch(const struct product *p, long at, int bytes, long *turn) {
  if ((*turn)--) return;
  *turn = (p->rows - 1) / DEEP;
  const char *next = (const char *)p->weight + at + p->ahead;
  UNROLL for (int i = 0; i < bytes; i += 64) __builtin_prefetch(next + i, 0, 2);
}

/* total[r][m] for `wide` weight rows from n on and `deep` rows of x from m on; all loops unroll. */
INLINE void add_up(floats total[WIDE][DEEP], const struct product *p, long n, long m, int wide, int deep,
                   enum kind kind) {
  const long inner = p->inner, stride = p->stride;
  const number *x = p->x + m * stride;
  UNROLL for (int r = 0; r < wide; r++) UNROLL for (int c = 0; c < deep; c++) total[r][c] = (floats){0};
  const int size = kind == BF16 ? 2 : 1;
  long turn = m / DEEP;
  if (kind != INT4) {
    for (long k = 0; k < inner; k += LANES) {
      operand w[WIDE];
      fetch(p, (n * inner + wide * k) * size, wide * LANES * size, &turn);
      UNROLL for (int r = 0; r < wide; r++) {
        long at = (n + r) * inner + k;
        w[r] = kind == BF16 ? weights_bf16((const uint16_t *)p->weight + at)
                            : weights_int8((const int8_t *)p->weight + at);
      }
      UNROLL for (int c = 0; c < deep; c++) {
        operand v = load(x + c * stride + k);
        UNROLL for (int r = 0; r < wide; r++) total[r][c] = add_product(total[r][c], w[r], v);
      }
    }
    return;
  }
  const table levels = read_levels(p->levels);
  const long groups = inner / GROUP, codes = inner / 2;
  const uint16_t *scales = p->scale + n * groups;
  for (long group = 0; group < groups; group++) {
    const long k = group * GROUP, at = n * codes + group * (GROUP / 2);
    fetch(p, n * codes + group * (wide * GROUP / 2), wide * GROUP / 2, &turn);
    UNROLL for (int r = 0; r < wide; r++) {
      operand w[GROUP / LANES];
      weights_int4(w, (const uint8_t *)p->weight + at + r * codes, levels);
      floats scale = spread_half(scales + r * groups + group);
      UNROLL for (int c = 0; c < deep; c++) {
        floats part = {0};
        UNROLL for (int i = 0; i < GROUP / LANES; i++)
            part = add_product(part, w[i], load(x + c * stride + k + i * LANES));
        total[r][c] += part * scale;
      }
    }
  }
}

INLINE void tile(const struct product *p, long n, long m, int wide, int deep, enum kind kind) {
  floats total[WIDE][DEEP];
  four scale = {1, 1, 1, 1}, bias = {0};
  UNROLL for (int r = 0; r < wide; r++) {
    if (kind == INT8) scale[r] = from_bfloat16(p->scale[n + r]);
    if (p->bias) bias[r] = from_bfloat16(p->bias[n + r]);
  }
  add_up(total, p, n, m, wide, deep, kind);
  UNROLL for (int c = 0; c < deep; c++) {
    floats column[WIDE] = {{0}};
    UNROLL for (int r = 0; r < wide; r++) column[r] = total[r][c];
    to_bfloat16(p->y + (m + c) * p->outs + n, sums(column) * scale + bias, wide);
  }
}

INLINE void tiles(const struct product *p, long n, int wide, enum kind kind) {
  long m = 0;
  for (; m + DEEP <= p->rows; m += DEEP) tile(p, n, m, wide, DEEP, kind);
  if (p->rows - m == 3) tile(p, n, m, wide, 3, kind);
  if (p->rows - m == 2) tile(p, n, m, wide, 2, kind);
  if (p->rows - m == 1) tile(p, n, m, wide, 1, kind);
}

INLINE void run(const struct product *p, int threads, enum kind kind) {
  const long groups = (p->outs + WIDE - 1) / WIDE;
  if (p->rows * p->outs * p->inner < SMALL) threads = 1;
#pragma omp parallel for schedule(static) num_threads(threads)
  for (long group = 0; group < groups; group++) {
    long n = group * WIDE;
    if (n + WIDE <= p->outs) tiles(p, n, WIDE, kind);
    else for (; n < p->outs; n++) tiles(p, n, 1, kind);
  }
}

/* x as the products read it: as numbers, `stride` of them a row; for pairs of weights in a byte, in each group
   even places before odd ones. Null when there is no memory. */
static number *prepared(const uint16_t *x, long rows, long inner, long stride, enum kind kind) {
  number *out = malloc(rows * stride * sizeof(number));
  for (long m = 0; out && m < rows; m++)
    for (long k = 0; k < inner; k++) {
      long within = k % GROUP, from = kind == INT4 ? k - within + within % 32 * 2 + within / 32 : k;
      uint16_t half = x[m * inner + from];
      out[m * stride + k] = sizeof(number) == 2 ? half : from_bfloat16(half);
    }
  return out;
}

/* y [rows, outs] = x [rows, inner] weight [outs, inner]^T + bias. `inner` is a multiple of 32, for int4 of 64;
   `levels` are 16 bfloat16. Returns 0, or 1 when there is no memory. */
int tessera_rows(int kind, const void *weight, const uint16_t *scale, const uint16_t *levels,
                 const uint16_t *bias, const uint16_t *x, uint16_t *y, long rows, long outs, long inner,
                 int threads) {
  const long stride = inner + APART, tile = WIDE * inner * (kind == BF16 ? 4 : kind == INT8 ? 2 : 1) / 2;
  number known[16], *copy = prepared(x, rows, inner, stride, kind);
  if (!copy) return 1;
  for (int i = 0; levels && i < 16; i++) known[i] = sizeof(number) == 2 ? levels[i] : from_bfloat16(levels[i]);
  struct product p = {kind, weight, scale, bias,   known,  copy,
                      y,    rows,   outs,  inner, stride, tile < NEAR ? NEAR : tile};
  if (kind == BF16) run(&p, threads, BF16);
  if (kind == INT8) run(&p, threads, INT8);
  if (kind == INT4) run(&p, threads, INT4);
  free(copy);
  return 0;
}
