/** The results of which a report is made: files or objects, recognised by what they say of themselves. */
import { basename } from 'node:path';
import { z } from 'zod';
import { InputError } from '../base/errors.ts';
import { readJson } from '../base/files.ts';
import { parseWith } from '../base/schema.ts';
import type { CompressResult } from './compress-options.ts';
import { resultsSchema } from './results-file.ts';

/** A result, by the path of its file or as the step returned it. */
export type ResultSource = string | CompressResult;

/** A result of `compress`. */
export interface CompressPart {
  readonly kind: 'compress';
  /** The name of the file. */
  readonly source: string;
  readonly result: CompressResult;
}

/** A result that was read. */
export type ReportPart = CompressPart;

/** Results are lists of figures; the largest are those of data sets with thousands of categories. */
const LARGEST_FILE = 1 << 27;

/** Reads results and checks them. @throws as `report` */
export async function openResults(sources: readonly ResultSource[]): Promise<ReportPart[]> {
  const parts: ReportPart[] = [];
  for (const source of sources)
    parts.push(
      typeof source === 'string'
        ? parsePart(await readJson(source, LARGEST_FILE), basename(source), source)
        : parsePart(source, '', 'The result'),
    );
  return parts;
}

const headSchema = z.object({ format: z.string().optional() });

/** @param name the name that the report shows; @param path the name in messages */
function parsePart(value: unknown, name: string, path: string): ReportPart {
  const head = headSchema.safeParse(value);
  if (!head.success || head.data.format === undefined)
    throw new InputError(`${path} is no result that a report can show; give the results.json of dino8 compress.`);
  return { kind: 'compress', source: name, result: parseWith(resultsSchema, value, path) };
}
