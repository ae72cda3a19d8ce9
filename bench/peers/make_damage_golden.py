"""Writes test/fixtures/damaged-jpeg.json: JPEG files, places where bytes of them are changed, and whether Pillow still reads them.

Usage: python bench/peers/make_damage_golden.py (with Pillow, in the root of a clone)
"""
import base64, io, json, random
from PIL import Image

random.seed(1)
picture = Image.open('assets/shapes/val/000001.jpg').convert('RGB').resize((96, 72))
files = []
for progressive in (False, True):
    stream = io.BytesIO()
    picture.save(stream, 'JPEG', quality=80, progressive=progressive)
    data = stream.getvalue()
    changes = []
    for _ in range(150):
        # A byte 0xff with another byte behind it looks like a marker.
        change = [[random.randrange(len(data) // 4, len(data)), random.choice([random.randrange(256), 255])] for _ in range(random.choice([1, 2, 5, 40]))]
        damaged = bytearray(data)
        for place, value in change: damaged[place] = value
        try:
            Image.open(io.BytesIO(bytes(damaged))).load()
            isRead = True
        except Exception: isRead = False
        changes.append({'bytes': change, 'isRead': isRead})
    files.append({'jpeg': base64.b64encode(data).decode(), 'changes': changes})
    print(sum(c['isRead'] for c in changes), 'of', len(changes), 'are read')
with open('test/fixtures/damaged-jpeg.json', 'w') as file:
    json.dump(files, file, separators=(',', ':'))
    file.write('\n')
