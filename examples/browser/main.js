// The page: it gives pictures and phrases to the worker and lists the boxes.
const worker = new Worker(new URL('./worker.js', import.meta.url), { type: 'module' });
const [phrases, file, status, boxes] = ['phrases', 'file', 'status', 'boxes'].map((id) => document.getElementById(id));

worker.addEventListener('message', ({ data: { sentence, found } }) => {
  status.textContent = sentence;
  const lines = (found ?? []).map(({ label, score, box }) => {
    const line = document.createElement('li');
    line.textContent = `${label} ${score.toFixed(2)} at ${box.map(Math.round).join(', ')}`;
    return line;
  });
  boxes.replaceChildren(...lines);
});

file.addEventListener('change', () => {
  const [picture] = file.files;
  if (picture) worker.postMessage({ picture, phrases: phrases.value });
});
