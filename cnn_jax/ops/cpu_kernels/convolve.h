// The convolution of maps [N, H, W, C] with a kernel [h, w, C, F], and its gradient by the maps. In
// groups, features see the channels of their own group only: the kernel is [h, w, C / groups, F].
//
// Either is a sum over the places of a window: an output pixel is the sum, over k = (i, j, c), of a
// number of the input times a row of the kernel, [F]. The sums of a tile, some pixels times some
// vectors of features, stay in registers over all k. The input is copied a few rows at a time so
// that the pixels of a tile lie side by side.
// Every number is summed in the order of k, whatever the number of threads.

#pragma once

#include <algorithm>
#include <cstring>
#include <vector>

#include "common.h"

namespace cnn_jax {

constexpr int PIXELS = 14;              // of a tile, at most
constexpr int ACROSS = 16;             // floats between two pixels that lie across images
constexpr int SMALL = 8;                // maps so narrow take tiles across images
constexpr int64_t LARGE = 4 << 20;      // floats that these copy at once, at most
constexpr int FEW = SUMS < 16 ? 6 : 8;  // features, at most, of tiles whose vectors are of pixels
constexpr int AHEAD = 6;                // k's that the input is fetched before its use
constexpr int64_t ROOM = 64 << 10;      // floats of packed rows that stay in the cache

// Down or across: outputs t = 0 .. count - 1 see the `window` inputs from t * stride - before on.
// They lie at first + t * step among `whole`; the window's m-th place is the kernel's at
// kernel_first + m * kernel_step.
struct Axis {
  int64_t size, count, first, step, whole, window, stride, before, kernel_first, kernel_step;

  // The places [From, To) of the window that see the map.
  int64_t From(int64_t t) const { return std::clamp<int64_t>(before - t * stride, 0, window); }
  int64_t To(int64_t t) const {
    return std::clamp<int64_t>(size + before - t * stride, From(t), window);
  }
};

struct Segment {  // of k
  int64_t from, to;
};

struct Strides {  // of a kernel: floats between its rows, places, groups, and numbers
  int64_t row, place, group, channel, feature;
};

struct Block {  // features of a group that a tile takes, and where their packed weights begin
  int64_t group, feature, features, weights;
  int vectors;  // 0: of pixels, in strips
  int64_t Width() const { return vectors ? vectors * LANES : features; }
};

// The sums of `pixels` x (`vectors` * LANES) over the segments, of which the first `features` are
// stored, two pixels `apart`.
template <int pixels, int vectors>
void Tile(const float* in, const int32_t* offsets, const float* weights, const Segment* segments,
          int64_t count, float* out, int64_t apart, int64_t features) {
  Vector sums[pixels][vectors] = {};
  for (int64_t s = 0; s < count; ++s) {
    const float* row = weights + segments[s].from * vectors * LANES;
    for (int64_t k = segments[s].from; k < segments[s].to; ++k, row += vectors * LANES) {
      __builtin_prefetch(in + offsets[k + AHEAD]);
      AddProduct(sums, in + offsets[k], row);
    }
  }
  // All loops over sums are unrolled, or they would not stay in registers.
#pragma GCC unroll 14
  for (int p = 0; p < pixels; ++p)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) {
      const int64_t left = features - v * LANES;
      if (left > 0) StorePart(out + p * apart + v * LANES, sums[p][v], left);
    }
}

// The same of few features, whose vectors are of `pixels` neighbours: up to `vectors` * LANES.
template <int features, int vectors>
void Strip(const float* in, const int32_t* offsets, const float* weights, const Segment& segment,
           float* out, int64_t apart, int64_t pixels) {
  Vector sums[features][vectors] = {};
  const float* row = weights + segment.from * features;
  for (int64_t k = segment.from; k < segment.to; ++k, row += features)
    AddProduct(sums, row, in + offsets[k]);
  float lines[features][vectors * LANES];
#pragma GCC unroll 8
  for (int f = 0; f < features; ++f)
#pragma GCC unroll 2
    for (int v = 0; v < vectors; ++v) reinterpret_cast<Vector*>(lines[f])[v] = sums[f][v];
  Transpose(lines[0], vectors * LANES, out, apart, features, pixels);
}

using AnyTile = void (*)(const float*, const int32_t*, const float*, const Segment*, int64_t,
                         float*, int64_t, int64_t);

constexpr int MostPixels(int vectors) { return std::min(PIXELS, SUMS / vectors); }

template <int vectors>
constexpr auto AllTiles() {
  return Table<AnyTile, MostPixels(vectors)>([](auto n) { return &Tile<n.value, vectors>; });
}

