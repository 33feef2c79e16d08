// Requantisation and sums of tensors that are not the result of a table product.
#include <algorithm>

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

uint64_t agn_fingerprint(const void *memory, int64_t bytes) { return agn::chosen().fingerprint(memory, bytes); }
