// Loads the model once, and finds the phrases of each message in its picture.
import { Detector, readImage, readPackage } from 'dino8/web';

const megabytes = (bytes) => (bytes / 1e6).toFixed(1);

async function load() {
  const source = await readPackage(new URL('/model/', self.location.href), {
    onProgress: ({ done, total }) =>
      postMessage({ sentence: `Loading the model: ${megabytes(done)} of ${megabytes(total)} MB` }),
  });
  return Detector.create(source);
}

const loading = load();
loading.then(
  ({ threads }) => postMessage({ sentence: `Ready, with ${threads} ${threads === 1 ? 'thread' : 'threads'}.` }),
  (error) => postMessage({ sentence: error.message }),
);

addEventListener('message', async ({ data: { picture, phrases } }) => {
  try {
    const detector = await loading;
    const prompt = await detector.encodePrompt(phrases);
    const found = await detector.detect(await readImage(picture), prompt);
    postMessage({ sentence: `${found.length} found in ${picture.name}:`, found });
  } catch (error) {
    postMessage({ sentence: error.message });
  }
});
