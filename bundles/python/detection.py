"""What run.py and compare.py share: the data of the bundle, results as boxes, and the options by which a model is chosen."""
import argparse
import json
import os
import sys

from packages import needed
from pictures import prepare

np = needed("numpy", "install it with pip install numpy")
FOLDER = os.path.dirname(os.path.abspath(__file__))


def reason(error):
    """The last line of what a library says, which names the cause."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1].strip().rstrip(".")


def read_json(name):
    path = os.path.join(FOLDER, name)
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError) as error:
        sys.exit(f"{path} cannot be read ({reason(error)}); copy the whole folder that dino8 wrote.")


BUNDLE = read_json("bundle.json")
if BUNDLE.get("format") != 1:
    sys.exit("bundle.json is of another version of dino8 than the scripts beside it; copy the whole folder that dino8 wrote.")
SIZES = {each["name"]: each for each in BUNDLE["engines"] if "size" in each}
MODELS = {each["name"]: each["model"] for each in BUNDLE["engines"]}


def find(logits, boxes, phrases, threshold):
    """What the model's results say: boxes as left, top, width and height in parts of the picture, the best first."""
    if phrases[-1]["end"] > logits.shape[2]:
        sys.exit("The model has fewer tokens than the phrases of bundle.json, so it is of another bundle; copy the whole folder.")
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
            missing = set(BUNDLE["outputs"].values()) - set(results)
            if missing:
                sys.exit(f"The model has no result {min(missing)}, so it is of another bundle; copy the whole folder.")
            logits, boxes = (results[BUNDLE["outputs"][each]] for each in ("logits", "boxes"))
            found += find(logits, boxes, phrases, threshold)
        return sorted(found, key=lambda each: -each["score"])

    return detect
