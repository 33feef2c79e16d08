// CUDA's words, vector types and functions of one thread.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#define __global__
#define __device__
#define __host__
#define __constant__
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __align__(bytes) __attribute__((aligned(bytes)))
#define __grid_constant__

#define EMULATOR_VECTORS(name, type)                                                                        \
  struct alignas(2 * sizeof(type)) name##2 { type x, y; };                                                  \
  struct name##3 { type x, y, z; };                                                                         \
  struct alignas(4 * sizeof(type) < 16 ? 4 * sizeof(type) : 16) name##4 { type x, y, z, w; };               \
  inline name##2 make_##name##2(type x, type y) { return {x, y}; }                                          \
  inline name##3 make_##name##3(type x, type y, type z) { return {x, y, z}; }                               \
  inline name##4 make_##name##4(type x, type y, type z, type w) { return {x, y, z, w}; }
EMULATOR_VECTORS(char, signed char)
EMULATOR_VECTORS(uchar, unsigned char)
EMULATOR_VECTORS(short, short)
EMULATOR_VECTORS(ushort, unsigned short)
EMULATOR_VECTORS(int, int)
EMULATOR_VECTORS(uint, unsigned)
EMULATOR_VECTORS(longlong, long long)
EMULATOR_VECTORS(ulonglong, unsigned long long)
EMULATOR_VECTORS(float, float)
EMULATOR_VECTORS(double, double)
#undef EMULATOR_VECTORS
using dim3 = uint3;

namespace emulator {
__attribute__((format(printf, 1, 2))) inline void fail(const char *format, ...);
inline void note_atomic(const void *at, size_t bytes);

template <class To, class From>
To same_bits(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  memcpy(&to, &from, sizeof to);
  return to;
}

template <class T>
T old_then(T *at, T now) {
  const T old = *at;
  *at = now;
  note_atomic(at, sizeof now);
  return old;
}
}  // namespace emulator

#define EMULATOR_EXTREMES(type)                                    \
  inline type min(type a, type b) { return b < a ? b : a; }        \
  inline type max(type a, type b) { return a < b ? b : a; }
EMULATOR_EXTREMES(int)
EMULATOR_EXTREMES(unsigned)
EMULATOR_EXTREMES(long)
EMULATOR_EXTREMES(unsigned long)
EMULATOR_EXTREMES(long long)
EMULATOR_EXTREMES(unsigned long long)
#undef EMULATOR_EXTREMES
inline float min(float a, float b) { return fminf(a, b); }  // of a number and a NaN: the number
inline float max(float a, float b) { return fmaxf(a, b); }
inline double min(double a, double b) { return fmin(a, b); }
inline double max(double a, double b) { return fmax(a, b); }

// Bytes of (y, x), the lowest byte of x first, chosen by four nibbles.
inline unsigned __byte_perm(unsigned x, unsigned y, unsigned selector) {
  if (selector & 0x8888) emulator::fail("__byte_perm with selector %04x: bit 3 of a nibble is not for this", selector);
  const uint64_t bytes = static_cast<uint64_t>(y) << 32 | x;
  unsigned result = 0;
  for (int i = 0; i < 4; ++i) result |= static_cast<unsigned>(bytes >> 8 * (selector >> 4 * i & 7) & 255) << 8 * i;
  return result;
}

// As in device.cuh.
template <int BYTE>
unsigned join_bytes(unsigned low, unsigned high) {
  const unsigned lower = low >> 8 * BYTE & 255, upper = high >> 8 * BYTE & 255;
  if (lower > 127) emulator::fail("join_bytes: the lower byte is %u, more than 127", lower);
  return lower | upper << 8;
}

inline int __dp4a(int a, int b, int c) {
  for (int i = 0; i < 32; i += 8)
    c = static_cast<int>(static_cast<unsigned>(c) +
                         static_cast<unsigned>(static_cast<signed char>(a >> i) * static_cast<signed char>(b >> i)));
  return c;
}

