"""Reads pictures and makes them the model's input, as dino8 does."""
import sys

from packages import needed

np = needed("numpy", "install it with pip install numpy")
Image, ImageOps = (needed(f"PIL.{name}", "install it with pip install pillow") for name in ("Image", "ImageOps"))

# As in dino8: a file of a few bytes may not ask for more memory than the pixels of this many take.
MOST_PIXELS = 1 << 26
Image.MAX_IMAGE_PIXELS = None

# Kinds of pixels of which Pillow makes other colours than dino8, which refuses them.
NO_COLOURS = {"F": "floats", "LAB": "CIELab", "HSV": "HSV", "YCbCr": "YCbCr without JPEG"}


def colours(opened):
    """The kind of colours that a file stores, if it is one of NO_COLOURS."""
    tags = getattr(opened, "tag_v2", {})
    # Pillow takes YCbCr that libtiff decodes for RGB. What JPEG encodes is RGB already; 262 is the tag of the kind, 259 of the encoding.
    if tags.get(262) == 6 and tags.get(259) not in (6, 7):
        return NO_COLOURS["YCbCr"]
    return NO_COLOURS.get(opened.mode)


def read_picture(file, name):
    """The first picture of a file as RGB, upright as it is meant to be seen; without one, a sentence ends the program."""
    try:
        with Image.open(file) as opened:
            width, height = opened.size
            if width * height > MOST_PIXELS:
                sys.exit(f"{name} has {width}x{height} pixels, more than the {MOST_PIXELS} that are read; make it smaller.")
            if colours(opened):
                sys.exit(f"{name} stores {colours(opened)}, which is not read here; convert it to RGB of 8 bits.")
            upright = ImageOps.exif_transpose(opened)
            if upright.mode.startswith("I") and np.asarray(upright).max() > 255:
                note = "is grayscale of 16 bits, of which all above 255 is white, as in the training of the model; convert it to 8 bits."
                print(f"{name} {note}", file=sys.stderr)
            return upright.convert("RGB")
    # Pillow has no class for the errors of its decoders, which are of many kinds on damaged files.
    except Exception as error:
        sys.exit(f"{name} cannot be read as a picture ({getattr(error, 'strerror', None) or error or type(error).__name__}).")


def prepare(image, settings, size):
    """An RGB picture as the model's input, float32 [1, 3, height, width]."""
    stretched = image.resize((size["width"], size["height"]), settings["resample"])
    scaled = np.asarray(stretched, dtype=np.float32) * np.float32(settings["scale"])
    normal = (scaled - np.float32(settings["mean"])) / np.float32(settings["deviation"])
    return np.ascontiguousarray(normal.transpose(2, 0, 1)[None])
