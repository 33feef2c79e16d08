// Collectives of a warp: all 32 lanes meet, the last one answers for all of them, then they go on.
#pragma once

#include "block.h"

namespace emulator {

template <class Request>
void meet(Request &mine, void (*answer)(Request *const *), const char *name) {
  Thread &self = *machine.running;
  Warp &warp = machine.warp[self.index / 32];
  if (warp.arrived && warp.answer != reinterpret_cast<const void *>(answer))
    fail("%s, while other lanes of the warp wait at another collective", name);
  warp.answer = reinterpret_cast<const void *>(answer);
  warp.requests[self.index % 32] = &mine;
  if (++warp.arrived < 32) {
    self.state = AT_COLLECTIVE;
    yield();
    return;
  }
  warp.arrived = 0;
  answer(reinterpret_cast<Request *const *>(warp.requests));
  for (int lane = 0; lane < 32; ++lane) machine.thread[self.index / 32 * 32 + lane].state = READY;
}

inline void all_lanes(unsigned mask, const char *name) {
  if (mask != 0xffffffffu) fail("%s of some lanes only (mask %08x): all 32 are wanted", name, mask);
}

template <class T>
struct Shuffle {
  T value, result;
  int from;
};

template <class T>
T shuffle(unsigned mask, T value, int from, const char *name) {
  all_lanes(mask, name);
  Shuffle<T> mine{value, value, from};
  meet<Shuffle<T>>(
      mine, [](Shuffle<T> *const *lanes) { for (int i = 0; i < 32; ++i) lanes[i]->result = lanes[lanes[i]->from]->value; },
      name);
  return mine.result;
}

inline int lane() { return machine.running->index % 32; }

struct Vote {
  bool value;
  unsigned result;
};

inline unsigned vote(unsigned mask, bool value, const char *name) {
  all_lanes(mask, name);
  Vote mine{value, 0};
  meet<Vote>(
      mine,
      [](Vote *const *lanes) {
        unsigned all = 0;
        for (int i = 0; i < 32; ++i) all |= static_cast<unsigned>(lanes[i]->value) << i;
        for (int i = 0; i < 32; ++i) lanes[i]->result = all;
      },
      name);
  return mine.result;
}

struct MatrixRow {
  const void *row;
  unsigned *part;
};

struct Fragments {
  int *c;
  const unsigned *a;
  unsigned b[2];
};

inline void answer_load_matrices(MatrixRow *const *lanes) {
  for (int matrix = 0; matrix < 4; ++matrix)
    for (int lane = 0; lane < 32; ++lane) {
      const auto *row = static_cast<const unsigned char *>(lanes[8 * matrix + lane / 4]->row);
      memcpy(lanes[lane]->part + matrix, row + 4 * (lane % 4), 4);
    }
}

// Widened to 16 bits, so that the compiler finds its vector instructions.
__attribute__((optimize("O3"), no_sanitize_undefined)) inline void answer_multiply_add(Fragments *const *lanes) {
  short a[16][32], b[8][32];
  for (int lane = 0; lane < 32; ++lane) {
    const int row = lane / 4, k = 4 * (lane % 4);
    for (int byte = 0; byte < 4; ++byte) {
      for (int part = 0; part < 4; ++part)
        a[row + part % 2 * 8][k + part / 2 * 16 + byte] = lanes[lane]->a[part] >> 8 * byte & 255;
      for (int part = 0; part < 2; ++part)
        b[row][k + part * 16 + byte] = static_cast<signed char>(lanes[lane]->b[part] >> 8 * byte);
    }
  }
  for (int row = 0; row < 16; ++row)
    for (int column = 0; column < 8; ++column) {
      int sum = 0;
      for (int k = 0; k < 32; ++k) sum += a[row][k] * b[column][k];
      int &c = lanes[row % 8 * 4 + column / 2]->c[row / 8 * 2 + column % 2];
      c = static_cast<int>(static_cast<unsigned>(c) + static_cast<unsigned>(sum));
    }
}

}  // namespace emulator

template <class T>
T __shfl_sync(unsigned mask, T value, int from, int width = 32) {
  const int start = emulator::lane() / width * width;
  return emulator::shuffle(mask, value, start + (from & (width - 1)), "__shfl_sync");
}

template <class T>
T __shfl_xor_sync(unsigned mask, T value, int by, int width = 32) {
  const int from = emulator::lane() ^ by;
  return emulator::shuffle(mask, value, from / width <= emulator::lane() / width ? from : emulator::lane(),
                           "__shfl_xor_sync");
}

template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned by, int width = 32) {
  const int lane = emulator::lane(), from = lane % width - static_cast<int>(by);
  return emulator::shuffle(mask, value, from >= 0 ? lane - static_cast<int>(by) : lane, "__shfl_up_sync");
}

template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned by, int width = 32) {
  const int lane = emulator::lane(), from = lane % width + static_cast<int>(by);
  return emulator::shuffle(mask, value, from < width ? lane + static_cast<int>(by) : lane, "__shfl_down_sync");
}

inline void __syncwarp(unsigned mask = 0xffffffffu) { emulator::vote(mask, true, "__syncwarp"); }
inline unsigned __ballot_sync(unsigned mask, int value) { return emulator::vote(mask, value, "__ballot_sync"); }
inline int __any_sync(unsigned mask, int value) { return emulator::vote(mask, value, "__any_sync") != 0; }
inline int __all_sync(unsigned mask, int value) { return emulator::vote(mask, value, "__all_sync") == 0xffffffffu; }

// The same as in device.cuh, which says what lies where.
inline void load_matrices(unsigned (&part)[4], const void *row) {
  if (reinterpret_cast<uintptr_t>(row) % 16) emulator::fail("load_matrices from %p, not aligned to 16 bytes", row);
  if (!emulator::is_shared(row, 16)) emulator::fail("load_matrices from outside of shared memory");
  emulator::MatrixRow mine{row, part};
  emulator::meet<emulator::MatrixRow>(mine, emulator::answer_load_matrices, "load_matrices");
}

inline void multiply_add(int (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
  emulator::Fragments mine{c, a, {b0, b1}};
  emulator::meet<emulator::Fragments>(mine, emulator::answer_multiply_add, "multiply_add");
}