// The tile of so many vectors and pixels.
inline AnyTile ATile(int vectors, int64_t pixels) {
  static constexpr auto four = AllTiles<4>();
  static constexpr auto two = AllTiles<2>();
  static constexpr auto one = AllTiles<1>();
  return vectors == 4 ? four[pixels] : vectors == 2 ? two[pixels] : one[pixels];
}

using AnyStrip = void (*)(const float*, const int32_t*, const float*, const Segment&, float*,
                          int64_t, int64_t);

// The strip of so many vectors and features.
inline AnyStrip AStrip(int vectors, int64_t features) {
  static constexpr auto two = Table<AnyStrip, FEW>([](auto n) { return &Strip<n.value, 2>; });
  static constexpr auto one = Table<AnyStrip, FEW>([](auto n) { return &Strip<n.value, 1>; });
  return vectors == 2 ? two[features] : one[features];
}

struct Sum {
  const float* in;
  float* out;
  int64_t batch, groups, channels, features;  // the last two of a group
  Axis y, x;
  std::vector<Block> blocks = {};
  Floats weights = {};

  int64_t Channels() const { return groups * channels; }
  int64_t Features() const { return groups * features; }
  const float* Weights(const Block& b) const { return weights.get() + b.weights; }

  float* Out(const Block& b, int64_t n, int64_t t, int64_t s) const {
    const int64_t row = n * y.whole + y.first + t * y.step;
    const int64_t pixel = row * x.whole + x.first + s * x.step;
    return out + pixel * Features() + b.group * features + b.feature;
  }

  // Blocks of at most so many vectors; 0: one of all features, not filled up.
  void Cut(int widest) {
    int64_t begin = 0;
    for (int64_t group = 0; group < groups; ++group)
      for (int64_t f = 0; f < features;) {
        int vectors = widest;
        while (vectors > 1 && features - f <= vectors / 2 * LANES) vectors /= 2;
        const int64_t taken = vectors ? std::min<int64_t>(features - f, vectors * LANES) : features;
        blocks.push_back({group, f, taken, begin, vectors});
        begin += y.window * x.window * channels * blocks.back().Width();
        f += taken;
      }
    weights = NewFloats(begin);
  }

  // [k][the block's features], with zeros behind them.
  void Pack(const Block& b, const float* kernel, const Strides& by) const {
    const int64_t width = b.Width();
    float* to = weights.get() + b.weights;
    for (int64_t m = 0; m < y.window; ++m)
      for (int64_t n = 0; n < x.window; ++n, to += channels * width) {
        const float* from = kernel + (y.kernel_first + m * y.kernel_step) * by.row +
                            (x.kernel_first + n * x.kernel_step) * by.place +
                            b.group * by.group + b.feature * by.feature;
        if (by.feature == 1)
          for (int64_t c = 0; c < channels; ++c)
            std::memcpy(to + c * width, from + c * by.channel, 4 * b.features);
        else
          Transpose(from, by.feature, to, width, b.features, channels);
        for (int64_t c = 0; c < channels && b.features < width; ++c)
          std::fill(to + c * width + b.features, to + (c + 1) * width, 0.0f);
      }
  }
};

// Tiles of neighbours in a row. A row is packed as [channel][phase][pixels], the pixels of a phase
// being a stride apart: then a tile finds its pixels side by side at every place of the window.
class AlongRows {
 public:
  AlongRows(const Sum& sum, int most, int64_t threads) : sum_(sum) {
    const Axis &y = sum.y, &x = sum.x;
    tiles_ = (x.count + most - 1) / most;
    phase_ = Up(x.count + std::max<int64_t>(0, x.window - 1) / x.stride, 4);
    row_ = sum.Channels() * x.stride * phase_;
    const int64_t fit = std::max<int64_t>(1, (ROOM / row_ - y.window) / y.stride + 1);
    const int64_t wanted = (2 * threads + sum.batch - 1) / sum.batch;
    const int64_t bands = std::min(y.count, std::max((y.count + fit - 1) / fit, wanted));
    height_ = (y.count + bands - 1) / bands;
    bands_ = (y.count + height_ - 1) / height_;
    for (int64_t i = 0; i < y.window; ++i)
      for (int64_t j = 0; j < x.window; ++j)
        for (int64_t c = 0; c < sum.channels; ++c)
          offsets_.push_back(i * row_ + (c * x.stride + j % x.stride) * phase_ + j / x.stride);
    offsets_.resize(offsets_.size() + AHEAD);
  }

  int64_t Tasks() const { return sum_.batch * bands_; }

