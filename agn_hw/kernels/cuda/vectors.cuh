// Four values read or written at once, 16 bytes (double: 32), from where they lie at a multiple of 16 bytes.
#pragma once

#include "device.cuh"

template <typename Vector, typename Value>
__device__ __forceinline__ void read_vector(const Value *from, Value (&four)[4]) {
  const Vector vector = *reinterpret_cast<const Vector *>(from);
  four[0] = vector.x;
  four[1] = vector.y;
  four[2] = vector.z;
  four[3] = vector.w;
}

__device__ __forceinline__ void read_four(const int *from, int (&four)[4]) { read_vector<int4>(from, four); }

__device__ __forceinline__ void read_four(const float *from, float (&four)[4]) { read_vector<float4>(from, four); }

__device__ __forceinline__ void read_four(const double *from, double (&four)[4]) {
  const double2 first = reinterpret_cast<const double2 *>(from)[0], second = reinterpret_cast<const double2 *>(from)[1];
  four[0] = first.x;
  four[1] = first.y;
  four[2] = second.x;
  four[3] = second.y;
}

__device__ __forceinline__ void write_four(int *to, const int (&four)[4]) {
  *reinterpret_cast<int4 *>(to) = make_int4(four[0], four[1], four[2], four[3]);
}

__device__ __forceinline__ void write_four(float *to, const float (&four)[4]) {
  *reinterpret_cast<float4 *>(to) = make_float4(four[0], four[1], four[2], four[3]);
}
