/* Every kernel once on small numbers, against plain loops: run in a process of its own before the library is
   used, because a processor may name instructions that it does not let through. */

#include <math.h>
#include <stdint.h>

#include "library.h"

#define ROWS 7
#define OUTS 9
#define INNER 128

static float from_half(uint16_t half) {
  union { uint32_t word; float number; } both = {(uint32_t)half << 16};
  return both.number;
}

static uint16_t cut(float number) {
  union { float number; uint32_t word; } both = {number};
  return (uint16_t)(both.word >> 16);
}

static uint32_t state = 1;

/* Between -1 and 1, always the same ones. */
static float draw(void) {
  state = state * 1664525u + 1013904223u;
  return (float)(int32_t)state / 2147483648.0f;
}

static int differs(float got, float wanted, float size) { return !(fabsf(got - wanted) <= 0.01f * size); }

static int rows_fail(int kind) {
  static uint16_t weight[OUTS * INNER], scale[OUTS * INNER], levels[16], x[ROWS * INNER], y[ROWS * OUTS];
  int8_t *whole = (int8_t *)weight;
  for (int i = 0; i < OUTS * INNER; i++) scale[i] = cut(0.5f + 0.4f * draw());
  for (int i = 0; i < OUTS * INNER; i++)
    if (kind) whole[i] = (int8_t)(127 * draw());
    else weight[i] = cut(draw());
  for (int i = 0; i < 16; i++) levels[i] = cut(draw());
  for (int i = 0; i < ROWS * INNER; i++) x[i] = cut(draw());
  if (tessera_rows(kind, weight, scale, levels, 0, x, y, ROWS, OUTS, INNER, 2)) return 1;
  for (int m = 0; m < ROWS; m++)
    for (int n = 0; n < OUTS; n++) {
      float sum = 0, size = 0;
      for (int k = 0; k < INNER; k++) {
        int at = n * INNER + k, pair = (uint8_t)whole[at / 2];
        float w = kind == 0   ? from_half(weight[at])
                  : kind == 1 ? whole[at] * from_half(scale[n])
                              : from_half(levels[at % 2 ? pair & 15 : pair >> 4]) * from_half(scale[at / 64]);
        sum += w * from_half(x[m * INNER + k]);
        size += fabsf(w);
      }
      if (differs(from_half(y[m * OUTS + n]), sum, size)) return 1;
    }
  return 0;
}

/* That they end, with numbers: `native.py` compares them. */
static int others_fail(void) {
  static uint16_t x[2 * INNER], y[2 * INNER], pool[2 * 4 * INNER];
  const int32_t table[2] = {1, 0}, lengths[1] = {7};
  for (int i = 0; i < 2 * INNER; i++) x[i] = cut(draw());
  for (int i = 0; i < 2 * 4 * INNER; i++) pool[i] = cut(draw());
  tessera_norm(x, x, y, 2, INNER, 1e-6f);
  tessera_rotate(x, y, x, y, 2, 1, INNER);
  tessera_gate(x, y, y, 2 * INNER);
  if (tessera_attend(x, pool, pool, table, lengths, y, 1, 2, 4, 2, 1, INNER, 2)) return 1;
  for (int i = 0; i < 2 * INNER; i++)
    if (!(fabsf(from_half(y[i])) < 2)) return 1;
  return 0;
}

/* 0 when all went well. */
int tessera_trial(void) {
  for (int kind = 0; kind < 3; kind++)
    if (rows_fail(kind)) return 1 + kind;
  return others_fail() ? 4 : 0;
}
