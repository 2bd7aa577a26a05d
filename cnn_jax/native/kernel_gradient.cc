// The kernel's gradient of a convolution of maps [N, H, W, C] with a kernel [h, w, C, F]:
//
//   out[i, j, c, f] = sum over n, y, x of in[n, y * stride_y + i - top, x * stride_x + j - left, c]
//                                         * gradient[n, y, x, f]
//
// For each place (i, j) this is a product of matrices over pairs of pixels. Some rows of both maps are
// copied into the cache, a band of channels at a time, and serve all places from there; a block of
// the product stays in registers over some hundred pairs. XLA brings both whole maps into another
// layout first, which costs as much again as its product.
// Every number is summed in the order of the pixels, whatever the number of threads.

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "xla/ffi/api/ffi.h"

namespace {

namespace ffi = xla::ffi;

template <int lanes>
struct Of {  // floats that need not lie on a multiple of their size
  typedef float Vector __attribute__((vector_size(4 * lanes), aligned(4), may_alias));
};

// A block of the product: ROWS input channels times VECTORS * LANES features.
#if defined(__AVX512F__)
constexpr int LANES = 16, VECTORS = 4;
#elif defined(__AVX__)
constexpr int LANES = 8, VECTORS = 2;
#else
constexpr int LANES = 4, VECTORS = 4;
#endif
constexpr int ROWS = 6;
constexpr int64_t PIXELS = 256;  // that stay in the cache while all places of the window use them

struct Problem {
  const float *in, *gradient;
  float* out;
  int64_t batch, height, width, channels;
  int64_t down, across, features;  // of the gradient's maps
  int64_t window_y, window_x, stride_y, stride_x, top, left;
};

struct Pair {  // where two pixels begin in their bands
  int32_t in, gradient;
};

// Some channels of pixels, side by side: the distance of two pixels is theirs, not the map's.
struct Band {
  std::vector<float> values;
  int64_t width;

  void Add(const float* pixel, int64_t count, int64_t channels) {
    for (int64_t i = 0; i < count; ++i, pixel += channels)
      values.insert(values.end(), pixel, pixel + width);
  }
};

// Adds `rows` x (`vectors` * `lanes`) sums over all pairs to those at `out`.
template <int lanes, int vectors, int rows>
void AddBlock(const float* in, const float* gradient, const std::vector<Pair>& pairs, float* out,
              int64_t features) {
  using Vector = typename Of<lanes>::Vector;
  Vector sums[rows][vectors] = {};
  for (const Pair& pair : pairs) {
    const float* from = in + pair.in;
    const Vector* by = reinterpret_cast<const Vector*>(gradient + pair.gradient);
    Vector seen[vectors];
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) seen[v] = by[v];
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r)
#pragma GCC unroll 8
      for (int v = 0; v < vectors; ++v) sums[r][v] += from[r] * seen[v];
  }
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v)
      reinterpret_cast<Vector*>(out + r * features)[v] += sums[r][v];
}

using Block = void (*)(const float*, const float*, const std::vector<Pair>&, float*, int64_t);

template <int lanes, int vectors>
constexpr std::array<Block, ROWS + 1> Blocks() {
  return {nullptr,
          AddBlock<lanes, vectors, 1>,
          AddBlock<lanes, vectors, 2>,
          AddBlock<lanes, vectors, 3>,
          AddBlock<lanes, vectors, 4>,
          AddBlock<lanes, vectors, 5>,
          AddBlock<lanes, vectors, 6>};
}

// The widest block that `features` fill, and how many of them it takes. They are a multiple of 4.
std::pair<const std::array<Block, ROWS + 1>*, int64_t> Widest(int64_t features) {
  static constexpr auto whole = Blocks<LANES, VECTORS>();
  static constexpr auto two = Blocks<LANES, 2>();
  static constexpr auto one = Blocks<LANES, 1>();
  static constexpr auto narrow = Blocks<4, 1>();
  if (features >= VECTORS * LANES) return {&whole, VECTORS * LANES};
  if (features >= 2 * LANES) return {&two, 2 * LANES};
  if (features >= LANES) return {&one, LANES};
  return {&narrow, 4};
}

// Rows [y, y_end) of the gradient's maps [n, n_end), and the rows of the input that they see.
struct Chunk {
  int64_t n, n_end, y, y_end, in_y, in_y_end;

  Chunk(const Problem& p, int64_t n, int64_t n_end, int64_t y, int64_t y_end)
      : n(n), n_end(n_end), y(y), y_end(y_end) {
    in_y = std::clamp<int64_t>(y * p.stride_y - p.top, 0, p.height);
    in_y_end = std::clamp<int64_t>((y_end - 1) * p.stride_y - p.top + p.window_y, in_y, p.height);
  }

  void Pack(const Problem& p, int64_t c, int64_t f, Band& in, Band& gradient) const {
    in.values.clear();
    gradient.values.clear();
    for (int64_t i = n; i < n_end; ++i) {
      const int64_t row = i * p.height + in_y, of = i * p.down + y;
      in.Add(p.in + row * p.width * p.channels + c, (in_y_end - in_y) * p.width, p.channels);
      gradient.Add(p.gradient + of * p.across * p.features + f, (y_end - y) * p.across, p.features);
    }
  }

