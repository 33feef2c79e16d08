// Drives a Verilator model of agn_hw_array (sim/array_sources.py) through a matrix product, tile by tile.
//
// Compiled together with the model; the build (sim/array_library.py) defines ROWS, COLS, X_BITS, W_BITS, ACC_BITS, NETS
// (of an element that counts toggles, else 0), MODEL, and how to EVALUATE one. The functions at the end are what Python
// calls.

#include <algorithm>
#include <cstdint>
#include <memory>
#include <new>
#include <type_traits>
#include <vector>

#if VM_TRACE
#include "verilated_vcd_c.h"
#endif

namespace {

// Lanes of a port, whatever type Verilator gives it: bits [bit, bit + width) of an integer or of a VlWide.
template <class Word> void put(Word& port, int bit, int width, uint64_t value) {
    if constexpr (std::is_integral_v<Word>) {
        port |= static_cast<Word>(value << bit);
    } else {
        for (int done = 0; done < width;) {
            const int word = (bit + done) / 32, shift = (bit + done) % 32;
            port[word] |= static_cast<uint32_t>((value >> done) << shift);
            done += 32 - shift;
        }
    }
}

template <class Word> int64_t get(const Word& port, int bit, int width) {
    uint64_t value = 0;
    if constexpr (std::is_integral_v<Word>) {
        value = static_cast<uint64_t>(port) >> bit;
    } else {
        for (int done = 0; done < width;) {
            const int word = (bit + done) / 32, shift = (bit + done) % 32;
            value |= (static_cast<uint64_t>(port[word]) >> shift) << done;
            done += 32 - shift;
        }
    }
    return static_cast<int64_t>(value << (64 - width)) >> (64 - width);
}

template <class Word> void clear(Word& port) { port = Word{}; }

template <class Word> int ones(const Word& word) {
    if constexpr (std::is_integral_v<Word>) {
        return __builtin_popcountll(word);
    } else {
        int count = 0;
        for (size_t i = 0; i < sizeof(Word) / sizeof(uint32_t); ++i) count += __builtin_popcount(word[i]);
        return count;
    }
}

template <class Word> int changes(const Word& before, const Word& after) {
    if constexpr (std::is_integral_v<Word>) {
        return __builtin_popcountll(static_cast<uint64_t>(before ^ after));
    } else {
        int count = 0;
        for (size_t i = 0; i < sizeof(Word) / sizeof(uint32_t); ++i)
            count += __builtin_popcount(before[i] ^ after[i]);
        return count;
    }
}

// One operand matrix: patterns [rows, k], and which of them are negative (or none is).
struct Operand {
    const uint32_t* patterns;
    const uint8_t* negative;
    int64_t k;

    uint32_t pattern(int64_t row, int64_t column) const { return patterns[row * k + column]; }
    bool is_negative(int64_t row, int64_t column) const { return negative && negative[row * k + column]; }
};

// What is asked, as Python hands it over (sim/cosim.py: _Order).
struct Order {
    const uint32_t* x;
    const uint8_t* x_negative;
    const uint32_t* w;
    const uint8_t* w_negative;
    int64_t m, k, n;
    int64_t* totals;        // [m, n], or [k tiles, m, COLS] of one column tile
    int64_t* toggles;       // [NETS] and the clocked edges of each group behind it, or null
    const int32_t* groups;  // nets that gate clocks
    int64_t group_count;
};

int64_t tiles(int64_t size, int64_t lanes) { return (size + lanes - 1) / lanes; }

class Array {
  public:
    explicit Array(const Order& order)
        : order_(order), x_{order.x, order.x_negative, order.k}, w_{order.w, order.w_negative, order.k},
          context_(new VerilatedContext), model_(new MODEL(context_.get(), "TOP")),
          vectors_(tiles(order.k, ROWS)) {
        model_->clk = 0;
        model_->eval();  // initial values
        model_->reset = 1;
        edge();
        model_->reset = 0;
        edge();  // the array sees its reset
        settle();
    }

    ~Array() { model_->final(); }

