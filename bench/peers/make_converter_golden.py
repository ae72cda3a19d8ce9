"""Peer: runs transformers' own conversions of checkpoints, and writes what they make of small ones of the original names and shapes.

usage: make_converter_golden.py CONVERTERS OUT     (made test/fixtures/checkpoints/converted)
CONVERTERS is a folder with convert_mm_grounding_dino_to_hf.py and convert_grounding_dino_to_hf.py from src/transformers/models of
transformers' repository; its packages do not have them. transformers 5.18 loads what they make.

The names of the checkpoints are those of the conversions' own tables, read backwards, so every name of a table is in a checkpoint:
a missing one is an error. Numbers come from a table of 997, so that the files are small when they are compressed and every order of
rows and columns is another one. OUT has for each checkpoint NAME.pth.gz, and in converted.json the digest of each converted tensor
by its name in transformers, and the logits and boxes that transformers computes with them.
"""
import argparse, gzip, hashlib, importlib.util, io, json, os, re, sys, tempfile, types, zlib
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import (BertConfig, GroundingDinoConfig, GroundingDinoForObjectDetection, MMGroundingDinoConfig,
                          MMGroundingDinoForObjectDetection, SwinConfig)

converters, out = Path(sys.argv[1]), Path(sys.argv[2])
out.mkdir(parents=True, exist_ok=True)
# Only what downloads pictures and prepares them needs these.
for name in ("httpx", "requests", "torchvision"):
    if importlib.util.find_spec(name) is None:
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].transforms = None
processor = types.ModuleType("transformers.models.grounding_dino.image_processing_grounding_dino")
processor.GroundingDinoImageProcessor = None
sys.modules[processor.__name__] = processor


