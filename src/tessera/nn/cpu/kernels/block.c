/* A whole block of a decoder for the newest token of each sequence, in one call: what the other files do, one
   after another. A step is a thousand small calls otherwise, which take longer than a small model's weights. */

#include <stdlib.h>

#include "library.h"
#include "vectors.h"

static int multiply(const struct linear *layer, const uint16_t *x, uint16_t *y, long rows, int threads) {
  return tessera_rows((int)layer->kind, layer->weight, layer->scale, layer->levels, layer->bias, x, y, rows,
                      layer->outs, layer->inner, threads);
}

static void add(uint16_t *x, const uint16_t *more, long count) {
  for (long k = 0; k < count; k += 16) keep(x + k, rounded(from_halves(x + k) + from_halves(more + k)));
}

/* New keys or values [rows, key heads, width] to their places in the cache: the last that each sequence sees. */
static void append(const struct step *s, uint16_t *pool, const uint16_t *fresh, long row_width) {
  for (long m = 0; m < s->rows; m++) {
    long token = s->lengths[m] - 1, page = s->table[m * s->most + token / s->page_size];
    memcpy(pool + (page * s->page_size + token % s->page_size) * row_width, fresh + m * row_width,
           row_width * sizeof(uint16_t));
  }
}

/* x [rows, width] becomes what the block makes of it. Returns 0, or 1 when there is no memory. */
int tessera_block(const struct block *b, const struct step *s, uint16_t *x, uint16_t *keys, uint16_t *values,
                  double eps, int threads) {
  const long rows = s->rows, width = b->o.outs, queries = b->q.outs, groups = b->k.outs, inner = b->gate.outs;
  const long heads = queries / s->width, key_heads = groups / s->width;
  const long wide = queries > inner ? queries : inner;
  uint16_t *space = malloc(rows * (width + 2 * wide + 2 * groups) * sizeof(uint16_t));
  if (!space) return 1;
  uint16_t *state = space, *one = state + rows * width, *two = one + rows * wide;
  uint16_t *key = two + rows * wide, *value = key + rows * groups;
  int failed = 0;
  tessera_norm(x, b->first_norm, state, rows, width, (float)eps);
  failed |= multiply(&b->q, state, one, rows, threads);
  failed |= multiply(&b->k, state, key, rows, threads);
  failed |= multiply(&b->v, state, value, rows, threads);
  if (b->query_norm) tessera_norm(one, b->query_norm, one, rows * heads, s->width, (float)eps);
  if (b->key_norm) tessera_norm(key, b->key_norm, key, rows * key_heads, s->width, (float)eps);
  tessera_rotate(one, s->cosine, s->sine, two, rows, heads, s->width);
  tessera_rotate(key, s->cosine, s->sine, one, rows, key_heads, s->width);
  append(s, keys, one, groups);
  append(s, values, value, groups);
  failed |= tessera_attend(two, keys, values, s->table, s->lengths, one, rows, s->most, s->page_size, heads,
                           key_heads, s->width, threads);
  failed |= multiply(&b->o, one, state, rows, threads);
  add(x, state, rows * width);
  tessera_norm(x, b->second_norm, state, rows, width, (float)eps);
  failed |= multiply(&b->gate, state, one, rows, threads);
  failed |= multiply(&b->up, state, two, rows, threads);
  tessera_gate(one, two, one, rows * inner);
  failed |= multiply(&b->down, one, state, rows, threads);
  add(x, state, rows * width);
  free(space);
  return failed;
}
