/**
 * `model.json`: what a browser needs to know of a detector, beside the files of its models. `dino8 export --target web` writes it, and
 * `readPackage` of `dino8/web` reads it. This schema is the only place that knows it.
 */
import { z } from 'zod';
import { InputError } from '../base/errors.ts';
import { parseWith } from '../base/schema.ts';
import { type Preprocessing, parsePreprocessing } from '../data/preprocessing.ts';
import { type FixedPrompt, promptsSchema } from '../models/fixed-prompt.ts';
import { checkTokenizer, type TokenizerFiles } from '../models/tokenizer-schema.ts';
import type { EngineVariant } from './engine/engine-module.ts';

/** The name of the file. */
export const MANIFEST = 'model.json';

/** The largest model that fits into the memory of a page, which WebAssembly addresses by 32 bits. */
export const LARGEST_MODEL: number = 2 ** 31 - 1;

/** One file of a detector. */
export interface WebFile {
  /** Its name, in the folder of `model.json`. */
  readonly name: string;
  /** Its size. */
  readonly bytes: number;
  /** The SHA-256 of its content, as hexadecimal digits. */
  readonly sha256: string;
}

/** The files of a detector. */
export interface WebFiles<File> {
  /** The half that encodes a prompt; a model for fixed phrases has none. */
  readonly text?: File | undefined;
  /** The half that detects. */
  readonly detect: File;
  /** The model that scales, normalises and pads pixels. */
  readonly pixels: File;
}

/** What runs a model: an execution provider of onnxruntime-web, or dino8's engine, which is for `wasm`. */
export type Backend = 'wasm' | 'webgpu';
/** All of them, the default first. */
export const BACKENDS: readonly [Backend, ...Backend[]] = ['wasm', 'webgpu'];

/** The number of bits of the floats in which a model computes on a graphics processor. */
export type FloatBits = 32 | 16;

/** What is known of a detector before its models are loaded. */
export interface WebManifest {
  /** The version of dino8 that wrote it. */
  readonly dino8: string;
  /** The name of the model that it was made from. */
  readonly name: string;
  /** The execution provider that the models are for. */
  readonly backend: Backend;
  /** The floats in which the model computes: 16 bits need a graphics processor that has them. */
  readonly floats: FloatBits;
  /** Whether its layers compute in 8 bits, and which recipe chose them. */
  readonly precision: string;
  /** The parsed `config.json` of the model. */
  readonly config: unknown;
  /** How images become the input of the model. */
  readonly preprocessing: Preprocessing;
  /** The files of the tokenizer. */
  readonly tokenizer: TokenizerFiles;
  /** The prompts of a model for fixed phrases, one or more. */
  readonly prompts?: readonly FixedPrompt[] | undefined;
  /** The files of the models. */
  readonly files: WebFiles<WebFile>;
  /** The files of the engine that runs the models; without them onnxruntime-web does. */
  readonly engine?: Readonly<Record<EngineVariant, WebFile>> | undefined;
}

/** A detector that was read from a server. */
export interface WebPackage {
  /** The address of its folder, for messages. */
  readonly source: string;
  /** What is known of it. */
  readonly manifest: WebManifest;
  /** The bytes of its models. */
  readonly files: WebFiles<Uint8Array<ArrayBuffer>>;
  /** The bytes of the engine that runs them, in the form for this browser; undefined if onnxruntime-web does. */
  readonly engine?: Uint8Array<ArrayBuffer> | undefined;
}

/** The version of the form of `model.json`. */
const FORMAT = 1;

const file = z.object({
  name: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/, 'it must be the name of a file in the same folder'),
  bytes: z.number().int().min(1).max(LARGEST_MODEL),
  sha256: z.string().regex(/^[0-9a-f]{64}$/, 'it must be 64 hexadecimal digits'),
});

const label = z.string().max(1000);

const manifestSchema = z.object({
  format: z.literal(FORMAT),
  dino8: label,
  name: label,
  backend: z.enum(BACKENDS),
  // Pages of former versions do not say it.
  floats: z.union([z.literal(32), z.literal(16)]).default(32),
  precision: label,
  config: z.unknown(),
  preprocessing: z.unknown(),
  tokenizer: z.object({ tokenizer: z.unknown(), config: z.unknown() }),
  prompts: promptsSchema.optional(),
  files: z.object({ text: file.optional(), detect: file, pixels: file }),
  engine: z.object({ relaxed: file, simd: file }).optional(),
});

/**
 * Checks the content of `model.json`.
 * @param source names it in errors
 * @throws InputError that names the first field that is wrong
 */
export function parseManifest(value: unknown, source: string): WebManifest {
  const { preprocessing, tokenizer, ...manifest } = parseWith(manifestSchema, value, source);
  if ((manifest.files.text === undefined) !== (manifest.prompts !== undefined))
    throw new InputError(
      `${source} is not as expected: a model has either a text encoder or fixed phrases; export it again.`,
    );
  const files = { tokenizer: tokenizer.tokenizer, config: tokenizer.config };
  return {
    ...manifest,
    config: manifest.config,
    preprocessing: parsePreprocessing(preprocessing, `${source}: preprocessing`),
    tokenizer: checkTokenizer(files, source),
  };
}

/** The content of `model.json`. */
export const manifestText = (manifest: WebManifest): string => JSON.stringify({ format: FORMAT, ...manifest });
