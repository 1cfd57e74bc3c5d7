/* Few rows times a weight that streams through once: y[m][n] = sum_k w[n][k] x[m][k] + bias[n].

   Weights are bfloat16, int8 with a scale a row, or four bits that name one of 16 levels, with a scale a
   group of 64. x and y are bfloat16, sums are float32. A row's result does not depend on the other rows, nor
   on the number of threads. Four weight rows by up to four rows of x are in registers at once.

   For int8 x becomes whole numbers of 16 bits with a scale a row, where the processor multiplies those: what
   that loses, 2^-16 of the row's largest, is little beside what bfloat16 has lost before. */

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
  const float *gain; /* what x is to be multiplied by, a row */
  uint16_t *y;
  long rows, outs, inner, stride, ahead;
};

#define BLOCK 128 /* four-bit weights that are read at once; two groups */
#define SAFE 8192 /* products of 8 by 16 bits whose sums in 16 lanes stay within 32 bits; of more, x has fewer */

#ifdef PAIRED
typedef __m512i table;
INLINE table read_levels(const number *levels) {
  return _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_loadu_si256((const void *)levels)),
                            _mm256_loadu_si256((const void *)levels), 1);
}
/* Two scales, each for half of the lanes. */
INLINE floats spread_scales(const uint16_t *at) {
  int32_t both;
  memcpy(&both, at, 4);
  const __m512i which = _mm512_inserti64x4(_mm512_setzero_si512(), _mm256_set1_epi16(1), 1);
  return (floats)_mm512_maskz_permutexvar_epi16(0xaaaaaaaa, which, _mm512_set1_epi32(both));
}
/* total + a block's weights times x. A word holds four weights; the bits above an index change nothing, the
   table being there twice. */
