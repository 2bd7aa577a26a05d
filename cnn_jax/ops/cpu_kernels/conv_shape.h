// The sizes of a convolution, and what an output pixel sees of the input.

#pragma once

#include <algorithm>
#include <cstdint>

namespace cnn_jax {

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

struct KernelStrides {  // of a kernel: floats between its rows, places, groups, and numbers
  int64_t row, place, group, channel, feature;
};

struct ConvShape {
  int64_t batch, height, width, channels;  // of the maps
  int64_t down, across, features;          // of what comes out
  int64_t window_y, window_x, stride_y, stride_x, top, left;
  int64_t groups = 1;

  int64_t GroupChannels() const { return channels / groups; }  // of a group
  int64_t GroupFeatures() const { return features / groups; }
  Axis Down() const { return {height, down, 0, 1, down, window_y, stride_y, top, 0, 1}; }
  Axis Across() const { return {width, across, 0, 1, across, window_x, stride_x, left, 0, 1}; }
  KernelStrides ByChannel() const {
    const int64_t place = GroupChannels() * features;
    return {window_x * place, place, GroupFeatures(), features, 1};
  }
  KernelStrides ByFeature() const {
    const KernelStrides by = ByChannel();
    return {by.row, by.place, by.group, by.feature, by.channel};
  }
};

// The input's pixels phase, phase + stride, ...: those places of the kernel reach them that are a
// stride apart, and the last of them from the first pixel of the gradient.
inline Axis StridePhase(int64_t size, int64_t gradient, int64_t window, int64_t stride,
                        int64_t before, int64_t phase) {
  const int64_t first = (phase + before) % stride;
  const int64_t places = first < window ? (window - first + stride - 1) / stride : 0;
  const int64_t count = phase < size ? (size - phase + stride - 1) / stride : 0;
  const int64_t last = first + (places - 1) * stride;
  return {gradient, count,  phase, stride, size, places, 1, places - 1 - (phase + before) / stride,
          last,     -stride};
}

// Calls phase(down, across) for the parts of the gradient by the maps that are sums as the
// convolution itself is.
template <typename Call>
void ForEachStridePhase(const ConvShape& c, Call phase) {
  for (int64_t p = 0; p < c.stride_y; ++p)
    for (int64_t q = 0; q < c.stride_x; ++q)
      phase(StridePhase(c.height, c.down, c.window_y, c.stride_y, c.top, p),
            StridePhase(c.width, c.across, c.window_x, c.stride_x, c.left, q));
}

}  // namespace cnn_jax
