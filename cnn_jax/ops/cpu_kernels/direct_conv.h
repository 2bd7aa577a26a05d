// The convolution of maps [N, H, W, C] with a kernel [h, w, C, F], and its gradient by the maps. In
// groups, features see the channels of their own group only: the kernel is [h, w, C / groups, F].
//
// Either is a sum over the places of a window: an output pixel is the sum, over k = (i, j, c), of a
// number of the input times a row of the kernel, [F]. The sums of a tile, some pixels times some
// vectors of features, stay in registers over all k. The input is copied a few rows at a time so
// that the pixels of a tile lie side by side.
// Every number is summed in the order of k, whatever the number of threads. Where a tile is small
// and sums are long, some channels are summed over all maps before the next ones, so that their
// weights stay in the cache from tile to tile.

#pragma once

#include <algorithm>
#include <cstring>
#include <vector>

#include "common.h"
#include "conv_shape.h"
#include "micro_kernels.h"

namespace cnn_jax {

constexpr int kImagePitch = kLanes < 16 ? 8 : 16;  // floats between pixels that lie across images
constexpr int kMaxSmallWidth = 8;                  // of maps that take tiles across images
constexpr int64_t kMaxPackedFloats = 4 << 20;      // that these copy at once
constexpr int64_t kCacheFloats = 64 << 10;         // of packed rows that stay in the cache
constexpr int64_t kMaxSummed = 1152;               // products of a sum at once, of vectors under 16
constexpr int kPixelVectors = 0;                   // of a block: its vectors are of pixels
static_assert(MaxTilePixels(2) <= kImagePitch && MaxTilePixels(4) <= kImagePitch);

struct FeatureBlock {  // features of a group that a tile takes, and where their weights begin
  int64_t group, feature, features, weights;
  int vectors;  // of features, or `kPixelVectors`
  int64_t Width() const { return vectors == kPixelVectors ? features : vectors * kLanes; }
};

struct DirectConv {
  const float* in;
  float* out;
  int64_t batch, groups, channels, features;  // the last two of a group
  Axis y, x;
  int64_t in_pitch;  // floats between two pixels
  bool add = false;  // to what `out` holds
  std::vector<FeatureBlock> blocks = {};
  FloatBuffer weights = {};

  int64_t Channels() const { return groups * channels; }
  int64_t Features() const { return groups * features; }

  // Channels [first, end) of one group alone, whose sums are added to those of the ones before.
  DirectConv Part(int64_t first, int64_t end) const {
    return {in + first, out, batch, groups, end - first, features, y, x, in_pitch, first > 0};
  }

  const float* Weights(const FeatureBlock& b) const { return weights.get() + b.weights; }

  float* OutputAt(const FeatureBlock& b, int64_t n, int64_t t, int64_t s) const {
    const int64_t row = n * y.whole + y.first + t * y.step;
    const int64_t pixel = row * x.whole + x.first + s * x.step;
    return out + pixel * Features() + b.group * features + b.feature;
  }

  // Blocks of at most so many vectors; of `kPixelVectors` one of all features, not filled up.
  void SplitOutputChannels(int widest) {
    int64_t begin = 0;
    for (int64_t group = 0; group < groups; ++group)
      for (int64_t f = 0; f < features;) {
        int vectors = widest;
        while (vectors > 1 && features - f <= vectors / 2 * kLanes) vectors /= 2;
        const int64_t taken =
            vectors == kPixelVectors ? features : std::min<int64_t>(features - f, vectors * kLanes);
        blocks.push_back({group, f, taken, begin, vectors});
        begin += y.window * x.window * channels * blocks.back().Width();
        f += taken;
      }
    weights = AllocateFloats(begin);
  }

