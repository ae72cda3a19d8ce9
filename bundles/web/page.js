// The page: pictures and phrases go to the worker, boxes come back.
const get = (id) => document.getElementById(id);
const [stage, canvas, video] = ['stage', 'canvas', 'video'].map(get);
const [status, progress, notices, about] = ['status', 'progress', 'notices', 'about'].map(get);
const [form, prompt, phrases, threshold, file] = ['form', 'prompt', 'phrases', 'threshold', 'file'].map(get);
const [find, pick, camera, check, boxes] = ['find', 'pick', 'camera', 'check', 'boxes'].map(get);

const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;
const seconds = (milliseconds) =>
  milliseconds < 1000 ? `${milliseconds.toFixed(0)} ms` : `${(milliseconds / 1000).toFixed(1)} s`;

function say(sentence, isError = false) {
  status.textContent = sentence;
  status.classList.toggle('error', isError);
}

/** Notices about the model and the page, which stay while those about phrases change. */
const lasting = [];

function notify(...sentences) {
  const all = new Set([...lasting, ...sentences]);
  notices.replaceChildren(...[...all].map((sentence) => element('li', {}, sentence)));
}

function notifyLasting(sentence) {
  lasting.push(sentence);
  notify();
}

function element(name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

// The worker answers a message by its number.

const worker = new Worker(new URL('worker.js', import.meta.url), { type: 'module' });
const waiting = new Map();
let count = 0;

function ask(type, content = {}, transfer = []) {
  const id = ++count;
  worker.postMessage({ id, type, ...content }, transfer);
  return new Promise((resolve, reject) => waiting.set(id, { resolve, reject }));
}

worker.addEventListener('error', (event) => {
  say(
    `The worker of this page does not start${event.message ? ` (${event.message})` : ''}; use a newer browser.`,
    true,
  );
});
worker.addEventListener('message', ({ data }) => {
  if (data.type === 'progress') {
    progress.hidden = false;
    progress.value = data.done / data.total;
    say(`Loading the model: ${megabytes(data.done)} of ${megabytes(data.total)}`);
  } else if (data.type === 'preparing') {
    progress.removeAttribute('value');
    say('Preparing the model …');
  } else if (data.type === 'notice') notifyLasting(data.sentence);
  else if (data.type === 'started') start();
  else {
    const { resolve, reject } = waiting.get(data.id) ?? {};
    waiting.delete(data.id);
    if (data.type === 'done') resolve?.(data);
    else reject?.(new Error(data.message));
  }
});

/** How the model runs, in a few words that each time stands beside. */
let manner = '';

async function start() {
  try {
    const loaded = await ask('load');
    const threads = loaded.threads === 1 ? '1 thread' : `${loaded.threads} threads`;
    manner = `${loaded.backend}, ${threads}`;
    if (!loaded.isIsolated)
      notifyLasting(
        'The model runs on one thread, because the server does not isolate this page; the README of this folder says which headers to send.',
      );
    if (loaded.prompts) offerPrompts(loaded.prompts);
    const facts = {
      Model: `${megabytes(loaded.bytes)}, ${loaded.precision}`,
      'Runs by': `${loaded.runtime}, ${manner}`,
      'Prepared in': seconds(loaded.milliseconds),
      'Made by': `dino8 ${loaded.version}`,
    };
    about.replaceChildren(
      ...Object.entries(facts).flatMap(([name, value]) => [element('dt', {}, name), element('dd', {}, value)]),
    );
    for (const control of [prompt, phrases, find, pick, camera, check, file]) control.disabled = false;
    camera.hidden = !navigator.mediaDevices;
    say(`Ready (${manner}). Choose a picture.`);
  } catch (error) {
    say(error.message, true);
  } finally {
    progress.hidden = true;
  }
}

// Fixed phrases.

/** The prompts of a model for fixed phrases; undefined if it takes any. */
let prompts;

/** Shows the phrases of a model for fixed phrases, with a choice of the prompt if it has several. */
function offerPrompts(all) {
  prompts = all;
  phrases.readOnly = true;
  phrases.title = 'This model is made for these phrases.';
  prompt.replaceChildren(...all.map(({ name }, index) => element('option', { value: index }, name ?? '')));
  for (const part of [prompt, ...prompt.labels]) part.hidden = all.length < 2;
  showPhrases();
}

function showPhrases() {
  phrases.value = prompts[prompt.selectedIndex].phrases.join(', ');
}

prompt.addEventListener('change', () => {
  showPhrases();
  if (picture && !stream) run();
});

// Pictures.

let picture;

/** A colour for each phrase, far from those of its neighbours. */
const colourOf = (phrase) => `hsl(${(phrase * 137.5) % 360} 85% 45%)`;

/** A small picture is drawn larger, up to this many times, so that letters on it are readable. */
const LARGEST_ZOOM = 4;

function draw({ image, boxes: found, width, height }) {
  canvas.hidden = false;
  const shown = (stage.clientWidth || width) * devicePixelRatio;
  const zoom = Math.max(1, Math.min(LARGEST_ZOOM, shown / width));
  canvas.width = Math.round(width * zoom);
  canvas.height = Math.round(height * zoom);
  const context = canvas.getContext('2d');
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  // Lines and letters of the same size on the screen, however large the picture is.
  const unit = Math.max(1, (canvas.width / shown) * devicePixelRatio);
  context.lineWidth = 2.5 * unit;
  context.font = `600 ${14 * unit}px system-ui, sans-serif`;
  context.textBaseline = 'top';
  for (const { box, label, phrase, score } of found.toReversed()) {
    const [left, top, boxWidth, boxHeight] = box.map((each) => each * zoom);
    context.strokeStyle = colourOf(phrase);
    context.strokeRect(left, top, boxWidth, boxHeight);
    const text = `${label} ${score.toFixed(2)}`;
    const [textWidth, textHeight] = [context.measureText(text).width + 8 * unit, 20 * unit];
    const x = Math.max(0, Math.min(left, canvas.width - textWidth));
    const y = top >= textHeight ? top - textHeight : Math.max(0, top);
    context.fillStyle = colourOf(phrase);
    context.fillRect(x, y, textWidth, textHeight);
    context.fillStyle = 'white';
    context.fillText(text, x + 4 * unit, y + 3 * unit);
  }
  const names = found.map(({ label, score }) => `${label} ${score.toFixed(2)}`).join(', ');
  canvas.setAttribute('aria-label', found.length > 0 ? `Picture with boxes: ${names}` : 'Picture without boxes');
  boxes.replaceChildren(
    ...found.map(({ label, phrase, score }) => {
      const swatch = element('span', { className: 'swatch' });
      swatch.style.setProperty('background', colourOf(phrase));
      return element('li', {}, swatch, label, element('span', { className: 'score' }, score.toFixed(2)));
    }),
  );
}

/** What is looked for: a prompt of a model for fixed phrases, which may have a name, or the text. */
const wanted = () => (prompts ? { name: prompts[prompt.selectedIndex].name } : { phrases: phrases.value });

/** Whether there is nothing to look for. */
const isEmpty = () => wanted().phrases?.trim() === '';

/** What was found in the picture that is shown, with the picture. */
let last;

/** Draws the boxes that have the minimum score, and says how many. */
function show() {
  const found = last.boxes.filter(({ score }) => score >= Number(threshold.value));
  draw({ ...last, boxes: found });
  const many = found.length === 1 ? '1 box' : `${found.length} boxes`;
  say(`${many} in ${seconds(last.milliseconds)} (${manner}).`);
  notify(...last.warnings);
}

/** Boxes of all scores that the page can show, so that another minimum needs no other run. */
const search = (image, transfer) =>
  ask('detect', { picture: image, ...wanted(), threshold: Number(threshold.min) }, transfer);

/** A picture to draw. Where phrases are looked for, the worker has refused one that would take too much memory before. */
async function shownPicture(chosen) {
  try {
    chosen.bitmap ??= await createImageBitmap(chosen.file);
    return chosen.bitmap;
  } catch {
    throw new Error(`${chosen.file.name} cannot be shown by this browser; choose a JPEG, PNG or WebP file.`);
  }
}

/** Finds the phrases in the picture that was chosen last. */
async function run() {
  if (!picture) return say('Choose a picture first.');
  const asked = picture;
  try {
    find.disabled = true;
    say('Looking …');
    const found = isEmpty() ? undefined : await search(asked.file);
    const image = await shownPicture(asked);
    // Another picture was chosen meanwhile, whose boxes may have come before these.
    if (picture !== asked) return;
    if (found) {
      last = { ...found, image };
      return show();
    }
    draw({ image, boxes: [], width: image.width, height: image.height });
    say('Name what to look for, then press Find.');
  } catch (error) {
    if (picture === asked) say(error.message, true);
  } finally {
    find.disabled = false;
  }
}

async function choose(chosen) {
  if (!chosen) return;
  stopCamera();
  picture = { file: chosen };
  last = undefined;
  await run();
}

form.addEventListener('submit', (event) => {
  event.preventDefault();
  if (!stream) run();
});
pick.addEventListener('click', () => file.click());
file.addEventListener('change', () => {
  choose(file.files[0]);
  file.value = '';
});
threshold.addEventListener('input', () => {
  get('threshold-value').textContent = Number(threshold.value).toFixed(2);
  if (last && !stream) show();
});
for (const type of ['dragover', 'dragleave', 'drop'])
  stage.addEventListener(type, (event) => {
    event.preventDefault();
    stage.classList.toggle('over', type === 'dragover');
    if (type === 'drop' && !file.disabled) choose(event.dataTransfer.files[0]);
  });

// The camera: one frame at a time, as fast as the model is.

let stream;

function stopCamera() {
  for (const track of stream?.getTracks() ?? []) track.stop();
  stream = undefined;
  camera.textContent = 'Camera';
}

async function startCamera() {
  // A second press while the browser asks for permission would open a second stream, which nothing stops.
  camera.disabled = true;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: 'environment' } });
    video.srcObject = stream;
    await video.play();
  } catch (error) {
    stopCamera();
    return say(`The camera is not available (${error.message}); allow it in the settings of the browser.`, true);
  } finally {
    camera.disabled = false;
  }
  const own = stream;
  picture = last = undefined;
  camera.textContent = 'Stop';
  // The camera may be stopped, and started again, while a frame is looked at.
  while (stream === own) {
    if (isEmpty()) {
      say('Name what to look for.');
      await new Promise((resolve) => setTimeout(resolve, 300));
      continue;
    }
    try {
      const [frame, shown] = await Promise.all([createImageBitmap(video), createImageBitmap(video)]);
      const found = await search(frame, [frame]);
      if (stream !== own) return shown.close();
      last?.image.close();
      last = { ...found, image: shown };
      show();
    } catch (error) {
      if (stream !== own) return;
      stopCamera();
      return say(error.message, true);
    }
  }
}

camera.addEventListener('click', () => (stream ? stopCamera() : startCamera()));

check.addEventListener('click', async () => {
  check.disabled = true;
  say('Checking …');
  try {
    const { agrees, agreeing, expected } = await ask('check');
    say(
      agrees
        ? `This browser computes the same as dino8: ${agreeing} of ${expected} boxes of the check agree.`
        : `This browser computes something else than dino8: only ${agreeing} of ${expected} boxes of the check agree; do not rely on it.`,
      !agrees,
    );
  } catch (error) {
    say(error.message, true);
  } finally {
    check.disabled = false;
  }
});

say('Starting …');
