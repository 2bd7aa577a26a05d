// The gradient of a convolution by its kernel, [h, w, C / groups, F]:
//
//   out[i, j, c, f] = sum over n, y, x of in[n, y * stride_y + i - top, x * stride_x + j - left, c]
//                                         * gradient[n, y, x, f]
//
// where c counts the channels of the group of f. For each place (i, j) and group this is a product
// of matrices over pairs of pixels. Some rows of both maps are copied into the cache, a band of
// channels at a time, and serve all places from there; a block of the product stays in registers
// over some hundred pairs. XLA brings both whole maps into another layout first, which costs as
// much again as its product.
// Where there are few channels, the numbers (j, c) of a window's row, which lie side by side, are
// taken for channels, of a window one pixel wide.
// Every number is summed in the order of the pixels, whatever the number of threads.

#pragma once

#include <algorithm>
#include <cstring>
#include <vector>

#include "common.h"
#include "conv_shape.h"

namespace cnn_jax {

// A block of the product: channels times vectors of features.
constexpr int kMaxBlockRows = 12;
constexpr int kMaxBlockVectors = kRegisters < 32 ? 2 : 4;
constexpr int MaxBlockRows(int vectors) {
  return std::min(kMaxBlockRows, kAccumulators / 12 * 12 / vectors);
}
static_assert((MaxBlockRows(kMaxBlockVectors) + 1) * kMaxBlockVectors + 1 <= kRegisters,
              "a sum would go through memory at every pair of pixels, which takes twice the time");
constexpr int64_t kTaskFeatures = 4 * kLanes;
constexpr int64_t kMaxBandChannels = 64;      // of a task
constexpr int64_t kCachedPairs = 256;         // of pixels, while all places use them
constexpr int64_t kCopyPrefetchDistance = 8;  // pixels that are fetched before they are copied
constexpr int64_t kPixelShares = 8;           // parts of the pixels where there are few channels

struct PixelPair {  // where two pixels begin in what is packed
  int32_t in, gradient;
};

// Adds `rows` x (`vectors` * kLanes) sums over all pairs to those at `out`.
template <int vectors, int rows>
void BlockMicroKernel(const float* in, const float* gradient, const std::vector<PixelPair>& pairs,
                      float* out, int64_t features) {
  Vector sums[rows][vectors] = {};
  for (const PixelPair& pair : pairs)
    AccumulateProduct(sums, in + pair.in, gradient + pair.gradient);
#pragma GCC unroll 12
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v)
      reinterpret_cast<Vector*>(out + r * features)[v] += sums[r][v];
}

using BlockMicroKernelFn = void (*)(const float*, const float*, const std::vector<PixelPair>&,
                                    float*, int64_t);

template <int vectors>
constexpr auto BlockMicroKernels() {
  return FunctionTable<BlockMicroKernelFn, MaxBlockRows(vectors)>(
      [](auto n) { return &BlockMicroKernel<vectors, n.value>; });
}

// The block of so many vectors and rows.
inline BlockMicroKernelFn SelectMicroKernel(int vectors, int64_t rows) {
  static constexpr auto most = BlockMicroKernels<kMaxBlockVectors>();
  static constexpr auto two = BlockMicroKernels<2>();
  static constexpr auto one = BlockMicroKernels<1>();
  return vectors == kMaxBlockVectors ? most[rows] : vectors == 2 ? two[rows] : one[rows];
}

class KernelGradient {
 public:
  KernelGradient(const ConvShape& c, const float* in, const float* gradient, float* out,
                 int64_t threads)
      : c_(c), in_(in), gradient_(gradient), out_(out) {
    folded_ = c.groups == 1 && c.channels < kMaxBlockRows && c.window_x > 1;
    rows_ = folded_ ? c.window_x * c.channels : c.GroupChannels();
    places_ = c.window_y * (folded_ ? 1 : c.window_x);
    width_ = folded_ ? (c.across - 1) * c.stride_x + c.window_x : c.width;
    columns_ = (c.GroupFeatures() + kTaskFeatures - 1) / kTaskFeatures;
    const int64_t target = std::max<int64_t>(1, 2 * threads / (c.groups * columns_));
    const int64_t most = std::max<int64_t>(1, rows_ / kMaxBlockRows),
                  least = (rows_ + kMaxBandChannels - 1) / kMaxBandChannels;
    bands_ = std::max(least, std::min(most, target));
    SplitMaps();
    // Not by the number of threads: it decides in which order numbers are summed.
    shares_ = std::clamp<int64_t>(kPixelShares / (c.groups * columns_ * most), 1, chunks_.size());
    if (shares_ > 1) partial_ = AllocateFloats(shares_ * Size());
  }

