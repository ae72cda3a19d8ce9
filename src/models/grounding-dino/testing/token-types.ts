/** Token types for the tests of models whose stored inputs are of a time when the combined model did not take them. */
import { integers, type Tensor } from '../../../runtime/tensor.ts';

/** The token types of one text for each row of token ids: zeros, as Hugging Face's processor makes them. */
export function tokenTypes(ids: Tensor | undefined): Tensor {
  if (!ids) throw new Error('the tokens are in the file');
  return integers(new BigInt64Array(ids.data.length), ids.shape);
}
