// Integer tiles by TDPBUSD of AMX-INT8, which multiplies 16 rows of up to 64 bytes by up to 64 rows of 16 columns. A
// piece of a panel of the weight, up to 16 steps of it, is what the instruction expects as its second matrix.
// See chapter 3 of Intel's Architecture Instruction Set Extensions Programming Reference.
#pragma once

#include <immintrin.h>

#include <algorithm>
#include <cstdint>

#include "../integer_tile.h"
#include "../prefetch.h"
#include "avx512_vnni_tile.h"

namespace dino8 {
namespace {

// The operand of LDTILECFG: the rows and the bytes of a row of each of the eight tile registers.
struct TileConfiguration {
  uint8_t palette = 0, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};
static_assert(sizeof(TileConfiguration) == 64);

class AmxTile {
 public:
  static constexpr int64_t kRows = 32, kPanels = 2;
  static constexpr int64_t kRowsAtATime = 64;
  static constexpr int32_t kOffset = 0;
  static constexpr bool kIsPreferred = true;
  static constexpr bool kKeepsSums = false;
  using Small = SizedTile<Avx512VnniTile>;

  // ONNX Runtime's own products keep a configuration in each of its threads, so that the one that is found here is put
  // back at the end of the task.
  AmxTile() { asm volatile("sttilecfg %0" : "=m"(before_)); }
  ~AmxTile() {
    if (before_.palette == 0) asm volatile("tilerelease");
    else load(before_);
  }
  AmxTile(const AmxTile&) = delete;
  AmxTile& operator=(const AmxTile&) = delete;

  void multiply(int64_t rows, int64_t panels, const uint8_t* a, int64_t stride, const int8_t* weight,
                int64_t panel_bytes, int64_t steps, const int32_t* initial, int32_t* out) {
    if (steps != steps_) set_steps(steps);
    if (rows < kTileRows || piece_ < kMinPiece)
      return multiply_rest(rows, panels, a, stride, weight, panel_bytes, initial, out);
    if (panels > 1) multiply_tiles<2>(rows, a, stride, weight, panel_bytes, initial, out);
    else multiply_tiles<1>(rows, a, stride, weight, panel_bytes, initial, out);
  }

 private:
  static constexpr int64_t kTileRows = 16, kMaxPiece = 16;
  // With fewer steps in a piece, VPDPBUSD is faster.
  static constexpr int64_t kMinPiece = 3;
  // The weights of a piece are asked for while the piece that is so many before it is multiplied.
  static constexpr int64_t kPiecesAhead = 2;

  static void load(const TileConfiguration& configuration) { asm volatile("ldtilecfg %0" ::"m"(configuration)); }

  // Cuts a panel into pieces of as many steps as a register takes, all of the same size: 96 bytes of a row are two
  // pieces of 48. The registers are the tiles of four sums, of two times 16 rows, and of two panels.
  void set_steps(int64_t steps) {
    steps_ = steps;
    piece_ = std::min(kMaxPiece, steps);
    while (steps % piece_ != 0) piece_--;
    TileConfiguration configuration;
    configuration.palette = 1;
    for (int sums = 0; sums < 4; sums++) configuration.rows[sums] = kTileRows, configuration.row_bytes[sums] = 64;
    for (int rows = 4; rows < 6; rows++)
      configuration.rows[rows] = kTileRows, configuration.row_bytes[rows] = static_cast<uint16_t>(piece_ * kStepDepth);
    for (int panel = 6; panel < 8; panel++)
      configuration.rows[panel] = static_cast<uint8_t>(piece_), configuration.row_bytes[panel] = kStepBytes;
    load(configuration);
  }

  // 16 to 32 rows. The second 16 rows end with the last row, so that they may begin within the first.
  template <int Panels>
  void multiply_tiles(int64_t rows, const uint8_t* a, int64_t stride, const int8_t* weight, int64_t panel_bytes,
                      const int32_t* initial, int32_t* out) const {
    constexpr int64_t kRowBytes = Panels * kPanelColumns * static_cast<int64_t>(sizeof *out);
    const bool has_second = rows > kTileRows;
    const uint8_t* a1 = a + (rows - kTileRows) * stride;
    int32_t* out1 = out + (rows - kTileRows) * Panels * kPanelColumns;
    // The intrinsics of GCC 12 do not tell the compiler that they read memory.
    asm volatile("" ::: "memory");
    // Rows that are 0 bytes apart are all the same.
    _tile_loadd(0, initial, 0);
    _tile_loadd(2, initial, 0);
    if constexpr (Panels > 1) {
      _tile_loadd(1, initial + kPanelColumns, 0);
      _tile_loadd(3, initial + kPanelColumns, 0);
    }
    const int64_t piece = piece_ * kStepDepth, piece_of_panel = piece_ * kStepBytes;
    for (int64_t at = 0; at < steps_; at += piece_, a += piece, a1 += piece, weight += piece_of_panel) {
      // The processor does not foresee which lines follow. Behind the end of these panels come the next ones. The number of lines is that
      // of the largest piece, since a loop over a number that the compiler does not know took up to 13 % of the time (measured).
      const int64_t passed = at + kPiecesAhead * piece_ < steps_ ? 0 : (Panels - 1) * panel_bytes;
      const int8_t* const ahead = weight + kPiecesAhead * piece_of_panel + passed;
      prefetch_bytes(ahead, kMaxPiece * kStepBytes);
      if constexpr (Panels > 1) prefetch_bytes(ahead + panel_bytes, kMaxPiece * kStepBytes);
      _tile_loadd(6, weight, kStepBytes);
      _tile_loadd(4, a, stride);
      _tile_dpbusd(0, 4, 6);
      if constexpr (Panels > 1) {
        _tile_loadd(7, weight + panel_bytes, kStepBytes);
        _tile_dpbusd(1, 4, 7);
      }
      if (!has_second) continue;
      _tile_loadd(5, a1, stride);
      _tile_dpbusd(2, 5, 6);
      if constexpr (Panels > 1) _tile_dpbusd(3, 5, 7);
    }
    _tile_stored(0, out, kRowBytes);
    if constexpr (Panels > 1) _tile_stored(1, out + kPanelColumns, kRowBytes);
    if (!has_second) return;
    _tile_stored(2, out1, kRowBytes);
    if constexpr (Panels > 1) _tile_stored(3, out1 + kPanelColumns, kRowBytes);
  }

  void multiply_rest(int64_t rows, int64_t panels, const uint8_t* a, int64_t stride, const int8_t* weight,
                     int64_t panel_bytes, const int32_t* initial, int32_t* out) const {
    for (int64_t row = 0; row < rows; row += Small::kRows)
      Small().multiply(std::min(Small::kRows, rows - row), panels, a + row * stride, stride, weight, panel_bytes, steps_,
                      initial, out + row * panels * kPanelColumns);
  }

  TileConfiguration before_;
  int64_t steps_ = 0, piece_ = 0;
};

}  // namespace
}  // namespace dino8
