#include "product.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "threads.h"

namespace agn {
namespace {

// Memory of one thread, kept from call to call: fresh pages cost more than the work done in them.
class Scratch {
 public:
  template <class T>
  T *get(int slot, int64_t count) {
    Buffer &buffer = buffers_[slot];
    const auto bytes = static_cast<size_t>(round_up(count * static_cast<int64_t>(sizeof(T)), 64));
    if (buffer.bytes < bytes) {
      buffer.memory.reset(std::aligned_alloc(64, bytes));
      buffer.bytes = buffer.memory ? bytes : 0;
    }
    return static_cast<T *>(buffer.memory.get());
  }

 private:
  struct Free {
    void operator()(void *memory) const { std::free(memory); }
  };
  struct Buffer {
    std::unique_ptr<void, Free> memory;
    size_t bytes = 0;
  };
  Buffer buffers_[5];
};

enum Slot { kOffsets, kSums, kTables, kPanel, kColumnSums };

struct Task {
  const Product *product;
  Rows rows;
  int64_t column;
};

// The stretches of runs that the k's from `first` on, `count` of them, lie in.
void find_pieces(const Product &product, int64_t first, int64_t count, std::vector<Piece> &pieces) {
  const int64_t run = product.packed->run;
  pieces.clear();
  for (int64_t k = first; k < first + count;) {
    const int64_t length = std::min(run - k % run, first + count - k);
    pieces.push_back({product.start[static_cast<size_t>(k / run)] + k % run, length});
    k += length;
  }
}

bool add_by_rows(const Task &task, Windows x, int width, int32_t *c, int64_t stride, Scratch &scratch) {
  const Product &product = *task.product;
  const Packed &packed = *product.packed;
  const Kernels &kernels = chosen();
  uint8_t *tables = scratch.get<uint8_t>(kTables, kDepthStep * row_table_bytes(width));
  if (!tables) return false;
  std::vector<Piece> pieces;
  x.base = product.codes;
  for (int64_t k = 0; k < packed.depth(); k += kDepthStep) {
    const int64_t count = std::min<int64_t>(kDepthStep, packed.depth() - k);
    find_pieces(product, k, count, pieces);
    for (int p = 0; p < packed.planes(task.column)[k / kDepthStep]; ++p) {
      kernels.build_rows(*product.split, p, packed.codes(task.column) + k * width, count, width, tables);
      kernels.add_rows(x, pieces.data(), static_cast<int64_t>(pieces.size()), tables, width, 8 * p, c, stride);
    }
  }
  return true;
}

// Adds the residual column by column, through a transposed copy of the activations.
bool add_by_columns(const Task &task, int width, int columns, int32_t *c, int64_t stride, Scratch &scratch) {
  const Product &product = *task.product;
  const Packed &packed = *product.packed;
  const int64_t padded = round_up(task.rows.count, 64);
  uint8_t *panel = scratch.get<uint8_t>(kPanel, packed.depth() * padded + 64);
  int32_t *sums = scratch.get<int32_t>(kColumnSums, width * padded);
  if (!panel || !sums) return false;
  std::memset(sums, 0, static_cast<size_t>(width * padded) * sizeof(int32_t));
  product.panel(task.rows, panel, padded);
  chosen().add_columns(*product.split, panel, padded, task.rows.count, packed.codes(task.column), packed.depth(),
                       width, columns, sums, padded);
  for (int64_t m = 0; m < task.rows.count; ++m)
    for (int n = 0; n < columns; ++n)
      c[m * stride + n] = static_cast<int32_t>(static_cast<uint32_t>(c[m * stride + n]) +
                                               static_cast<uint32_t>(sums[n * padded + m]));
  return true;
}

// Constants and int8 terms: starts the sums c [rows][width].
void multiply_terms(const Task &task, Windows x, int width, int32_t *c, int64_t stride) {
  static const int32_t kZeros[kBlock] = {};
  const Product &product = *task.product;
  const agn_split &split = *product.split;
  const int32_t *constants = product.packed->constants() + task.column;
  const int32_t *initial = split.scaled ? kZeros : constants;
  for (int t = 0; t < split.terms; ++t) {
    x.base = product.expanded[static_cast<size_t>(t)];
    chosen().multiply(x, product.packed->factors(t, task.column), width, initial, c, stride);
    initial = nullptr;
    if (t + 1 == split.scaled)
      for (int64_t m = 0; m < x.rows; ++m)
        for (int n = 0; n < width; ++n)
          c[m * stride + n] = static_cast<int32_t>(256 * static_cast<uint32_t>(c[m * stride + n]) +
                                                   static_cast<uint32_t>(constants[n]));
  }
  if (split.terms == 0)
    for (int64_t m = 0; m < x.rows; ++m) std::memcpy(c + m * stride, constants, static_cast<size_t>(width) * 4);
}

bool run(const Task &task) {
  thread_local Scratch scratch;
  const Product &product = *task.product;
  const Packed &packed = *product.packed;
  const int width = width_of_block(packed.columns, task.column);
  const auto columns = static_cast<int>(std::min<int64_t>(width, packed.columns - task.column));
  int64_t *offsets = scratch.get<int64_t>(kOffsets, task.rows.count);
  int32_t *c = columns == width && product.direct ? product.direct(task.rows, task.column) : nullptr;
  const int64_t stride = c ? product.direct_stride : width;
  const bool buffered = !c;
  if (buffered) c = scratch.get<int32_t>(kSums, task.rows.count * width);
  if (!offsets || !c) return false;
  for (int64_t m = 0; m < task.rows.count; ++m) offsets[m] = product.row(task.rows.first + m);
  const Windows x{product.codes, offsets, task.rows.count, product.start.data(), packed.runs, packed.run};
  multiply_terms(task, x, width, c, stride);
  const bool done = !product.split->planes  ? true
                    : product.columns ? add_by_columns(task, width, columns, c, stride, scratch)
                                      : add_by_rows(task, x, width, c, stride, scratch);
  if (!done) return false;
  if (product.finish)
    chosen().finish_rows(*product.finish, product.first_channel + task.column, task.rows.count, columns, c, stride);
  if (buffered) product.write(task.rows, task.column, columns, c, stride);
  return true;
}

void cut(const Product &product, int64_t groups, int threads, std::vector<Task> &tasks) {
  const int64_t columns = product.packed->columns, blocks = (columns + kBlock - 1) / kBlock;
  int64_t parts = std::max<int64_t>((product.rows + product.most_rows - 1) / product.most_rows, 1);
  while (parts * blocks * groups % threads && parts * blocks * groups < 4 * threads && product.rows / parts > 256)
    ++parts;
  const int64_t size = std::max<int64_t>(round_up((product.rows + parts - 1) / parts, 64), 64);
  for (int64_t first = 0; first < product.rows; first += size)
    for (int64_t column = 0; column < columns; column += kBlock)
      tasks.push_back({&product, {first, std::min(size, product.rows - first)}, column});
}

}  // namespace

bool compute(const std::vector<Product> &products, int threads) {
  std::vector<Task> tasks;
  for (const Product &product : products) cut(product, static_cast<int64_t>(products.size()), threads, tasks);
  std::atomic<bool> complete{true};
  parallel(threads, static_cast<int64_t>(tasks.size()), [&](int64_t i) {
    if (!run(tasks[static_cast<size_t>(i)])) complete = false;
  });
  return complete;
}

}  // namespace agn