  // A place of the window, for every block: [channel][the block's features], with zeros behind.
  // Rows of the kernel are read once, as they lie.
  void PackPlace(int64_t place, const float* kernel, const KernelStrides& by) const {
    const int64_t m = place / x.window, n = place % x.window;
    const float* at = kernel + (y.kernel_first + m * y.kernel_step) * by.row +
                      (x.kernel_first + n * x.kernel_step) * by.place;
    if (by.feature != 1) {
      for (const FeatureBlock& b : blocks) PackColumns(b, at, PackedAt(b, place), by);
      return;
    }
    for (int64_t c = 0; c < channels; ++c)
      for (const FeatureBlock& b : blocks) {
        const float* from = at + c * by.channel + b.group * by.group + b.feature;
        float* to = PackedAt(b, place) + c * b.Width();
        for (int64_t f = 0; f < b.Width(); f += kLanes)
          StorePartial(to + f, LoadPartial(from + f, std::max<int64_t>(0, b.features - f)),
                       b.Width() - f);
      }
  }

  float* PackedAt(const FeatureBlock& b, int64_t place) const {
    return weights.get() + b.weights + place * channels * b.Width();
  }

  // The same of a block whose features are columns.
  void PackColumns(const FeatureBlock& b, const float* at, float* to,
                   const KernelStrides& by) const {
    const int64_t width = b.Width();
    Transpose(at + b.group * by.group + b.feature * by.feature, by.feature, to, width, b.features,
              channels);
    for (int64_t c = 0; c < channels && b.features < width; ++c)
      std::fill(to + c * width + b.features, to + (c + 1) * width, 0.0f);
  }
};

// Tiles of neighbours in a row. A row is packed as [channel][phase][pixels], the pixels of a phase
// being a stride apart: then a tile finds its pixels side by side at every place of the window.
class RowTiling {
 public:
  RowTiling(const DirectConv& conv, int most, int64_t threads) : conv_(conv) {
    const Axis &y = conv.y, &x = conv.x;
    tiles_ = (x.count + most - 1) / most;
    phase_ = RoundUp(x.count + std::max<int64_t>(0, x.window - 1) / x.stride, 4);
    row_ = conv.Channels() * x.stride * phase_;
    const int64_t fit = std::max<int64_t>(1, (kCacheFloats / row_ - y.window) / y.stride + 1);
    const int64_t target = (2 * threads + conv.batch - 1) / conv.batch;
    const int64_t bands = std::min(y.count, std::max((y.count + fit - 1) / fit, target));
    height_ = (y.count + bands - 1) / bands;
    bands_ = (y.count + height_ - 1) / height_;
    for (int64_t i = 0; i < y.window; ++i)
      for (int64_t j = 0; j < x.window; ++j)
        for (int64_t c = 0; c < conv.channels; ++c)
          offsets_.push_back(i * row_ + (c * x.stride + j % x.stride) * phase_ + j / x.stride);
    offsets_.resize(offsets_.size() + kPrefetchDistance);
  }

  int64_t Tasks() const { return conv_.batch * bands_; }

  // Some rows of an image.
  void Run(int64_t task) const {
    const Axis &y = conv_.y, &x = conv_.x;
    const int64_t n = task / bands_, t = task % bands_ * height_;
    const int64_t t_end = std::min(t + height_, y.count);
    const int64_t low = t * y.stride - y.before, rows = (t_end - t - 1) * y.stride + y.window;
    const FloatBuffer packed =
        AllocateFloats(rows * row_ + 2 * kLanes);  // the last tile of pixels reads beyond
    for (int64_t r = std::max<int64_t>(0, -low); r < std::min(rows, y.size - low); ++r)
      PackRow(conv_.in + (n * y.size + low + r) * x.size * conv_.in_pitch, packed.get() + r * row_);
    const int64_t across = x.window * conv_.channels;
    for (const FeatureBlock& b : conv_.blocks)
      for (int64_t s = t; s < t_end; ++s) {
        const KSegment segments{y.From(s) * across, y.To(s) * across};
        const float* in = packed.get() + (s - t) * y.stride * row_ + b.group * row_ / conv_.groups;
        for (int64_t i = 0; i < tiles_; ++i) {
          const int64_t at = x.count * i / tiles_, pixels = x.count * (i + 1) / tiles_ - at;
          float* out = conv_.OutputAt(b, n, s, at);
          const int64_t apart = x.step * conv_.Features();
          if (b.vectors == kPixelVectors)
            SelectPixelMicroKernel(pixels > kLanes ? 2 : 1, b.features)(
                in + at, offsets_.data(), conv_.Weights(b), segments, out, apart, pixels);
          else
            SelectFeatureMicroKernel(b.vectors, pixels)(in + at, offsets_.data(), conv_.Weights(b),
                                                        &segments, 1, out, apart, b.features,
                                                        conv_.add);
        }
      }
  }

