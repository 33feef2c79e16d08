// What becomes of sums that lie in memory: requantised to codes, preset, or two branches of codes added.
//
// Four values a thread, read and written 16 bytes at a time where they lie so. On paper bound by memory, 8 bytes a
// code, 0.6e12 a second on an H200 (4.8 TB/s); arithmetic in double takes half of that time there, and far more than
// the memory on processors with few such units.
#include "output.cuh"
#include "vectors.cuh"

#ifndef SUMS
#define SUMS 0  // of requantize: 0 int32, 1 float32, 2 float64
#endif

constexpr int THREADS = 256;
constexpr int VALUES = 4;

__device__ __forceinline__ bool aligned(const void *pointer) { return reinterpret_cast<u64>(pointer) % 16 == 0; }

// Index of this thread's first value.
__device__ __forceinline__ i64 first_value() {
  return (static_cast<i64>(blockIdx.x) * THREADS + threadIdx.x) * VALUES;
}

// Up to four values; those past the last one are 0.
template <typename Value>
__device__ __forceinline__ void load_four(const Value *from, i64 left, Value (&four)[VALUES]) {
  if (left >= VALUES && aligned(from)) {
    read_four(from, four);
  } else {
#pragma unroll
    for (int i = 0; i < VALUES; ++i) four[i] = i < left ? from[i] : Value(0);
  }
}

template <typename Value>
__device__ __forceinline__ void store_four(Value *to, i64 left, const Value (&four)[VALUES]) {
  if (left >= VALUES && aligned(to)) {
    write_four(to, four);
  } else {
#pragma unroll
    for (int i = 0; i < VALUES; ++i)
      if (i < left) to[i] = four[i];
  }
}

// The channels of values one after another, in planes of `size` values each, of `channels` channels in turn.
struct Channels {
  u32 size, channels, at, channel;

  __device__ __forceinline__ Channels(u64 index, u64 plane_size, u64 count)
      : size(static_cast<u32>(plane_size)), channels(static_cast<u32>(count)) {
    const u64 plane = index / plane_size;
    at = static_cast<u32>(index - plane * plane_size);
    channel = static_cast<u32>(plane % count);
  }

  // To the next value; true if it is of another plane.
  __device__ __forceinline__ bool advance() {
    if (++at < size) return false;
    at = 0;
    if (++channel == channels) channel = 0;
    return true;
  }
};

struct requantize_arguments {
  const void *sums;      // [batch][channels][size]; float32 or int32 ones may be y
  float *y;
  const double *bias;    // [channels]
  const double *factor;
  double low, high;
  i64 count, size, channels;
};

extern "C" __global__ void __launch_bounds__(THREADS) requantize(const requantize_arguments a) {
  const i64 first = first_value(), left = a.count - first;
  if (left <= 0) return;
#if SUMS == 0
  using Sum = int;
#elif SUMS == 1
  using Sum = float;
#else
  using Sum = double;
#endif
  Sum sums[VALUES];
  float codes[VALUES];
  load_four(static_cast<const Sum *>(a.sums) + first, left, sums);
  Channels at(first, a.size, a.channels);
  double bias = a.bias[at.channel], factor = a.factor[at.channel];
#pragma unroll
  for (int i = 0; i < VALUES; ++i) {
    codes[i] = requantised(sums[i], bias, factor, a.low, a.high);
    if (i + 1 < VALUES && at.advance()) bias = a.bias[at.channel], factor = a.factor[at.channel];
  }
  store_four(a.y + first, left, codes);
}

struct preset_arguments {
  int *y;                // [batch][channels][size]
  const int *start;      // [channels]
  i64 count, size, channels;
};

extern "C" __global__ void __launch_bounds__(THREADS) preset(const preset_arguments a) {
  const i64 first = first_value(), left = a.count - first;
  if (left <= 0) return;
  int starts[VALUES];
  Channels at(first, a.size, a.channels);
#pragma unroll
  for (int i = 0; i < VALUES; ++i, at.advance()) starts[i] = a.start[at.channel];
  store_four(a.y + first, left, starts);
}

struct add_codes_arguments {
  const float *left, *right;
  float *y;
  const double *factors; // [2]
  double low, high;
  i64 count;
};

extern "C" __global__ void __launch_bounds__(THREADS) add_codes(const add_codes_arguments a) {
  const i64 first = first_value(), count = a.count - first;
  if (count <= 0) return;
  float left[VALUES];
  float right[VALUES];
  load_four(a.left + first, count, left);
  load_four(a.right + first, count, right);
  const double of_left = a.factors[0], of_right = a.factors[1];
#pragma unroll
  for (int i = 0; i < VALUES; ++i) {
    const double sum = __dadd_rn(__dmul_rn(left[i], of_left), __dmul_rn(right[i], of_right));
    left[i] = rounded(sum, a.low, a.high);
  }
  store_four(a.y + first, count, left);
}
