// Light threads: each has a stack of its own and gives way only where it asks to. A switch costs a few nanoseconds;
// swapcontext, which asks the system for the signal mask each time, a few hundred.
#pragma once

#include <cstddef>
#include <cstdint>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace emulator {

constexpr int MOST_THREADS = 1024;
constexpr size_t PAGE = 4096, STACK = 64 * 1024;  // as in guarded.py; the lowest page of a stack may not be touched

#if defined(__x86_64__)

using Place = void *;  // where a fiber goes on: its stack pointer, all else lies on the stack

extern "C" __attribute__((visibility("hidden"))) void agn_switch(Place *from, Place to);

asm(R"(
.text
.type agn_switch, @function
agn_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size agn_switch, . - agn_switch
)");

inline void switch_to(Place &from, Place &to) { agn_switch(&from, to); }

// A fiber that will start with this function, which must never return.
inline void start_fiber(Place &place, char *stack, void (*entry)()) {
  void **top = reinterpret_cast<void **>(stack + STACK);
  *--top = nullptr;  // as if `entry` had been called: its caller's return address
  *--top = reinterpret_cast<void *>(entry);
  for (int saved = 0; saved < 6; ++saved) *--top = nullptr;
  place = top;
}

#else

using Place = ucontext_t;

inline void switch_to(Place &from, Place &to) { swapcontext(&from, &to); }

inline void start_fiber(Place &place, char *stack, void (*entry)()) {
  getcontext(&place);
  place.uc_stack.ss_sp = stack + PAGE;
  place.uc_stack.ss_size = STACK - PAGE;
  place.uc_link = nullptr;
  makecontext(&place, entry, 0);
}

#endif

inline char *stacks;  // of all threads, one after another: the runner's, the same for every launch

inline char *stack_of(int index) {
  char *stack = stacks + index * STACK;
#ifdef __SANITIZE_ADDRESS__
  __asan_unpoison_memory_region(stack + PAGE, STACK - PAGE);  // a thread that failed never left its functions
#endif
  return stack;
}

}  // namespace emulator
