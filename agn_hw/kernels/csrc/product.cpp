#include "product.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#include "expanded.h"
#include "threads.h"

namespace agn {
namespace {

enum Slot { kOffsets, kSums, kTables, kPanel, kColumnSums, kExpanded, kSlots };

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
  Buffer buffers_[kSlots];
};

struct Task {
  const Product *product;
  Rows rows;
  int64_t column, columns;  // whole blocks, but at the right edge
};

// What is the same for all blocks of a task.
struct Operands {
  Windows windows;
  const uint8_t *panel;  // of add_columns: codes [depth][panel_stride]
  int64_t panel_stride;
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

bool add_by_rows(const Product &product, int64_t column, Windows x, int width, int32_t *c, int64_t stride,
                 Scratch &scratch) {
  const Packed &packed = *product.packed;
  const Kernels &kernels = chosen();
  uint8_t *tables = scratch.get<uint8_t>(kTables, round_up(kDepthStep, 32) * row_table_bytes(width));
  if (!tables) return false;
  std::vector<Piece> pieces;
  for (int64_t k = 0; k < packed.depth(); k += kDepthStep) {
    const int64_t count = std::min<int64_t>(kDepthStep, packed.depth() - k);
    find_pieces(product, k, count, pieces);
    for (int p = 0; p < packed.planes(column)[k / kDepthStep]; ++p) {
      kernels.build_rows(*product.split, p, packed.codes(column) + k * width, count, width, tables);
      kernels.add_rows(x, pieces.data(), static_cast<int64_t>(pieces.size()), tables, width, 8 * p, c, stride);
    }
  }
  return true;
}

// Adds the residual column by column, through the transposed activations.
bool add_by_columns(const Product &product, int64_t column, const Operands &x, int width, int columns, int32_t *c,
                    int64_t stride, Scratch &scratch) {
  const Packed &packed = *product.packed;
  const int64_t rows = x.windows.rows;
  int32_t *sums = scratch.get<int32_t>(kColumnSums, width * x.panel_stride);
  if (!sums) return false;
  std::memset(sums, 0, static_cast<size_t>(width * x.panel_stride) * sizeof(int32_t));
  chosen().add_columns(*product.split, x.panel, x.panel_stride, rows, packed.codes(column), packed.depth(), width,
                       columns, sums, x.panel_stride);
  for (int64_t m = 0; m < rows; ++m)
    for (int n = 0; n < columns; ++n)
      c[m * stride + n] = static_cast<int32_t>(static_cast<uint32_t>(c[m * stride + n]) +
                                               static_cast<uint32_t>(sums[n * x.panel_stride + m]));
  return true;
}

// Int8 terms and constants: starts the sums c [rows][width]. `expanded` has the activations of each term, the first
// row at `origin`.
void multiply_terms(const Product &product, int64_t column, Windows x, const std::vector<const uint8_t *> &expanded,
                    int64_t origin, int width, int32_t *c, int64_t stride) {
  static const int32_t kZeros[kBlock] = {};
  const agn_split &split = *product.split;
  const int32_t *constants = product.packed->constants() + column;
  for (int t = 0; t < split.terms; ++t) {
    const bool last = t + 1 == split.terms;
    const int shift = (t + 1 == split.scaled ? 8 : 0) + (last ? split.shift : 0);
    x.base = expanded[static_cast<size_t>(t)] + origin;
    chosen().multiply(x, product.packed->factors(t, column), width, t == 0, shift, last ? constants : kZeros, c,
                      stride);
  }
  if (split.terms == 0)
    for (int64_t m = 0; m < x.rows; ++m) std::memcpy(c + m * stride, constants, static_cast<size_t>(width) * 4);
}

// The same for rows without gaps, which are expanded some at a time, so that they stay in the cache for all terms.
bool multiply_expanding(const Product &product, int64_t column, const Windows &x, int width, int32_t *c,
                        int64_t stride, Scratch &scratch) {
  constexpr int64_t kBytes = 1 << 18, kTile = 12;
  const agn_split &split = *product.split;
  const int64_t row = product.packed->depth();
  const int64_t some = std::max(kBytes / std::max<int64_t>(row * split.terms, 1) / kTile, int64_t{1}) * kTile;
  uint8_t *memory = scratch.get<uint8_t>(kExpanded, some * row * split.terms);
  if (!memory) return false;
  std::vector<const uint8_t *> expanded(static_cast<size_t>(split.terms));
  for (int64_t m = 0; m < x.rows; m += some) {
    const Windows part{nullptr, x.row, std::min(some, x.rows - m), x.start, x.runs, x.run};
    const uint8_t *codes = x.base + x.row[m];
    for (int t = 0; t < split.terms; ++t) {
      const int source = source_of(split, t);
      uint8_t *out = memory + t * some * row;
      if (source == t) chosen().expand(split.expand[t], codes, part.rows * row, out);
      expanded[static_cast<size_t>(t)] = source == t ? out : source < 0 ? codes : expanded[static_cast<size_t>(source)];
    }
    multiply_terms(product, column, part, expanded, 0, width, c + m * stride, stride);
  }
  return true;
}

bool compute_block(const Task &task, int64_t column, const Operands &x, Scratch &scratch) {
  const Product &product = *task.product;
  const Packed &packed = *product.packed;
  const int width = width_of_block(packed.columns, column);
  const auto columns = static_cast<int>(std::min<int64_t>(width, packed.columns - column));
  int32_t *c = columns == width && product.direct ? product.direct(task.rows, column) : nullptr;
  const int64_t stride = c ? product.direct_stride : width;
  const bool buffered = !c;
  if (buffered) c = scratch.get<int32_t>(kSums, task.rows.count * width);
  if (!c) return false;
  if (!product.expanded.empty() || !product.split->terms)
    multiply_terms(product, column, x.windows, product.expanded, x.windows.base - product.codes, width, c, stride);
  else if (!multiply_expanding(product, column, x.windows, width, c, stride, scratch))
    return false;
  const bool done = !product.split->planes ? true
                    : x.panel ? add_by_columns(product, column, x, width, columns, c, stride, scratch)
                              : add_by_rows(product, column, x.windows, width, c, stride, scratch);
  if (!done) return false;
  if (product.finish)
    chosen().finish_rows(*product.finish, product.first_channel + column, task.rows.count, columns, c, stride);
  if (buffered) product.write(task.rows, column, columns, c, stride);
  return true;
}

bool run(const Task &task) {
  thread_local Scratch scratch;
  const Product &product = *task.product;
  const Packed &packed = *product.packed;
  const int64_t padded = round_up(task.rows.count, 64);
  int64_t *offsets = scratch.get<int64_t>(kOffsets, task.rows.count);
  uint8_t *panel = nullptr;
  if (!offsets) return false;
  const int64_t origin = product.row(task.rows.first);
  for (int64_t m = 0; m < task.rows.count; ++m) offsets[m] = product.row(task.rows.first + m) - origin;
  if (product.columns && product.split->planes) {
    panel = scratch.get<uint8_t>(kPanel, packed.depth() * padded + 128);
    if (!panel) return false;
    product.panel(task.rows, panel, padded);
  }
  const Operands x{{product.codes + origin, offsets, task.rows.count, product.start.data(), packed.runs, packed.run},
                   panel,
                   padded};
  for (int64_t column = task.column; column < task.column + task.columns; column += kBlock)
    if (!compute_block(task, column, x, scratch)) return false;
  return true;
}

// Tasks enough for all threads. Row tables serve all rows of a task, so those are many and its columns few; a panel
// serves all columns, so there it is the other way round.
void cut(const Product &product, int64_t groups, int threads, std::vector<Task> &tasks) {
  const int64_t columns = product.packed->columns, blocks = (columns + kBlock - 1) / kBlock;
  int64_t parts = std::max<int64_t>((product.rows + product.most_rows - 1) / product.most_rows, 1), spans = blocks;
  if (product.columns) spans = std::min<int64_t>(blocks, std::max<int64_t>(threads / (parts * groups), 1));
  while (parts * spans * groups % threads && parts * spans * groups < 4 * threads && product.rows / parts > 256)
    ++parts;
  const int64_t size = std::max<int64_t>(round_up((product.rows + parts - 1) / parts, 64), 64);
  const int64_t span = (blocks + spans - 1) / spans * kBlock;
  for (int64_t first = 0; first < product.rows; first += size)
    for (int64_t column = 0; column < columns; column += span)
      tasks.push_back(
          {&product, {first, std::min(size, product.rows - first)}, column, std::min(span, columns - column)});
}

}  // namespace

bool compute(const std::vector<Product> &products, int threads) {
  std::vector<Task> tasks;
  for (const Product &product : products) cut(product, static_cast<int64_t>(products.size()), threads, tasks);
  std::atomic<bool> complete{true};
  parallel(threads, static_cast<int64_t>(tasks.size()), [&](int64_t i) {
    try {  // nothing may be thrown out of another library's thread
      if (!run(tasks[static_cast<size_t>(i)])) complete = false;
    } catch (const std::bad_alloc &) {
      complete = false;
    }
  });
  return complete;
}

}  // namespace agn
