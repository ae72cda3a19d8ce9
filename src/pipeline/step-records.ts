/**
 * The records of work with many steps, in a journal on disk. A step whose inputs and files have not changed is not done
 * again, so that interrupted work continues at the step where it was.
 */
import { join } from 'node:path';
import { z } from 'zod';
import { UsageError } from '../base/errors.ts';
import { exists, isDirectory, makeDirectory, namesIn } from '../base/files.ts';
import { hashFile } from '../base/hash-files.ts';
import { Journal, type JournalKey } from '../base/json-lines.ts';
import { isTemporary } from '../base/temporary.ts';

const primitive = z.union([z.string(), z.number(), z.boolean(), z.null()]);

const recordSchema = z.object({
  step: z.string(),
  /** Everything that the result depends on. */
  key: z.record(z.string(), primitive),
  /** The files that the step wrote, with the hash of each. */
  files: z.record(z.string(), z.string()),
  result: z.unknown(),
});

/** The name of the file of the records in their folder. */
const RECORDS = 'steps.jsonl';

/**
 * Checks before the work that a folder is one of records, so that nobody's files are removed with it, or come among them.
 *
 * @throws UsageError if it holds files, and no records
 */
export async function checkRecordsFolder(folder: string): Promise<void> {
  if (!(await isDirectory(folder))) return;
  const names = await namesIn(folder);
  // A run that was killed at its very beginning leaves these two.
  const foreign = names.find((name) => name !== `${RECORDS}.lock` && !isTemporary(name));
  if (foreign !== undefined && !names.includes(RECORDS))
    throw new UsageError(
      `${folder} holds files that are not those of an earlier run, such as ${foreign}, where the state of this work would be; choose another \`output\`.`,
    );
}

/** One step of a work. */
export interface Step<Result> {
  /** The name of the step, which is the same in every run. */
  readonly name: string;
  /** Everything that the result depends on, by names that a user understands. */
  readonly key: JournalKey;
  /** The files that the step writes. */
  readonly files?: readonly string[];
  /** The form of the result. */
  readonly schema: z.ZodType<Result>;
  /** Does the step. */
  readonly run: () => Promise<Result>;
}

/** The records of one folder. */
export class StepRecords implements AsyncDisposable {
  readonly #journal: Journal<z.output<typeof recordSchema>>;
  readonly #onNotice: (sentence: string) => void;

  private constructor(journal: Journal<z.output<typeof recordSchema>>, onNotice: (sentence: string) => void) {
    this.#journal = journal;
    this.#onNotice = onNotice;
  }

  /**
   * Opens the records in `folder`, or starts them.
   *
   * @param onNotice called with one sentence for each step that is done again, which names the reason
   * @throws InputError if the records are damaged
   */
  static async open(folder: string, onNotice: (sentence: string) => void): Promise<StepRecords> {
    await makeDirectory(folder);
    const journal = await Journal.open(join(folder, RECORDS), {
      kind: 'work',
      key: { format: 1 },
      schema: recordSchema,
    });
    return new StepRecords(journal, onNotice);
  }

  /** The result of a step: the recorded one if nothing has changed since, else that of doing it now. */
  async do<Result>({ name, key, files = [], schema, run }: Step<Result>): Promise<Result> {
    const record = this.#journal.entries.findLast(({ step }) => step === name);
    if (record) {
      const reason = changedField(record.key, key) ?? (await changedFile(record.files, files));
      const known = schema.safeParse(record.result);
      if (reason === undefined && known.success) return known.data;
      this.#onNotice(`The step "${name}" is done again, because ${reason ?? 'its record has another form'}.`);
    }
    const result = await run();
    const hashes: Record<string, string> = {};
    for (const path of files) hashes[path] = await hashOf(path);
    await this.#journal.append({ step: name, key: { ...key }, files: hashes, result });
    return result;
  }

  /** Lets other processes open the records. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#journal.close();
  }
}

function changedField(known: JournalKey, key: JournalKey): string | undefined {
  const field = [...new Set([...Object.keys(known), ...Object.keys(key)])].find((name) => known[name] !== key[name]);
  if (field === undefined) return undefined;
  const [before, now] = [known[field], key[field]];
  // Hashes tell a reader nothing.
  const isShort = [before, now].every((value) => value !== undefined && String(value).length <= 40);
  return `"${field}" changed${isShort ? ` from ${before} to ${now}` : ''}`;
}

async function changedFile(
  known: Readonly<Record<string, string>>,
  files: readonly string[],
): Promise<string | undefined> {
  for (const path of files) {
    if (!(await exists(path))) return `${path} does not exist any more`;
    if ((await hashOf(path)) !== known[path]) return `${path} has changed`;
  }
  return undefined;
}

/** The hash of a file's content, read piece by piece. A folder has none: its files are not compared. */
async function hashOf(path: string): Promise<string> {
  if (await isDirectory(path)) return '';
  return hashFile(path);
}
