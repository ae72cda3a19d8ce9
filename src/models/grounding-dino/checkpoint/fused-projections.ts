/** Cuts fused projections into query, key and value: their rows follow each other, so the parts are views. */
import type { StoredTensor } from '../../checkpoint/checkpoint.ts';

/** Matches the name of a fused projection: its path, and `weight` or `bias`. */
const FUSED = /^(.*\.)(?:qkv\.|in_proj_)(weight|bias)$/;
const PARTS = ['query', 'key', 'value'];

/** Adds a tensor under its name, or three if it is a fused projection. */
export function setParts(tensors: Map<string, StoredTensor>, name: string, tensor: StoredTensor): void {
  const fused = name.match(FUSED);
  if (!fused) tensors.set(name, tensor);
  else for (const [index, part] of PARTS.entries()) tensors.set(`${fused[1]}${part}.${fused[2]}`, third(tensor, index));
}

/** Returns one of three equal parts along the first axis. */
function third({ type, shape, bytes }: StoredTensor, index: number): StoredTensor {
  const [rows = 0, ...rest] = shape;
  const length = Math.floor(bytes.length / PARTS.length);
  return { type, shape: [rows / PARTS.length, ...rest], bytes: bytes.subarray(index * length, (index + 1) * length) };
}
