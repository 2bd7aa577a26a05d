// The operations as XLA calls them.

#include <atomic>
#include <sstream>
#include <thread>

#include "batch_norm.h"
#include "depthwise.h"
#include "direct_conv.h"
#include "grouped_kernel_gradient.h"
#include "kept_blocks.h"
#include "kernel_gradient.h"
#include "max_pool.h"
#include "xla/ffi/api/ffi.h"

namespace {

namespace ffi = xla::ffi;
using Maps = ffi::Buffer<ffi::F32>;
using Places = ffi::Buffer<ffi::S8>;

// On threads of the pool and on this one, which takes what no other has begun, so that it waits
// only for those that run.
void ParallelFor(ffi::ThreadPool& pool, int64_t count, std::function<void(int64_t)> task) {
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

cnn_jax::Threads MakeThreads(ffi::ThreadPool& pool) {
  return {pool.num_threads(), [&pool](int64_t count, std::function<void(int64_t)> task) {
            ParallelFor(pool, count, std::move(task));
          }};
}

using Shape = ffi::Span<const int64_t>;

// Beyond shapes that do not fit there would be memory of others.
ffi::ErrorOr<cnn_jax::ConvShape> ShapeMismatch(Shape in, Shape other, Shape out) {
  std::ostringstream message;
  for (const Shape& shape : {in, other, out}) {
    message << (message.tellp() ? ", [" : "shapes that do not fit: [");
    for (size_t i = 0; i < shape.size(); ++i) message << (i ? ", " : "") << shape[i];
    message << "]";
  }
  return ffi::Unexpected(ffi::Error::InvalidArgument(message.str()));
}

// Of maps [N, H, W, C], a kernel [h, w, C / groups, F] and what comes out, [N, H', W', F].
ffi::ErrorOr<cnn_jax::ConvShape> DescribeConv(Maps in, Maps kernel, Maps out, int64_t stride_y,
                                              int64_t stride_x, int64_t top, int64_t left) {
  const Shape a = in.dimensions(), k = kernel.dimensions(), o = out.dimensions();
  if (a.size() != 4 || k.size() != 4 || o.size() != 4 || a[0] != o[0] || k[3] != o[3] || k[2] < 1 ||
      a[3] < 1 || a[3] % k[2] || o[3] % (a[3] / k[2]))
    return ShapeMismatch(a, k, o);
  return cnn_jax::ConvShape{a[0], a[1], a[2],     a[3],     o[1], o[2], o[3],
                            k[0], k[1], stride_y, stride_x, top,  left, a[3] / k[2]};
}

// Calls alone(DepthwiseConv) where every channel has a kernel of its own, others(ConvShape)
// elsewhere.
template <typename Alone, typename Others>
ffi::Error DispatchDepthwise(const ffi::ErrorOr<cnn_jax::ConvShape>& c, Alone alone,
                             Others others) {
  if (!c) return c.error();
  if (cnn_jax::DepthwiseConv::Supports(*c))
    alone(cnn_jax::DepthwiseConv(*c));
  else
    others(*c);
  return ffi::Error::Success();
}

ffi::Error Forward(ffi::ThreadPool pool, Maps in, Maps kernel, ffi::Result<Maps> out,
                   int64_t stride_y, int64_t stride_x, int64_t top, int64_t left) {
  const float *maps = in.typed_data(), *by = kernel.typed_data();
  float* to = out->typed_data();
  return DispatchDepthwise(
      DescribeConv(in, kernel, *out, stride_y, stride_x, top, left),
      [&](const auto& depthwise) { depthwise.Forward(maps, by, to, MakeThreads(pool)); },
      [&](const auto& c) { cnn_jax::Forward(c, maps, by, to, MakeThreads(pool)); });
}

ffi::Error InputGradient(ffi::ThreadPool pool, Maps gradient, Maps kernel, ffi::Result<Maps> out,
                         int64_t stride_y, int64_t stride_x, int64_t top, int64_t left) {
  const float *maps = gradient.typed_data(), *by = kernel.typed_data();
  float* to = out->typed_data();
  return DispatchDepthwise(
      DescribeConv(*out, kernel, gradient, stride_y, stride_x, top, left),
      [&](const auto& depthwise) { depthwise.InputGradient(maps, by, to, MakeThreads(pool)); },
      [&](const auto& c) { cnn_jax::InputGradient(c, maps, by, to, MakeThreads(pool)); });
}

ffi::Error KernelGradient(ffi::ThreadPool pool, Maps in, Maps gradient, ffi::Result<Maps> out,
                          int64_t stride_y, int64_t stride_x, int64_t top, int64_t left) {
  const float *maps = in.typed_data(), *by = gradient.typed_data();
  float* to = out->typed_data();
  return DispatchDepthwise(
      DescribeConv(in, *out, gradient, stride_y, stride_x, top, left),
      [&](const auto& depthwise) { depthwise.KernelGradient(maps, by, to, MakeThreads(pool)); },
      [&](const auto& c) {
        if (cnn_jax::GroupedKernelGradient::Supports(c))
          cnn_jax::GroupedKernelGradient(c, maps, by, to).RunAll(MakeThreads(pool));
        else
          cnn_jax::KernelGradient(c, maps, by, to, pool.num_threads()).RunAll(MakeThreads(pool));
      });
}

// What XLA does not know it cannot compute again wherever it is read. `in` and `out` share memory.
ffi::Error Materialize(Maps in, ffi::Result<Maps> out) {
  if (out->typed_data() != in.typed_data())
    std::memcpy(out->typed_data(), in.typed_data(), in.size_bytes());
  return ffi::Error::Success();
}

// Thousands of slices would be compiled one by one.
ffi::Error Join(ffi::RemainingArgs parts, ffi::Result<Maps> out) {
  float *to = out->typed_data(), *const end = to + out->element_count();
  for (size_t i = 0; i < parts.size(); ++i) {
    const auto part = parts.get<Maps>(i);
    if (!part) return part.error();
    if (static_cast<int64_t>(part->element_count()) > end - to)
      return ffi::Error::InvalidArgument("the parts are larger than the whole");
    to = std::copy_n(part->typed_data(), part->element_count(), to);
  }
  return to == end ? ffi::Error::Success()
                   : ffi::Error::InvalidArgument("the parts are smaller than the whole");
}

// `serial` tells two calls of one array apart; nothing is made of it.
ffi::Error Split(Maps in, ffi::RemainingRets parts, int64_t /*serial*/) {
  const float *from = in.typed_data(), *const end = from + in.element_count();
  for (size_t i = 0; i < parts.size(); ++i) {
    auto part = parts.get<Maps>(i);
    if (!part) return part.error();
    const int64_t size = (*part)->element_count();
    if (size > end - from)
      return ffi::Error::InvalidArgument("the parts are larger than the whole");
    std::copy_n(from, size, (*part)->typed_data());
    from += size;
  }
  return from == end ? ffi::Error::Success()
                     : ffi::Error::InvalidArgument("the parts are smaller than the whole");
}

// Of maps [N, H, W, C], and the values and places that come out, [N, H', W', C].
ffi::ErrorOr<cnn_jax::ConvShape> DescribePool(Maps in, Maps out, Places places, int64_t window_y,
                                              int64_t window_x, int64_t stride_y, int64_t stride_x,
                                              int64_t top, int64_t left) {
  const Shape a = in.dimensions(), o = out.dimensions(), p = places.dimensions();
  const bool same = std::equal(o.begin(), o.end(), p.begin(), p.end());
  if (a.size() != 4 || o.size() != 4 || a[0] != o[0] || a[3] != o[3] || !same)
    return ShapeMismatch(a, p, o);
  return cnn_jax::ConvShape{a[0],     a[1],     a[2],     a[3],     o[1], o[2], o[3],
                            window_y, window_x, stride_y, stride_x, top,  left};
}

ffi::Error MaxPool(ffi::ThreadPool pool, Maps in, ffi::Result<Maps> out, ffi::Result<Places> places,
                   int64_t window_y, int64_t window_x, int64_t stride_y, int64_t stride_x,
                   int64_t top, int64_t left) {
  const auto c = DescribePool(in, *out, *places, window_y, window_x, stride_y, stride_x, top, left);
  if (!c) return c.error();
  cnn_jax::MaxPool(*c).Forward(in.typed_data(), out->typed_data(), places->typed_data(),
                               MakeThreads(pool));
  return ffi::Error::Success();
}

ffi::Error MaxPoolGradient(ffi::ThreadPool pool, Places places, Maps gradient,
                           ffi::Result<Maps> out, int64_t window_y, int64_t window_x,
                           int64_t stride_y, int64_t stride_x, int64_t top, int64_t left) {
  const auto c =
      DescribePool(*out, gradient, places, window_y, window_x, stride_y, stride_x, top, left);
  if (!c) return c.error();
  cnn_jax::MaxPool(*c).Gradient(places.typed_data(), gradient.typed_data(), out->typed_data(),
                                MakeThreads(pool));
  return ffi::Error::Success();
}

// Calls task(BatchNorm, its threads) where all vectors have as many numbers as the maps' last axis,
// and the gradient, or what comes out, their shape.
template <typename Task>
ffi::Error DispatchNorm(ffi::ThreadPool& pool, Maps in, Maps like,
                        std::initializer_list<Maps> vectors, float epsilon, int64_t activation,
                        Task task) {
  const Shape a = in.dimensions(), b = like.dimensions();
  bool fits = a.size() > 0 && std::equal(a.begin(), a.end(), b.begin(), b.end());
  for (const Maps& vector : vectors)
    fits &= a.size() > 0 && vector.element_count() == static_cast<size_t>(a.back());
  if (!fits) return ShapeMismatch(a, vectors.begin()->dimensions(), b).error();
  const int64_t channels = a.back();
  const int64_t rows = channels ? static_cast<int64_t>(in.element_count()) / channels : 0;
  const auto run = [&](auto kind) {
    task(cnn_jax::BatchNorm<decltype(kind)>(rows, channels, epsilon), MakeThreads(pool));
    return ffi::Error::Success();
  };
  switch (activation) {  // in the order of AFTER_NORM in `__init__.py`
    case 0:
      return run(cnn_jax::NoActivation{});
    case 1:
      return run(cnn_jax::Relu{});
    case 2:
      return run(cnn_jax::Relu6{});
    case 3:
      return run(cnn_jax::Silu{});
    case 4:
      return run(cnn_jax::HardSwish{});
    case 5:
      return run(cnn_jax::Gelu{});
  }
  return ffi::Error::InvalidArgument("no activation has this number");
}

ffi::Error BatchNorm(ffi::ThreadPool pool, Maps in, Maps scale, Maps bias, ffi::Result<Maps> out,
                     ffi::Result<Maps> mean, ffi::Result<Maps> var, float epsilon,
                     int64_t activation) {
  return DispatchNorm(pool, in, *out, {scale, bias, *mean, *var}, epsilon, activation,
                      [&](const auto& norm, const cnn_jax::Threads& threads) {
                        norm.Forward(in.typed_data(), scale.typed_data(), bias.typed_data(),
                                     out->typed_data(), mean->typed_data(), var->typed_data(),
                                     threads);
                      });
}

ffi::Error BatchNormGradient(ffi::ThreadPool pool, Maps in, Maps gradient, Maps scale, Maps bias,
                             Maps mean, Maps var, ffi::Result<Maps> by_in,
                             ffi::Result<Maps> by_scale, ffi::Result<Maps> by_bias, float epsilon,
                             int64_t activation) {
  const Shape a = in.dimensions(), b = by_in->dimensions();
  if (!std::equal(a.begin(), a.end(), b.begin(), b.end()))
    return ShapeMismatch(a, gradient.dimensions(), b).error();
  return DispatchNorm(pool, in, gradient, {scale, bias, mean, var, *by_scale, *by_bias}, epsilon,
                      activation, [&](const auto& norm, const cnn_jax::Threads& threads) {
                        norm.Gradient(in.typed_data(), gradient.typed_data(), scale.typed_data(),
                                      bias.typed_data(), mean.typed_data(), var.typed_data(),
                                      by_in->typed_data(), by_scale->typed_data(),
                                      by_bias->typed_data(), threads);
                      });
}

template <typename Binding>
auto BindNorm(Binding binding) {
  return std::move(binding)
      .template Ret<Maps>()
      .template Ret<Maps>()
      .template Ret<Maps>()
      .template Attr<float>("epsilon")
      .template Attr<int64_t>("activation");
}

auto Bind() {
  return ffi::Ffi::Bind()
      .Ctx<ffi::ThreadPool>()
      .Arg<Maps>()
      .Arg<Maps>()
      .Ret<Maps>()
      .Attr<int64_t>("stride_y")
      .Attr<int64_t>("stride_x")
      .Attr<int64_t>("top")
      .Attr<int64_t>("left");
}

template <typename Binding>
auto BindWindow(Binding binding) {
  return std::move(binding)
      .template Attr<int64_t>("window_y")
      .template Attr<int64_t>("window_x")
      .template Attr<int64_t>("stride_y")
      .template Attr<int64_t>("stride_x")
      .template Attr<int64_t>("top")
      .template Attr<int64_t>("left");
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(cnn_jax_forward, Forward, Bind());
XLA_FFI_DEFINE_HANDLER_SYMBOL(cnn_jax_input_gradient, InputGradient, Bind());
XLA_FFI_DEFINE_HANDLER_SYMBOL(cnn_jax_kernel_gradient, KernelGradient, Bind());
XLA_FFI_DEFINE_HANDLER_SYMBOL(
    cnn_jax_max_pool, MaxPool,
    BindWindow(ffi::Ffi::Bind().Ctx<ffi::ThreadPool>().Arg<Maps>().Ret<Maps>().Ret<Places>()));
XLA_FFI_DEFINE_HANDLER_SYMBOL(
    cnn_jax_max_pool_gradient, MaxPoolGradient,
    BindWindow(ffi::Ffi::Bind().Ctx<ffi::ThreadPool>().Arg<Places>().Arg<Maps>().Ret<Maps>()));
XLA_FFI_DEFINE_HANDLER_SYMBOL(
    cnn_jax_batch_norm, BatchNorm,
    BindNorm(ffi::Ffi::Bind().Ctx<ffi::ThreadPool>().Arg<Maps>().Arg<Maps>().Arg<Maps>()));
XLA_FFI_DEFINE_HANDLER_SYMBOL(cnn_jax_batch_norm_gradient, BatchNormGradient,
                              BindNorm(ffi::Ffi::Bind()
                                           .Ctx<ffi::ThreadPool>()
                                           .Arg<Maps>()
                                           .Arg<Maps>()
                                           .Arg<Maps>()
                                           .Arg<Maps>()
                                           .Arg<Maps>()
                                           .Arg<Maps>()));
XLA_FFI_DEFINE_HANDLER_SYMBOL(cnn_jax_materialize, Materialize,
                              ffi::Ffi::Bind().Arg<Maps>().Ret<Maps>());
XLA_FFI_DEFINE_HANDLER_SYMBOL(cnn_jax_join, Join, ffi::Ffi::Bind().RemainingArgs().Ret<Maps>());
XLA_FFI_DEFINE_HANDLER_SYMBOL(cnn_jax_split, Split,
                              ffi::Ffi::Bind().Arg<Maps>().RemainingRets().Attr<int64_t>("serial"));

// How many references in libraries whose path holds `part` now lead to kept blocks.
extern "C" int cnn_jax_keep_blocks(const char* part) { return cnn_jax::KeepBlocks(part); }

extern "C" int cnn_jax_lanes() { return cnn_jax::kLanes; }
