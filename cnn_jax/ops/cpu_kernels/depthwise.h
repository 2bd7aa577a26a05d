// The convolution of every channel by a kernel of its own, [h, w, 1, C], and its gradients.
//
// They wait for memory: each goes over its maps once, as they lie there. A run of pixels that see
// the same places of the window takes a vector of channels at a time.
// Every number is summed in the same order, whatever the number of threads.

#pragma once

#include <algorithm>
#include <vector>

#include "common.h"
#include "conv_shape.h"

namespace cnn_jax {

constexpr int kMaxRunPixels = 8;    // pixels, at most
constexpr int64_t kBatchParts = 8;  // that the images are divided into for the kernel's gradient

struct WindowView {  // of a window that a run sees, and the floats between them
  int64_t rows, columns, in_row, in_column, kernel_row, kernel_column;
};

// Calls each(the first of its channels, how many it has) for vectors of them.
template <typename Call>
inline __attribute__((always_inline)) void ForEachVector(int64_t channels, Call each) {
  int64_t k = 0;
  for (; k + kLanes <= channels; k += kLanes) each(k, kLanes);
  if (k < channels) each(k, channels - k);
}

// Sums over the places, of `pixels` whose windows begin `step` floats apart, to pixels `apart`.
template <int pixels>
void SumWindow(const float* in, const float* kernel, const WindowView& at, int64_t step,
               int64_t channels, float* out, int64_t apart) {
  ForEachVector(channels, [&](int64_t k, int64_t count) __attribute__((always_inline)) {
    Vector sums[pixels] = {};
    for (int64_t i = 0; i < at.rows; ++i)
      for (int64_t j = 0; j < at.columns; ++j) {
        const Vector by = LoadPartial(kernel + i * at.kernel_row + j * at.kernel_column + k, count);
        const float* from = in + i * at.in_row + j * at.in_column + k;
#pragma GCC unroll 8
        for (int p = 0; p < pixels; ++p) sums[p] += LoadPartial(from + p * step, count) * by;
      }
#pragma GCC unroll 8
    for (int p = 0; p < pixels; ++p) StorePartial(out + p * apart + k, sums[p], count);
  });
}

// Adds to each place of `sums` what `pixels` of the gradient share with it.
template <int pixels>
void AccumulateWindow(const float* in, const float* gradient, const WindowView& at, int64_t step,
                      int64_t channels, float* sums, int64_t apart) {
  ForEachVector(channels, [&](int64_t k, int64_t count) __attribute__((always_inline)) {
    Vector by[pixels];
#pragma GCC unroll 8
    for (int p = 0; p < pixels; ++p) by[p] = LoadPartial(gradient + p * apart + k, count);
    for (int64_t i = 0; i < at.rows; ++i)
      for (int64_t j = 0; j < at.columns; ++j) {
        float* place = sums + i * at.kernel_row + j * at.kernel_column + k;
        const float* from = in + i * at.in_row + j * at.in_column + k;
        Vector sum = LoadPartial(place, count);
#pragma GCC unroll 8
        for (int p = 0; p < pixels; ++p) sum += LoadPartial(from + p * step, count) * by[p];
        StorePartial(place, sum, count);
      }
  });
}

using WindowFn = void (*)(const float*, const float*, const WindowView&, int64_t, int64_t, float*,
                          int64_t);

// Calls run(the first pixel, how many) for runs that see the same places: those that see all of
// them together, those at the edges alone.
template <typename Run>
void ForEachRun(const Axis& x, Run run) {
  auto whole = [&](int64_t s) { return x.From(s) == 0 && x.To(s) == x.window; };
  for (int64_t s = 0, count; s < x.count; s += count) {
    count = 1;
    if (whole(s))
      while (count < kMaxRunPixels && s + count < x.count && whole(s + count)) ++count;
    run(s, count);
  }
}

class DepthwiseConv {
 public:
  static bool Supports(const ConvShape& c) {
    return c.groups == c.channels && c.channels == c.features;
  }

  explicit DepthwiseConv(const ConvShape& c) : c_(c) {}