  // Some rows of an image.
  void Run(int64_t task) const {
    const Axis &y = sum_.y, &x = sum_.x;
    const int64_t n = task / bands_, t = task % bands_ * height_;
    const int64_t t_end = std::min(t + height_, y.count);
    const int64_t low = t * y.stride - y.before, rows = (t_end - t - 1) * y.stride + y.window;
    const Floats packed = NewFloats(rows * row_ + 2 * LANES);  // the last strip reads beyond
    for (int64_t r = std::max<int64_t>(0, -low); r < std::min(rows, y.size - low); ++r)
      PackRow(sum_.in + (n * y.size + low + r) * x.size * sum_.Channels(), packed.get() + r * row_);
    const int64_t across = x.window * sum_.channels;
    for (const Block& b : sum_.blocks)
      for (int64_t s = t; s < t_end; ++s) {
        const Segment seen{y.From(s) * across, y.To(s) * across};
        const float* in = packed.get() + (s - t) * y.stride * row_ + b.group * row_ / sum_.groups;
        for (int64_t i = 0; i < tiles_; ++i) {
          const int64_t at = x.count * i / tiles_, pixels = x.count * (i + 1) / tiles_ - at;
          float* out = sum_.Out(b, n, s, at);
          const int64_t apart = x.step * sum_.Features();
          if (b.vectors == 0)
            AStrip(pixels > LANES ? 2 : 1, b.features)(in + at, offsets_.data(), sum_.Weights(b),
                                                       seen, out, apart, pixels);
          else
            ATile(b.vectors, pixels)(in + at, offsets_.data(), sum_.Weights(b), &seen, 1, out,
                                     apart, b.features);
        }
      }
  }

 private:
  void PackRow(const float* from, float* to) const {
    const Axis& x = sum_.x;
    const int64_t apart = x.stride * phase_;
    for (int64_t q = 0; q < x.stride; ++q, to += phase_) {  // pixels q - before + n * stride
      const int64_t first = q - x.before;
      const int64_t skip = std::min(phase_, first < 0 ? (-first + x.stride - 1) / x.stride : 0);
      const int64_t have = first < x.size ? (x.size - first + x.stride - 1) / x.stride : 0;
      const int64_t end = std::clamp(have, skip, phase_);
      for (int64_t c = 0; c < sum_.Channels(); ++c) {
        std::fill(to + c * apart, to + c * apart + skip, 0.0f);
        std::fill(to + c * apart + end, to + c * apart + phase_, 0.0f);
      }
      if (skip < end)
        Transpose(from + (first + skip * x.stride) * sum_.Channels(), x.stride * sum_.Channels(),
                  to + skip, apart, end - skip, sum_.Channels());
    }
  }

  const Sum& sum_;
  int64_t tiles_, phase_, row_, height_, bands_;  // of a phase, of a row: floats; of a band: rows
  std::vector<int32_t> offsets_;
};

// Tiles of the same pixel of some images, for small maps: no place of the window is padding.
class AcrossImages {
 public:
  AcrossImages(const Sum& sum, int most, int64_t threads) : sum_(sum) {
    groups_ = (sum.batch + most - 1) / most;
    const int64_t blocks = sum.blocks.size();
    parts_ = threads == 1 ? 1 : std::clamp<int64_t>(2 * threads / groups_, 1, blocks);
    for (int64_t i = 0; i < sum.y.window; ++i)
      for (int64_t j = 0; j < sum.x.window; ++j)
        for (int64_t c = 0; c < sum.channels; ++c)
          offsets_.push_back(((i * sum.x.size + j) * sum.Channels() + c) * ACROSS);
    offsets_.resize(offsets_.size() + AHEAD);
  }

  int64_t Tasks() const { return groups_ * parts_; }

  // Some blocks of features of some images.
  void Run(int64_t task) const {
    const Axis &y = sum_.y, &x = sum_.x;
    const int64_t group = task / parts_, part = task % parts_, blocks = sum_.blocks.size();
    const int64_t n = sum_.batch * group / groups_, n_end = sum_.batch * (group + 1) / groups_;
    const int64_t channels = sum_.Channels(), map = y.size * x.size * channels;
    const int64_t apart = y.whole * x.whole * sum_.Features();
    const Floats packed = NewFloats(map * ACROSS);
    Transpose(sum_.in + n * map, map, packed.get(), ACROSS, n_end - n, map);
    std::vector<Segment> seen(y.window);
    for (int64_t i = blocks * part / parts_; i < blocks * (part + 1) / parts_; ++i) {
      const Block& b = sum_.blocks[i];
      for (int64_t t = 0; t < y.count; ++t)
        for (int64_t s = 0; s < x.count; ++s) {
          int64_t count = 0;
          for (int64_t m = y.From(t); m < y.To(t); ++m)
            seen[count++] = {(m * x.window + x.From(s)) * sum_.channels,
                             (m * x.window + x.To(s)) * sum_.channels};
          const int64_t corner = (t * y.stride - y.before) * x.size + s * x.stride - x.before;
          const int64_t from = corner * channels + b.group * sum_.channels;
          ATile(b.vectors, n_end - n)(packed.get() + from * ACROSS, offsets_.data(),
                                      sum_.Weights(b), seen.data(), count, sum_.Out(b, n, t, s),
                                      apart, b.features);
        }
    }
  }