 private:
  void PackRow(const float* from, float* to) const {
    const Axis& x = conv_.x;
    const int64_t apart = x.stride * phase_;
    for (int64_t q = 0; q < x.stride; ++q, to += phase_) {  // pixels q - before + n * stride
      const int64_t first = q - x.before;
      const int64_t skip = std::min(phase_, first < 0 ? (-first + x.stride - 1) / x.stride : 0);
      const int64_t available = first < x.size ? (x.size - first + x.stride - 1) / x.stride : 0;
      const int64_t end = std::clamp(available, skip, phase_);
      for (int64_t c = 0; c < conv_.Channels(); ++c) {
        std::fill(to + c * apart, to + c * apart + skip, 0.0f);
        std::fill(to + c * apart + end, to + c * apart + phase_, 0.0f);
      }
      if (skip < end)
        Transpose(from + (first + skip * x.stride) * conv_.in_pitch, x.stride * conv_.in_pitch,
                  to + skip, apart, end - skip, conv_.Channels());
    }
  }

  const DirectConv& conv_;
  int64_t tiles_, phase_, row_, height_, bands_;  // of a phase, of a row: floats; of a band: rows
  std::vector<int32_t> offsets_;
};

// Tiles of the same pixel of some images, for small maps: no place of the window is padding.
class BatchTiling {
 public:
  BatchTiling(const DirectConv& conv, int most, int64_t threads) : conv_(conv) {
    groups_ = (conv.batch + most - 1) / most;
    const int64_t blocks = conv.blocks.size();
    parts_ = threads == 1 ? 1 : std::clamp<int64_t>(2 * threads / groups_, 1, blocks);
    for (int64_t i = 0; i < conv.y.window; ++i)
      for (int64_t j = 0; j < conv.x.window; ++j)
        for (int64_t c = 0; c < conv.channels; ++c)
          offsets_.push_back(((i * conv.x.size + j) * conv.Channels() + c) * kImagePitch);
    offsets_.resize(offsets_.size() + kPrefetchDistance);
  }

  int64_t Tasks() const { return groups_ * parts_; }

  // Some blocks of features of some images.
  void Run(int64_t task) const {
    const Axis &y = conv_.y, &x = conv_.x;
    const int64_t group = task / parts_, part = task % parts_, blocks = conv_.blocks.size();
    const int64_t n = conv_.batch * group / groups_, n_end = conv_.batch * (group + 1) / groups_;
    const int64_t channels = conv_.Channels(), map = y.size * x.size;
    const int64_t apart = y.whole * x.whole * conv_.Features();
    const FloatBuffer packed = AllocateFloats(map * channels * kImagePitch);
    const int64_t together = conv_.in_pitch == channels ? map : 1;  // pixels that lie side by side
    for (int64_t pixel = 0; pixel < map; pixel += together)
      Transpose(conv_.in + (n * map + pixel) * conv_.in_pitch, map * conv_.in_pitch,
                packed.get() + pixel * channels * kImagePitch, kImagePitch, n_end - n,
                together * channels);
    std::vector<KSegment> segments(y.window);
    for (int64_t i = blocks * part / parts_; i < blocks * (part + 1) / parts_; ++i) {
      const FeatureBlock& b = conv_.blocks[i];
      for (int64_t t = 0; t < y.count; ++t)
        for (int64_t s = 0; s < x.count; ++s) {
          int64_t count = 0;
          for (int64_t m = y.From(t); m < y.To(t); ++m)
            segments[count++] = {(m * x.window + x.From(s)) * conv_.channels,
                                 (m * x.window + x.To(s)) * conv_.channels};
          const int64_t corner = (t * y.stride - y.before) * x.size + s * x.stride - x.before;
          const int64_t from = corner * channels + b.group * conv_.channels;
          SelectFeatureMicroKernel(b.vectors, n_end - n)(
              packed.get() + from * kImagePitch, offsets_.data(), conv_.Weights(b), segments.data(),
              count, conv_.OutputAt(b, n, t, s), apart, b.features, conv_.add);
        }
    }
  }

