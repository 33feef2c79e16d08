// Requantisation and sums of tensors that are not the result of a table product.
#include <algorithm>
#include <cstring>

#include "kernels.h"
#include "threads.h"

namespace {

constexpr int64_t kPart = 1 << 15;  // elements of a task

}  // namespace

void agn_requantize(const void *sums, int floating, int64_t batch, int64_t channels, int64_t size,
                    const agn_finish *finish, float *y, int threads) {
  agn::parallel(batch * channels * size > kPart ? threads : 1, batch * channels, [&](int64_t plane) {
    const void *from = static_cast<const int32_t *>(sums) + plane * size;
    agn::chosen().finish_plane(from, floating, size, finish->bias[plane % channels], finish->factor[plane % channels],
                               finish->low, finish->high, y + plane * size);
  });
}

void agn_add_codes(const float *left, const float *right, int64_t count, double first, double second, double low,
                   double high, float *y, int threads) {
  agn::parallel(threads, (count + kPart - 1) / kPart, [&](int64_t part) {
    const int64_t at = part * kPart;
    agn::chosen().add_codes(left + at, right + at, std::min(kPart, count - at), first, second, low, high, y + at);
  });
}

uint64_t agn_fingerprint(const void *memory, int64_t bytes) {
  constexpr uint64_t kPrime = 0x9e3779b97f4a7c15;
  uint64_t lanes[8], words[8];
  for (int i = 0; i < 8; ++i) lanes[i] = kPrime * static_cast<uint64_t>(i + 1) ^ static_cast<uint64_t>(bytes);
  const char *at = static_cast<const char *>(memory);
  for (int64_t left = bytes; left > 0; left -= 64, at += 64) {
    if (left < 64) std::memset(words, 0, sizeof(words));
    std::memcpy(words, at, static_cast<size_t>(std::min<int64_t>(left, 64)));
    for (int i = 0; i < 8; ++i) lanes[i] = ((lanes[i] ^ words[i]) * kPrime) ^ (lanes[i] >> 29);
  }
  uint64_t all = 0;
  for (uint64_t lane : lanes) all = ((all ^ lane) * kPrime) ^ (all >> 31);
  return all;
}
