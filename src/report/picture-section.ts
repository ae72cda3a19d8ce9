/** The section of a report with pictures: each once for every variant, in one row, with the boxes that it found. */
import { basename } from 'node:path';
import { type Markup, markup } from '../base/markup.ts';
import { drawBoxes } from '../detect/annotate.ts';
import type { Section } from './page.ts';
import type { ShownImage } from './report-content.ts';
import type { NamedChange, ReportedVariant } from './variants.ts';

/** Nothing if the report has no pictures. */
export function pictureSections(
  images: readonly ShownImage[],
  missing: readonly string[],
  variants: readonly ReportedVariant[],
): Section[] {
  if (images.length === 0 && missing.length === 0) return [];
  const notes = missing.map((sentence) => markup`<p>${sentence}</p>`);
  const changesOf = new Map(variants.map(({ name, errors }) => [name, errors?.change?.images]));
  const isChosen = images.length > 0 && [...changesOf.values()].some((changes) => changes !== undefined);
  const choice = isChosen
    ? ` They are those in which most objects are lost or gained against ${variants[0]?.name}.`
    : '';
  const toggle = markup`<label class="toggle"><input type="checkbox" id="boxes" checked>Show boxes</label>`;
  return [
    {
      id: 'pictures',
      title: 'The same pictures, by each variant',
      body: markup`<p>Boxes at or above the usual threshold of 0.35, with their phrase and score.${choice}</p>${notes}
<div class="pictures">${images.length > 0 ? toggle : ''}${images.map((image, index) => pictureRow(image, index, changesOf))}</div>`,
    },
  ];
}

/** The picture is in the page once, and used again for the other variants. */
function pictureRow(
  image: ShownImage,
  index: number,
  changesOf: ReadonlyMap<string, readonly NamedChange[] | undefined>,
): Markup {
  const { name, width, height, mediaType, bytes, detections } = image;
  const id = `picture-${index}`;
  const source = `data:${mediaType};base64,${Buffer.from(bytes).toString('base64')}`;
  const figures = detections.map(({ variant, found }, place) => {
    const picture =
      place === 0
        ? markup`<image id="${id}" href="${source}" width="${width}" height="${height}" preserveAspectRatio="none"/>`
        : markup`<use href="#${id}"/>`;
    const change = changesOf.get(variant)?.find((each) => basename(each.name) === name);
    const changed = change ? `, ${change.lost} lost, ${change.gained} gained` : '';
    const said = `${name}, with ${found.length} boxes of ${variant}`;
    return markup`<figure><div class="picture"><svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${said}">${picture}<g class="boxes">${drawBoxes(image, found)}</g></svg></div><figcaption>${variant}: ${found.length} ${found.length === 1 ? 'box' : 'boxes'}${changed}</figcaption></figure>`;
  });
  return markup`<div class="card"><h3>${name}</h3><div class="row" role="region" aria-label="${name}, by each variant" tabindex="0">${figures}</div></div>`;
}
