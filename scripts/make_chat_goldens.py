#!/usr/bin/env python3
"""Writes tests/data/chat_goldens.json: conversations as transformers' apply_chat_template renders them.

    python3 scripts/make_chat_goldens.py > tests/data/chat_goldens.json     (transformers, jinja2)

The templates say what published checkpoints' templates say, one of each kind that the program tells apart. Where a
template refuses a conversation, "text" is null.
"""
import json

from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

ALTERNATE = ("{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
             "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}")
IM_LOOP = ("{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}"
           "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}")
DEFAULT = ("{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
           "{{ '<|im_start|>system\\n@<|im_end|>\\n' }}{% endif %}" + IM_LOOP)

TEMPLATES = {
    "chatml": ("chatml", "{% for message in messages %}" + IM_LOOP),
    "smollm2": ("chatml", DEFAULT.replace("@", "You are a helpful AI assistant named SmolLM, trained by Hugging Face")),
    "qwen2": ("chatml", DEFAULT.replace("@", "You are a helpful assistant.")),
    # An empty literal before the one that counts, and an escaped quote in it.
    "qwen2.5": ("chatml", """{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0]['role'] == 'system' %}{{- messages[0]['content'] }}{%- endif %}
    {{- '\\n\\n# Tools<|im_end|>\\n' }}
{%- else %}
    {%- if messages[0]['role'] == 'system' %}
        {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}
    {%- else %}
        {{- '<|im_start|>system\\nYou\\'re Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\\n' }}
    {%- endif %}
{%- endif %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) or (message.role == "assistant") %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""),
    "llama2": ("llama2", "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}"
               "{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}"
               "{% set system_message = false %}{% endif %}{% for message in loop_messages %}" + ALTERNATE +
               "{% if loop.index0 == 0 and system_message != false %}"
               "{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}"
               "{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}"
               "{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}"
               "{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}"),
    "llama3": ("llama3", "{% set loop_messages = messages %}{% for message in loop_messages %}"
               "{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'"
               " + message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}"
               "{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}"
               "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"),
    "llama3.1": ("llama3", """{{- bos_token }}
{%- if not date_string is defined %}
    {%- set date_string = "26 Jul 2024" %}
{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{{- "Cutting Knowledge Date: December 2023\\n" }}
{{- "Today Date: " + date_string + "\\n\\n" }}
{{- system_message }}
{{- "<|eot_id|>" }}
{%- for message in messages %}
    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
"""),
    "zephyr": ("zephyr", """{% for message in messages %}
{% if message['role'] == 'user' %}
{{ '<|user|>\\n' + message['content'] + eos_token }}
{% elif message['role'] == 'system' %}
{{ '<|system|>\\n' + message['content'] + eos_token }}
{% elif message['role'] == 'assistant' %}
{{ '<|assistant|>\\n'  + message['content'] + eos_token }}
{% endif %}
{% if loop.last and add_generation_prompt %}
{{ '<|assistant|>' }}
{% endif %}
{% endfor %}"""),
    "gemma": ("gemma", "{{ bos_token }}{% if messages[0]['role'] == 'system' %}"
              "{{ raise_exception('System role not supported') }}{% endif %}{% for message in messages %}" + ALTERNATE +
              "{% if (message['role'] == 'assistant') %}{% set role = 'model' %}{% else %}"
              "{% set role = message['role'] %}{% endif %}"
              "{{ '<start_of_turn>' + role + '\\n' + message['content'] | trim + '<end_of_turn>\\n' }}{% endfor %}"
              "{% if add_generation_prompt %}{{'<start_of_turn>model\\n'}}{% endif %}"),
}

def m(role, content):
    return {"role": role, "content": content}

SYSTEM, ASK, TELL = m("system", "Be brief."), m("user", "Who's \"there\"?"), m("assistant", "No one.")
CONVERSATIONS = [
    [ASK],
    [SYSTEM, ASK],
    [ASK, TELL, m("user", "Then who said that?")],
    [SYSTEM, ASK, TELL, m("user", "…\n\nzwei\tZeilen"), m("assistant", "é\n"), m("user", "日本語")],
    [m("system", " \n padded \n"), m("user", "\n\n  padded  too\t"), m("assistant", "  so am I \n"), m("user", " ")],
    [m("user", "\u3000\u00a0wide\u2028 \u200b"), TELL, m("user", "\u2003\x1f")],
    [ASK, TELL],
    [m("user", "")],
    [ASK, ASK],
    [TELL],
]

def main():
    cases = []
    for name, (form, template) in TEMPLATES.items():
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE()), bos_token="<s>", eos_token="</s>")
        for messages in CONVERSATIONS:
            for reply in (False, True):
                try:
                    text = tokenizer.apply_chat_template(messages, chat_template=template, tokenize=False,
                                                         add_generation_prompt=reply)
                except Exception:
                    text = None
                cases.append({"template": name, "messages": messages, "reply": reply, "text": text})
    templates = [{"name": n, "form": f, "template": t} for n, (f, t) in TEMPLATES.items()]
    print(json.dumps({"templates": templates, "cases": cases}, ensure_ascii=False, indent=0))

main()
