// BatchNorm in training of maps [rows, C], with an activation behind it, and its gradient.
//
// The rows are summed in parts, which no number of threads changes: some rows in float, these sums
// in double. What is not a number stays so.

#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "activations.h"
#include "common.h"

namespace cnn_jax {

template <typename Activation>
class BatchNorm {
 public:
  BatchNorm(int64_t rows, int64_t channels, float epsilon)
      : rows_(rows),
        channels_(channels),
        epsilon_(epsilon),
        parts_(std::clamp<int64_t>(rows / kPartRows, 1, kMostParts)) {}

  void Forward(const float* in, const float* scale, const float* bias, float* out, float* mean,
               float* var, const Threads& threads) const {
    const std::vector<double> sums = SumRows(threads, [&](int64_t at, int64_t, int64_t count) {
      const Vector x = LoadPartial(in + at, count);
      return Terms{x, x * x};
    });
    for (int64_t c = 0; c < channels_; ++c) {
      const double average = sums[c] / rows_;
      const double spread = sums[channels_ + c] / rows_ - average * average;
      mean[c] = static_cast<float>(average);
      var[c] = static_cast<float>(spread < 0 ? 0 : spread);
    }
    const Line line(*this, scale, bias, mean, var);
    ForEachVector(threads, [&](int64_t at, int64_t c, int64_t count) {
      const Vector y = line.At(LoadPartial(in + at, count) - line.Mean(c), c);
      StorePartial(out + at, Activation::Of(y), count);
    });
  }

  // By the maps, the scale and the bias.
  void Gradient(const float* in, const float* gradient, const float* scale, const float* bias,
                const float* mean, const float* var, float* by_in, float* by_scale, float* by_bias,
                const Threads& threads) const {
    const Line line(*this, scale, bias, mean, var);
    const auto passed = [&](int64_t at, int64_t c, int64_t count, const Vector& centred) {
      return Activation::Gradient(line.At(centred, c), LoadPartial(gradient + at, count));
    };
    const std::vector<double> sums = SumRows(threads, [&](int64_t at, int64_t c, int64_t count) {
      const Vector centred = LoadPartial(in + at, count) - line.Mean(c);
      const Vector by_y = passed(at, c, count, centred);
      return Terms{by_y, by_y * centred};
    });
    const FloatBuffer shift = AllocateFloats(RoundUp(channels_, kLanes)),
                      tilt = AllocateFloats(RoundUp(channels_, kLanes));
    for (int64_t c = 0; c < channels_; ++c) {
      const double shrink = Shrink(var[c]), product = sums[channels_ + c];
      by_bias[c] = static_cast<float>(sums[c]);
      by_scale[c] = static_cast<float>(product * shrink);
      shift[c] = static_cast<float>(sums[c] / rows_);
      tilt[c] = static_cast<float>(product * shrink * shrink / rows_);
    }
    ForEachVector(threads, [&](int64_t at, int64_t c, int64_t count) {
      const Vector centred = LoadPartial(in + at, count) - line.Mean(c);
      const Vector by_y = passed(at, c, count, centred) - Full(shift, c) - centred * Full(tilt, c);
      StorePartial(by_in + at, by_y * line.Slope(c), count);
    });
  }

 private:
  // A template's argument, like a pair's, would lose the alignment that a Vector does without.
  struct Terms {
    Vector first, second;
  };
  static constexpr int64_t kPartRows = 64, kMostParts = 64;  // of a part at least; of the maps
  static constexpr int64_t kFloatRows = 256;                 // that are summed in float

  float Shrink(float var) const { return 1 / std::sqrt(var + epsilon_); }

  static Vector Full(const FloatBuffer& numbers, int64_t c) {
    return *reinterpret_cast<const Vector*>(&numbers[c]);
  }

