// The grid: blocks one after another. What the Python runner calls; the file that is compiled defines, before it
// includes this, EMULATED_KERNEL and EMULATED_BOUNDS (what its __launch_bounds__ says), and includes the kernel's source.
#pragma once

#include <sys/mman.h>

#include "emulator.h"

namespace emulator {

#define EMULATOR_JOIN(a, b) a##b
#define EMULATOR_ARGUMENTS(kernel) EMULATOR_JOIN(kernel, _arguments)
using Arguments = EMULATOR_ARGUMENTS(EMULATED_KERNEL);

inline Arguments arguments;

inline void run_kernel() { EMULATED_KERNEL(arguments); }

struct Launch {  // as in runner.py
  const void *arguments;
  int64_t grid[3], threads, shared, order, seed;
  const char *kernel;
  char *stacks, *message;
  int64_t message_bytes;
  const Region *regions;
  int64_t region_count;
};

inline void set_up(const Launch &launch) {
  static unsigned char *const memory = static_cast<unsigned char *>(
      mmap(nullptr, MOST_SHARED + 2 * GUARD, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  memcpy(&arguments, launch.arguments, sizeof arguments);
  stacks = launch.stacks;
  machine.kernel = launch.kernel;
  machine.body = run_kernel;
  machine.threads = static_cast<int>(launch.threads);
  machine.order = static_cast<int>(launch.order);
  machine.random = 0x9e3779b97f4a7c15u * static_cast<uint64_t>(2 * launch.seed + 1);
  machine.shared = memory + GUARD;
  machine.shared_bytes = static_cast<size_t>(launch.shared);
  machine.running = nullptr;
  machine.failed = false;
  machine.message = launch.message;
  machine.message_bytes = static_cast<size_t>(launch.message_bytes);
  blockDim = {static_cast<unsigned>(launch.threads), 1, 1};
  gridDim = {static_cast<unsigned>(launch.grid[0]), static_cast<unsigned>(launch.grid[1]),
             static_cast<unsigned>(launch.grid[2])};
}

// Block `index` of a walk through the grid: in CUDA's usual order, in reverse, or by steps that jump about.
inline uint64_t block_at(uint64_t index, uint64_t count, uint64_t step) {
  return machine.order == FORWARD ? index : machine.order == REVERSE ? count - 1 - index : index * step % count;
}

inline uint64_t step_through(uint64_t count) {  // has no factor in common with count
  for (uint64_t step = random_word() % count;; ++step) {
    uint64_t a = count, b = step;
    while (b) {
      const uint64_t rest = a % b;
      a = b, b = rest;
    }
    if (a == 1) return step;
  }
}

}  // namespace emulator

extern "C" __attribute__((visibility("default"))) int emulator_most_threads() {
  const int bounds[] = {EMULATED_BOUNDS};
  return bounds[0];
}

extern "C" __attribute__((visibility("default"))) size_t emulator_arguments_size() { return sizeof(emulator::Arguments); }

// 0, or 1 with a message: what went wrong and where.
extern "C" __attribute__((visibility("default"))) int emulator_launch(const emulator::Launch *launch) {
  using namespace emulator;
  set_up(*launch);
  Signals ours;
  const uint64_t count = static_cast<uint64_t>(gridDim.x) * gridDim.y * gridDim.z, step = step_through(count);
  writers.start(launch->regions, static_cast<int>(launch->region_count), count);
  for (uint64_t i = 0; i < count && !machine.failed; ++i) {
    const uint64_t at = block_at(i, count, step);
    blockIdx = {static_cast<unsigned>(at % gridDim.x), static_cast<unsigned>(at / gridDim.x % gridDim.y),
                static_cast<unsigned>(at / gridDim.x / gridDim.y)};
    run_block();
    if (!machine.failed) writers.block_ended(block_number());
  }
  writers.stop();
  return machine.failed;
}
