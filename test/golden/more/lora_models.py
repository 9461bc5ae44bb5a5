"""Tiny random models and PEFT adapters, and what PEFT's merge_and_unload gives for them. Run in test/golden: python more/lora_models.py"""
import shutil
from pathlib import Path

import peft
import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import save_file
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

MORE = Path('more')
TOOL = f'peft {peft.__version__}, torch {torch.__version__}, transformers {transformers.__version__}, CPU'


def llama(dtype=torch.float32, attention_bias=False):
    torch.manual_seed(1)
    return LlamaForCausalLM(LlamaConfig(vocab_size=40, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, attention_bias=attention_bias, tie_word_embeddings=False, max_position_embeddings=64)).to(dtype)


def biased():
    model = llama(attention_bias=True)
    for name, p in model.named_parameters():
        if name.endswith('bias'):
            torch.nn.init.normal_(p)
    return model


def gpt2():
    torch.manual_seed(2)
    return GPT2LMHeadModel(GPT2Config(vocab_size=40, n_positions=16, n_embd=16, n_layer=2, n_head=2))


class Convolutions(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.stem = torch.nn.Conv2d(3, 6, (3, 2))
        self.point = torch.nn.Conv2d(6, 8, 1)
        self.signal = torch.nn.Conv1d(8, 4, 3)
        self.head = torch.nn.Linear(4, 8)


def save(model, folder):
    if hasattr(model, 'save_pretrained'):
        model.save_pretrained(folder)
    else:
        Path(folder).mkdir(parents=True, exist_ok=True)
        save_file({k: v.contiguous() for k, v in model.state_dict().items()}, f'{folder}/model.safetensors')
    Path(folder, 'generation_config.json').unlink(missing_ok=True)


def case(name, what, make, base, dtype='float32', **settings):
    adapter, out = MORE / 'models' / name, MORE / name
    for folder in (adapter, out):
        shutil.rmtree(folder, ignore_errors=True)
    model = get_peft_model(make(), LoraConfig(**settings))
    model.peft_config['default'].base_model_name_or_path = base
    torch.manual_seed(4)
    with torch.no_grad():
        for parameter_name, p in model.named_parameters():
            if 'magnitude' in parameter_name:
                p.mul_(torch.rand_like(p) + 0.5)
            elif p.requires_grad:
                p.copy_(torch.randn_like(p) * 0.1)
    model.save_pretrained(adapter)
    (adapter / 'README.md').unlink(missing_ok=True)
    merged = PeftModel.from_pretrained(make(), adapter).merge_and_unload()  # as read back: PEFT sorts the keys of adapter_config.json
    save(merged, out / 'expected')
    (out / 'expected/config.json').unlink(missing_ok=True)
    (out / 'recipe.yml').write_text(f'merge_method: passthrough\ndtype: {dtype}\nmodels:\n  - {{model: ./more/models/{base}+./more/models/{name}}}\n')
    (out / 'from.md').write_text(f'# {name}\n\n{what}\n\nTool: {TOOL}.\n\nCommand, run in `test/golden`:\n\n    python more/lora_models.py\n\nTolerance: 1e-6 of the largest magnitude of each tensor.\n')


LINEAR = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj']
for name, model in (('lora-llama', llama()), ('lora-biased', biased()), ('lora-llama-bf16', llama(torch.bfloat16)), ('lora-gpt2', gpt2()), ('lora-convolutions', Convolutions())):
    shutil.rmtree(MORE / 'models' / name, ignore_errors=True)
    save(model, MORE / 'models' / name)

case('lora-patterns', 'Ranks and alphas of their own for some modules, by their ends and by a pattern; the first key that matches counts.', llama, 'lora-llama', r=4, lora_alpha=6, target_modules=LINEAR,
     rank_pattern={'layers.0.self_attn.q_proj': 2, '.*1.mlp.up_proj': 3, 'k_proj': 1}, alpha_pattern={'layers.(0|1).mlp.down_proj': 10, 'up_proj': 5, 'layers.0.mlp.up_proj': 50})
case('lora-rank-stabilised', 'rsLoRA: alpha over the root of the rank.', llama, 'lora-llama', r=9, lora_alpha=6, use_rslora=True, target_modules=['q_proj', 'down_proj'])
case('lora-embeddings', 'Embedding and head are targets; PEFT saves the embedding itself besides.', llama, 'lora-llama', r=3, lora_alpha=6, target_modules=['embed_tokens', 'lm_head', 'v_proj'])
case('lora-saved-modules', 'The head is trained whole, and so are all biases.', biased, 'lora-biased', r=2, lora_alpha=4, target_modules=['q_proj', 'k_proj'], modules_to_save=['lm_head'], bias='all')
case('lora-own-biases', 'The biases of the targets are trained, others not.', biased, 'lora-biased', r=2, lora_alpha=4, target_modules=['q_proj'], bias='lora_only')
case('lora-dora', 'DoRA: rows are brought to trained lengths.', llama, 'lora-llama', r=4, lora_alpha=6, use_dora=True, target_modules=LINEAR)
case('lora-transposed', 'GPT-2 stores its layers transposed, square ones among them.', gpt2, 'lora-gpt2', r=4, lora_alpha=6, fan_in_fan_out=True, target_modules=['c_attn', 'c_proj', 'c_fc'])
case('lora-convolutions-all', 'Convolutions of two dimensions and of one, and a linear layer, in a model without config.json.', Convolutions, 'lora-convolutions', r=2, lora_alpha=6, target_modules=['stem', 'point', 'signal', 'head'])
case('lora-bf16', 'A model in bfloat16, which the sum is rounded to once.', lambda: llama(torch.bfloat16), 'lora-llama-bf16', dtype='bfloat16', r=4, lora_alpha=6, target_modules=LINEAR)
