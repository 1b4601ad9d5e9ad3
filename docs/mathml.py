"""A Markdown extension: `$...$` and `$$...$$` as MathML, which browsers draw without scripts."""

import re
import xml.etree.ElementTree as etree

from latex2mathml.converter import convert
from markdown import Markdown
from markdown.blockprocessors import BlockProcessor
from markdown.extensions import Extension
from markdown.inlinepatterns import InlineProcessor

_INLINE = r"(?<![\\$\w])\$(?!\s|\$)([^$\n]+?(?:\n[^$\n]+?)?)(?<!\s)\$(?![\w$])"
_DISPLAY = re.compile(r"\$\$(.+?)\$\$", re.DOTALL)


class _Inline(InlineProcessor):
    def handleMatch(self, match, data):
        formula = convert(match.group(1), display="inline")
        return self.md.htmlStash.store(formula), match.start(0), match.end(0)


class _Display(BlockProcessor):
    def test(self, parent, block):
        return block.lstrip().startswith("$$") and _DISPLAY.search(block) is not None

    def run(self, parent, blocks):
        block = blocks.pop(0)
        found = _DISPLAY.search(block)
        assert found is not None
        holder = etree.SubElement(parent, "div", {"class": "equation"})
        holder.text = self.parser.md.htmlStash.store(convert(found.group(1), display="block"))
        rest = block[found.end() :].strip()
        if rest:
            blocks.insert(0, rest)


class MathML(Extension):
    """Registers both."""

    def extendMarkdown(self, md: Markdown) -> None:
        # Before backslashes and underscores are looked at; after code, which is at 190.
        md.inlinePatterns.register(_Inline(_INLINE, md), "mathml", 185)
        md.parser.blockprocessors.register(_Display(md.parser), "mathml_display", 75)


def makeExtension(**settings) -> MathML:
    """As Python-Markdown looks for it."""
    return MathML(**settings)
