#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Conversations as the chat templates of each family render them: tests/vectors/chat.json.

    tools/make_chat_vectors.py        writes it; needs the package jinja2

BOS is left out, and the EOS that two of the templates put after all: the program's own tokens for
them come from the tokenizer. The environment is that of transformers (trim_blocks, lstrip_blocks).
"""
import json
from pathlib import Path

import jinja2
import jinja2.sandbox

OUT = Path(__file__).parent.parent / "tests" / "vectors" / "chat.json"

TEMPLATES = {
    "llama3":
        "{% for message in messages %}{% set content = '<|start_header_id|>' + message['role'] + "
        "'<|end_header_id|>\n\n' + message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 "
        "== 0 %}"
        "{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' "
        "}}{% endif %}",
    "chatml":
        "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + "
        "message['content'] + "
        "'<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ "
        "'<|im_start|>assistant\n' }}"
        "{% endif %}",
    "gemma":
        "{{ bos_token }}{%- if messages[0]['role'] == 'system' -%}{%- set first = "
        "messages[0]['content'] + "
        "'\n\n' -%}{%- set turns = messages[1:] -%}{%- else -%}{%- set first = '' -%}"
        "{%- set turns = messages -%}{%- endif -%}{%- for message in turns -%}"
        "{%- if message['role'] == 'assistant' -%}{%- set role = 'model' -%}{%- else -%}"
        "{%- set role = message['role'] -%}{%- endif -%}{{ '<start_of_turn>' + role + '\n' + "
        "(first if loop.first else '') }}{{ message['content'] | trim }}{{ '<end_of_turn>\n' }}"
        "{%- endfor -%}{%- if add_generation_prompt -%}{{ '<start_of_turn>model\n' }}{%- endif -%}",
    "phi3":
        "{% for message in messages %}{% if message['role'] == 'system' %}{{'<|system|>\n' + "
        "message['content'] + '<|end|>\n'}}{% elif message['role'] == 'user' %}{{'<|user|>\n' + "
        "message['content'] + '<|end|>\n'}}{% elif message['role'] == 'assistant' "
        "%}{{'<|assistant|>\n' + "
        "message['content'] + '<|end|>\n'}}{% endif %}{% endfor %}{% if add_generation_prompt %}"
        "{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}",
    "phi4-mini":
        "{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] + "
        "'<|end|>' }}"
        "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% else %}{{ eos_token "
        "}}{% endif %}",
    "phi4":
        "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '<|im_sep|>' + "
        "message['content'] + '<|im_end|>' }}{% endfor %}{% if add_generation_prompt %}"
        "{{ '<|im_start|>assistant<|im_sep|>' }}{% endif %}",
    "zephyr":
        "{% for message in messages %}\n{% if message['role'] == 'user' %}\n{{ '<|user|>\n' + "
        "message['content'] + eos_mark }}\n{% elif message['role'] == 'system' %}\n{{ "
        "'<|system|>\n' + "
        "message['content'] + eos_mark }}\n{% elif message['role'] == 'assistant' %}\n{{ "
        "'<|assistant|>\n' + "
        "message['content'] + eos_mark }}\n{% endif %}\n{% if loop.last and "
        "add_generation_prompt %}\n"
        "{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}",
    "bitnet":
        "{% for message in messages %}{% set content = message['role'] | capitalize + ': ' + "
        "message['content'] | trim + '<|eot_id|>' %}{{ content }}{% endfor %}{% if "
        "add_generation_prompt %}"
        "{{ 'Assistant: ' }}{% endif %}",
}
SYSTEM = {"role": "system", "content": "Answer in one word."}
TURNS = [{"role": "user", "content": " Which colour has\nthe sky? "},
         {"role": "assistant", "content": "Blue."},
         {"role": "user", "content": "And grass?\n"},
         {"role": "assistant", "content": "Green"}]


def main():
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    families = {}
    for name, template in TEMPLATES.items():
        rendered = []
        for turns in range(1, 5):
            for messages in (TURNS[:turns], [SYSTEM] + TURNS[:turns]):
                for opens in (True, False):
                    text = environment.from_string(template).render(
                        messages=messages, add_generation_prompt=opens, bos_token="", eos_token="",
                        eos_mark="</s>")
                    rendered.append({"messages": messages, "opens_answer": opens, "text": text})
        families[name] = {"template": template.replace("eos_mark",
        "eos_token"), "rendered": rendered}
    OUT.write_text(json.dumps(families, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