  void RunAll(const Threads& threads) {
    const int64_t parts = columns_ * bands_ * c_.groups;
    threads.parallel_for(shares_ * parts, [&](int64_t task) {
      const int64_t part = task % parts, group = part / (columns_ * bands_);
      const int64_t f = part % columns_ * kTaskFeatures, band = part / columns_ % bands_;
      Run(task / parts, group, rows_ * band / bands_, rows_ * (band + 1) / bands_, f,
          std::min(c_.GroupFeatures(), f + kTaskFeatures));
    });
    for (int64_t share = 0; share < shares_ && shares_ > 1; ++share)
      for (int64_t i = 0; i < Size(); ++i)
        out_[i] = (share ? out_[i] : 0.0f) + partial_[share * Size() + i];
  }

 private:
  // Rows [y, y_end) of the gradient's maps [n, n_end), and the rows of the input that they see: of
  // a folded one also those of the padding.
  struct Chunk {
    int64_t n, n_end, y, y_end, in_y, in_y_end;
    int64_t InRows() const { return in_y_end - in_y; }
  };

  // A task's copies, and its sums, [place][channel][features]. The gradient's are
  // [pixels][features]. The input's are panels of `height` channels, [pixels][height], so that a
  // block finds what it needs side by side; or the folded rows as they are.
  struct Packed {
    int64_t height, pitch, panel, features;  // floats between input pixels, panels, and gradients
    FloatBuffer in = {}, gradient = {}, sums = {};
    std::vector<PixelPair> pairs = {};
  };

  int64_t Size() const { return c_.window_y * c_.window_x * c_.GroupChannels() * c_.features; }

  // Whole maps together where they are small, some rows of one where it is large.
  void SplitMaps() {
    const int64_t maps = std::max<int64_t>(1, kCachedPairs / (c_.down * c_.across));
    const int64_t rows = std::clamp<int64_t>(kCachedPairs / c_.across, 1, c_.down);
    for (int64_t n = 0; n < c_.batch; n += maps)
      for (int64_t y = 0; y < c_.down; y += rows) {
        const int64_t y_end = std::min(c_.down, y + rows);
        int64_t low = y * c_.stride_y - c_.top;
        int64_t high = (y_end - 1) * c_.stride_y - c_.top + c_.window_y;
        if (!folded_) {
          low = std::clamp<int64_t>(low, 0, c_.height);
          high = std::clamp<int64_t>(high, low, c_.height);
        }
        chunks_.push_back({n, std::min(c_.batch, n + maps), y, y_end, low, high});
        const Chunk& chunk = chunks_.back();
        in_pixels_ = std::max(in_pixels_, (chunk.n_end - n) * chunk.InRows() * width_);
        pixels_ = std::max(pixels_, (chunk.n_end - n) * (y_end - y) * c_.across);
      }
  }

  // A group's channels [k, k_end) and features [f, f_end), by a share of the pixels.
  void Run(int64_t share, int64_t group, int64_t k, int64_t k_end, int64_t f, int64_t f_end) const {
    const int64_t rows = k_end - k, features = RoundUp(f_end - f, kLanes), count = chunks_.size();
    const int64_t height = MaxBlockRows(VectorsFor(features)),
                  panels = (rows + height - 1) / height;
    Packed packed{height, folded_ ? c_.channels : height, folded_ ? height : in_pixels_ * height,
                  features};
    packed.in = AllocateFloats(in_pixels_ * (folded_ ? c_.channels : panels * height));
    packed.gradient = AllocateFloats(pixels_ * features);
    std::fill_n(packed.gradient.get(), pixels_ * features, 0.0f);
    packed.sums = AllocateFloats(places_ * rows * features);
    std::fill_n(packed.sums.get(), places_ * rows * features, 0.0f);
    for (int64_t i = count * share / shares_; i < count * (share + 1) / shares_; ++i) {
      Pack(chunks_[i], group * c_.GroupChannels() + k, group * c_.GroupFeatures() + f, rows,
           f_end - f, packed);
      for (int64_t place = 0; place < places_; ++place) {
        CollectPairs(chunks_[i], place, packed);
        AccumulatePlace(packed.in.get() + (folded_ ? k + place * width_ * c_.channels : 0), rows,
                        packed.sums.get() + place * rows * features, packed);
      }
    }
    float* out = shares_ > 1 ? partial_.get() + share * Size() : out_;
    for (int64_t place = 0; place < places_; ++place)
      for (int64_t r = 0; r < rows; ++r)
        std::memcpy(out + (place * rows_ + k + r) * c_.features + group * c_.GroupFeatures() + f,
                    packed.sums.get() + (place * rows + r) * features, 4 * (f_end - f));
  }

  static int VectorsFor(int64_t features) {
    if (features >= kMaxBlockVectors * kLanes) return kMaxBlockVectors;
    return features >= 2 * kLanes ? 2 : 1;
  }

