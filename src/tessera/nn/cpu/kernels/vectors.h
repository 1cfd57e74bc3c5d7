/* Vectors of 16 floats on any processor, and the operands of a product: bfloat16 in pairs where the processor
   multiplies them itself, floats elsewhere. GCC and clang lower the generic form to what the machine has. */
#ifndef VECTORS_H
#define VECTORS_H

#include <stdint.h>
#include <string.h>
#ifdef __AVX2__
#include <immintrin.h>
#endif

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")

typedef float floats __attribute__((vector_size(64), aligned(4)));
typedef uint32_t words __attribute__((vector_size(64), aligned(4)));
typedef float four __attribute__((vector_size(16), aligned(4)));
typedef uint16_t halves __attribute__((vector_size(32), aligned(2)));
typedef int8_t bytes __attribute__((vector_size(16), aligned(1)));

INLINE float from_bfloat16(uint16_t half) {
  uint32_t word = (uint32_t)half << 16;
  float number;
  memcpy(&number, &word, 4);
  return number;
}

/* To the nearest, ties to even; what is not a number stays so. */
INLINE void to_bfloat16(uint16_t *at, four numbers, int count) {
  typedef uint32_t bits __attribute__((vector_size(16)));
  bits word = (bits)numbers, sound = (bits)(numbers == numbers);
  word = (sound & (word + 0x7fff + (word >> 16 & 1))) | (~sound & 0x7fc00000);
  UNROLL for (int i = 0; i < count; i++) at[i] = (uint16_t)(word[i] >> 16);
}

INLINE floats spread(float number) { return number - (floats){0}; }

/* GCC takes these apart into single numbers unless it is told. */
#ifdef __AVX512F__
INLINE floats from_halves(const uint16_t *at) {
  return (floats)_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)at)), 16);
}

INLINE floats from_bytes(const int8_t *at) {
  return (floats)_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const void *)at)));
}

INLINE four sums(const floats v[4]) {
  __m512 ab = _mm512_add_ps(_mm512_unpacklo_ps((__m512)v[0], (__m512)v[1]),
                            _mm512_unpackhi_ps((__m512)v[0], (__m512)v[1]));
  __m512 cd = _mm512_add_ps(_mm512_unpacklo_ps((__m512)v[2], (__m512)v[3]),
                            _mm512_unpackhi_ps((__m512)v[2], (__m512)v[3]));
  __m512 all = _mm512_add_ps(_mm512_shuffle_ps(ab, cd, 0x44), _mm512_shuffle_ps(ab, cd, 0xee));
  __m256 half = _mm256_add_ps(_mm512_castps512_ps256(all), _mm512_extractf32x8_ps(all, 1));
  return (four)_mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
}
#else
INLINE floats from_halves(const uint16_t *at) {
  return (floats)(__builtin_convertvector(*(const halves *)at, words) << 16);
}

INLINE floats from_bytes(const int8_t *at) { return __builtin_convertvector(*(const bytes *)at, floats); }

INLINE four sums(const floats v[4]) {
  four out;
  for (int i = 0; i < 4; i++) {
    float part[16];
    memcpy(part, &v[i], 64);
    for (int half = 8; half; half /= 2)
      for (int j = 0; j < half; j++) part[j] += part[j + half];
    out[i] = part[0];
  }
  return out;
}
#endif

/* To the nearest bfloat16. */
INLINE floats rounded(floats v) {
  words word = (words)v, sound = (words)(v == v);
  word = (sound & (word + 0x7fff + (word >> 16 & 1))) | (~sound & 0x7fc00000);
  return (floats)(word & 0xffff0000);
}

/* Numbers that were rounded already. */
INLINE void keep(uint16_t *at, floats v) {
  *(halves *)at = __builtin_convertvector((words)v >> 16, halves);
}

/* e^x of numbers that are not above 0: 2^n times a polynomial, off by 2e-7 of the result. */
INLINE floats exponential(floats x) {
  typedef int32_t wholes __attribute__((vector_size(64)));
  const floats magic = spread(12582912.0f); /* adding it rounds to whole numbers */
  wholes far = x < -87.0f;
  floats n = x * 1.44269504f + magic;
  wholes exponent = (wholes)n << 23;
  n -= magic;
  floats r = x - n * 0.693359375f - n * -2.12194440e-4f;
  floats y = 1.0f / 720 * r + 1.0f / 120;
  y = y * r + 1.0f / 24;
  y = y * r + 1.0f / 6;
  y = y * r + 0.5f;
  y = y * r * r + r + 1.0f;
  return (floats)(((wholes)y + exponent) & ~far);
}

#if defined(__AVX512BF16__) && defined(__AVX512VNNI__)

#define PAIRED
#define LANES 32
typedef uint16_t number; /* of x */
typedef __m512bh operand;

INLINE floats spread_half(const uint16_t *at) {
  return (floats)_mm512_slli_epi32(_mm512_set1_epi16((short)*at), 16);
}

INLINE operand load(const number *at) { return (operand)_mm512_loadu_si512(at); }
INLINE operand weights_bf16(const uint16_t *at) { return load(at); }
INLINE floats add_product(floats sum, operand w, operand x) { return (floats)_mm512_dpbf16_ps((__m512)sum, w, x); }

/* 16-bit numbers by pairs, to 32 bits. */
typedef __m512i whole;
INLINE whole load_whole(const number *at) { return _mm512_loadu_si512(at); }
INLINE whole weights_int8(const int8_t *at) { return _mm512_cvtepi8_epi16(_mm256_loadu_si256((const void *)at)); }
/* By name: around its own form of it GCC 12 copies every sum twice, which takes a third of the time. */
INLINE floats add_whole(floats sum, whole w, whole x) {
  __asm__("vpdpwssd %2, %1, %0" : "+v"(sum) : "v"(w), "v"(x));
  return sum;
}
INLINE floats counted(floats sum) { return (floats)_mm512_cvtepi32_ps((__m512i)sum); }

#else

#define LANES 16
typedef float number;
typedef floats operand;

INLINE floats spread_half(const uint16_t *at) { return from_bfloat16(*at) - (floats){0}; }
INLINE operand load(const number *at) { return *(const floats *)at; }
INLINE operand weights_bf16(const uint16_t *at) { return from_halves(at); }

typedef floats whole;
INLINE whole load_whole(const number *at) { return load(at); }
INLINE whole weights_int8(const int8_t *at) { return from_bytes(at); }
INLINE floats add_whole(floats sum, whole w, whole x) { return sum + w * x; }
INLINE floats counted(floats sum) { return sum; }

INLINE floats add_product(floats sum, operand w, operand x) { return sum + w * x; }

#endif
#endif
