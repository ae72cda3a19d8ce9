"""Writes test/fixtures/datasets/variants.json: annotation files as tools write them, and what pycocotools computes on each.

Every variant is the same four pictures and boxes, with one thing that is odd. The detections are the boxes, moved at random.
Where pycocotools fails on a variant, or takes a text such as "0" for true, the figures are those of the file that it stands for.
Usage: python bench/peers/make_dataset_golden.py (with pycocotools, in the root of a clone)
"""
import contextlib, copy, io, json, random
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

with open('assets/shapes/annotations/instances_val.json') as file:
    whole = json.load(file)
images = whole['images'][:4]
annotations = [a for a in whole['annotations'] if a['image_id'] in {i['id'] for i in images}]
used = sorted({a['category_id'] for a in annotations} | {1})
base = {'images': images, 'annotations': annotations, 'categories': [c for c in whole['categories'] if c['id'] in used]}
name_of = {c['id']: c['name'] for c in base['categories']}
file_of = {i['id']: i['file_name'] for i in images}

random.seed(5)
detections = []
for a in annotations:
    for _ in range(2):
        box = [round(v + random.gauss(0, 1.5), 2) for v in a['bbox']]
        detections.append({'file': file_of[a['image_id']], 'category': name_of[a['category_id']], 'bbox': box, 'score': round(random.random(), 2)})

def each(key, change):
    def apply(data):
        for item in data[key]: change(item)
    return apply

def both(*changes):
    def apply(data):
        for change in changes: change(data)
    return apply

def polygon(a):
    x, y, w, h = a.pop('bbox')
    a['segmentation'] = [[x, y, x + w, y, x + w, y + h]]

def rename(pattern):
    return each('images', lambda i: i.update(file_name=pattern % i['file_name']))

def add_category(**fields):
    return lambda data: data['categories'].append(fields)

def add_annotation(**fields):
    return lambda data: data['annotations'].append({'id': 9999, 'bbox': [0, 0, 1, 1], 'area': 1, 'iscrowd': 0, **fields})

def ids(key, field, change):
    return both(each(key, lambda e: e.update(id=change(e['id']))), each('annotations', lambda a: a.update({field: change(a[field])})))

def degenerate(data):
    for index, box in enumerate([[10, 10, 0, 5], [10, 10, -5, 5], [300, 300, 20, 20], [-5, -5, 20, -3], [0, 0, 256, 192]]):
        data['annotations'][index].update(bbox=box)

same = lambda data: None
variants = []

def compact(data):
    return json.dumps(data, separators=(',', ':'))

def variant(name, change=None, file='_annotations.coco.json', folder='', text=compact, meaning=None, refused=False):
    """`meaning` makes the data that the variant stands for where pycocotools fails or takes another meaning."""
    data, meant = copy.deepcopy(base), copy.deepcopy(base)
    if change: change(data)
    if meaning: meaning(meant)
    variants.append({'name': name, 'file': file, 'folder': folder, 'text': text(data), 'meaning': meaning and compact(meant), 'refused': refused})

