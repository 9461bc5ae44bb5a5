"""Adapters and what PEFT's add_weighted_adapter makes of them: python make.py, in a folder of its own. Written with peft 0.21.2, torch 2.15.0."""
import os

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from torch import nn
from transformers.pytorch_utils import Conv1D

HERE = os.path.dirname(os.path.abspath(__file__))


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.up = nn.Linear(6, 9, bias=False)
        self.down = nn.Linear(9, 6, bias=False)
        self.turned = Conv1D(8, 6)  # stored as 6 x 8


class Toy(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(7, 6)
        self.layers = nn.ModuleList([Block(), Block()])
        self.conv = nn.Conv2d(4, 6, (3, 2), bias=False)

    def forward(self, x):
        return x


torch.manual_seed(0)
EVERY = ["up", "down", "turned", "words", "conv"]
CONFIGS = {
    "a": LoraConfig(r=2, lora_alpha=3, target_modules=EVERY, fan_in_fan_out=True),
    "b": LoraConfig(r=4, lora_alpha=2, target_modules=["up", "turned", "words"], use_rslora=True, fan_in_fan_out=True,
                    rank_pattern={"layers.1.up": 3}, alpha_pattern={"words": 5}),
    "c": LoraConfig(r=2, lora_alpha=1, target_modules=EVERY, fan_in_fan_out=True),
}
model = get_peft_model(Toy(), CONFIGS["a"], adapter_name="a")
for name in ["b", "c"]:
    model.add_adapter(name, CONFIGS[name])
for name, parameter in model.named_parameters():
    if "lora_" in name:
        parameter.data = torch.randn_like(parameter) * 0.5
for name in CONFIGS:
    model.save_pretrained(HERE, selected_adapters=[name])
    os.remove(f"{HERE}/{name}/README.md") if os.path.exists(f"{HERE}/{name}/README.md") else None
if os.path.exists(f"{HERE}/README.md"):
    os.remove(f"{HERE}/README.md")

expected = {}
for label, adapters, weights, kind, options in [
    ("concat", ["a", "b"], [0.7, -0.4], "cat", {}),
    ("svd", ["a", "b"], [0.7, -0.4], "svd", {"svd_rank": 3}),
    ("peft_linear", ["a", "c"], [0.7, -0.3], "linear", {}),
]:
    model.add_weighted_adapter(adapters, weights, label, combination_type=kind, **options)
    for name, module in model.base_model.model.named_modules():
        if label in getattr(module, "lora_A", {}):
            a, b = module.lora_A[label].weight, module.lora_B[label].weight
        elif label in getattr(module, "lora_embedding_A", {}):
            a, b = module.lora_embedding_A[label], module.lora_embedding_B[label]
        else:
            continue
        assert module.scaling[label] == 1
        expected[f"{label}/{name}"] = (b.flatten(1) @ a.flatten(1)).detach().contiguous()
save_file(expected, f"{HERE}/expected.safetensors")
