/* What stands between the products of a decoder's block, for few rows: each is one call instead of several of
   PyTorch's, which cost more than their arithmetic. They round where PyTorch's bfloat16 operators round. */

#include <math.h>

#include "library.h"
#include "vectors.h"


INLINE floats rounded_all(floats v) {
  words word = (words)v, sound = (words)(v == v);
  word = (sound & (word + 0x7fff + (word >> 16 & 1))) | (~sound & 0x7fc00000);
  return (floats)(word & 0xffff0000);
}

/* Numbers that were rounded already. */
INLINE void keep(uint16_t *at, floats v) {
  *(halves *)at = __builtin_convertvector((words)v >> 16, halves);
}

/* y = x / rms(x) * weight, each row of `width` by itself; `width` is a multiple of 16. */
void tessera_norm(const uint16_t *x, const uint16_t *weight, uint16_t *y, long rows, long width, float eps) {
  for (long m = 0; m < rows; m++, x += width, y += width) {
    floats squares = {0};
    float total = 0;
    for (long k = 0; k < width; k += 16) {
      floats v = from_halves(x + k);
      squares += v * v;
    }
    for (int i = 0; i < 16; i++) total += squares[i];
    const float scale = 1 / sqrtf(total / (float)width + eps);
    for (long k = 0; k < width; k += 16)
      keep(y + k, rounded_all(rounded_all(from_halves(x + k) * scale) * from_halves(weight + k)));
  }
}

/* y = x cosine + swapped(x) sine, of `heads` heads a row; tables [rows, width] in bfloat16. */
void tessera_rotate(const uint16_t *x, const uint16_t *cosine, const uint16_t *sine, uint16_t *y, long rows,
                    long heads, long width) {
  const long half = width / 2;
  for (long m = 0; m < rows; m++, cosine += width, sine += width)
    for (long h = 0; h < heads; h++, x += width, y += width)
      for (long k = 0; k < width; k += 16) {
        floats other = from_halves(x + (k < half ? k + half : k - half));
        floats turned = rounded_all(from_halves(x + k) * from_halves(cosine + k));
        keep(y + k, rounded_all(turned + other * from_halves(sine + k)));
      }
}

/* y = silu(gate) * up; `count` numbers, a multiple of 16. */
void tessera_gate(const uint16_t *gate, const uint16_t *up, uint16_t *y, long count) {
  for (long k = 0; k < count; k += 16) {
    floats g = from_halves(gate + k), size = (floats)((words)g & 0x7fffffff);
    floats small = exponential(-size);
    floats positive = (floats)((words)(g >= 0.0f));
    floats share = (floats)(((words)positive & (words)(1.0f / (1.0f + small))) |
                            (~(words)positive & (words)(small / (1.0f + small))));
    keep(y + k, rounded_all(rounded_all(g * share) * from_halves(up + k)));
  }
}
