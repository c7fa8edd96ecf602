// SPDX-License-Identifier: Apache-2.0
#include "model/graph/packed/compute.h"

#include <ATen/Context.h>
#include <ATen/ops/empty.h>
#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>

#include "base/text.h"
#include "model/graph/graph_engine.h"

namespace coppice::graph::packed {
namespace {

constexpr std::string_view kCuda = "cuda:";
constexpr int kMostGpus = 127; // c10::DeviceIndex

Error unavailable(const std::string& device, const std::string& why) {
  return {ErrorCode::kUnavailable, cat("there is no ", device, ": ", why)};
}

// This module is built against LibTorch's CPU half alone; the other half adds its kernels to it
// when it is loaded.
Result<void> load_cuda(const std::string& device) {
  static const std::string failure = [] {
    // cuBLAS repeats its results only with a workspace of fixed parts, set before it starts.
    setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", 0);
    if (dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL) != nullptr) return std::string();
    return std::string(dlerror());
  }();
  if (failure.empty()) return {};
  return unavailable(device, cat("LibTorch's CUDA half can't be loaded (", failure,
                                 "); build with a LibTorch that has libtorch_cuda.so"));
}

// As its driver says; "GPU" if it doesn't.
std::string gpu_name(int number) {
  constexpr int kNameBytes = 256;
  void* const driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (driver == nullptr) return "GPU";
  auto* const get = reinterpret_cast<int (*)(int*, int)>(dlsym(driver, "cuDeviceGet"));
  auto* const name = reinterpret_cast<int (*)(char*, int, int)>(dlsym(driver, "cuDeviceGetName"));
  std::array<char, kNameBytes> text{};
  int device = 0;
  const bool known = get != nullptr && name != nullptr && get(&device, number) == 0 &&
                     name(text.data(), kNameBytes - 1, device) == 0;
  return known ? text.data() : "GPU";
}

template <typename T>
at::Tensor copy_to(std::span<const T> values, at::ScalarType type, const Compute& compute) {
  const at::Tensor to = at::empty({static_cast<std::int64_t>(values.size())}, type);
  std::ranges::copy(values, to.data_ptr<T>());
  return to.to(compute.device);
}

} // namespace

Result<Compute> choose_compute(const std::string& device, bool exact) {
  Compute compute{.type = exact ? at::kFloat : at::kBFloat16};
  const char* const type = exact ? " float32" : " bfloat16";
  if (device == "cpu") {
    compute.level = cpu_capability() + type;
    return compute;
  }
  int number = -1;
  const char* const end = device.data() + device.size();
  if (device.starts_with(kCuda)) {
    const auto [stop, code] = std::from_chars(device.data() + kCuda.size(), end, number);
    if (code != std::errc() || stop != end) number = -1;
  }
  if (number < 0 || number > kMostGpus) {
    return Error{ErrorCode::kInvalidArgument,
                 cat("a device is cpu, or cuda:0 and so on; ", device, " is none")};
  }
  COPPICE_TRY(load_cuda(device));
  if (!at::hasCUDA()) {
    return unavailable(device,
                       "LibTorch sees no GPU; its driver may be missing, or LibTorch had looked "
                       "before its CUDA half was loaded: open the GPU's engine first");
  }
  const auto gpus = static_cast<int>(at::getNumGPUs());
  if (number >= gpus) return unavailable(device, cat("this machine has ", gpus, " GPUs"));
  at::Context& context = at::globalContext();
  context.setDeterministicAlgorithms(true,
                                     false); // to warn only would let attention add in any order
  context.setDeterministicFillUninitializedMemory(
      false); // every value is written before it is read
  context.setAllowBF16ReductionCuBLAS(false);
  context.setSDPUseCuDNN(false);
  compute.device = at::Device(at::kCUDA, static_cast<at::DeviceIndex>(number));
  compute.level = gpu_name(number) + type;
  return compute;
}

at::Tensor to_device(std::span<const std::int64_t> values, const Compute& compute) {
  return copy_to(values, at::kLong, compute);
}

at::Tensor to_device(std::span<const float> values, const Compute& compute) {
  return copy_to(values, at::kFloat, compute);
}

} // namespace coppice::graph::packed
