"""The code blocks of README and docs, each with the marks before it, such as <!-- needs: gpu -->."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
_BLOCK = re.compile(r"(?:<!-- needs: ([\w, ]+) -->\n)?^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """One block: its page, the number of its first line, its language, its text, and what it needs."""

    page: str
    line: int
    language: str
    text: str
    needs: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    def commands(self) -> Iterator[list[str]]:
        """Yield the words of each ``infgen`` command, without comments, pipes and redirections."""
        if self.language not in ("", "bash", "sh"):
            return
        for line in self.text.replace("\\\n", " ").splitlines():
            for part in re.split(r"\s\|\s|&&", line):
                words = shlex.split(part, comments=True)
                if words[:1] == ["infgen"]:
                    ends = [i for i, word in enumerate(words) if word in (">", "<", ">>")]
                    yield words[1 : ends[0]] if ends else words[1:]


def list_blocks() -> list[Block]:
    """Return the blocks of all pages."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in _BLOCK.finditer(text):
            line = text.count("\n", 0, match.start(2)) + 1
            found.append(Block(str(page.relative_to(ROOT)), line, match[2], match[3], match[1] or ""))
    return found