 private:
  const Sum& sum_;
  int64_t groups_, parts_;
  std::vector<int32_t> offsets_;
};

template <typename Way>
void RunAll(const Way& way, const Threads& threads) {
  threads.for_all(way.Tasks(), [&](int64_t task) { way.Run(task); });
}

inline void Add(Sum sum, const float* kernel, const Strides& by, const Threads& threads) {
  if (sum.batch * sum.y.count * sum.x.count * sum.Features() <= 0) return;
  const bool small = sum.y.size * sum.x.size * sum.Channels() * ACROSS <= LARGE;
  const bool across = small && sum.x.count <= SMALL && sum.x.count <= sum.batch;
  const bool strips = !across && sum.features <= FEW;
  const int64_t side_by_side = across ? sum.batch : sum.x.count;
  const int widest = strips ? 0 : side_by_side <= MostPixels(4) ? 4 : 2;
  const int most = strips ? 2 * LANES : MostPixels(widest);
  sum.Cut(widest);
  threads.for_all(sum.blocks.size(), [&](int64_t i) { sum.Pack(sum.blocks[i], kernel, by); });
  if (across)
    RunAll(AcrossImages(sum, most, threads.count), threads);
  else
    RunAll(AlongRows(sum, most, threads.count), threads);
}

struct Convolution {
  int64_t batch, height, width, channels;  // of the maps
  int64_t down, across, features;          // of what comes out
  int64_t window_y, window_x, stride_y, stride_x, top, left;
  int64_t groups = 1;

  int64_t Depth() const { return channels / groups; }  // of a group
  int64_t Width() const { return features / groups; }
  Axis Down() const { return {height, down, 0, 1, down, window_y, stride_y, top, 0, 1}; }
  Axis Across() const { return {width, across, 0, 1, across, window_x, stride_x, left, 0, 1}; }
  Strides ByChannel() const {
    const int64_t place = Depth() * features;
    return {window_x * place, place, Width(), features, 1};
  }
  Strides ByFeature() const {
    const Strides by = ByChannel();
    return {by.row, by.place, by.group, by.feature, by.channel};
  }
};

// The input's pixels phase, phase + stride, ...: those places of the kernel reach them that are a
// stride apart, and the last of them from the first pixel of the gradient.
inline Axis Phase(int64_t size, int64_t gradient, int64_t window, int64_t stride, int64_t before,
                  int64_t phase) {
  const int64_t first = (phase + before) % stride;
  const int64_t places = first < window ? (window - first + stride - 1) / stride : 0;
  const int64_t count = phase < size ? (size - phase + stride - 1) / stride : 0;
  const int64_t last = first + (places - 1) * stride;
  return {gradient, count, phase, stride, size, places, 1, places - 1 - (phase + before) / stride,
          last,     -stride};
}

// Calls phase(down, across) for the parts of the gradient by the maps that are sums as the
// convolution itself is.
template <typename Call>
void ForPhases(const Convolution& c, Call phase) {
  for (int64_t p = 0; p < c.stride_y; ++p)
    for (int64_t q = 0; q < c.stride_x; ++q)
      phase(Phase(c.height, c.down, c.window_y, c.stride_y, c.top, p),
            Phase(c.width, c.across, c.window_x, c.stride_x, c.left, q));
}

inline void Forward(const Convolution& c, const float* in, const float* kernel, float* out,
                    const Threads& threads) {
  Add(Sum{in, out, c.batch, c.groups, c.Depth(), c.Width(), c.Down(), c.Across()}, kernel,
      c.ByChannel(), threads);
}

inline void InputGradient(const Convolution& c, const float* gradient, const float* kernel,
                          float* out, const Threads& threads) {
  ForPhases(c, [&](const Axis& y, const Axis& x) {
    Add(Sum{gradient, out, c.batch, c.groups, c.Width(), c.Depth(), y, x}, kernel, c.ByFeature(),
        threads);
  });
}

}  // namespace cnn_jax