    // Adds tile (k tile, columns from `first` on) to `totals`, where each vector has `stride` numbers.
    void tile(int64_t k_tile, int64_t first, const int64_t* before, int64_t* totals, int64_t stride) {
        const int columns = static_cast<int>(std::min<int64_t>(COLS, order_.n - first));
        const auto& vectors = packed(k_tile);
        for (int row = ROWS - 1; row >= 0; --row) {
            weights(k_tile * ROWS + row, first, columns);
            model_->load = 1;
            edge();
            if (row == ROWS - 1) expect(before, totals, stride, columns);
        }
        model_->load = 0;
        model_->in_valid = 1;
        for (const Vector& vector : vectors) {
            model_->in_activations = vector.activations;
            model_->in_activation_signs = vector.signs;
            edge();
        }
        model_->in_valid = 0;
        for (int i = 0; i < ROWS + COLS - 1; ++i) edge();
    }

    // Cycles that the array was clocked for; -1 where it gave more or fewer results than it was given vectors.
    int64_t finish() {
        edge();
        return complete_ && row_ == rows_ ? cycles_ : -1;
    }

#if VM_TRACE
    void open(const char* path) {
        context_->traceEverOn(true);
        trace_.reset(new VerilatedVcdC);
        model_->trace(trace_.get(), 99);
        trace_->open(path);
    }

    void close() { trace_->close(); }
#endif

  private:
    struct Vector {
        std::remove_reference_t<decltype(MODEL::in_activations)> activations;
        std::remove_reference_t<decltype(MODEL::in_activation_signs)> signs;
    };

    // The vectors of a k tile as the ports take them: made once for all columns.
    const std::vector<Vector>& packed(int64_t k_tile) {
        auto& vectors = vectors_[k_tile];
        if (!vectors.empty()) return vectors;
        vectors.assign(order_.m, Vector{});
        const int64_t first = k_tile * ROWS;
        const int rows = static_cast<int>(std::min<int64_t>(ROWS, order_.k - first));
        for (int64_t m = 0; m < order_.m; ++m)
            for (int row = 0; row < rows; ++row) {
                put(vectors[m].activations, row * X_BITS, X_BITS, x_.pattern(m, first + row));
                put(vectors[m].signs, row, 1, x_.is_negative(m, first + row));
            }
        return vectors;
    }

    void weights(int64_t k, int64_t first, int columns) {
        clear(model_->in_weights);
        clear(model_->in_weight_signs);
        clear(model_->in_enables);
        if (k >= order_.k) return;
        for (int column = 0; column < columns; ++column) {
            put(model_->in_weights, column * W_BITS, W_BITS, w_.pattern(first + column, k));
            put(model_->in_weight_signs, column, 1, w_.is_negative(first + column, k));
            put(model_->in_enables, column, 1, 1);
        }
    }

    void expect(const int64_t* before, int64_t* totals, int64_t stride, int columns) {
        if (row_ != rows_) complete_ = false;
        before_ = before, totals_ = totals, stride_ = stride, columns_ = columns;
        row_ = 0, rows_ = order_.m;
        present();
    }

    // The totals that the next vector to come out is added to.
    void present() {
        clear(model_->in_totals);
        if (before_ && row_ < rows_)
            for (int column = 0; column < columns_; ++column) {
                const uint64_t total = static_cast<uint64_t>(before_[row_ * stride_ + column]);
                put(model_->in_totals, column * ACC_BITS, ACC_BITS, total & (~uint64_t{0} >> (64 - ACC_BITS)));
            }
    }

    void edge() {
        model_->clk = 1;
        EVALUATE(model_);
        ++cycles_;
        dump(0);
        if (NETS && order_.toggles && cycles_ > 0) count();
        if (model_->out_valid) {
            if (row_ < rows_) {
                for (int column = 0; column < columns_; ++column)
                    totals_[row_ * stride_ + column] = get(model_->out_totals, column * ACC_BITS, ACC_BITS);
                ++row_;
                present();
            } else {
                complete_ = false;
            }
        }
        model_->clk = 0;
        EVALUATE(model_);
        dump(5);
    }

