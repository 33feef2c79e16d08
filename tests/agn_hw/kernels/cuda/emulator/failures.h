// Wrong addresses, and what GCC's -fsanitize finds in the kernels' source, end the launch with an error.
#pragma once

#include <csignal>

#include "block.h"

namespace emulator {

inline void on_signal(int signal, siginfo_t *about, void *) {
  if (!machine.running) {  // not ours: as if nobody had caught it
    ::signal(signal, SIG_DFL);
    raise(signal);
    return;
  }
  if (signal == SIGFPE) fail("division by zero");
  fail("touched address %p, where nothing is", about->si_addr);
}

// Signals of the launch's thread are ours while this lives.
class Signals {
 public:
  Signals() {
    static char stack[64 * 1024];  // a thread may have used up its own
    stack_t mine = {};
    mine.ss_sp = stack;
    mine.ss_size = sizeof stack;
    sigaltstack(&mine, &stack_before_);
    struct sigaction action = {};
    action.sa_sigaction = on_signal;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    for (int i = 0; i < 3; ++i) sigaction(KINDS[i], &action, &before_[i]);
  }

  ~Signals() {
    for (int i = 0; i < 3; ++i) sigaction(KINDS[i], &before_[i], nullptr);
    sigaltstack(&stack_before_, nullptr);
  }

 private:
  static constexpr int KINDS[3] = {SIGSEGV, SIGBUS, SIGFPE};
  struct sigaction before_[3];
  stack_t stack_before_;
};

struct SourceLocation {  // what all of GCC's reports start with
  const char *file;
  unsigned line, column;
};

inline void report(const void *data, const char *what) {
  if (!machine.running) return;
  const auto *at = static_cast<const SourceLocation *>(data);
  fail("%s at %s:%u:%u", what, at->file, at->line, at->column);
}

}  // namespace emulator

// The functions that -fsanitize=alignment,bounds,shift-exponent,signed-integer-overflow,integer-divide-by-zero calls.
#define EMULATOR_REPORT(name, what, ...)                                                                \
  extern "C" __attribute__((visibility("hidden"), used)) void __ubsan_handle_##name(void *data, ##__VA_ARGS__) { \
    emulator::report(data, what);                                                                       \
  }
EMULATOR_REPORT(type_mismatch_v1, "address not aligned for its type", void *)
EMULATOR_REPORT(out_of_bounds, "array index out of bounds", void *)
EMULATOR_REPORT(shift_out_of_bounds, "shift by a negative or too large number", void *, void *)
EMULATOR_REPORT(add_overflow, "sum of signed numbers overflows", void *, void *)
EMULATOR_REPORT(sub_overflow, "difference of signed numbers overflows", void *, void *)
EMULATOR_REPORT(mul_overflow, "product of signed numbers overflows", void *, void *)
EMULATOR_REPORT(negate_overflow, "negation overflows", void *)
EMULATOR_REPORT(divrem_overflow, "division by zero, or its result overflows", void *, void *)
#undef EMULATOR_REPORT