INLINE void add_block(floats *total, int deep, const uint8_t *codes, const uint16_t *scales, const number *x,
                      long stride, table levels) {
  const __m512i words = _mm512_loadu_si512(codes);
  const operand w[4] = {
      (operand)_mm512_permutexvar_epi16(words, levels),
      (operand)_mm512_permutexvar_epi16(_mm512_srli_epi16(words, 4), levels),
      (operand)_mm512_permutexvar_epi16(_mm512_srli_epi16(words, 8), levels),
      (operand)_mm512_permutexvar_epi16(_mm512_srli_epi16(words, 12), levels),
  };
  const floats scale = spread_scales(scales);
  UNROLL for (int c = 0; c < deep; c++) {
    floats part = {0};
    UNROLL for (int i = 0; i < 4; i++) part = add_product(part, w[i], load(x + c * stride + 32 * i));
    total[c] += part * scale;
  }
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
INLINE void add_block(floats *total, int deep, const uint8_t *codes, const uint16_t *scales, const number *x,
                      long stride, table levels) {
  UNROLL for (int half = 0; half < 2; half++) {
    const words four = __builtin_convertvector(*(const halves *)(codes + 32 * half), words);
    const floats scale = spread(from_bfloat16(scales[half]));
    floats w[4];
    UNROLL for (int i = 0; i < 4; i++) w[i] = look_up(four >> 4 * i & 15, levels);
    UNROLL for (int c = 0; c < deep; c++) {
      floats part = {0};
      UNROLL for (int i = 0; i < 4; i++) part += w[i] * load(x + c * stride + 32 * i + 16 * half);
      total[c] += part * scale;
    }
  }
}
#endif

/* Ask for `bytes` of the weight, two tiles behind `at`, from front to back: rows are short, and the processor's own
   guesses end with each. The passes over a tile, one for each few rows of x, take turns in it, so that the
   memory has something to do all the time. */
INLINE void fetch(const struct product *p, long at, int bytes, long *turn) {
  if ((*turn)--) return;
  *turn = (p->rows - 1) / DEEP;
  const char *next = (const char *)p->weight + at + p->ahead;
  UNROLL for (int i = 0; i < bytes; i += 64) __builtin_prefetch(next + i, 0, 2);
}

/* The sums of `wide` weight rows from n on with `deep` rows of x from m on; all inner loops unroll. */
INLINE void add_bf16(floats total[WIDE][DEEP], const struct product *p, long n, long m, int wide, int deep) {
  const uint16_t *weight = (const uint16_t *)p->weight + n * p->inner;
  const number *x = p->x + m * p->stride;
  long turn = m / DEEP;
  for (long k = 0; k < p->inner; k += LANES) {
    operand w[WIDE];
    fetch(p, (n * p->inner + wide * k) * 2, wide * LANES * 2, &turn);
    UNROLL for (int r = 0; r < wide; r++) w[r] = weights_bf16(weight + r * p->inner + k);
    UNROLL for (int c = 0; c < deep; c++) {
      operand v = load(x + c * p->stride + k);
      UNROLL for (int r = 0; r < wide; r++) total[r][c] = add_product(total[r][c], w[r], v);
    }
  }
}

#ifdef PAIRED
/* The same for one row of x, one weight row after another: what guesses at the next lines of the memory finds
   them by itself then. Whole numbers have the same sum in any order. */
INLINE void add_int8_alone(floats total[WIDE][DEEP], const struct product *p, long n, int wide) {
  UNROLL for (int r = 0; r < wide; r++) {
    const int8_t *weight = (const int8_t *)p->weight + (n + r) * p->inner;
    floats part[4] = {{0}};
    long k = 0;
    for (; k + 4 * LANES <= p->inner; k += 4 * LANES)
      UNROLL for (int i = 0; i < 4; i++)
        part[i] = add_whole(part[i], weights_int8(weight + k + i * LANES), load_whole(p->x + k + i * LANES));
    for (; k < p->inner; k += LANES) part[0] = add_whole(part[0], weights_int8(weight + k), load_whole(p->x + k));
    total[r][0] = counted((floats)((words)part[0] + (words)part[1] + (words)part[2] + (words)part[3]));
  }
}
#endif

INLINE void add_int8(floats total[WIDE][DEEP], const struct product *p, long n, long m, int wide, int deep) {
  const int8_t *weight = (const int8_t *)p->weight + n * p->inner;
  const number *x = p->x + m * p->stride;
  long turn = m / DEEP;
#ifdef PAIRED
  if (p->rows == 1) {
    add_int8_alone(total, p, n, wide);
    return;
  }
#endif
  for (long k = 0; k < p->inner; k += LANES) {
    whole w[WIDE];
    fetch(p, n * p->inner + wide * k, wide * LANES, &turn);
    UNROLL for (int r = 0; r < wide; r++) w[r] = weights_int8(weight + r * p->inner + k);
    UNROLL for (int c = 0; c < deep; c++) {
      whole v = load_whole(x + c * p->stride + k);
      UNROLL for (int r = 0; r < wide; r++) total[r][c] = add_whole(total[r][c], w[r], v);
    }
  }
  UNROLL for (int r = 0; r < wide; r++) UNROLL for (int c = 0; c < deep; c++) total[r][c] = counted(total[r][c]);
}

INLINE void add_int4(floats total[WIDE][DEEP], const struct product *p, long n, long m, int wide, int deep) {
  const long groups = p->inner / GROUP, codes = p->inner / 2;
  const uint8_t *weight = (const uint8_t *)p->weight + n * codes;
  const uint16_t *scales = p->scale + n * groups;
  const number *x = p->x + m * p->stride;
  const table levels = read_levels(p->levels);
  long turn = m / DEEP;
  for (long group = 0; group < groups; group += 2) {
    const long at = group * (GROUP / 2);
    fetch(p, n * codes + wide * at, wide * BLOCK / 2, &turn);
    UNROLL for (int r = 0; r < wide; r++)
        add_block(total[r], deep, weight + r * codes + at, scales + r * groups + group, x + group * GROUP,
                  p->stride, levels);
  }
}

INLINE void tile(const struct product *p, long n, long m, int wide, int deep, enum kind kind) {
  floats total[WIDE][DEEP];
  four scale = {1, 1, 1, 1}, bias = {0};
  UNROLL for (int r = 0; r < wide; r++) UNROLL for (int c = 0; c < deep; c++) total[r][c] = (floats){0};
  UNROLL for (int r = 0; r < wide; r++) {
    if (kind == INT8) scale[r] = from_bfloat16(p->scale[n + r]);
    if (p->bias) bias[r] = from_bfloat16(p->bias[n + r]);
  }
  if (kind == BF16) add_bf16(total, p, n, m, wide, deep);
  if (kind == INT8) add_int8(total, p, n, m, wide, deep);
  if (kind == INT4) add_int4(total, p, n, m, wide, deep);
  UNROLL for (int c = 0; c < deep; c++) {
    floats column[WIDE] = {{0}};
    UNROLL for (int r = 0; r < wide; r++) column[r] = total[r][c];
    to_bfloat16(p->y + (m + c) * p->outs + n, sums(column) * scale * p->gain[m + c] + bias, wide);
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

/* A row of x as the products read it. For int4, in each block the second weights of all words, then the first,
   fourth and third: so they come out of the bits. Returns its gain. */
static float prepare(const uint16_t *x, number *out, long inner, enum kind kind) {
  static const int order[4] = {1, 0, 3, 2};
  floats most = {0}, poison = {0};
  float largest = 0;
  if (kind == INT4) {
    for (long k = 0; k < inner; k += BLOCK)
      for (int i = 0; i < 4; i++)
        for (int j = 0; j < 32; j++) {
          uint16_t half = x[k + 4 * j + order[i]];
          out[k + 32 * i + j] = sizeof(number) == 2 ? half : from_bfloat16(half);
        }
    return 1;
  }
#ifdef PAIRED
  if (kind == BF16) {
    memcpy(out, x, inner * sizeof(number));
    return 1;
  }
  for (long k = 0; k < inner; k += 16) {
    floats v = from_halves(x + k), size = (floats)((words)v & 0x7fffffff);
    words more = (words)(size > most);
    most = (floats)((more & (words)size) | (~more & (words)most));
    poison += v * 0.0f; /* nothing, but for what is not finite */
  }
  for (int i = 0; i < 16; i++) largest = most[i] > largest ? most[i] : largest;
  for (int i = 0; i < 16; i++) largest += poison[i];
  const float room = inner > SAFE ? 32000.0f * SAFE / (float)inner : 32000.0f;
  const float gain = largest < 1e-30f ? 1 : largest / room;
  for (long k = 0; k < inner; k += 16) {
    words rounded = (words)(from_halves(x + k) * (1 / gain) + 12582912.0f); /* whole numbers in its last bits */
    *(halves *)(out + k) = __builtin_convertvector(rounded & 0xffff, halves);
  }
  return gain;
#else
  (void)most, (void)poison, (void)largest;
  for (long k = 0; k < inner; k += 16) *(floats *)(out + k) = from_halves(x + k);
  return 1;
#endif
}

/* y [rows, outs] = x [rows, inner] weight [outs, inner]^T + bias. `inner` is a multiple of 32, for int4 of 128;
   `levels` are 16 bfloat16. Returns 0, or 1 when there is no memory. */
int tessera_rows(int kind, const void *weight, const uint16_t *scale, const uint16_t *levels,
                 const uint16_t *bias, const uint16_t *x, uint16_t *y, long rows, long outs, long inner,
                 int threads) {
  const long stride = inner + APART, tile = WIDE * inner * (kind == BF16 ? 4 : kind == INT8 ? 2 : 1) / 2;
  number known[16], *copy = malloc(rows * (stride * sizeof(number) + sizeof(float)));
  if (!copy) return 1;
  float *gain = (float *)(copy + rows * stride);
  for (long m = 0; m < rows; m++) gain[m] = prepare(x + m * inner, copy + m * stride, inner, kind);
  for (int i = 0; levels && i < 16; i++) known[i] = sizeof(number) == 2 ? levels[i] : from_bfloat16(levels[i]);
  struct product p = {kind, weight, scale, bias,  known,  copy,
                      gain, y,      rows,  outs, inner, stride, 2 * tile < NEAR ? NEAR : 2 * tile};
  if (kind == BF16) run(&p, threads, BF16);
  if (kind == INT8) run(&p, threads, INT8);
  if (kind == INT4) run(&p, threads, INT4);
  free(copy);
  return 0;
}
