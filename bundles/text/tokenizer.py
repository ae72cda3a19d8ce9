"""Splits a text into tokens of BERT's vocabulary, as the model was trained on them. Needs nothing but Python.

A text is cleaned, written in small letters without accents, and split at spaces and punctuation. Each word is then cut into the
longest pieces that the vocabulary has. vocabulary.json says which of these steps the model has, and characters.json which
characters are of which kind: those of the program by which such models are trained, whatever version of Unicode Python knows."""
import unicodedata
from bisect import bisect


class Kind:
    """A set of characters, as ranges of their numbers in ascending order."""

    def __init__(self, ranges):
        self.starts = [first for first, _ in ranges]
        self.ends = [last for _, last in ranges]

    def __contains__(self, character):
        place = bisect(self.starts, ord(character)) - 1
        return place >= 0 and ord(character) <= self.ends[place]


class Tokenizer:
    def __init__(self, rules, characters):
        self.rules = rules
        self.kinds = {name: Kind(ranges) for name, ranges in characters.items()}

    def ids(self, text):
        """The tokens of a text, without those that begin and end a prompt."""
        return [token for word in self.words(self.normal(text)) for token in self.pieces(word)]

    def normal(self, text):
        """The text in the form in which it is looked up."""
        rules, kinds = self.rules, self.kinds
        if rules["removes_control"]:
            text = "".join(each for each in text if each not in kinds["removed"])
        if rules["splits_ideographs"]:
            text = "".join(f" {each} " if each in kinds["ideographs"] else each for each in text)
        if rules["strips_accents"]:
            text = "".join(each for each in unicodedata.normalize("NFD", text) if each not in kinds["marks"])
        # One by one: what becomes of a letter does not depend on its place.
        return "".join(each.lower() for each in text) if rules["lowercase"] else text

    def words(self, text):
        """Words and signs of punctuation, each of which stands alone."""
        word = ""
        for each in text:
            is_sign = each in self.kinds["punctuation"]
            if not is_sign and each not in self.kinds["spaces"]:
                word += each
                continue
            if word:
                yield word
            if is_sign:
                yield each
            word = ""
        if word:
            yield word

    def pieces(self, word):
        """The tokens of a word; the unknown one if it is too long, or a part of it is in no piece."""
        rules, found, start = self.rules, [], 0
        if len(word) > rules["longest_word"]:
            return [rules["unknown"]]
        while start < len(word):
            prefix = rules["prefix"] if start else ""
            ends = range(len(word), start, -1)
            end = next((each for each in ends if prefix + word[start:each] in rules["vocabulary"]), None)
            if end is None:
                return [rules["unknown"]]
            found.append(rules["vocabulary"][prefix + word[start:end]])
            start = end
        return found