inline unsigned __dp4a(unsigned a, unsigned b, unsigned c) {
  for (int i = 0; i < 32; i += 8) c += (a >> i & 255) * (b >> i & 255);
  return c;
}

template <class T>
T __ldg(const T *at) { return *at; }
template <class T>
T __ldcg(const T *at) { return *at; }
template <class T>
T __ldcs(const T *at) { return *at; }
template <class T>
void __stcs(T *at, T value) { *at = value; }
template <class T>
void __stcg(T *at, T value) { *at = value; }

inline unsigned __umulhi(unsigned a, unsigned b) { return static_cast<uint64_t>(a) * b >> 32; }
inline int __mulhi(int a, int b) { return static_cast<int>(static_cast<int64_t>(a) * b >> 32); }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  return static_cast<unsigned long long>(static_cast<unsigned __int128>(a) * b >> 64);
}
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __clz(int x) { return x ? __builtin_clz(static_cast<unsigned>(x)) : 32; }
inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned by) {
  return static_cast<unsigned>((static_cast<uint64_t>(high) << 32 | low) >> (by & 31));
}
inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned by) {
  return static_cast<unsigned>((static_cast<uint64_t>(high) << 32 | low) << (by & 31) >> 32);
}

// Other blocks and threads never run in the middle of these.
template <class T>
T atomicAdd(T *at, T by) {
  if constexpr (sizeof(T) == 4 && static_cast<T>(0.5) == 0)
    return emulator::old_then(at, static_cast<T>(static_cast<unsigned>(*at) + static_cast<unsigned>(by)));
  else
    return emulator::old_then(at, static_cast<T>(*at + by));
}
template <class T>
T atomicMax(T *at, T other) { return emulator::old_then(at, max(*at, other)); }
template <class T>
T atomicMin(T *at, T other) { return emulator::old_then(at, min(*at, other)); }
template <class T>
T atomicExch(T *at, T now) { return emulator::old_then(at, now); }

// Each rounded by itself: g++ is told to contract nothing.
inline double __dadd_rn(double a, double b) { return a + b; }
inline double __dsub_rn(double a, double b) { return a - b; }
inline double __dmul_rn(double a, double b) { return a * b; }
inline double __fma_rn(double a, double b, double c) { return fma(a, b, c); }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline float floor(float x) { return floorf(x); }

namespace emulator {
// Rounded to a whole number already; conversions saturate, a NaN becomes 0.
inline int saturated(double whole) {
  return whole != whole ? 0 : whole < -2147483648.0 ? INT32_MIN : whole > 2147483647.0 ? INT32_MAX : static_cast<int>(whole);
}
}  // namespace emulator
inline int __float2int_rn(float x) { return emulator::saturated(rintf(x)); }
inline int __float2int_rd(float x) { return emulator::saturated(floorf(x)); }
inline int __float2int_rz(float x) { return emulator::saturated(truncf(x)); }
inline int __double2int_rn(double x) { return emulator::saturated(rint(x)); }
inline int __double2int_rd(double x) { return emulator::saturated(floor(x)); }
inline int __double2int_rz(double x) { return emulator::saturated(trunc(x)); }
inline float __int2float_rn(int x) { return static_cast<float>(x); }
inline double __int2double_rn(int x) { return x; }
inline float __double2float_rn(double x) { return static_cast<float>(x); }

inline long long __double_as_longlong(double x) { return emulator::same_bits<long long>(x); }
inline double __longlong_as_double(long long x) { return emulator::same_bits<double>(x); }
inline int __float_as_int(float x) { return emulator::same_bits<int>(x); }
inline unsigned __float_as_uint(float x) { return emulator::same_bits<unsigned>(x); }
inline float __int_as_float(int x) { return emulator::same_bits<float>(x); }
inline float __uint_as_float(unsigned x) { return emulator::same_bits<float>(x); }