  void Forward(const float* in, const float* kernel, float* out, const Threads& threads) const {
    SumWindows(in, kernel, out, c_.Down(), c_.Across(), threads);
  }

  void InputGradient(const float* gradient, const float* kernel, float* out,
                     const Threads& threads) const {
    ForEachStridePhase(c_, [&](const Axis& y, const Axis& x) {
      SumWindows(gradient, kernel, out, y, x, threads);
    });
  }

  void KernelGradient(const float* in, const float* gradient, float* out,
                      const Threads& threads) const {
    static constexpr auto add =
        FunctionTable<WindowFn, kMaxRunPixels>([](auto n) { return &AccumulateWindow<n.value>; });
    const int64_t size = c_.window_y * c_.window_x * c_.channels;
    // Not by the number of threads: it decides in which order numbers are summed.
    const int64_t parts = std::clamp<int64_t>(c_.batch, 1, kBatchParts);
    const FloatBuffer sums = AllocateFloats(parts * size);
    threads.parallel_for(parts, [&](int64_t part) {
      const Axis y = c_.Down(), x = c_.Across();
      std::fill_n(sums.get() + part * size, size, 0.0f);
      for (int64_t n = c_.batch * part / parts; n < c_.batch * (part + 1) / parts; ++n)
        for (int64_t t = 0; t < y.count; ++t)
          ForEachRun(x, [&](int64_t s, int64_t pixels) {
            const float* by = gradient + ((n * y.count + t) * x.count + s) * c_.channels;
            add[pixels](in + InputOffset(y, x, n, t, s), by, ViewAt(y, x, t, s),
                        x.stride * c_.channels, c_.channels,
                        sums.get() + part * size + KernelOffset(y, x, t, s), c_.channels);
          });
    });
    for (int64_t i = 0; i < size; ++i) {
      out[i] = sums[i];
      for (int64_t part = 1; part < parts; ++part) out[i] += sums[part * size + i];
    }
  }

 private:
  void SumWindows(const float* in, const float* kernel, float* out, const Axis& y, const Axis& x,
                  const Threads& threads) const {
    static constexpr auto sum =
        FunctionTable<WindowFn, kMaxRunPixels>([](auto n) { return &SumWindow<n.value>; });
    const int64_t target = (2 * threads.count + c_.batch - 1) / std::max<int64_t>(1, c_.batch);
    const int64_t bands = std::max<int64_t>(1, std::min(target, y.count));
    threads.parallel_for(c_.batch * bands, [&](int64_t task) {
      const int64_t n = task / bands, band = task % bands;
      for (int64_t t = y.count * band / bands; t < y.count * (band + 1) / bands; ++t)
        ForEachRun(x, [&](int64_t s, int64_t pixels) {
          const int64_t row = n * y.whole + y.first + t * y.step;
          sum[pixels](in + InputOffset(y, x, n, t, s), kernel + KernelOffset(y, x, t, s),
                      ViewAt(y, x, t, s), x.stride * c_.channels, c_.channels,
                      out + (row * x.whole + x.first + s * x.step) * c_.channels,
                      x.step * c_.channels);
        });
    });
  }

  // What the output (t, s) sees: how many places, where they begin in its image, and in the kernel.
  WindowView ViewAt(const Axis& y, const Axis& x, int64_t t, int64_t s) const {
    return {y.To(t) - y.From(t),
            x.To(s) - x.From(s),
            x.size * c_.channels,
            c_.channels,
            y.kernel_step * c_.window_x * c_.channels,
            x.kernel_step * c_.channels};
  }

  int64_t InputOffset(const Axis& y, const Axis& x, int64_t n, int64_t t, int64_t s) const {
    const int64_t row = n * y.size + t * y.stride - y.before + y.From(t);
    return (row * x.size + s * x.stride - x.before + x.From(s)) * c_.channels;
  }

  int64_t KernelOffset(const Axis& y, const Axis& x, int64_t t, int64_t s) const {
    const int64_t row = y.kernel_first + y.From(t) * y.kernel_step;
    return (row * c_.window_x + x.kernel_first + x.From(s) * x.kernel_step) * c_.channels;
  }

  const ConvShape& c_;
};

}  // namespace cnn_jax
