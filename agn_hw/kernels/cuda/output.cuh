// Where sums go: to int32 sums, or requantised to codes, in the order of an image's planes.
#pragma once

#include "windows.cuh"

enum OutputMode { WRITE = 0, ADD = 1, ATOMIC = 2 };

// Fields as in images.py: Output.
struct Output {
  void *y;             // int32 or float32 [batch][groups * columns][out_size]
  const int *start;    // [groups * columns]: added to every sum of a channel when it is written; or null
  const double *bias;  // [groups * columns] of the requantisation; null: sums are written, not codes
  const double *factor;
  double low, high;
  i64 columns;         // N of one group
  i64 groups;
  i64 mode;            // WRITE start + sum; ADD to the sum that is there; ATOMIC likewise, by several blocks at once
};

// clamp(floor(value + 1/2), low, high). What is no number stays so.
__device__ __forceinline__ float rounded(double value, double low, double high) {
  const double exact = floor(__dadd_rn(value, 0.5));
  return static_cast<float>(exact < low ? low : exact > high ? high : exact);
}

// clamp(floor((sum + bias) * factor + 1/2), low, high), each step rounded as IEEE 754 says, none contracted.
__device__ __forceinline__ float requantised(double sum, double bias, double factor, double low, double high) {
  return rounded(__dmul_rn(__dadd_rn(sum, bias), factor), low, high);
}

// Index of (row, channel 0 of the group) in y; channel n is n * out_size further.
__device__ __forceinline__ i64 output_index(const Output &out, const Windows &x, i64 row, int group) {
  const u32 size = static_cast<u32>(x.out_size), at = static_cast<u32>(row);
  return (static_cast<i64>(at / size) * out.groups * out.columns + group * out.columns) * x.out_size + at % size;
}

// The sum of one output. `index`: its place in y; `channel`: of all groups.
__device__ __forceinline__ void put(const Output &out, i64 index, int channel, u32 sum) {
  int *sums = static_cast<int *>(out.y);
  if (out.mode == ATOMIC) {
    atomicAdd(sums + index, static_cast<int>(sum));
    return;
  }
  sum += static_cast<u32>(out.mode == ADD ? sums[index] : out.start ? out.start[channel] : 0);
  if (out.bias)
    static_cast<float *>(out.y)[index] =
        requantised(static_cast<int>(sum), out.bias[channel], out.factor[channel], out.low, out.high);
  else
    sums[index] = static_cast<int>(sum);
}
