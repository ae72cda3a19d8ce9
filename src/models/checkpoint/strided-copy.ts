/** Copies tensors whose elements are apart in memory, such as transposed ones. */
import { elementCount } from '../../onnx/types.ts';

/**
 * Copies elements so that they follow each other in row-major order.
 *
 * @param storage begins at the tensor's first element; the caller has checked that the last one is in it
 * @param size the bytes of an element
 * @param strides the distance between neighbours along each axis, in elements
 */
export function stridedCopy(
  storage: Uint8Array<ArrayBuffer>,
  size: number,
  shape: readonly number[],
  strides: readonly number[],
): Uint8Array<ArrayBuffer> {
  const count = elementCount(shape);
  const result = new Uint8Array(count * size);
  const index = shape.map(() => 0);
  let from = 0;
  for (let to = 0; to < count; to++) {
    for (let byte = 0; byte < size; byte++) result[to * size + byte] = storage[from * size + byte] ?? 0;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const [next, stride] = [(index[axis] ?? 0) + 1, strides[axis] ?? 0];
      from += stride;
      if (next < (shape[axis] ?? 0)) {
        index[axis] = next;
        break;
      }
      index[axis] = 0;
      from -= next * stride;
    }
  }
  return result;
}