def converter(name):
    spec = importlib.util.spec_from_file_location(name, converters / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


mm, original = converter("convert_mm_grounding_dino_to_hf"), converter("convert_grounding_dino_to_hf")
generator = torch.Generator().manual_seed(0)
TABLE = torch.randn(997, generator=generator)


def numbers(shape, start):
    count = max(1, torch.Size(shape).numel())
    return TABLE[(torch.arange(count) + start) % len(TABLE)].reshape(shape).clone()


def fill(model):
    with torch.no_grad():
        for name, p in model.named_parameters():
            norm = 1 if "norm" in name and name.endswith("weight") else 0
            p.copy_(numbers(p.shape, zlib.crc32(name.encode())) * (0.2 if p.dim() > 1 else 0.1) + norm)


def sizes(maps):
    swin = SwinConfig(image_size=64, window_size=4, embed_dim=4, depths=[1, 1, 2, 1], num_heads=[1, 1, 2, 2],
                      out_features=[f"stage{stage}" for stage in range(5 - maps, 5)])
    bert = BertConfig(vocab_size=1032, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
                      max_position_embeddings=16)
    return dict(backbone_config=swin, text_config=bert, num_feature_levels=maps + 1, d_model=32, encoder_layers=1, decoder_layers=2,
                encoder_ffn_dim=32, decoder_ffn_dim=32, encoder_attention_heads=4, decoder_attention_heads=4, num_queries=10,
                max_text_len=16, disable_custom_kernels=True)


def saved(model):
    """The tensors under the names that save_pretrained writes, in which heads of the decoder have one name."""
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        state = load_file(os.path.join(folder, "model.safetensors"))
    return {re.sub(r"^model\.decoder\.(?=(bbox|class)_embed)", "", name): tensor for name, tensor in state.items()}


def merged(state, part, whole):
    """Puts query, key and value into one tensor. `part` is a pattern with the place of "query"."""
    for name in [name for name in state if re.search(part, name)]:
        parts = [state.pop(name.replace("query", each)) for each in ("query", "key", "value")]
        state[re.sub(part, whole, name)] = torch.cat(parts)


# ---- MMDetection

def backwards(table):
    """Pairs of a pattern of transformers' names and a template of original ones, from pairs the other way."""
    pairs = []
    for pattern, replacement in table.items():
        groups = re.findall(r"\((?:\\d\+|\.\*|[a-z_|]+)\)", pattern)
        template = pattern
        for number, group in enumerate(groups, 1):
            template = template.replace(group, rf"\g<{number}>", 1)
        name = re.escape(replacement)
        order = [int(number) for number in re.findall(r"\\\\(\d)", name)]
        assert order == sorted(order), replacement
        name = re.sub(r"\\\\(\d)", lambda found: groups[int(found[1]) - 1], name)
        pairs.append((re.compile(f"{name}$"), template, pattern))
    return pairs


def to_mmdetection(state, config):
    layers, maps, used = config.decoder_layers, len(config.backbone_config.out_indices), set()
    # Of two original names with one new name, the heads' and the last levels', the conversion makes the first of the second.
    pairs = [each for each in backwards(mm.ORIGINAL_TO_CONVERTED_KEY_MAPPING) if not each[1].startswith("decoder.bbox_head")]
    result = {}
    for name, tensor in state.items():
        if "swin.layernorm" in name:
            continue
        found = [(template, pattern, match) for each, template, pattern in pairs if (match := each.match(name))]
        level = re.match(r"model\.input_proj_vision\.(\d+)", name)
        if level:
            found = [each for each in found if each[0].startswith("neck.extra") == (int(level[1]) >= maps)]
        (template, pattern, match), = found
        used.add(pattern)
        new = match.expand(template)
        new = re.sub(r"^backbone\.norms\.(\d+)", lambda m: f"backbone.norm{int(m[1]) - 1}", new)
        new = re.sub(r"^neck\.extra_convs\.(\d+)", lambda m: f"neck.extra_convs.{int(m[1]) - maps}", new)
        new = re.sub(r"^encoder\.bbox_head\.(cls|reg)_branch\.", rf"bbox_head.\1_branches.{layers}.", new)
        if "downsample" in new:
            correct = mm.correct_unfold_norm_order(torch.arange(tensor.shape[-1]))
            tensor = tensor[..., torch.argsort(correct)]
        result[new] = tensor.reshape(1) if "cls_branches" in new else tensor
    merged(result, r"w_msa\.query\.(?=weight|bias)", "w_msa.qkv.")
    merged(result, r"attn\.query_proj_(?=weight|bias)", "attn.in_proj_")
    unused = {pattern for *_, pattern in pairs} - used - {r"backbone.stages.(\d+).blocks.(\d+).attn.w_msa.(relative_position_bias_table|relative_position_index)"}
    assert not unused, unused
    for stage, depth in enumerate(config.backbone_config.depths):
        for block in range(depth):
            index = torch.zeros(16, 16, dtype=torch.int64)
            result[f"backbone.stages.{stage}.blocks.{block}.attn.w_msa.relative_position_index"] = index
    result["dn_query_generator.label_embedding.weight"] = numbers((3, 4), 0)
    result["language_model.language_backbone.body.model.embeddings.position_ids"] = torch.arange(16)[None]
    return result


# What LLMDet saves beside the detector: a language model, and what connects the two.
LLMDET = {name: numbers((2, 2), 7) for name in (
    "lmm.model.embed_tokens.weight", "lmm.model.layers.0.self_attn.q_proj.weight", "connector.0.weight", "region_connector.0.weight",
    "image_seperate.weight", "ref_point_head.layers.0.weight")}


def mmdetection(maps, more):
    config = MMGroundingDinoConfig(**sizes(maps), tie_word_embeddings=False)
    model = MMGroundingDinoForObjectDetection(config)
    fill(model)
    state = {**to_mmdetection(saved(model), config), **more}
    meta = {"epoch": 12, "mmengine_version": "0.10.3", "dataset_meta": {"CLASSES": ("cat", "dog")}}
    return dict(checkpoint={"meta": meta, "state_dict": state}, config=config, kind=MMGroundingDinoForObjectDetection,
                converted=mm.convert_mm_to_hf_state(dict(state), config), made_from=saved(model))


# ---- The original repository and Open-GroundingDino

def to_original(state, config, shared):
    pairs = dict((new, old) for old, new in original.create_rename_keys({}, config))
    moved = [("model.text_backbone.", "bert."), ("model.input_proj_vision.", "input_proj."), ("model.text_projection.", "feat_map."),
             ("model.decoder.reference_points_head.", "transformer.decoder.ref_point_head."), ("model.enc_output", "transformer.enc_output"),
             ("model.encoder_output_bbox_embed.", "transformer.enc_out_bbox_embed."), ("bbox_embed.", "bbox_embed.")]
    swin = r"model\.backbone\.conv_encoder\.model\.encoder\.layers\.(\d+)\.blocks\.(\d+)\.attention\.self\.(query|key|value)\."
    attention = [(r"model\.encoder\.layers\.(\d+)\.text_enhancer_layer\.self_attn\.(query|key|value)\.", r"transformer.encoder.text_layers.\1.self_attn.\2_proj_"),
                 (r"model\.decoder\.layers\.(\d+)\.self_attn\.(query|key|value)\.", r"transformer.decoder.layers.\1.self_attn.\2_proj_"),
                 (r"model\.decoder\.layers\.(\d+)\.encoder_attn_text\.(query|key|value)\.", r"transformer.decoder.layers.\1.ca_text.\2_proj_")]
    result = {}
    for name, tensor in state.items():
        if "swin.layernorm" in name:
            continue
        new = pairs.get(name)
        if new is None and re.match(swin, name):
            new = re.sub(swin, r"backbone.0.layers.\1.blocks.\2.attn.\3.", name)
        for pattern, template in attention:
            if new is None and re.match(pattern, name):
                new = re.sub(pattern, template, name)
        for begin, other in moved:
            if new is None and name.startswith(begin):
                new = other + name[len(begin):]
        result[new or sys.exit(f"{name} has no original name")] = tensor
    merged(result, r"\.attn\.query\.(?=weight|bias)", ".attn.qkv.")
    merged(result, r"\.query_proj_(?=weight|bias)", ".in_proj_")
    for name in [name for name in result if name.startswith("bbox_embed.")]:
        if shared:  # the conversion reads every layer's name
            for layer in range(config.decoder_layers):
                result[re.sub(r"^bbox_embed\.\d+", f"bbox_embed.{layer}", name)] = result[name]
    result.update({f"transformer.decoder.{name}": tensor for name, tensor in result.items() if name.startswith("bbox_embed.")})
    result["label_enc.weight"] = numbers((5, 32), 3)
    result["bert.pooler.dense.weight"] = numbers((8, 8), 4)
    result["bert.pooler.dense.bias"] = numbers((8,), 5)
    result["bert.embeddings.position_ids"] = torch.arange(16)[None]
    for stage, depth in enumerate(config.backbone_config.depths):
        for block in range(depth):
            result[f"backbone.0.layers.{stage}.blocks.{block}.attn.relative_position_index"] = torch.zeros(16, 16, dtype=torch.int64)
    return result


def open_groundingdino(shared, prefix, wrap):
    config = GroundingDinoConfig(**sizes(3), decoder_bbox_embed_share=shared)
    model = GroundingDinoForObjectDetection(config)
    fill(model)
    state = {prefix + name: tensor for name, tensor in to_original(saved(model), config, shared).items()}
    # The steps of convert_grounding_dino_checkpoint between loading the file and the model.
    source = {name.replace("module.", ""): tensor for name, tensor in state.items()}
    converted = source.copy()
    for old, new in original.create_rename_keys(source, config):
        original.rename_key(converted, old, new)
    original.read_in_q_k_v_encoder(converted, config)
    original.read_in_q_k_v_text_enhancer(converted, config)
    original.read_in_q_k_v_decoder(converted, config)
    return dict(checkpoint=wrap(state), config=config, kind=GroundingDinoForObjectDetection, converted=converted, made_from=saved(model))


def training(state):
    """What Open-GroundingDino's main.py saves."""
    linear = nn.Linear(2, 2)
    linear(torch.zeros(2)).sum().backward()
    optimizer = torch.optim.AdamW(linear.parameters())
    optimizer.step()
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 4)
    args = argparse.Namespace(output_dir="logs", lr=1e-4, backbone="swin_T_224_1k", num_queries=900)
    return {"model": state, "optimizer": optimizer.state_dict(), "lr_scheduler": scheduler.state_dict(), "epoch": 3, "args": args}


