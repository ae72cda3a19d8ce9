// Memory for the time of a run of an operator, from the same arena as the tensors of the run: what one operator gives back,
// the next one uses again. malloc would keep it, once for each of the threads that ever ran the model.
#pragma once

#include "ort_abi.h"

namespace dino8 {

// The allocator of a session.
class RunMemory {
 public:
  RunMemory(const OrtApi& api, const OrtKernelContext* context);
  ~RunMemory();
  RunMemory(const RunMemory&) = delete;
  RunMemory& operator=(const RunMemory&) = delete;

  // A piece of memory that begins at a cache line and is not initialised. Several threads may take pieces at a time.
  class Piece {
   public:
    Piece(const RunMemory& memory, int64_t bytes);
    ~Piece();
    Piece(const Piece&) = delete;
    Piece& operator=(const Piece&) = delete;

    // Null if there was not enough memory.
    char* begin() const { return begin_; }

   private:
    OrtAllocator* allocator_;
    void* taken_ = nullptr;
    char* begin_ = nullptr;
  };

 private:
  OrtApi api_;
  OrtAllocator* allocator_ = nullptr;
};

}  // namespace dino8