    void dump(int late) {
#if VM_TRACE
        if (trace_) trace_->dump(static_cast<uint64_t>(10 * (cycles_ + 4) + late));
#else
        (void)late;
#endif
    }

#if NETS
    // Values of all nets before the last edge, of all elements: a word each.
    const auto& settled() const { return model_->rootp->agn_hw_array__DOT__settled; }

    void settle() {
        edge();
        before_nets_.reset(new std::decay_t<decltype(settled())>(settled()));
    }

    __attribute__((optimize("O3"))) void count() {  // for vectors of words
        auto* __restrict before = &(*before_nets_)[0];
        const auto* __restrict now = &settled()[0];
        int64_t* __restrict toggles = order_.toggles;
        for (int net = 0; net < NETS; ++net) {
            toggles[net] += changes(before[net], now[net]);
            before[net] = now[net];
        }
        for (int64_t i = 0; i < order_.group_count; ++i) toggles[NETS + i] += ones(now[order_.groups[i]]);
    }

    std::unique_ptr<std::decay_t<decltype(MODEL::rootp->agn_hw_array__DOT__settled)>> before_nets_;
#else
    void settle() { edge(); }
    void count() {}
#endif

    const Order& order_;
    Operand x_, w_;
    std::unique_ptr<VerilatedContext> context_;
    std::unique_ptr<MODEL> model_;
    std::vector<std::vector<Vector>> vectors_;  // of each k tile
    const int64_t* before_ = nullptr;  // totals after the tile before
    int64_t* totals_ = nullptr;        // and after this one
    int64_t stride_ = 0, row_ = 0, rows_ = 0;
    int64_t cycles_ = -4;  // three edges for the reset, and one until anything reaches the array
    int columns_ = 0;
    bool complete_ = true;
#if VM_TRACE
    std::unique_ptr<VerilatedVcdC> trace_;
#endif
};

// What `run` returns, or -2 where there is no memory.
template <class Run> int64_t guarded(Run run) {
    try {
        return run();
    } catch (const std::bad_alloc&) {
        return -2;
    }
}

// Tiles of k up to `k_tiles`, of one column tile; before(k tile) is called ahead of each.
template <class Before> void column(const Order& order, Array& array, int64_t n_tile, int64_t k_tiles, Before before) {
    for (int64_t k_tile = 0; k_tile < k_tiles; ++k_tile) {
        int64_t* totals = order.totals + k_tile * order.m * COLS;
        before(k_tile);
        array.tile(k_tile, n_tile * COLS, k_tile ? totals - order.m * COLS : nullptr, totals, COLS);
    }
}

}  // namespace

#define EXPORT extern "C" __attribute__((visibility("default")))

// The whole product. Returns the number of cycles, -1 (see Array::finish) or -2 (no memory).
EXPORT int64_t agn_hw_matmul(const Order* order) {
    return guarded([&] {
        Array array(*order);
        for (int64_t first = 0; first < order->n; first += COLS)
            for (int64_t k_tile = 0; k_tile < tiles(order->k, ROWS); ++k_tile) {
                int64_t* totals = order->totals + first;
                array.tile(k_tile, first, k_tile ? totals : nullptr, totals, order->n);
            }
        return array.finish();
    });
}

// Totals of one column tile after each k tile up to the last one asked for: [k_tiles, m, COLS].
EXPORT int64_t agn_hw_tile_totals(const Order* order, int64_t n_tile, int64_t k_tiles) {
    return guarded([&] {
        Array array(*order);
        column(*order, array, n_tile, k_tiles, [](int64_t) {});
        return array.finish();
    });
}

#if VM_TRACE
// The same with a waveform of the last tile. `path` is overwritten.
EXPORT int64_t agn_hw_waveform(const Order* order, int64_t n_tile, int64_t k_tiles, const char* path) {
    return guarded([&] {
        Array array(*order);
        column(*order, array, n_tile, k_tiles, [&](int64_t k_tile) {
            if (k_tile == k_tiles - 1) array.open(path);
        });
        const int64_t cycles = array.finish();
        array.close();
        return cycles;
    });
}
#endif
