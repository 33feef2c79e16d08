// One block: its threads, its shared memory, its barrier.
#pragma once

#include <cstdarg>
#include <cstdio>
#include <cstring>

#include "arithmetic.h"
#include "fibers.h"

static uint3 threadIdx, blockIdx;
static dim3 blockDim, gridDim;
constexpr int warpSize = 32;

namespace emulator {

enum Order { FORWARD = 0, REVERSE = 1, SHUFFLED = 2 };
enum State { READY, AT_BARRIER, AT_COLLECTIVE, ENDED };

constexpr size_t GUARD = 4096, MOST_SHARED = 256 * 1024;
constexpr int MOST_COPIES = 512;  // of one thread in flight

struct Copy {
  void *to;
  const void *from;
  int bytes, group;
};

struct Thread {
  Place place;
  State state;
  int index;
  int in_flight, groups;
  Copy copies[MOST_COPIES];  // in flight, the oldest first
};

struct Warp {
  void *requests[32];
  const void *answer;  // what the lanes that wait asked for
  int arrived;
};

// All there is: one block runs at a time, on one thread of the operating system.
struct Machine {
  const char *kernel;
  void (*body)();
  int threads, order;
  uint64_t random;
  size_t shared_bytes;
  unsigned char *shared;
  Thread thread[MOST_THREADS];
  Warp warp[MOST_THREADS / 32];
  Thread *running;
  Place scheduler;
  bool failed;
  char *message;
  size_t message_bytes;
};
static Machine machine;

inline uint64_t random_word() {  // Marsaglia's xorshift64
  machine.random ^= machine.random << 13;
  machine.random ^= machine.random >> 7;
  return machine.random ^= machine.random << 17;
}

inline void note(const char *format, va_list arguments) {
  const int used = snprintf(machine.message, machine.message_bytes, "%s, block (%u, %u, %u)", machine.kernel, blockIdx.x,
                            blockIdx.y, blockIdx.z);
  int more = 0;
  if (machine.running)
    more = snprintf(machine.message + used, machine.message_bytes - used, ", thread %d", machine.running->index);
  snprintf(machine.message + used + more, machine.message_bytes - used - more, ": ");
  vsnprintf(machine.message + used + more + 2, machine.message_bytes - used - more - 2, format, arguments);
  machine.failed = true;
}

inline void yield() { switch_to(machine.running->place, machine.scheduler); }

// Ends the launch with an error: called by a thread, which never goes on, or by the scheduler.
__attribute__((format(printf, 1, 2))) inline void fail(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  if (!machine.failed) note(format, arguments);
  va_end(arguments);
  if (machine.running) yield();
}

inline void run_thread() {
  machine.body();
  machine.running->state = ENDED;
  yield();
  __builtin_unreachable();
}

// Garbage, other garbage each time.
inline void poison(void *start, size_t bytes) {
  static uint64_t garbage[8192];
  if (!garbage[0])
    for (uint64_t &word : garbage) word = random_word() | 1;
  const size_t skip = random_word() % 512;
  auto *at = static_cast<unsigned char *>(start);
  for (size_t done = 0; done < bytes; done += 32768)
    memcpy(at + done, garbage + skip, bytes - done < 32768 ? bytes - done : 32768);
}

inline bool is_shared(const void *start, size_t bytes) {
  const auto *at = static_cast<const unsigned char *>(start);
  return at >= machine.shared && at + bytes <= machine.shared + machine.shared_bytes;
}

// Shared memory lies between two guards of known bytes.
inline void guard_shared(bool closed) {
  unsigned char *const after = machine.shared + machine.shared_bytes;
#ifdef __SANITIZE_ADDRESS__
  (closed ? __asan_poison_memory_region : __asan_unpoison_memory_region)(machine.shared - GUARD, GUARD);
  (closed ? __asan_poison_memory_region : __asan_unpoison_memory_region)(after, GUARD);
#else
  if (closed) memset(machine.shared - GUARD, 0xa5, GUARD), memset(after, 0xa5, GUARD);
#endif
}

inline void check_guards() {
  guard_shared(false);
#ifndef __SANITIZE_ADDRESS__
  const unsigned char *after = machine.shared + machine.shared_bytes;
  for (size_t i = 0; i < GUARD && !machine.failed; ++i) {
    if (after[i] != 0xa5) fail("shared memory was written %zu bytes past its %zu bytes", i, machine.shared_bytes);
    if (machine.shared[-1 - static_cast<long>(i)] != 0xa5)
      fail("shared memory was written %zu bytes before its start", i + 1);
  }
#endif
}

// A permutation of 0..count-1 in the order that was asked for.
inline void fill_order(int *order, int count) {
  for (int i = 0; i < count; ++i) order[i] = machine.order == REVERSE ? count - 1 - i : i;
  if (machine.order != SHUFFLED) return;
  for (int i = count - 1; i > 0; --i) {
    const int other = static_cast<int>(random_word() % static_cast<unsigned>(i + 1)), kept = order[i];
    order[i] = order[other];
    order[other] = kept;
  }
}

// Lets a warp run as far as it gets without the others: to a barrier of the block, or to its end.
inline void run_warp(int warp) {
  int lanes[32];
  fill_order(lanes, 32);
  for (bool moved = true; moved;) {
    moved = false;
    for (int lane : lanes) {
      Thread &thread = machine.thread[32 * warp + lane];
      if (thread.state != READY) continue;
      moved = true;
      machine.running = &thread;
      threadIdx = {static_cast<unsigned>(thread.index), 0, 0};
      switch_to(machine.scheduler, thread.place);
      machine.running = nullptr;
      if (machine.failed) return;
    }
  }
}

// After all warps ran as far as they could: whether the block is done. At a barrier that all have reached it goes on.
inline bool settle() {
  int count[4] = {};
  for (int i = 0; i < machine.threads; ++i) ++count[machine.thread[i].state];
  if (count[ENDED] == machine.threads) return true;
  if (count[AT_BARRIER] == machine.threads) {
    for (int i = 0; i < machine.threads; ++i) machine.thread[i].state = READY;
    return false;
  }
  fail("deadlock: of %d threads %d wait at __syncthreads, %d at a collective of their warp, %d have ended",
       machine.threads, count[AT_BARRIER], count[AT_COLLECTIVE], count[ENDED]);
  return true;
}

inline void run_block() {
  guard_shared(true);
  poison(machine.shared, machine.shared_bytes);
  for (int i = 0; i < machine.threads; ++i) {
    Thread &thread = machine.thread[i];
    thread.state = READY;
    thread.index = i;
    thread.in_flight = thread.groups = 0;
    start_fiber(thread.place, stack_of(i), run_thread);
  }
  for (int i = 0; i < machine.threads / 32; ++i) machine.warp[i].arrived = 0;
  bool done = false;
  while (!done && !machine.failed) {
    int warps[MOST_THREADS / 32];
    fill_order(warps, machine.threads / 32);
    for (int i = 0; i < machine.threads / 32 && !machine.failed; ++i) run_warp(warps[i]);
    done = machine.failed || settle();
  }
  check_guards();
}

}  // namespace emulator

inline void __syncthreads() {
  emulator::machine.running->state = emulator::AT_BARRIER;
  emulator::yield();
}

inline void __threadfence() {}
inline void __threadfence_block() {}

#define SHARED_MEMORY(name) unsigned char *const name = emulator::machine.shared