  // y = slope (x - mean) + bias, with whole vectors of each.
  struct Line {
    Line(const BatchNorm& norm, const float* scale, const float* bias, const float* mean,
         const float* var)
        : mean_(AllocateFloats(RoundUp(norm.channels_, kLanes))),
          slope_(AllocateFloats(RoundUp(norm.channels_, kLanes))),
          bias_(AllocateFloats(RoundUp(norm.channels_, kLanes))) {
      std::copy_n(mean, norm.channels_, mean_.get());
      std::copy_n(bias, norm.channels_, bias_.get());
      for (int64_t c = 0; c < norm.channels_; ++c) slope_[c] = scale[c] * norm.Shrink(var[c]);
    }
    Vector Mean(int64_t c) const { return Full(mean_, c); }
    Vector Slope(int64_t c) const { return Full(slope_, c); }
    Vector At(const Vector& centred, int64_t c) const {
      return centred * Full(slope_, c) + Full(bias_, c);
    }
    FloatBuffer mean_, slope_, bias_;
  };

  template <typename Task>  // (first row, the row behind the last, number of the part)
  void ForEachPart(const Threads& threads, Task task) const {
    threads.parallel_for(parts_, [&](int64_t part) {
      task(part * rows_ / parts_, (part + 1) * rows_ / parts_, part);
    });
  }

  template <typename Task>  // (where it lies in the maps, its first channel, its numbers)
  void ForEachVector(const Threads& threads, Task task) const {
    ForEachPart(threads, [&](int64_t from, int64_t until, int64_t) {
      const int64_t whole = channels_ / kLanes * kLanes;
      for (int64_t row = from; row < until; ++row) {
        const int64_t at = row * channels_;
        for (int64_t c = 0; c < whole; c += kLanes) task(at + c, c, kLanes);
        if (whole < channels_) task(at + whole, whole, channels_ - whole);
      }
    });
  }

  // The sums over all rows of the two numbers that `terms` makes of each channel: the first of all
  // channels, then the second.
  template <typename Make>
  std::vector<double> SumRows(const Threads& threads, Make terms) const {
    std::vector<double> parts(parts_ * 2 * channels_);
    ForEachPart(threads, [&](int64_t from, int64_t until, int64_t part) {
      double* sums = &parts[part * 2 * channels_];
      for (int64_t row = from; row < until; row += kFloatRows) {
        const int64_t stop = std::min(row + kFloatRows, until);
        int64_t c = 0;
        for (; c + 4 * kLanes <= channels_; c += 4 * kLanes)
          AddRows<4>(row, stop, c, kLanes, sums, terms);
        for (; c + kLanes <= channels_; c += kLanes) AddRows<1>(row, stop, c, kLanes, sums, terms);
        if (c < channels_) AddRows<1>(row, stop, c, channels_ - c, sums, terms);
      }
    });
    for (int64_t part = 1; part < parts_; ++part)
      for (int64_t i = 0; i < 2 * channels_; ++i) parts[i] += parts[part * 2 * channels_ + i];
    parts.resize(2 * channels_);
    return parts;
  }

  // Of some vectors of channels, from c on, each of `count` numbers.
  template <int vectors, typename Make>
  inline __attribute__((always_inline)) void AddRows(int64_t from, int64_t until, int64_t c,
                                                     int64_t count, double* sums,
                                                     const Make& terms) const {
    Vector first[vectors] = {}, second[vectors] = {};
    for (int64_t row = from; row < until; ++row) {
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) {
        const int64_t channel = c + v * kLanes;
        const Terms term = terms(row * channels_ + channel, channel, count);
        first[v] += term.first;
        second[v] += term.second;
      }
    }
    for (int v = 0; v < vectors; ++v)
      for (int64_t lane = 0; lane < count; ++lane) {
        sums[c + v * kLanes + lane] += first[v][lane];
        sums[channels_ + c + v * kLanes + lane] += second[v][lane];
      }
  }

  const int64_t rows_, channels_;
  const float epsilon_;
  const int64_t parts_;
};

}  // namespace cnn_jax
