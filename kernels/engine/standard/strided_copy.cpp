#include "strided_copy.h"

#include <algorithm>

#include "ranges.h"

namespace dino8::engine {
namespace {

// The most rows and columns of a plane that one piece of work copies.
constexpr int64_t kRowsOfPiece = 64, kColumnsOfPiece = 1 << 15;

// The last two axes of a box.
struct Plane {
  int64_t rows, from_row, to_row;
  int64_t columns, from_column, to_column;
};

// Transposes a square of kSide × kSide elements. The rows of both squares are `from_stride` and `to_stride` elements apart.
template <class Item>
struct Square {
  static constexpr int64_t kSide = 16 / sizeof(Item);
  typedef Item Vector __attribute__((vector_size(16)));

  static void interleave(Vector a, Vector b, Vector& low, Vector& high) {
    if constexpr (kSide == 16) {
      low = __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      high = __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    } else if constexpr (kSide == 4) {
      low = __builtin_shufflevector(a, b, 0, 4, 1, 5);
      high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
    } else {
      low = __builtin_shufflevector(a, b, 0, 2);
      high = __builtin_shufflevector(a, b, 1, 3);
    }
  }

  // Interleaving each row of the upper half with one of the lower half, as often as the side can be halved, transposes.
  static void transpose(const Item* from, int64_t from_stride, Item* to, int64_t to_stride) {
    Vector rows[kSide], next[kSide];
    for (int64_t row = 0; row < kSide; row++) std::memcpy(&rows[row], from + row * from_stride, sizeof(Vector));
    for (int64_t half = kSide; half > 1; half /= 2) {
      for (int64_t row = 0; row < kSide / 2; row++)
        interleave(rows[row], rows[row + kSide / 2], next[2 * row], next[2 * row + 1]);
      std::copy(next, next + kSide, rows);
    }
    for (int64_t row = 0; row < kSide; row++) std::memcpy(to + row * to_stride, &rows[row], sizeof(Vector));
  }
};

template <class Item>
void copy_elements(const Plane& plane, const Item* from, Item* to) {
  for (int64_t row = 0; row < plane.rows; row++)
    for (int64_t column = 0; column < plane.columns; column++)
      to[row * plane.to_row + column * plane.to_column] = from[row * plane.from_row + column * plane.from_column];
}

// Copies a plane whose rows are written one element after the other, and whose columns are read so.
template <class Item>
void transpose_plane(const Plane& plane, const Item* from, Item* to) {
  constexpr int64_t kSide = Square<Item>::kSide;
  // So many rows read whole cache lines.
  constexpr int64_t kBand = 64 / sizeof(Item);
  const int64_t whole_rows = plane.rows / kSide * kSide, whole_columns = plane.columns / kSide * kSide;
  for (int64_t band = 0; band < whole_rows; band += kBand)
    for (int64_t column = 0; column < whole_columns; column += kSide)
      for (int64_t row = band; row < std::min(band + kBand, whole_rows); row += kSide)
        Square<Item>::transpose(from + row + column * plane.from_column, plane.from_column,
                                to + row * plane.to_row + column, plane.to_row);
  Plane right = plane, below = plane;
  right.rows = whole_rows;
  right.columns = plane.columns - whole_columns;
  copy_elements(right, from + whole_columns * plane.from_column, to + whole_columns);
  below.rows = plane.rows - whole_rows;
  copy_elements(below, from + whole_rows, to + whole_rows * plane.to_row);
}

template <class Item>
void copy_plane(const Plane& plane, const Item* from, Item* to) {
  if (plane.to_column == 1 && plane.from_column == 1) {
    for (int64_t row = 0; row < plane.rows; row++)
      copy_bytes(reinterpret_cast<char*>(to + row * plane.to_row),
                 reinterpret_cast<const char*>(from + row * plane.from_row),
                 plane.columns * static_cast<int64_t>(sizeof(Item)));
  } else if (plane.to_column == 1 && plane.from_column == 0) {
    for (int64_t row = 0; row < plane.rows; row++)
      std::fill_n(to + row * plane.to_row, plane.columns, from[row * plane.from_row]);
  } else if (plane.to_column == 1 && plane.from_row == 1) {
    transpose_plane(plane, from, to);
  } else {
    copy_elements(plane, from, to);
  }
}

// Leaves out axes of one element and joins neighbouring axes that are one axis in both memories.
StridedCopy simplified(const StridedCopy& copy) {
  StridedCopy simple;
  for (size_t axis = 0; axis < copy.rank; axis++) {
    if (copy.counts[axis] == 1) continue;
    const int64_t count = copy.counts[axis], from = copy.from[axis], to = copy.to[axis];
    const size_t last = simple.rank - 1;
    if (simple.rank > 0 && simple.from[last] == count * from && simple.to[last] == count * to) {
      simple.counts[last] *= count;
      simple.from[last] = from;
      simple.to[last] = to;
    } else {
      simple.add_axis(count, from, to);
    }
  }
  return simple;
}

// Moves the axis along which elements are read one after the other to the place before the last, if the last is another one.
void place_read_axis(StridedCopy& copy) {
  const size_t last = copy.rank - 1;
  if (copy.from[last] == 1 || copy.from[last] == 0) return;
  for (size_t axis = 0; axis < last; axis++)
    if (copy.from[axis] == 1) {
      std::rotate(copy.counts + axis, copy.counts + axis + 1, copy.counts + last);
      std::rotate(copy.from + axis, copy.from + axis + 1, copy.from + last);
      std::rotate(copy.to + axis, copy.to + axis + 1, copy.to + last);
      return;
    }
}

template <class Item>
void copy_items(Run& run, const StridedCopy& copy, const Item* from, Item* to) {
  const size_t outer = copy.rank - 2;
  const Plane plane{copy.counts[outer],     copy.from[outer],     copy.to[outer],
                    copy.counts[outer + 1], copy.from[outer + 1], copy.to[outer + 1]};
  int64_t planes = 1;
  for (size_t axis = 0; axis < outer; axis++) planes *= copy.counts[axis];
  const int64_t bands = (plane.rows + kRowsOfPiece - 1) / kRowsOfPiece;
  const int64_t pieces = (plane.columns + kColumnsOfPiece - 1) / kColumnsOfPiece;
  const double cost = static_cast<double>(std::min(plane.rows, kRowsOfPiece) * std::min(plane.columns, kColumnsOfPiece)) *
                      static_cast<double>(sizeof(Item));
  for_each_range(run, planes * bands * pieces, cost, [&](int64_t begin, int64_t end) {
    for (int64_t at = begin; at < end; at++) {
      const int64_t row = at / pieces % bands * kRowsOfPiece, column = at % pieces * kColumnsOfPiece;
      int64_t from_offset = row * plane.from_row + column * plane.from_column;
      int64_t to_offset = row * plane.to_row + column * plane.to_column;
      int64_t rest = at / pieces / bands;
      for (size_t axis = outer; axis-- > 0; rest /= copy.counts[axis]) {
        from_offset += rest % copy.counts[axis] * copy.from[axis];
        to_offset += rest % copy.counts[axis] * copy.to[axis];
      }
      Plane piece = plane;
      piece.rows = std::min(kRowsOfPiece, plane.rows - row);
      piece.columns = std::min(kColumnsOfPiece, plane.columns - column);
      copy_plane(piece, from + from_offset, to + to_offset);
    }
  });
}

}  // namespace

void copy_strided(Run& run, StridedCopy copy, const char* from, char* to, size_t bytes) {
  for (size_t axis = 0; axis < copy.rank; axis++)
    if (copy.counts[axis] == 0) return;
  copy = simplified(copy);
  // What follows needs at least two axes.
  StridedCopy padded;
  for (size_t missing = copy.rank; missing < 2; missing++) padded.add_axis(1, 0, 0);
  for (size_t axis = 0; axis < copy.rank; axis++) padded.add_axis(copy.counts[axis], copy.from[axis], copy.to[axis]);
  place_read_axis(padded);
  if (bytes == 1)
    copy_items(run, padded, reinterpret_cast<const uint8_t*>(from), reinterpret_cast<uint8_t*>(to));
  else if (bytes == 4)
    copy_items(run, padded, reinterpret_cast<const uint32_t*>(from), reinterpret_cast<uint32_t*>(to));
  else
    copy_items(run, padded, reinterpret_cast<const uint64_t*>(from), reinterpret_cast<uint64_t*>(to));
}

}  // namespace dino8::engine