  // The pairs at place (i, j) of the window.
  void FindPairs(const Problem& p, int64_t i, int64_t j, const Band& in, const Band& gradient,
                 std::vector<Pair>& pairs) const {
    pairs.clear();
    for (int64_t image = 0; image < n_end - n; ++image)
      for (int64_t row = y; row < y_end; ++row) {
        const int64_t seen = row * p.stride_y + i - p.top;
        if (seen < 0 || seen >= p.height) continue;
        const int64_t from = (image * (in_y_end - in_y) + seen - in_y) * p.width;
        const int64_t of = (image * (y_end - y) + row - y) * p.across;
        for (int64_t x = 0; x < p.across; ++x) {
          const int64_t in_x = x * p.stride_x + j - p.left;
          if (in_x < 0 || in_x >= p.width) continue;
          pairs.push_back({static_cast<int32_t>((from + in_x) * in.width),
                           static_cast<int32_t>((of + x) * gradient.width)});
        }
      }
  }
};

// Whole maps together where they are small, some rows of one where it is large.
std::vector<Chunk> Cut(const Problem& p) {
  std::vector<Chunk> chunks;
  const int64_t maps = std::max<int64_t>(1, PIXELS / (p.down * p.across));
  const int64_t rows = std::clamp<int64_t>(PIXELS / p.across, 1, p.down);
  for (int64_t n = 0; n < p.batch; n += maps)
    for (int64_t y = 0; y < p.down; y += rows)
      chunks.emplace_back(p, n, std::min(p.batch, n + maps), y, std::min(p.down, y + rows));
  return chunks;
}

// The channels [c, c_end) and the features [f, f_end) of the result.
void Part(const Problem& p, const std::vector<Chunk>& chunks, int64_t c, int64_t c_end, int64_t f,
          int64_t f_end) {
  const int64_t places = p.window_y * p.window_x;
  for (int64_t place = 0; place < places; ++place)
    for (int64_t k = c; k < c_end; ++k) {
      float* row = p.out + (place * p.channels + k) * p.features;
      std::fill(row + f, row + f_end, 0.0f);
    }
  const int64_t steps = (c_end - c + ROWS - 1) / ROWS;
  Band in{{}, c_end - c}, gradient{{}, f_end - f};
  std::vector<Pair> pairs;
  for (const Chunk& chunk : chunks) {
    chunk.Pack(p, c, f, in, gradient);
    for (int64_t place = 0; place < places; ++place) {
      chunk.FindPairs(p, place / p.window_x, place % p.window_x, in, gradient, pairs);
      for (int64_t from = f; from < f_end;) {
        const auto [blocks, width] = Widest(f_end - from);
        for (int64_t step = 0; step < steps; ++step) {
          const int64_t k = (c_end - c) * step / steps, k_end = (c_end - c) * (step + 1) / steps;
          float* out = p.out + (place * p.channels + c + k) * p.features + from;
          (*blocks)[k_end - k](in.values.data() + k, gradient.values.data() + from - f, pairs, out,
                               p.features);
        }
        from += width;
      }
    }
  }
}

// Calls task(0) to task(count - 1), each once, on threads of the pool and on this one. This one
// takes what no other has begun, so that it waits only for those that run.
void ForAll(ffi::ThreadPool& pool, int64_t count, std::function<void(int64_t)> task) {
  struct Shared {
    std::atomic<int64_t> next{0}, done{0};
  };
  auto shared = std::make_shared<Shared>();
  auto work = [shared, count, task] {
    for (int64_t i; (i = shared->next.fetch_add(1)) < count;) {
      task(i);
      shared->done.fetch_add(1, std::memory_order_release);
    }
  };
  const int64_t helpers = std::min(pool.num_threads(), count) - 1;
  for (int64_t i = 0; i < helpers; ++i) pool.Schedule([work] { work(); });
  work();
  while (shared->done.load(std::memory_order_acquire) < count) std::this_thread::yield();
}

ffi::Error KernelGradient(ffi::ThreadPool pool, ffi::Buffer<ffi::F32> in,
                          ffi::Buffer<ffi::F32> gradient, ffi::Result<ffi::Buffer<ffi::F32>> out,
                          int64_t stride_y, int64_t stride_x, int64_t top, int64_t left) {
  const auto a = in.dimensions(), g = gradient.dimensions(), k = out->dimensions();
  if (a.size() != 4 || g.size() != 4 || k.size() != 4 || k[3] % 4 != 0)
    return ffi::Error::InvalidArgument("maps [N, H, W, C], and features a multiple of 4");
  const Problem p{in.typed_data(), gradient.typed_data(), out->typed_data(),
                  a[0], a[1], a[2], a[3], g[1], g[2], g[3],
                  k[0], k[1], stride_y, stride_x, top, left};
  const int64_t wide = VECTORS * LANES, columns = (p.features + wide - 1) / wide;
  const int64_t wanted = std::max<int64_t>(1, 2 * pool.num_threads() / columns);
  const int64_t most = std::max<int64_t>(1, p.channels / (2 * ROWS));
  const int64_t least = (p.channels + 63) / 64;
  const int64_t bands = std::max(least, std::min(most, wanted));
  const std::vector<Chunk> chunks = Cut(p);
  ForAll(pool, columns * bands, [&](int64_t task) {
    const int64_t band = task / columns, f = task % columns * wide;
    Part(p, chunks, p.channels * band / bands, p.channels * (band + 1) / bands, f,
         std::min(p.features, f + wide));
  });
  return ffi::Error::Success();
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(cnn_jax_kernel_gradient, KernelGradient,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Ret<ffi::Buffer<ffi::F32>>()
                                  .Attr<int64_t>("stride_y")
                                  .Attr<int64_t>("stride_x")
                                  .Attr<int64_t>("top")
                                  .Attr<int64_t>("left"));
