/**
 * The chat templates that mergekit v0.1.4 knows by name, in our own words; they render what mergekit's render, oddities included
 * (no empty line before alpaca's last `### Response:`, llama3's line break after <|eot_id|>, exaone's indentation), because a
 * recipe must give the same model here. Each is one line of Jinja without white space of its own, which no setting of Jinja can trim.
 */
export const CHAT_TEMPLATES: Readonly<Record<string, string>> = {
  alpaca: [
    "{% set system = messages | selectattr('role', 'equalto', 'system') | map(attribute='content') | list %}",
    "{{ (system | last | trim if system else '') + '\\n\\n' }}",
    '{% for message in messages %}',
    "{% if message['role'] in ['user', 'assistant'] %}",
    "{{ '### ' + ('Instruction' if message['role'] == 'user' else 'Response') + ':\\n' + message['content'] | trim }}",
    "{% if not loop.last %}{{ '\\n\\n' }}{% endif %}",
    '{% endif %}{% endfor %}',
    "{% if add_generation_prompt and messages[-1]['role'] != 'assistant' %}{{ '### Response:\\n' }}{% endif %}",
  ].join(''),
  chatml: [
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}{% endfor %}",
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
  ].join(''),
  exaone: [
    '{% for message in messages %}',
    "{% if loop.first and message['role'] != 'system' %}{{ '        [|system|][|endofturn|]\\n\\n' }}{% endif %}",
    "{{ '    [|' + message['role'] + '|]' + message['content'] + '\\n        ' + ('' if message['role'] == 'user' else '[|endofturn|]') + '\\n\\n' }}",
    '{% endfor %}',
    "{% if add_generation_prompt %}{{ '    [|assistant|]\\n' }}{% endif %}",
  ].join(''),
  llama3: [
    '{% for message in messages %}{% if loop.first %}{{ bos_token }}{% endif %}',
    "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>\\n' }}",
    '{% endfor %}',
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}",
  ].join(''),
  mistral: [
    "{% set has_system = messages[0]['role'] == 'system' %}",
    "{% set system = messages[0]['content'] + '\\n\\n' if has_system else '' %}",
    '{% set turns = messages[1:] if has_system else messages %}',
    '{{ bos_token }}{% for message in turns %}',
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}",
    "{{ raise_exception('After the system message, which may be left out, the roles must be user, assistant, user, assistant and so on') }}",
    "{% elif message['role'] == 'user' %}{{ ' [INST] ' + (system if loop.first else '') + message['content'] + ' [/INST]' }}",
    "{% elif message['role'] == 'assistant' %}{{ ' ' + message['content'] + eos_token }}",
    "{% else %}{{ raise_exception('The roles are user and assistant, and system for the first message') }}",
    '{% endif %}{% endfor %}',
  ].join(''),
}