drop = lambda *keys: lambda e: [e.pop(k, None) for k in keys]
variant('ok')
variant('no_area', each('annotations', drop('area')))
variant('no_iscrowd', each('annotations', drop('iscrowd')))
variant('iscrowd_bool', each('annotations', lambda a: a.update(iscrowd=False)))
variant('iscrowd_null', each('annotations', lambda a: a.update(iscrowd=None)))
variant('iscrowd_str', each('annotations', lambda a: a.update(iscrowd='0')), meaning=same)
variant('string_image_ids', ids('images', 'image_id', lambda i: 'img_%03d' % i))
variant('string_ann_ids', each('annotations', lambda a: a.update(id=str(a['id']))))
variant('uuid_ann_ids', each('annotations', lambda a: a.update(id='a-%d' % a['id'])))
variant('string_cat_ids', ids('categories', 'category_id', str))
variant('supercat_null', each('categories', lambda c: c.update(supercategory=None)))
variant('no_wh', each('images', drop('width', 'height')))
variant('null_wh', each('images', lambda i: i.update(width=None, height=None)))
variant('float_wh', each('images', lambda i: i.update(width=i['width'] + .0, height=i['height'] + .0)))
variant('segm_only', each('annotations', polygon))
variant('empty_bbox', lambda d: d['annotations'][0].update(bbox=[]), meaning=lambda d: d['annotations'].pop(0))
variant('no_ann_id', each('annotations', drop('id')))
variant('no_annotations_key', drop('annotations'))
variant('prefix', rename('val2017/%s'))
variant('prefix_images', rename('images/%s'), folder='images')
variant('backslash', rename('images\\%s'), folder='images')
variant('labelstudio_abs', rename('../../label-studio/media/upload/4/%s'))
variant('labelstudio_link', rename('/data/local-files/?d=upload%%2F4%%2F%s'))
variant('absolute', rename('/data/coco/val/%s'))
variant('upper_case', each('images', lambda i: i.update(file_name=i['file_name'].replace('.jpg', '.JPG'))))
variant('lvis_no_file_name', each('images', lambda i: i.update(coco_url='http://images.cocodataset.org/val2017/' + i.pop('file_name'))))
variant('lvis_federated', each('images', lambda i: i.update(neg_category_ids=[1], not_exhaustive_category_ids=[])))
variant('objects365', rename('images/v1/patch12/%s'), folder='patch12')
variant('bom', text=lambda d: '\ufeff' + compact(d))
variant('nan', lambda d: d['annotations'][0].update(area=float('nan')))
variant('nan_box', lambda d: d['annotations'][0]['bbox'].__setitem__(0, float('nan')))
variant('cvat', file='annotations/instances_default.json', folder='images/default')
variant('ls_layout', rename('images/%s'), file='result.json', folder='images')
variant('cocolike', file='annotations/val.json', folder='val')
variant('cocolike2', file='annotations/instances_val2017.json', folder='val2017')
variant('size_mismatch', each('images', lambda i: i.update(width=i['height'], height=i['width'])))
variant('dup_image_ids', lambda d: d['images'].append(copy.deepcopy(d['images'][0])), refused=True)
variant('dup_cat_ids', lambda d: d['categories'].append({'id': d['categories'][0]['id'], 'name': 'red circle again'}), refused=True)
variant('dup_cat_names', add_category(id=777, name=base['categories'][0]['name']))
variant('dup_ann_ids', each('annotations', lambda a: a.update(id=5)), meaning=same)
variant('cat_dash', add_category(id=777, name='-'))
variant('cat_empty', add_category(id=777, name=''))
variant('cat_emoji', add_category(id=777, name='🐱'))
variant('cat_long', add_category(id=777, name='word ' * 300))
variant('cat_underscore', add_category(id=777, name='air_conditioner_(unit)'))
variant('cat_null', add_category(id=777, name=None))
variant('cat_number', add_category(id=777, name=5))
variant('cats_zero_root', lambda d: d['categories'].insert(0, {'id': 0, 'name': 'shapes', 'supercategory': 'none'}))
variant('ann_unknown_img', add_annotation(image_id=424242, category_id=1))
variant('ann_unknown_cat', add_annotation(image_id=1, category_id=4242))
variant('neg_bbox', lambda d: d['annotations'][0].update(bbox=[-5, -5, 20, -3]))
variant('degenerate_boxes', degenerate)
variant('huge_ids', ids('images', 'image_id', lambda i: i + 10**17))
variant('nested_list', text=lambda d: compact([d]), refused=True)
variant('rle_crowd', each('annotations', lambda a: a.update(iscrowd=1, segmentation={'counts': [1, 2, 3], 'size': [192, 256]})))
variant('bbox_strings', each('annotations', lambda a: a.update(bbox=[str(v) for v in a['bbox']])))
variant('ignore_field', each('annotations', lambda a: a.update(ignore=1)))
variant('ids_from_0', each('annotations', lambda a: a.update(id=a['id'] - 1)))

def figures(text):
    data = json.loads(text.lstrip('\ufeff'))
    image_of = {(i.get('file_name') or i.get('coco_url')).replace('\\', '/').replace('%2F', '/').split('/')[-1].lower(): i['id'] for i in data['images']}
    # The first of two categories of the same name, as the test takes it.
    category_of = {c['name']: c['id'] for c in reversed(data['categories'])}
    found = [{'image_id': image_of[d['file']], 'category_id': category_of[d['category']], 'bbox': d['bbox'], 'score': d['score']} for d in detections]
    truth = COCO()
    truth.dataset = {'info': {}, **data}
    truth.createIndex()
    evaluation = COCOeval(truth, truth.loadRes(found), 'bbox')
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return [float(v) for v in evaluation.stats]

for each_variant in variants:
    meaning, refused = each_variant.pop('meaning'), each_variant['refused']
    with contextlib.redirect_stdout(io.StringIO()):
        try: direct = figures(each_variant['text'])
        except Exception as error: direct, each_variant['pycocotools'] = None, f'{type(error).__name__}: {error}'[:80]
        if refused: continue
        if meaning and direct: each_variant['pycocotools'] = 'takes another meaning'
        each_variant['figures'] = figures(meaning or compact(base)) if meaning or not direct else direct

with open('test/fixtures/datasets/variants.json', 'w') as file:
    json.dump({'pictures': [i['file_name'] for i in images], 'detections': detections, 'variants': variants}, file, ensure_ascii=False, separators=(',', ':'))
    file.write('\n')
for v in variants: print(v['name'], v.get('figures', ['refused'])[0], v.get('pycocotools', ''))
