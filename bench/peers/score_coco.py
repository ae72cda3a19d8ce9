"""Scores a file of detections with pycocotools or faster-coco-eval: started by coco-scoring.mjs, which reads what it prints."""
import json
import resource
import sys
import time

labels, detections, package = sys.argv[1:]
if package == "pycocotools":
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval
else:
    from faster_coco_eval import COCO
    from faster_coco_eval import COCOeval_faster as COCOeval

start = time.process_time()
truth = COCO(labels)
run = COCOeval(truth, truth.loadRes(detections), "bbox")
read = time.process_time()
run.evaluate()
run.accumulate()
run.summarize()
end = time.process_time()
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
result = {"reading": read - start, "scoring": end - read, "memory": memory, "figures": [float(v) for v in run.stats[:12]]}
print(json.dumps(result))
