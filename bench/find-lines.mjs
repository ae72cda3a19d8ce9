// Finds the lines of text in a map of probabilities, as differentiable binarization finds them (https://arxiv.org/abs/1911.08947,
// section 3.5), but upright: connected pixels above 0.3, the box around them grown by area · 1.5 / perimeter.

const THRESHOLD = 0.3;
const GROWTH = 1.5;
const SMALLEST = 3;

/** Boxes { left, top, width, height } in pixels of the picture of which [height, width] is the map. */
export function findLines(map, height, width, picture) {
  const seen = new Uint8Array(height * width);
  const boxes = [];
  for (let start = 0; start < map.length; start++) {
    if (seen[start] || map[start] <= THRESHOLD) continue;
    let [left, right, top, bottom] = [width, 0, height, 0];
    const pending = [start];
    seen[start] = 1;
    for (let at = pending.pop(); at !== undefined; at = pending.pop()) {
      const [x, y] = [at % width, Math.floor(at / width)];
      left = Math.min(left, x);
      right = Math.max(right, x);
      top = Math.min(top, y);
      bottom = Math.max(bottom, y);
      for (const [dx, dy] of [
        [1, 0],
        [-1, 0],
        [0, 1],
        [0, -1],
      ]) {
        const next = at + dx + dy * width;
        const isInside = x + dx >= 0 && x + dx < width && y + dy >= 0 && y + dy < height;
        if (!isInside || seen[next] || map[next] <= THRESHOLD) continue;
        seen[next] = 1;
        pending.push(next);
      }
    }
    const [w, h] = [right - left + 1, bottom - top + 1];
    if (Math.min(w, h) < SMALLEST) continue;
    const grown = (w * h * GROWTH) / (2 * (w + h));
    boxes.push(scaled(left - grown, top - grown, right + 1 + grown, bottom + 1 + grown));
  }
  return boxes.filter((box) => box.width >= SMALLEST && box.height >= SMALLEST);

  function scaled(left, top, right, bottom) {
    const x = (value) => Math.round(Math.min(Math.max(value / width, 0), 1) * picture.width);
    const y = (value) => Math.round(Math.min(Math.max(value / height, 0), 1) * picture.height);
    return { left: x(left), top: y(top), width: x(right) - x(left), height: y(bottom) - y(top) };
  }
}
