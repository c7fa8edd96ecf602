// SPDX-License-Identifier: Apache-2.0
// The border of the module: what LibTorch or the standard library throws becomes an Error.
#pragma once

#include <c10/util/Exception.h>

#include <exception>
#include <new>

#include "base/result.h"
#include "base/text.h"
#include "model/graph/worker_pool.h"

namespace coppice::graph {

// Calls work() with LibTorch on the calling thread alone. Every entry from outside goes through
// here.
template <typename Work>
auto guarded(const Work& work) -> decltype(work()) {
  try {
    use_one_libtorch_thread();
    return work();
  } catch (const c10::OutOfMemoryError&) {
    return Error{ErrorCode::kResourceExhausted,
                 "memory ran out; use shorter sequences or a smaller batch"};
  } catch (const std::bad_alloc&) {
    return Error{ErrorCode::kResourceExhausted,
                 "memory ran out; use shorter sequences or a smaller batch"};
  } catch (const c10::Error& error) {
    return Error{ErrorCode::kInternal, cat("LibTorch failed: ", error.what_without_backtrace())};
  } catch (const std::exception& error) {
    return Error{ErrorCode::kInternal, cat("the engine failed: ", error.what())};
  }
}

} // namespace coppice::graph