  // `rows` channels from the k-th of the maps on, and `features` from the f-th of the gradient's.
  void Pack(const Chunk& chunk, int64_t k, int64_t f, int64_t rows, int64_t features,
            Packed& to) const {
    float *in = to.in.get(), *gradient = to.gradient.get();
    for (int64_t n = chunk.n; n < chunk.n_end; ++n) {
      const float* map = in_ + n * c_.height * c_.width * c_.channels;
      const float* from = map + chunk.in_y * c_.width * c_.channels + k;
      const int64_t pixels = chunk.InRows() * c_.width;
      if (folded_)
        in = PackFolded(map, chunk.in_y, chunk.in_y_end, in);
      else if (to.height == MaxBlockRows(kMaxBlockVectors))
        in = PackPanels<MaxBlockRows(kMaxBlockVectors)>(from, pixels, rows, in, to.panel);
      else if (to.height == MaxBlockRows(2))
        in = PackPanels<MaxBlockRows(2)>(from, pixels, rows, in, to.panel);
      else
        in = PackPanels<MaxBlockRows(1)>(from, pixels, rows, in, to.panel);
      from = gradient_ + (n * c_.down + chunk.y) * c_.across * c_.features + f;
      for (int64_t i = 0; i < (chunk.y_end - chunk.y) * c_.across; ++i) {
        Prefetch(from + kCopyPrefetchDistance * c_.features, features);
        std::copy(from, from + features, gradient);  // what lies behind stays zero
        gradient += to.features, from += c_.features;
      }
    }
  }

  // The processor does not foresee steps from pixel to pixel that leave out channels.
  static void Prefetch(const float* from, int64_t count) {
    for (int64_t i = 0; i < count; i += 16) __builtin_prefetch(from + i);
  }

  // Rows with their padding.
  float* PackFolded(const float* map, int64_t y, int64_t y_end, float* to) const {
    const int64_t available = std::clamp<int64_t>(width_ - c_.left, 0, c_.width);
    const int64_t before = std::min(c_.left, width_);
    for (; y < y_end; ++y) {
      if (y < 0 || y >= c_.height) {
        to = std::fill_n(to, width_ * c_.channels, 0.0f);
        continue;
      }
      const float* from = map + y * c_.width * c_.channels;
      to = std::fill_n(to, before * c_.channels, 0.0f);
      to = std::copy(from, from + available * c_.channels, to);
      to = std::fill_n(to, (width_ - available - before) * c_.channels, 0.0f);
    }
    return to;
  }

  template <int height>
  float* PackPanels(const float* from, int64_t pixels, int64_t rows, float* to,
                    int64_t panel) const {
    for (int64_t i = 0; i < pixels; ++i, from += c_.channels, to += height) {
      Prefetch(from + kCopyPrefetchDistance * c_.channels, rows);
      float* into = to;
      int64_t r = 0;
      for (; r + height <= rows; r += height, into += panel)
        std::memcpy(into, from + r, 4 * height);
      std::copy(from + r, from + rows, into);
    }
    return to;
  }

  // The pairs of pixels at a place of the window; of a folded one they are the same at all places.
  void CollectPairs(const Chunk& chunk, int64_t place, Packed& packed) const {
    const int64_t maps = chunk.n_end - chunk.n, down = chunk.y_end - chunk.y;
    if (folded_ && static_cast<int64_t>(packed.pairs.size()) == maps * down * c_.across) return;
    const int64_t i = folded_ ? 0 : place / c_.window_x;
    const int64_t shift = folded_ ? 0 : place % c_.window_x - c_.left;
    packed.pairs.clear();
    int64_t of = 0;
    for (int64_t n = 0; n < maps; ++n)
      for (int64_t y = chunk.y; y < chunk.y_end; ++y, of += c_.across) {
        const int64_t in_row = y * c_.stride_y + i - c_.top;
        if (in_row < chunk.in_y || in_row >= chunk.in_y_end) continue;
        const int64_t row = (n * chunk.InRows() + in_row - chunk.in_y) * width_;
        for (int64_t x = 0; x < c_.across; ++x) {
          const int64_t in_x = x * c_.stride_x + shift;
          if (in_x < 0 || in_x >= width_) continue;
          packed.pairs.push_back({static_cast<int32_t>((row + in_x) * packed.pitch),
                                  static_cast<int32_t>((of + x) * packed.features)});
        }
      }
  }

  void AccumulatePlace(const float* in, int64_t rows, float* sums, const Packed& packed) const {
    for (int64_t f = 0; f < packed.features;) {
      const int vectors = VectorsFor(packed.features - f);
      const float* panel = in;
      for (int64_t r = 0; r < rows; r += packed.height, panel += packed.panel)
        SelectMicroKernel(vectors, std::min(packed.height, rows - r))(
            panel, packed.gradient.get() + f, packed.pairs, sums + r * packed.features + f,
            packed.features);
      f += vectors * kLanes;
    }
  }

  const ConvShape& c_;
  const float *in_, *gradient_;
  float* out_;
  bool folded_;
  int64_t rows_, places_, width_;     // channels and places of the product; pixels of a packed row
  int64_t columns_, bands_, shares_;  // of features, of channels, of pixels
  int64_t in_pixels_ = 0, pixels_ = 0;  // of the largest chunk
  std::vector<Chunk> chunks_;
  FloatBuffer partial_;
};

}  // namespace cnn_jax
