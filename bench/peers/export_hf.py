"""Peer: HF GroundingDINO exported by torch.onnx. Writes DIR/model.onnx, DIR/hf/ (checkpoint) and DIR/io.safetensors.

usage: export_hf.py DIR [--checkpoint HF_DIR] [--backbone swin-t|swin-b] [--height 800] [--width 1333] [--phrases 80 | --ids FILE]
The default attention implementation is kept: with "eager", transformers 5.18 adds BERT's boolean phrase mask
as numbers and phrases see each other.
Without --checkpoint: the published size of the backbone with random weights (seed 0), which is enough to measure speed and memory.
"""
import argparse, os
import torch
import transformers.models.grounding_dino.modeling_grounding_dino as gd
from safetensors.torch import save_file
from transformers import BertConfig, GroundingDinoConfig, GroundingDinoForObjectDetection, SwinConfig

a = argparse.ArgumentParser()
a.add_argument("dir"); a.add_argument("--checkpoint")
a.add_argument("--backbone", choices=["swin-t", "swin-b"], default="swin-t")
a.add_argument("--height", type=int, default=800); a.add_argument("--width", type=int, default=1333)
a.add_argument("--phrases", type=int, default=80)
a.add_argument("--ids", help="file with the token ids of the prompt, in place of --phrases")
a = a.parse_args()
os.makedirs(a.dir, exist_ok=True)
torch.manual_seed(0)
if a.checkpoint:
    model = GroundingDinoForObjectDetection.from_pretrained(a.checkpoint).eval()
else:
    sizes = {
        "swin-t": dict(image_size=224, embed_dim=96, depths=[2, 2, 6, 2], num_heads=[3, 6, 12, 24], window_size=7),
        "swin-b": dict(image_size=384, embed_dim=128, depths=[2, 2, 18, 2], num_heads=[4, 8, 16, 32], window_size=12),
    }
    swin = SwinConfig(**sizes[a.backbone], out_indices=[2, 3, 4])
    cfg = GroundingDinoConfig(backbone_config=swin, text_config=BertConfig())
    model = GroundingDinoForObjectDetection(cfg).eval()
    model.save_pretrained(os.path.join(a.dir, "hf"))
vocab = model.config.text_config.vocab_size
ids = [101]
for i in range(a.phrases):
    words = [(2000 + 7 * i) % vocab, (2500 + i) % vocab][: 1 + (i % 3 == 0)]
    ids += [w if w not in (101, 102, 1012, 1029) else 105 for w in words] + [1012]
ids = ids[: model.config.max_text_len - 1] + [102]
if a.ids:
    ids = [int(word) for word in open(a.ids).read().split()]
ids = torch.tensor([ids])
px = torch.randn(1, 3, a.height, a.width)
inputs = dict(pixel_values=px, input_ids=ids, token_type_ids=torch.zeros_like(ids), attention_mask=torch.ones_like(ids), pixel_mask=torch.ones(1, a.height, a.width, dtype=torch.long))
with torch.no_grad():
    out = model(**inputs)
save_file({**{k: v.contiguous() for k, v in inputs.items()}, "logits": out.logits.contiguous(), "pred_boxes": out.pred_boxes.contiguous()}, os.path.join(a.dir, "io.safetensors"))
masks = gd.generate_masks_with_special_tokens_and_transfer_map(ids)  # isin() does not export: bake the masks of this prompt
gd.generate_masks_with_special_tokens_and_transfer_map = lambda _: (masks[0].clone(), masks[1].clone())

class Both(torch.nn.Module):
    def __init__(self, m): super().__init__(); self.m = m
    def forward(self, pixel_values, input_ids, token_type_ids, attention_mask, pixel_mask):
        o = self.m(pixel_values=pixel_values, input_ids=input_ids, token_type_ids=token_type_ids, attention_mask=attention_mask, pixel_mask=pixel_mask)
        return o.logits, o.pred_boxes

torch.onnx.export(Both(model), tuple(inputs.values()), os.path.join(a.dir, "model.onnx"), input_names=list(inputs), output_names=["logits", "pred_boxes"], opset_version=17, dynamo=False, do_constant_folding=True)

# With a checkpoint the tracer makes the sampling grids float64, for which ONNX Runtime has no GridSample: cast them.
import onnx
from onnx import TensorProto, helper, shape_inference

path = os.path.join(a.dir, "model.onnx")
exported = onnx.load(path)
inferred = shape_inference.infer_shapes(exported)
types = {v.name: v.type.tensor_type.elem_type for v in inferred.graph.value_info}
nodes = []
for node in exported.graph.node:
    if node.op_type == "GridSample" and types.get(node.input[1]) == TensorProto.DOUBLE:
        nodes.append(helper.make_node("Cast", [node.input[1]], [node.input[1] + "_float"], to=TensorProto.FLOAT))
        node.input[1] += "_float"
    nodes.append(node)
if len(nodes) > len(exported.graph.node):
    del exported.graph.node[:]
    exported.graph.node.extend(nodes)
    onnx.save(exported, path)
print("wrote", path)
