/**
 * The markers of a JPEG file. Data that is damaged in the middle often contains bytes that look like a marker. libjpeg then
 * fills the rest of the picture with grey and only warns, so that sharp returns it; Pillow goes on to the end of the file and
 * refuses the marker if there is none of its number (read_markers in libjpeg's jdmarker.c). So does this.
 */

const START = 0xd8;
const END = 0xd9;
const SCAN = 0xda;
const isRestart = (marker: number) => marker >= 0xd0 && marker <= 0xd7;
/** Frames of the kinds that libjpeg decodes: baseline, extended and progressive, by Huffman or arithmetic coding. */
const FRAMES = new Set([0xc0, 0xc1, 0xc2, 0xc9, 0xca]);
/** Markers with a length: tables, scans, the number of lines, restart intervals, and comments. */
const SEGMENTS = new Set([...FRAMES, 0xc4, 0xcc, SCAN, 0xdb, 0xdc, 0xdd, 0xfe]);
const isSegment = (marker: number) => SEGMENTS.has(marker) || (marker >= 0xe0 && marker <= 0xef);

/** The first marker of a JPEG file that a decoder would refuse, such as 0x12; undefined if there is none. */
export function wrongJpegMarker(bytes: Uint8Array): number | undefined {
  let at = 2; // behind the marker of the start
  let frames = 0;
  for (;;) {
    at = nextMarker(bytes, at);
    const marker = bytes[at++];
    if (marker === undefined || marker === END) return undefined;
    if (isRestart(marker) || marker === 0x01) continue;
    if (FRAMES.has(marker)) frames++;
    if (marker === START || frames > 1 || !isSegment(marker)) return marker;
    const length = ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
    if (length < 2) return marker;
    at += length;
  }
}

/** The place of the number of the next marker: behind a byte 0xff, and neither 0 nor 0xff itself. */
function nextMarker(bytes: Uint8Array, from: number): number {
  let at = from;
  for (;;) {
    at = bytes.indexOf(0xff, at);
    if (at < 0) return bytes.length;
    while (bytes[at] === 0xff) at++;
    if (bytes[at] !== 0) return at;
  }
}
