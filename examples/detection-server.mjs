// An HTTP server that detects objects. Send an image as the body, and what to find as `phrases`:
//
//   node examples/detection-server.mjs [MODEL] [PORT]
//   curl --data-binary @photo.jpg 'http://localhost:8080/detect?phrases=red+circle,blue+square'
import { createServer } from 'node:http';
import { bundledModel, Detector, Dino8Error, decodeImage, readPackage } from 'dino8';

const [model = bundledModel(), port = '8080'] = process.argv.slice(2);

/** The largest image that is accepted, in bytes. */
const LIMIT = 20_000_000;
/** The number of prompts whose encoding is kept. */
const KEPT_PROMPTS = 100;

const detector = await Detector.create(await readPackage(model));
const prompts = new Map();

/** The text of a prompt is encoded once, however many images are searched for it. */
function encodedPrompt(phrases) {
  const known = prompts.get(phrases);
  if (known) return known;
  const encoded = detector.encodePrompt(phrases);
  prompts.set(phrases, encoded);
  encoded.catch(() => prompts.delete(phrases)); // A prompt that failed is not kept; its request reports the error.
  if (prompts.size > KEPT_PROMPTS) prompts.delete(prompts.keys().next().value);
  return encoded;
}

/** The body of a request, or undefined if it is larger than `LIMIT`. */
async function bodyOf(request) {
  const pieces = [];
  let bytes = 0;
  for await (const piece of request) {
    bytes += piece.length;
    if (bytes > LIMIT) return undefined;
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}

async function detect(request) {
  const { searchParams } = new URL(request.url, 'http://localhost');
  const body = await bodyOf(request);
  if (body === undefined) return [413, { error: 'The image is too large.' }];
  const image = await decodeImage(body, 'The body of the request');
  const threshold = Number(searchParams.get('threshold') ?? 0.35);
  return [200, await detector.detect(image, await encodedPrompt(searchParams.get('phrases') ?? ''), threshold)];
}

const server = createServer(async (request, response) => {
  // An error of the library is the sender's fault: an image that cannot be read, or a prompt without phrases.
  const [status, body] = await detect(request).catch((error) =>
    error instanceof Dino8Error ? [400, { error: error.message }] : [500, { error: 'The server failed.' }],
  );
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
});
server.listen(Number(port), () => console.log(`Listening on port ${server.address().port}.`));

process.once('SIGTERM', () => server.close(() => detector.close()));
