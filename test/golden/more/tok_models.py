"""Makes the models of the cases tok-* here: `python tok_models.py`. Llama with one layer of width 8, random weights, small vocabularies."""
import json, os
import numpy as np
from safetensors.numpy import save_file

HERE = os.path.dirname(os.path.abspath(__file__))

def added(id, content, special=True, **flags):
    return {"id": id, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": not special, "special": special, **flags}

def bpe(vocab, merges):
    return {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None, "end_of_word_suffix": None, "fuse_unk": False,
            "byte_fallback": False, "ignore_merges": False, "vocab": {t: i for i, t in enumerate(vocab)}, "merges": merges}

def wordpiece(vocab):
    return {"type": "WordPiece", "unk_token": "<unk>", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": {t: i for i, t in enumerate(vocab)}}

def unigram(vocab):
    return {"type": "Unigram", "unk_id": vocab.index("<unk>"), "vocab": [[t, -float(i)] for i, t in enumerate(vocab)], "byte_fallback": False}

def model(name, seed, rows, tokenizer_model, added_tokens, **config):
    folder = os.path.join(HERE, "models", name)
    os.makedirs(folder, exist_ok=True)
    random = np.random.default_rng(seed)
    t = lambda *shape: random.standard_normal(shape).astype(np.float32)
    w, p = 8, "model.layers.0."
    save_file({"model.embed_tokens.weight": t(rows, w), "lm_head.weight": t(rows, w), "model.norm.weight": t(w),
               p + "input_layernorm.weight": t(w), p + "post_attention_layernorm.weight": t(w),
               p + "self_attn.q_proj.weight": t(w, w), p + "self_attn.k_proj.weight": t(4, w), p + "self_attn.v_proj.weight": t(4, w), p + "self_attn.o_proj.weight": t(w, w),
               p + "mlp.gate_proj.weight": t(w, w), p + "mlp.up_proj.weight": t(w, w), p + "mlp.down_proj.weight": t(w, w)},
              os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
    write = lambda file, value: open(os.path.join(folder, file), "w").write(json.dumps(value, indent=1) + "\n")
    write("config.json", {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": w, "intermediate_size": w, "num_hidden_layers": 1,
                          "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": rows, "tie_word_embeddings": False, "torch_dtype": "float32",
                          "bos_token_id": 1, "eos_token_id": 2})
    write("tokenizer.json", {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added_tokens, "normalizer": None,
                             "pre_tokenizer": {"type": "Whitespace"}, "post_processor": None, "decoder": None, "model": tokenizer_model})
    write("tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", **config})

START = ["<unk>", "<s>", "</s>"]
SPECIAL = [added(0, "<unk>"), added(1, "<s>"), added(2, "</s>")]
model("tok-one", 1, 9, bpe([*START, "a", "b", "c", "d", "ab", "cd"], [["a", "b"], ["c", "d"]]), SPECIAL)
model("tok-two", 2, 13, bpe([*START, "e", "d", "c", "b", "a", "bc", "cd", "ab"], [["b", "c"], ["c", "d"], ["a", "b"]]), [*SPECIAL, added(11, "<|im_start|>"), added(12, "<|im_end|>")],
      chat_template="{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}\n")
model("tok-three", 3, 12, bpe([*START, "a", "e", "b", "f", "c", "d", "ef"], [["e", "f"]]),
      [*SPECIAL, added(5, "b", special=False), added(10, "<|im_end|>", lstrip=True), added(11, "ab", special=False)])
# tok-one with an embedding higher than its vocabulary, as Qwen's
model("tok-high", 4, 16, bpe([*START, "a", "b", "c", "d", "ab", "cd"], [["a", "b"], ["c", "d"]]), SPECIAL)
# a vocabulary larger than the embedding
model("tok-low", 5, 8, bpe([*START, "a", "b", "c", "d", "ab", "e", "ea"], [["a", "b"], ["e", "a"]]), [*SPECIAL, added(10, "<late>")])
model("tok-wordpiece", 6, 8, wordpiece([*START, "a", "##b", "b", "##c", "c"]), SPECIAL)
model("tok-unigram", 7, 8, unigram([*START, "c", "b", "a", "e", "\u2581a"]), SPECIAL)
