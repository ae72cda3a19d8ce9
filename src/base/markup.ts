/**
 * HTML and SVG from templates that escape by default: a value in a `markup` template becomes text, unless it is markup
 * already. So a file name or a phrase with `<`, `&` or quotes cannot become part of a page's structure.
 */
import { showHidden } from './printable.ts';

/** A piece of HTML or SVG. Only `markup` and `trustedMarkup` make one. */
export class Markup {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  /** The HTML or SVG source. */
  toString(): string {
    return this.#text;
  }
}

/** Values that a template takes: text and numbers are escaped, markup is inserted as it is, lists are joined. */
export type MarkupValue = string | number | Markup | readonly MarkupValue[];

/**
 * A template tag whose values are escaped for element content and for attributes in double quotes. Values must not be
 * placed in attributes without quotes, or inside `<script>` and `<style>`, where other rules apply.
 * @example
 * const cell = (text: string) => markup`<td title="${text}">${text}</td>`;
 * const row = markup`<tr>${['a < b', 'c'].map(cell)}</tr>`;
 */
export function markup(texts: TemplateStringsArray, ...values: readonly MarkupValue[]): Markup {
  return new Markup(texts.reduce((whole, text, index) => whole + sourceOf(values[index - 1] ?? '') + text));
}

/** Markup from a string that is HTML or SVG already. The caller vouches for it: nothing is escaped. */
export const trustedMarkup = (source: string): Markup => new Markup(source);

function sourceOf(value: MarkupValue): string {
  if (value instanceof Markup) return value.toString();
  if (typeof value === 'string' || typeof value === 'number') return escapeText(String(value));
  return value.map(sourceOf).join('');
}

/** Characters with a meaning in markup become references; those that cannot be seen are shown, so that names are what they seem. */
const escapeText = (text: string): string =>
  showHidden(text)
    .replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
    .replace(/[^\t\n\r\x20-\uFFFD]/g, '?');
