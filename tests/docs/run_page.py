"""Runs the `python` blocks of a page in one namespace and one event loop: `run_page.py PAGE [PLACEHOLDER URL]...`

`await` is allowed outside functions, as in a notebook. What a block prints must be what its `# ->` comments say, line by
line. Each placeholder in the code is replaced by its url. Prints the first line of every block that it ran.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import io
import re
import sys
import types
from pathlib import Path

from blocks import python_blocks


def run(page: Path, urls: dict[str, str]) -> list[int]:
    """Runs a page; the line of each block that was run."""
    # The page's code is the main module: its classes are looked up there, and its warnings shown.
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    loop = asyncio.new_event_loop()
    done = []
    for block in python_blocks(page.read_text(encoding="utf-8")):
        source = block.source
        for placeholder, url in urls.items():
            source = source.replace(placeholder, url)
        # Behind that many empty lines a traceback names the line of the page, and shows it.
        padded = "\n" * (block.line - 1) + source
        code = compile(padded, str(page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            outcome = eval(code, main.__dict__)
            if code.co_flags & inspect.CO_COROUTINE:
                loop.run_until_complete(outcome)
        expected = [said.strip() for said in re.findall(r"# -> (.*)", source)]
        said = [line.rstrip() for line in printed.getvalue().splitlines()]
        assert said == expected, f"{page}, line {block.line}: printed {said}, not {expected}"
        done.append(block.line)
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
    return done


if __name__ == "__main__":
    arguments = sys.argv[2:]
    print(*run(Path(sys.argv[1]), dict(zip(arguments[::2], arguments[1::2], strict=True))))
