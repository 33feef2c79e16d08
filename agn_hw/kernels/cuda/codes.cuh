// Codes as tensors hold them: bytes, or whole numbers -128..255 in float32 that stand for their byte.
#pragma once

#include "device.cuh"

#ifndef FLOATING
#define FLOATING 1  // whether a kernel's codes are float32, not bytes
#endif

#if FLOATING
using Code = float;
#else
using Code = u8;
#endif

__device__ __forceinline__ u32 byte_of(float code) { return static_cast<u32>(static_cast<int>(code)) & 255u; }

__device__ __forceinline__ u32 byte_of(u8 code) { return code; }

__device__ __forceinline__ u32 pack_bytes(u32 first, u32 second, u32 third, u32 fourth) {
  return first | second << 8 | third << 16 | fourth << 24;
}

// The bytes of four codes that may be read at once.
__device__ __forceinline__ u32 four_bytes(const float *codes) {
  const float4 four = *reinterpret_cast<const float4 *>(codes);
  return pack_bytes(byte_of(four.x), byte_of(four.y), byte_of(four.z), byte_of(four.w));
}

__device__ __forceinline__ u32 four_bytes(const u8 *codes) { return *reinterpret_cast<const u32 *>(codes); }
