"""A small MM-Grounding-DINO with random weights, and what transformers computes with it. usage: make_mm_golden.py DIR (made test/fixtures/golden/mm)"""
import sys

import torch
from pathlib import Path
from safetensors.torch import save_file
from transformers import MMGroundingDinoConfig, MMGroundingDinoForObjectDetection

out = Path(sys.argv[1])
torch.manual_seed(0)
config = MMGroundingDinoConfig(
    backbone_config=dict(model_type="swin", embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2], window_size=4,
                         image_size=64, out_indices=[2, 3, 4]),
    text_config=dict(model_type="bert", vocab_size=1013, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
                     intermediate_size=32, max_position_embeddings=32),
    d_model=32, num_queries=10, encoder_layers=1, decoder_layers=2, encoder_ffn_dim=32, decoder_ffn_dim=32,
    encoder_attention_heads=4, decoder_attention_heads=4, max_text_len=16, tie_word_embeddings=False, disable_custom_kernels=True)
model = MMGroundingDinoForObjectDetection(config).eval()
with torch.no_grad():
    for name, p in model.named_parameters():
        p.add_(torch.randn_like(p) * 0.05)
    for i, head in enumerate(model.class_embed):
        head.bias.fill_(-1.0 - i)
model.save_pretrained(out)
ids = torch.tensor([[101, 7, 8, 1012, 9, 1012, 102]])
feeds = dict(pixel_values=torch.randn(1, 3, 64, 96), pixel_mask=torch.ones(1, 64, 96, dtype=torch.int64),
             input_ids=ids, attention_mask=torch.ones_like(ids))
with torch.no_grad():
    o = model(**feeds, token_type_ids=torch.zeros_like(ids))
save_file({**feeds, "logits": o.logits.contiguous(), "pred_boxes": o.pred_boxes.contiguous()}, str(out / "io.safetensors"))
