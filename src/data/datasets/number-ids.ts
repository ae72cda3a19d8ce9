/** Ids of any kind as whole numbers. */
import { InputError } from '../../base/errors.ts';

/** An id as files have it. */
export type FileId = number | string;

/** An id as a whole number, and what the file has in its place if that is no whole number. */
export interface NumberedId {
  readonly id: number;
  readonly sourceId: string | undefined;
}

/**
 * Gives every id a whole number, by its text. Whole numbers stay as they are. If any of them is a text, all are numbered from 1
 * in the order of the texts, in which pycocotools goes through them.
 * @param of names the things that have the ids in the error, such as "images"
 * @throws InputError if an id occurs twice
 */
export function numberIds(ids: readonly FileId[], of: string, source: string): Map<string, NumberedId> {
  const texts = ids.map(String);
  const numbered = new Map<string, NumberedId>();
  if (ids.every((id) => Number.isSafeInteger(id)))
    for (const [place, text] of texts.entries()) numbered.set(text, { id: Number(ids[place]), sourceId: undefined });
  else for (const [place, text] of texts.toSorted().entries()) numbered.set(text, { id: place + 1, sourceId: text });
  if (numbered.size < texts.length) {
    const seen = new Set<string>();
    const doubled = texts.find((text) => seen.size === seen.add(text).size);
    throw new InputError(
      `${source}: two ${of} have the id ${doubled}, so that labels of it could mean either; give each an id of its own.`,
    );
  }
  return numbered;
}
