// Copies in flight: they arrive when they are waited for and no sooner; until then their destination holds garbage.
#pragma once

#include "block.h"

namespace emulator {

constexpr bool COPIES_AT_ONCE = __CUDA_ARCH__ < 800;  // what device.cuh does on older devices

// Lets the groups up to `last` arrive.
inline void arrive(Thread &thread, int last) {
  int kept = 0;
  for (int i = 0; i < thread.in_flight; ++i) {
    const Copy copy = thread.copies[i];
    if (copy.group <= last)
      memcpy(copy.to, copy.from, copy.bytes);
    else
      thread.copies[kept++] = copy;
  }
  thread.in_flight = kept;
}

}  // namespace emulator

template <int BYTES>
void copy_async(void *shared, const void *global) {
  static_assert(BYTES == 4 || BYTES == 8 || BYTES == 16, "copies are of 4, 8 or 16 bytes");
  emulator::Thread &self = *emulator::machine.running;
  if (reinterpret_cast<uintptr_t>(shared) % BYTES || reinterpret_cast<uintptr_t>(global) % BYTES)
    emulator::fail("copy_async<%d> from %p to %p, not both aligned", BYTES, global, shared);
  if (!emulator::is_shared(shared, BYTES)) emulator::fail("copy_async<%d> to outside of shared memory", BYTES);
  if (emulator::is_shared(global, BYTES)) emulator::fail("copy_async<%d> from shared memory", BYTES);
  if (emulator::COPIES_AT_ONCE) {
    memcpy(shared, global, BYTES);
    return;
  }
  if (self.in_flight == emulator::MOST_COPIES) emulator::fail("copy_async: too many copies in flight");
  volatile char touched = *static_cast<const char *>(global);  // a wrong address shows here, where it was given
  touched = static_cast<const volatile char *>(global)[BYTES - 1];
  static_cast<void>(touched);
  self.copies[self.in_flight++] = {shared, global, BYTES, self.groups};
  emulator::poison(shared, BYTES);
}

inline void commit_copies() { ++emulator::machine.running->groups; }

template <int GROUPS>
void wait_copies() {
  emulator::Thread &self = *emulator::machine.running;
  emulator::arrive(self, self.groups - 1 - GROUPS);
}
