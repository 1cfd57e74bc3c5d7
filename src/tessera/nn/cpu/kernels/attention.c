/* One new token of each sequence against its keys and values, which lie in pages of a cache: for each key head
   all query heads that share it. Sums are float32. A sequence's result is its own, whoever else is there. */

#include <math.h>
#include <stdlib.h>

#include "library.h"
#include "vectors.h"

#define TOGETHER 4 /* query heads in registers at once */
#define WIDEST 16  /* vectors of a head: 256 numbers */
#define SMALL (1 << 15) /* numbers in the keys below which one thread is faster than several */

struct cache {
  uint16_t *keys, *values; /* [pages, page_size, key heads, width] */
  const int32_t *table;    /* [sequences, most]: pages of each in order */
  long most, page_size, heads, width;
};

INLINE uint16_t *place(const struct cache *c, uint16_t *pool, long sequence, long token, long head) {
  long page = c->table[sequence * c->most + token / c->page_size];
  return pool + ((page * c->page_size + token % c->page_size) * c->heads + head) * c->width;
}

/* scores[g][t] of up to TOGETHER query heads, one after another in q, float32. */
INLINE void score(const struct cache *c, const float *q, float *scores, long room, long length, long sequence,
                  long head, int count, int vectors) {
  for (long t = 0; t < length; t++) {
    const uint16_t *key = place(c, c->keys, sequence, t, head);
    floats total[4] = {{0}};
    UNROLL for (int i = 0; i < vectors; i++) {
      floats k = from_halves(key + 16 * i);
      UNROLL for (int g = 0; g < count; g++) total[g] += k * *(const floats *)(q + g * c->width + 16 * i);
    }
    four found = sums(total);
    UNROLL for (int g = 0; g < count; g++) scores[g * room + t] = found[g];
  }
}

/* Scores to weights of attention, not yet divided by their sum, which is returned. */
static float weigh(float *scores, long length) {
  float most = scores[0], total = 0;
  for (long t = 1; t < length; t++) most = scores[t] > most ? scores[t] : most;
  for (long t = length; t % 16; t++) scores[t] = -INFINITY;
  floats sum = {0};
  for (long t = 0; t < length; t += 16) {
    floats weights = exponential(*(floats *)(scores + t) - most);
    *(floats *)(scores + t) = weights;
    sum += weights;
  }
  for (int i = 0; i < 16; i++) total += sum[i];
  return total;
}

INLINE void blend(const struct cache *c, const float *weights, const float *sum, long room, uint16_t *out,
                  long length, long sequence, long head, int count, int first, int vectors) {
  floats total[TOGETHER][4];
  UNROLL for (int g = 0; g < count; g++) UNROLL for (int i = 0; i < vectors; i++) total[g][i] = (floats){0};
  for (long t = 0; t < length; t++) {
    const uint16_t *value = place(c, c->values, sequence, t, head) + 16 * first;
    UNROLL for (int i = 0; i < vectors; i++) {
      floats v = from_halves(value + 16 * i);
      UNROLL for (int g = 0; g < count; g++) total[g][i] += v * weights[g * room + t];
    }
  }
  UNROLL for (int g = 0; g < count; g++) UNROLL for (int i = 0; i < vectors; i++) {
    floats done = total[g][i] / sum[g];
    for (int j = 0; j < 16; j += 4) {
      four part;
      memcpy(&part, (const float *)&done + j, 16);
      to_bfloat16(out + g * c->width + 16 * (first + i) + j, part, 4);
    }
  }
}

/* One to four query heads of one key head; `vectors` is their width over 16. */
INLINE void heads(const struct cache *c, const float *q, float *scores, long room, uint16_t *out, long length,
                  long sequence, long head, int count) {
  const int vectors = (int)(c->width / 16);
  float sum[TOGETHER];
  switch (vectors) {
    case 4: score(c, q, scores, room, length, sequence, head, count, 4); break;
    case 8: score(c, q, scores, room, length, sequence, head, count, 8); break;
    default: score(c, q, scores, room, length, sequence, head, count, vectors);
  }
  for (int g = 0; g < count; g++) sum[g] = weigh(scores + g * room, length);
  for (int first = 0; first < vectors; first += 4)
    if (vectors - first >= 4) blend(c, scores, sum, room, out, length, sequence, head, count, first, 4);
    else for (int i = first; i < vectors; i++)
        blend(c, scores, sum, room, out, length, sequence, head, count, i, 1);
}

static void one(const struct cache *c, const uint16_t *query, float *q, float *scores, long room, uint16_t *out,
                long length, long sequence, long head, long shared) {
  const float scale = 1 / sqrtf((float)c->width);
  for (long i = 0; i < shared * c->width; i++) q[i] = from_bfloat16(query[i]) * scale;
  for (long g = 0; g < shared; g += TOGETHER) {
    const float *from = q + g * c->width;
    uint16_t *to = out + g * c->width;
    switch (shared - g) {
      case 1: heads(c, from, scores, room, to, length, sequence, head, 1); break;
      case 2: heads(c, from, scores, room, to, length, sequence, head, 2); break;
      case 3: heads(c, from, scores, room, to, length, sequence, head, 3); break;
      default: heads(c, from, scores, room, to, length, sequence, head, 4);
    }
  }
}

/* out [sequences, heads, width] of query, as it is. lengths [sequences]: keys of each, which are in the pages.
   `width` is a multiple of 16 up to 256. Returns 0, or 1 when there is no memory. */
int tessera_attend(const uint16_t *query, uint16_t *keys, uint16_t *values, const int32_t *table,
                   const int32_t *lengths, uint16_t *out, long sequences, long most, long page_size,
                   long query_heads, long key_heads, long width, int threads) {
  const struct cache c = {keys, values, table, most, page_size, key_heads, width};
  const long shared = query_heads / key_heads, room = (most * page_size + 31) / 16 * 16;
  long total = 0, failed = 0;
  for (long s = 0; s < sequences; s++) total += lengths[s] * key_heads * width;
  if (total < SMALL) threads = 1;
#pragma omp parallel num_threads(threads) reduction(+ : failed)
  {
    float *q = malloc((shared * width + TOGETHER * room) * sizeof(float));
    failed += !q;
#pragma omp for schedule(dynamic)
    for (long task = 0; task < sequences * key_heads; task++) {
      long sequence = task / key_heads, head = task % key_heads;
      long at = (sequence * query_heads + head * shared) * width;
      if (q) one(&c, query + at, q, q + shared * width, room, out + at, lengths[sequence], sequence, head, shared);
    }
    free(q);
  }
  return failed != 0;
}
