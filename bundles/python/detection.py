"""What run.py and compare.py share: pictures as the model's input, results as boxes, and the options by which a model is chosen."""
import argparse
import importlib
import json
import os
import sys

import numpy as np

FOLDER = os.path.dirname(os.path.abspath(__file__))


def needed(name, package):
    """A module, or a sentence that says how to get it."""
    try:
        return importlib.import_module(name)
    except ImportError:
        sys.exit(f"This Python ({sys.executable}) does not have {name}; {package}.")


def read_json(name):
    with open(os.path.join(FOLDER, name), encoding="utf-8") as file:
        return json.load(file)


BUNDLE = read_json("bundle.json")
SIZES = {each["name"]: each for each in BUNDLE["engines"] if "size" in each}
MODELS = {each["name"]: each["model"] for each in BUNDLE["engines"]}


def prepare(image, settings, size):
    """A picture as the model's input, float32 [1, 3, height, width]."""
    stretched = image.convert("RGB").resize((size["width"], size["height"]), settings["resample"])
    scaled = np.asarray(stretched, dtype=np.float32) * np.float32(settings["scale"])
    normal = (scaled - np.float32(settings["mean"])) / np.float32(settings["deviation"])
    return np.ascontiguousarray(normal.transpose(2, 0, 1)[None])


def find(logits, boxes, phrases, threshold):
    """What the model's results say: boxes as left, top, width and height in parts of the picture, the best first."""
    # Tokens that do not count have a logit of minus infinity.
    if np.isnan(logits).any() or not np.isfinite(boxes).all():
        sys.exit("The model computes values that are no numbers (NaN) here: do not use it. The README says what to try.")
    probability = 1 / (1 + np.exp(-logits[0].astype(np.float64)))
    mean = np.stack([probability[:, each["begin"] : each["end"]].mean(1) for each in phrases], 1)
    highest = np.stack([probability[:, each["begin"] : each["end"]].max(1) for each in phrases], 1)
    best = mean.argmax(1)
    score = highest[np.arange(len(best)), best]
    found = []
    for query in np.argsort(-score, kind="stable"):
        if score[query] < threshold:
            break
        x, y, width, height = (float(value) for value in boxes[0, query])
        box = [x - width / 2, y - height / 2, width, height]
        phrase = phrases[best[query]]
        found.append({"phrase": phrase["phrase"], "score": float(score[query]), "box": box, "label": phrase["label"]})
    return found


def arguments(description):
    """A parser with the options by which a model is chosen."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    main_name = next(name for name, each in SIZES.items() if each["model"] == "model.onnx")
    parser.add_argument("--size", choices=SIZES, default=main_name, help=f"height x width of the model (default: {main_name})")
    return parser


def prompts(phrases, load):
    """What is looked for: for each prompt the inputs of the model that depend on it, and its phrases. A bundle without a text encoder
    has one prompt, which is part of its models."""
    own = BUNDLE["postprocessing"]["phrases"]
    if "text" not in BUNDLE:
        return [({}, [{"phrase": index, **each} for index, each in enumerate(own)])]
    from prompt import encode

    return encode(phrases or [each["label"] for each in own], load(BUNDLE["text"]["engine"]))


def detector(model, name, asked):
    """A function from a picture and a threshold to boxes, for the model of a size and what `prompts` returned."""

    def detect(image, threshold):
        pixels = prepare(image, BUNDLE["preprocessing"], SIZES[name]["size"])
        found = []
        for feeds, phrases in asked:
            results = model.run({BUNDLE["input"]: pixels, **feeds})
            logits, boxes = (results[BUNDLE["outputs"][each]] for each in ("logits", "boxes"))
            found += find(logits, boxes, phrases, threshold)
        return sorted(found, key=lambda each: -each["score"])

    return detect
