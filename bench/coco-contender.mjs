// Scores a file of detections with dino8: started by coco-scoring.mjs, which reads what it prints.
import { averagePrecision, readDetections } from '../dist/evaluate.mjs';
import { readAnnotations } from '../dist/index.mjs';

const [labels, detections] = process.argv.slice(2);
const processorTime = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};
const start = processorTime();
const truth = await readAnnotations(labels);
const found = await readDetections(detections, truth);
const read = processorTime();
const { figures } = averagePrecision(truth, found);
const [reading, scoring] = [read - start, processorTime() - read];
const memory = process.resourceUsage().maxRSS * 1024;
console.log(JSON.stringify({ reading, scoring, memory, figures: Object.values(figures) }));
