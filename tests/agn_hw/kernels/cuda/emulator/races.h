// Blocks of a device run at once, here one after another: that two of them write the same byte has to be looked for.
#pragma once

#include "block.h"

namespace emulator {

struct Region {  // of global memory, as in guarded.py
  unsigned char *start;
  int64_t bytes;
};

// Who wrote what so far: compares memory before and after each block.
class Writers {
 public:
  static constexpr int64_t MOST_WORK = int64_t{1} << 32;  // bytes to compare in a launch; else nothing is looked for
  // Of a byte: nobody, one block, one block by atomic operations only, several blocks by atomic operations.
  static constexpr uint32_t NOBODY = 0, ATOMIC = 1u << 31, SEVERAL = ~0u;

  void start(const Region *regions, int count, uint64_t blocks) {
    stop();
    int64_t bytes = 0;
    for (int i = 0; i < count; ++i) bytes += regions[i].bytes;
    if (!bytes || blocks < 2 || bytes > MOST_WORK / static_cast<int64_t>(blocks)) return;
    regions_ = regions, count_ = count;
    before_ = static_cast<unsigned char *>(malloc(bytes));
    writer_ = static_cast<uint32_t *>(calloc(bytes, sizeof *writer_));
    unsigned char *to = before_;
    for (int i = 0; i < count; to += regions[i++].bytes) memcpy(to, regions[i].start, regions[i].bytes);
  }

  void stop() {
    free(before_), free(writer_);
    before_ = nullptr, writer_ = nullptr, count_ = 0;
  }

  // Some bytes were just changed by an atomic operation of block number `block`.
  void atomic(const void *at, size_t bytes, uint32_t block) {
    const auto *byte = static_cast<const unsigned char *>(at);
    int64_t first = 0;
    for (int i = 0; i < count_; first += regions_[i++].bytes) {
      const int64_t offset = byte - regions_[i].start;
      if (offset < 0 || offset >= regions_[i].bytes) continue;
      for (size_t k = 0; k < bytes; ++k) {
        uint32_t &writer = writer_[first + offset + k];
        if (writer == NOBODY)
          writer = (block + 1) | ATOMIC;
        else if (!(writer & ATOMIC) && writer != block + 1)
          fail("atomic operation at address %p, where block number %u wrote", at, writer - 1);
        else if ((writer & ATOMIC) && writer != ((block + 1) | ATOMIC))
          writer = SEVERAL;
        before_[first + offset + k] = byte[k];
      }
    }
  }

  // Block number `block` has ended.
  void block_ended(uint32_t block) {
    int64_t first = 0;
    for (int i = 0; i < count_; first += regions_[i++].bytes)
      for (int64_t at = 0; at < regions_[i].bytes; at += STEP) {
        const int64_t bytes = regions_[i].bytes - at < STEP ? regions_[i].bytes - at : STEP;
        if (memcmp(before_ + first + at, regions_[i].start + at, bytes)) changed(i, first, at, bytes, block);
      }
  }

 private:
  static constexpr int64_t STEP = 256;

  void changed(int region, int64_t first, int64_t from, int64_t bytes, uint32_t block) {
    for (int64_t at = from; at < from + bytes; ++at) {
      const unsigned char now = regions_[region].start[at];
      if (before_[first + at] == now) continue;
      before_[first + at] = now;
      uint32_t &writer = writer_[first + at];
      if (writer == SEVERAL) fail("wrote to address %p, as atomic operations of several blocks did", address(region, at));
      if (writer != NOBODY && (writer & ~ATOMIC) != block + 1)
        fail("wrote to address %p, as block number %u did", address(region, at), (writer & ~ATOMIC) - 1);
      writer = block + 1;
    }
  }

  const void *address(int region, int64_t at) const { return regions_[region].start + at; }

  const Region *regions_ = nullptr;
  int count_ = 0;
  unsigned char *before_ = nullptr;
  uint32_t *writer_ = nullptr;
};
inline Writers writers;

inline uint32_t block_number() { return (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x; }

inline void note_atomic(const void *at, size_t bytes) { writers.atomic(at, bytes, block_number()); }

}  // namespace emulator