 private:
  const DirectConv& conv_;
  int64_t groups_, parts_;
  std::vector<int32_t> offsets_;
};

template <typename Tiling>
void RunTiling(const Tiling& tiling, const Threads& threads) {
  threads.parallel_for(tiling.Tasks(), [&](int64_t task) { tiling.Run(task); });
}

inline void RunChannels(DirectConv conv, const float* kernel, const KernelStrides& by,
                        const Threads& threads) {
  const bool small = conv.y.size * conv.x.size * conv.Channels() * kImagePitch <= kMaxPackedFloats;
  const bool across = small && conv.x.count <= kMaxSmallWidth && conv.x.count <= conv.batch;
  const bool of_pixels = !across && conv.features <= kMaxPixelVectorFeatures;
  const int64_t side_by_side = across ? conv.batch : conv.x.count;
  const int widest = of_pixels ? kPixelVectors : side_by_side <= MaxTilePixels(4) ? 4 : 2;
  const int most = of_pixels ? 2 * kLanes : MaxTilePixels(widest);
  conv.SplitOutputChannels(widest);
  threads.parallel_for(conv.y.window * conv.x.window,
                       [&](int64_t place) { conv.PackPlace(place, kernel, by); });
  if (across)
    RunTiling(BatchTiling(conv, most, threads.count), threads);
  else
    RunTiling(RowTiling(conv, most, threads.count), threads);
}

// All channels at once, or some after the others.
inline void RunConv(const DirectConv& conv, const float* kernel, const KernelStrides& by,
                    const Threads& threads) {
  if (conv.batch * conv.y.count * conv.x.count * conv.Features() <= 0) return;
  const int64_t places = conv.y.window * conv.x.window;
  const bool split = kLanes < 16 && conv.groups == 1 && conv.features > kMaxPixelVectorFeatures;
  const int64_t most = std::max<int64_t>(1, kMaxSummed / std::max<int64_t>(1, places));
  const int64_t parts = split ? (conv.channels + most - 1) / most : 1;
  for (int64_t i = 0; i < parts; ++i) {
    const int64_t first = conv.channels * i / parts;
    RunChannels(conv.Part(first, conv.channels * (i + 1) / parts), kernel + first * by.channel, by,
                threads);
  }
}

inline void Forward(const ConvShape& c, const float* in, const float* kernel, float* out,
                    const Threads& threads) {
  RunConv(DirectConv{in, out, c.batch, c.groups, c.GroupChannels(), c.GroupFeatures(), c.Down(),
                     c.Across(), c.channels},
          kernel, c.ByChannel(), threads);
}

inline void InputGradient(const ConvShape& c, const float* gradient, const float* kernel,
                          float* out, const Threads& threads) {
  ForEachStridePhase(c, [&](const Axis& y, const Axis& x) {
    RunConv(DirectConv{gradient, out, c.batch, c.groups, c.GroupFeatures(), c.GroupChannels(), y, x,
                       c.features},
            kernel, c.ByFeature(), threads);
  });
}

}  // namespace cnn_jax
