"""From phrases to the inputs of a model that has its text encoder beside it. Needs numpy.

A prompt is "[CLS] a . b c . [SEP]". The tokens of a phrase see each other only, and their positions count from 0. Phrases that do not
fit into one prompt fill several, and the model runs once for each. bundle.json has the tokens and the names of the inputs."""
import sys

import numpy as np

from detection import BUNDLE, read_json
from tokenizer import Tokenizer

TEXT = BUNDLE["text"]
TOKENS, INPUTS = TEXT["tokens"], TEXT["inputs"]


def note(sentence):
    print(sentence, file=sys.stderr)


def phrase_tokens(phrase, tokenizer):
    """The tokens of a phrase, without those that would end it."""
    every = tokenizer.ids(phrase.lower())
    found = [token for token in every if token not in TOKENS["ends"]]
    room = TEXT["length"] - 3
    if not found or not any(each.isalnum() for each in phrase):
        sys.exit(f'The phrase "{phrase}" has no words; name what to find, as in "red circle".')
    if len(found) > room:
        sys.exit(f'The phrase "{phrase[:60]}" has {len(found)} tokens; at most {room} fit.')
    if 2 * found.count(tokenizer.rules["unknown"]) >= len(found):
        note(f'The phrase "{phrase[:60]}" is mostly unknown to the model, so it will hardly be found.')
    if any(token in TOKENS["ends"] for token in every[: len(found)]):
        note(f'In the phrase "{phrase[:60]}", periods and question marks are left out, because the model takes them for its end.')
    return found


def chunks(phrases, tokenizer):
    """As few prompts as possible, each with its tokens and the place of each phrase among them."""
    made, known = [], {}
    for index, phrase in enumerate(each.strip() for each in phrases):
        own = phrase_tokens(phrase, tokenizer)
        same = known.setdefault(tuple(own), phrase)
        if same is not phrase:
            note(f'The phrase "{phrase[:60]}" is the same to the model as "{same[:60]}"; each box goes to one of the two only.')
        if not made or len(made[-1]["tokens"]) + len(own) + 2 > TEXT["length"]:
            made.append({"tokens": [TOKENS["first"]], "phrases": []})
        tokens = made[-1]["tokens"]
        span = {"phrase": index, "label": phrase, "begin": len(tokens), "end": len(tokens) + len(own)}
        made[-1]["phrases"].append(span)
        tokens.extend([*own, TOKENS["separator"]])
    for each in made:
        each["tokens"].append(TOKENS["last"])
    return made


def masks(tokens):
    """The position of each token within its phrase, and which tokens each one sees."""
    count = len(tokens)
    positions, sees = np.zeros(count, np.int64), np.eye(count, dtype=np.bool_)
    start = 0
    for end, token in enumerate(tokens):
        if token in TOKENS["ends"]:
            if 0 < end < count - 1:
                positions[start:end] = np.arange(end - start)
                sees[start : end + 1, start : end + 1] = True
            start = end + 1
    return positions, sees


def encode(phrases, text_model):
    """For each prompt the inputs of the model that depend on it, and its phrases. `text_model` is the text encoder."""
    made = []
    for chunk in chunks(phrases, Tokenizer(read_json("vocabulary.json"), read_json("characters.json"))):
        count, length = len(chunk["tokens"]), TEXT["length"]
        tokens = chunk["tokens"] + [TOKENS["padding"]] * (length - count)
        positions, sees = masks(tokens)
        shared = {INPUTS["positions"]: positions[None], INPUTS["sees"]: sees[None]}
        results = text_model.run({INPUTS["tokens"]: np.array([tokens], np.int64), **shared})
        if INPUTS["features"] not in results:
            sys.exit(f"The text encoder has no result {INPUTS['features']}, so it is of another bundle; copy the whole folder.")
        counted = np.arange(length)[None] < count
        # A copy, since a runtime may use the memory of a result again.
        made.append(({**shared, INPUTS["counted"]: counted, INPUTS["features"]: np.array(results[INPUTS["features"]])}, chunk["phrases"]))
    return made
