/** The section of a report with pictures: each once for every variant, in one row, with the boxes that it found. */
import { type Markup, markup } from '../base/markup.ts';
import { drawBoxes } from '../detect/annotate.ts';
import type { Section } from './page.ts';
import type { ShownImage } from './report-content.ts';

/** Nothing if the report has no pictures. @param reference the name of the variant that changes are told against */
export function pictureSections(
  images: readonly ShownImage[],
  missing: readonly string[],
  reference: string | undefined,
): Section[] {
  if (images.length === 0 && missing.length === 0) return [];
  const notes = missing.map((sentence) => markup`<p>${sentence}</p>`);
  const isChosen = images.some(({ detections }) => detections.some(({ change }) => change !== undefined));
  const choice = isChosen ? ` In these pictures most objects are lost or gained against ${reference}.` : '';
  const toggle = markup`<label class="toggle"><input type="checkbox" id="boxes" checked>Show boxes</label>`;
  return [
    {
      id: 'pictures',
      title: 'The same pictures, by each variant',
      body: markup`<p>Boxes at or above the usual threshold of 0.35, with their phrase and score.${choice}</p>${notes}
<div class="pictures">${images.length > 0 ? toggle : ''}${images.map(pictureRow)}</div>`,
    },
  ];
}

/** The picture is in the page once, and used again for the other variants. */
function pictureRow(image: ShownImage, index: number): Markup {
  const { name, width, height, mediaType, bytes, detections } = image;
  const id = `picture-${index}`;
  const source = `data:${mediaType};base64,${Buffer.from(bytes).toString('base64')}`;
  const figures = detections.map(({ variant, found, change }, place) => {
    const picture =
      place === 0
        ? markup`<image id="${id}" href="${source}" width="${width}" height="${height}" preserveAspectRatio="none"/>`
        : markup`<use href="#${id}"/>`;
    const changed = change ? `, ${change.lost} lost, ${change.gained} gained` : '';
    const said = `${name}, with ${found.length} boxes of ${variant}`;
    return markup`<figure><div class="picture"><svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${said}">${picture}<g class="boxes">${drawBoxes(image, found)}</g></svg></div><figcaption>${variant}: ${found.length} ${found.length === 1 ? 'box' : 'boxes'}${changed}</figcaption></figure>`;
  });
  return markup`<div class="card"><h3>${name}</h3><div class="row" role="region" aria-label="${name}, by each variant" tabindex="0">${figures}</div></div>`;
}