KINDS = {
    # The published sizes: three maps and four levels (tiny, base), four and five (large).
    "mm_grounding_dino_tiny": mmdetection(3, {}),
    "llmdet_large": mmdetection(4, LLMDET),
    "groundingdino_swint": open_groundingdino(True, "module.", lambda state: {"model": state}),
    "open_groundingdino": open_groundingdino(False, "", training),
}

ids = torch.tensor([[101, 5, 6, 1012, 7, 1012, 102]])
inputs = dict(pixel_values=numbers((1, 3, 64, 96), 11), pixel_mask=torch.ones(1, 64, 96, dtype=torch.int64), input_ids=ids,
              token_type_ids=torch.zeros_like(ids), attention_mask=torch.ones_like(ids))


def digest(tensor):
    return [list(tensor.shape), hashlib.sha256(tensor.float().contiguous().numpy().tobytes()).hexdigest()[:24]]


def round_all(tensor):
    return [float(f"{value:.7g}") for value in tensor.flatten().tolist()]


result = {"pixels": "TABLE[(i + 11) % 997]", "table": round_all(TABLE), "ids": ids[0].tolist(), "checkpoints": {}}
TABLE_READ = torch.tensor(result["table"])
inputs["pixel_values"] = TABLE_READ[(torch.arange(inputs["pixel_values"].numel()) + 11) % len(TABLE)].reshape(1, 3, 64, 96)
for name, each in KINDS.items():
    converted = each["converted"]
    with tempfile.TemporaryDirectory() as folder:
        each["config"].architectures = [each["kind"].__name__]
        each["config"].save_pretrained(folder)
        config = json.loads((Path(folder) / "config.json").read_text())
        # The conversion's load_state_dict takes a list of one number for a number, which from_pretrained does not.
        loaded = {key: (tensor.reshape(()) if "class_embed" in key else tensor).clone().contiguous() for key, tensor in converted.items()}
        save_file(loaded, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
        model, info = each["kind"].from_pretrained(folder, output_loading_info=True)
    model.eval()
    unexpected = set(info["unexpected_keys"])
    print(name, "missing", sorted(info["missing_keys"]), "unexpected", sorted(unexpected), "mismatched", info["mismatched_keys"])
    assert not info["mismatched_keys"]
    # What the network computes with: the model's own tensors, by the names that it saves.
    computed = {re.sub(r"^model\.decoder\.(?=(bbox|class)_embed)", "", key): tensor for key, tensor in converted.items()}
    own = saved(model)
    # Heads that layers share are saved once.
    heads = {re.sub(r"^model\.decoder\.", "", key): tensor for key, tensor in model.state_dict().items() if "bbox_embed" in key}
    own.update({key: tensor for key, tensor in heads.items() if key.startswith("bbox_embed")})
    for key, tensor in each["made_from"].items():
        if "swin.layernorm" in key:
            continue
        assert torch.equal(own[key], tensor), key
        assert torch.equal(computed[key].reshape(tensor.shape), tensor), key
    tensors = {key: computed[key].reshape(own[key].shape) for key in computed if key in own}
    left = sorted(set(computed) - set(tensors))
    print("  not in the model:", left)
    with torch.no_grad():
        found = model(**inputs)
    buffer = io.BytesIO()
    torch.save(each["checkpoint"], buffer)
    with open(out / f"{name}.pth.gz", "wb") as file:
        file.write(gzip.compress(buffer.getvalue(), 9, mtime=0))
    result["checkpoints"][name] = {
        "config": config, "tensors": {key: digest(tensor) for key, tensor in sorted(tensors.items())},
        "logits": round_all(found.logits[0, :, : ids.shape[1]]), "boxes": round_all(found.pred_boxes[0]),
    }
    print("  tensors", len(tensors), "bytes", (out / f"{name}.pth.gz").stat().st_size)
with open(out / "converted.json", "w") as file:
    json.dump(result, file, separators=(",", ":"))
    file.write("\n")
