/* What the library offers; `native.py` says what the arguments are. */
#include <stdint.h>

int tessera_rows(int kind, const void *weight, const uint16_t *scale, const uint16_t *levels,
                 const uint16_t *bias, const uint16_t *x, uint16_t *y, long rows, long outs, long inner,
                 int threads);
int tessera_trial(void);
