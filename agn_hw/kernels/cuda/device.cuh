// What the kernels ask of the machine beyond plain C++: copies in flight, matrix fragments, packed arithmetic.
//
// Under AGN_EMULATED (tests, on a processor) the same names come from the emulator instead.
#pragma once

using u8 = unsigned char;
using i8 = signed char;
using u16 = unsigned short;
using u32 = unsigned int;
using i64 = long long;
using u64 = unsigned long long;

#ifndef AGN_EMULATED

#define SHARED_MEMORY(name) extern __shared__ __align__(1024) unsigned char name[]

__device__ __forceinline__ u32 shared_address(const void *shared) {
  return static_cast<u32>(__cvta_generic_to_shared(shared));
}

// Starts to copy BYTES (4, 8 or 16, both addresses aligned to that) from global to shared memory. What is there until
// the copy has been waited for is undefined. Before sm_80 the copy is done at once.
template <int BYTES>
__device__ __forceinline__ void copy_async(void *shared, const void *global) {
#if __CUDA_ARCH__ >= 800
  if constexpr (BYTES == 16)
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared_address(shared)), "l"(global) : "memory");
  else if constexpr (BYTES == 8)
    asm volatile("cp.async.ca.shared.global [%0], [%1], 8;" ::"r"(shared_address(shared)), "l"(global) : "memory");
  else
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"(shared_address(shared)), "l"(global) : "memory");
#else
  if constexpr (BYTES == 16)
    *static_cast<uint4 *>(shared) = *static_cast<const uint4 *>(global);
  else if constexpr (BYTES == 8)
    *static_cast<uint2 *>(shared) = *static_cast<const uint2 *>(global);
  else
    *static_cast<u32 *>(shared) = *static_cast<const u32 *>(global);
#endif
}

// Closes this thread's group of copies started since the last call (it may be empty).
__device__ __forceinline__ void commit_copies() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

// Waits until at most GROUPS of this thread's groups are still in flight; others see the copies after a barrier.
template <int GROUPS>
__device__ __forceinline__ void wait_copies() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.wait_group %0;" ::"n"(GROUPS) : "memory");
#endif
}

// Byte BYTE of `low` (below 128) and, as the upper byte, that of `high`.
template <int BYTE>
__device__ __forceinline__ u32 join_bytes(u32 low, u32 high) {
  u32 joined;  // the sign of the lower byte fills the rest
  asm("prmt.b32 %0, %1, %2, %3;" : "=r"(joined) : "r"(low), "r"(high), "n"(0x8840 + 0x1111 * BYTE));
  return joined;
}

// Four matrices of 8 rows by 16 bytes: lanes 8i..8i+7 give the addresses of the rows of matrix i (aligned to 16), and
// lane l gets bytes 4 (l % 4)..+3 of row l / 4 of matrix i in part[i].
__device__ __forceinline__ void load_matrices(u32 (&part)[4], const void *row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(part[0]), "=r"(part[1]), "=r"(part[2]), "=r"(part[3])
               : "r"(shared_address(row))
               : "memory");
}

// c += a * b for unsigned bytes a [16][32] and signed bytes b [32][8], modulo 2^32, across a warp. Lane l = 4 g + t has
//   a: (row g, k 4t..), (row g + 8, k 4t..), (row g, k 16 + 4t..), (row g + 8, k 16 + 4t..), four bytes each;
//   b: (k 4t.., column g), (k 16 + 4t.., column g);    c: rows g, g, g + 8, g + 8 and columns 2t, 2t + 1, 2t, 2t + 1.
__device__ __forceinline__ void multiply_add(int (&c)[4], const u32 (&a)[4], u32 b0, u32 b1) {
#if __CUDA_ARCH__ >= 800
  asm volatile(
      "mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#else
#pragma unroll
  for (int part = 0; part < 4; ++part)
    asm volatile("mma.sync.aligned.m8n8k16.row.col.s32.u8.s8.s32 {%0, %1}, {%2}, {%3}, {%0, %1};"
                 : "+r"(c[part % 2 * 2]), "+r"(c[part % 2 * 2 + 1])
                 : "r"(a[part]), "r"(part < 2 ? b0 : b1));
#endif
}

#endif

// Columns of four words become rows: byte i of word j goes to byte j of word i.
__device__ __forceinline__ void transpose_bytes(u32 (&words)[4]) {
  const u32 low0 = __byte_perm(words[0], words[1], 0x5140), high0 = __byte_perm(words[0], words[1], 0x7362);
  const u32 low1 = __byte_perm(words[2], words[3], 0x5140), high1 = __byte_perm(words[2], words[3], 0x7362);
  words[0] = __byte_perm(low0, low1, 0x5410);
  words[1] = __byte_perm(low0, low1, 0x7632);
  words[2] = __byte_perm(high0, high1, 0x5410);
  words[3] = __byte_perm(high0, high1, 0x7632);
}
