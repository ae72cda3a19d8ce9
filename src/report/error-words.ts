/** The causes of errors and the groups of objects in the words of tables. */
import type { ErrorCause } from '../evaluate/errors/find-errors.ts';
import type { ByGroup } from '../evaluate/errors/found-objects.ts';

/** The causes in the words of tables. */
export const CAUSES: Readonly<Record<ErrorCause, string>> = {
  classification: 'classification: on an object of another category',
  localization: 'localization: the right category, beside the object',
  both: 'both: another category, and beside the object',
  duplicate: 'duplicate: the object was found before',
  background: 'background: on no object',
  missed: 'missed: an object that no box is near',
};

/** The groups of objects in the words of tables. */
const GROUPS = {
  small: 'small, less than 32² pixels',
  medium: 'medium, up to 96² pixels',
  large: 'large',
  free: 'not covered by another object',
  partly: 'partly covered, by a tenth or more',
  mostly: 'covered by half or more',
} as const;

/** A row for each group of objects. */
export function rowsOfGroups<T>({ size, occlusion }: ByGroup<T>): { readonly title: string; readonly value: T }[] {
  const values: Record<keyof typeof GROUPS, T> = { ...size, ...occlusion };
  return Object.entries(GROUPS).map(([group, title]) => ({ title, value: values[group as keyof typeof GROUPS] })); // GROUPS has these keys
}
