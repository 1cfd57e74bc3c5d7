/* What the library offers; `native.py` says what the arguments are. */
#include <stdint.h>

int tessera_rows(int kind, const void *weight, const uint16_t *scale, const uint16_t *levels,
                 const uint16_t *bias, const uint16_t *x, uint16_t *y, long rows, long outs, long inner,
                 int threads);
int tessera_attend(const uint16_t *query, uint16_t *keys, uint16_t *values, const int32_t *table,
                   const int32_t *lengths, uint16_t *out, long sequences, long most, long page_size,
                   long query_heads, long key_heads, long width, int threads);
void tessera_norm(const uint16_t *x, const uint16_t *weight, uint16_t *y, long rows, long width, float eps);
void tessera_rotate(const uint16_t *x, const uint16_t *cosine, const uint16_t *sine, uint16_t *y, long rows,
                    long heads, long width);
void tessera_gate(const uint16_t *gate, const uint16_t *up, uint16_t *y, long count);
int tessera_trial(void);
