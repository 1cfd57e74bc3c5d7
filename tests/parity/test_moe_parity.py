"""Qwen3-MoE and GPT-OSS against transformers on random weights, float32: prompts, packs, and cached decoding
beyond the window."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
import transformers
from transformers import GptOssConfig, GptOssForCausalLM, Qwen3MoeConfig, Qwen3MoeForCausalLM

from tessera.checkpoints.weights import read_own, stored_keys
from tessera.families.decoders.config import read_decoder
from tessera.families.decoders.weights import decoder_rules
from tessera.families.keymap import KeyMap
from tessera.models.decoder import Decoder
from tessera.nn.attention.cache import KVCache
from tessera.nn.attention.layout import Packed, Paged
from tessera.nn.experts.balance import balance_loss, router_scores
from tessera.runtime.json_file import Section

LENGTH, EXPERTS = 29, 8
SHARED = {
    "vocab_size": 64,
    "hidden_size": 32,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "num_experts_per_tok": 3,
}
FORMS: dict[str, transformers.PretrainedConfig] = {
    "normalised": Qwen3MoeConfig(
        **SHARED, intermediate_size=48, moe_intermediate_size=16, num_hidden_layers=3, num_experts=EXPERTS,
        norm_topk_prob=True,
    ),
    "sparse": Qwen3MoeConfig(
        **SHARED, intermediate_size=48, moe_intermediate_size=16, num_hidden_layers=5, num_experts=EXPERTS,
        decoder_sparse_step=2, mlp_only_layers=[3], attention_bias=True,
    ),
    "gpt_oss": GptOssConfig(
        **SHARED, intermediate_size=24, num_hidden_layers=4, num_local_experts=EXPERTS, sliding_window=6
    ),
}  # fmt: skip


class _Held:
    """Weights of theirs as a source of files."""

    def __init__(self, tensors: Mapping[str, torch.Tensor]) -> None:
        self.tensors = tensors

    def tensor(self, key: str) -> torch.Tensor:
        return self.tensors[key]

    def place(self, key: str) -> str:
        return key


def _pair(form: str) -> tuple[Decoder, torch.nn.Module]:
    torch.manual_seed(0)
    gpt = form == "gpt_oss"
    theirs = (GptOssForCausalLM if gpt else Qwen3MoeForCausalLM)(FORMS[form]).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(torch.randn_like(parameter) * (0.3 if parameter.dim() == 1 else 0.1))
    said = theirs.config.to_dict() | {"architectures": [type(theirs).__name__]}
    ours = Decoder(read_decoder(Section("config", said))).eval()
    kind = "gpt_oss" if gpt else "qwen3_moe"
    table = KeyMap(decoder_rules(kind, "model.", "lm_head.", 0, EXPERTS, fused=True))
    expected = {f"decoder.{name}": parameter for name, parameter in ours.named_parameters()}
    wanted = stored_keys(expected, table)
    assert wanted.keys() == theirs.state_dict().keys()
    with torch.no_grad():
        for name, tensor in read_own(dict.fromkeys(wanted.values()), expected, _Held(theirs.state_dict())):
            expected[name].copy_(tensor)
    return ours, theirs


@pytest.mark.parametrize("form", FORMS)
def test_prompts_packs_and_cached_decoding(form: str) -> None:
    ours, theirs = _pair(form)
    first, second = torch.randint(64, (LENGTH,)), torch.randint(64, (17,))
    with torch.inference_mode():
        expected = theirs(first[None]).logits[0]
        both = torch.cat((expected, theirs(second[None]).logits[0]))
        packed = ours.logits(ours(ours.embed(torch.cat((first, second))), Packed((LENGTH, 17))))
        torch.testing.assert_close(packed, both, rtol=0, atol=1e-5)
        cache, done, found = KVCache(len(ours.layers), 8, 8, 2, 16), 0, []
        for new in (11, 3, 1, 1, 7, 1, 1, 1, 1, 1, 1):
            layout = Paged((new,), (done,), ((0, 2, 1, 5),))
            state = ours(ours.embed(first[done : done + new]), layout, cache=cache)
            found.append(ours.logits(state))
            done += new
        torch.testing.assert_close(torch.cat(found), expected, rtol=0, atol=1e-5)
        past = theirs(first[None, :11], use_cache=True).past_key_values
        for place in range(11, LENGTH):
            out = theirs(first[None, place : place + 1], past_key_values=past, use_cache=True)
            torch.testing.assert_close(torch.cat(found)[place], out.logits[0, 0], rtol=0, atol=1e-5)


@pytest.mark.parametrize("form", ["normalised", "gpt_oss"])
def test_gradients_with_the_balance_loss(form: str) -> None:
    ours, theirs = _pair(form)
    ids, weight = torch.randint(64, (LENGTH,)), torch.randn(LENGTH, 64)
    out = theirs(ids[None], output_router_logits=True)
    ((out.logits[0] * weight).mean() + 0.7 * out.aux_loss).backward()
    with router_scores(ours) as scores:
        logits = ours.logits(ours(ours.embed(ids), Packed((LENGTH,))))
    assert ours.config.experts is not None
    balance = balance_loss(scores, ours.config.experts.top_k)
    torch.testing.assert_close(balance, out.aux_loss)
    ((logits * weight).mean() + 0.7 * balance).backward()
    own, their = ours.layers[0], theirs.model.layers[0]
    router = their.mlp.router if form == "gpt_oss" else their.mlp.gate
    torch.testing.assert_close(own.mlp.router.weight.grad, router.weight.grad, rtol=1e-4, atol=1e-6)
    stack = their.mlp.experts.gate_up_proj.grad
    stack = stack.transpose(1, 2) if form == "gpt_oss" else stack
    mine = own.mlp.experts.gate_up_proj.weight.grad
    torch.testing.assert_close(mine, stack.flatten(0, 1), rtol=1e-4, atol=1e-6)
    if form == "gpt_oss":
        torch.testing.assert_close(own.self_attn.sinks.grad, their.self_attn.sinks.grad, rtol=1e-4, atol=1e-6)
