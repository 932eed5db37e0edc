"""Adapters: this library's storages in the places that other frameworks have for theirs. Each needs its extra.

- `langchain`: `RragByteStore`, `RragCache`, `RragChatMessageHistory`; `pip install 'rrag-storage[langchain]'`.
- `langgraph`: `RragStore`, `RragSaver`, `RragNodeCache`; `pip install 'rrag-storage[langgraph]'`.
- `llama_index`: `RragKVStore`, `RragChatStore`; `pip install 'rrag-storage[llama-index]'`.
- `haystack`: `RragDocumentStore`; `pip install 'rrag-storage[haystack]'`.
- `openai_agents`: `RragSession`; `pip install 'rrag-storage[openai-agents]'`.
- `key_value`: `RragKeyValueStore`; `pip install 'rrag-storage[key-value]'`.
- `opentelemetry`: `instrument`, which makes spans and metrics; `pip install 'rrag-storage[opentelemetry]'`.
"""
