// Limits the words of a sentence: `max` for each one, `mean` for the average of a file. Inline code is one word.
// Lines of a paragraph belong together: the registry's rules for words end a sentence at a line break.
const { StringSource } = require("textlint-util-to-string");

// Sentences here may start with a figure or with a name in small letters, such as infgen.
const END = /(?<!\b(?:e\.g|i\.e|al|vs|etc))(?<!\.\.)[.!?]["')]*\s+(?=["'(]*[\p{L}\p{N}])/gu;
const WORD = /[\p{L}\p{N}_][\p{L}\p{N}_'’.,/+-]*/gu;
const MEAN_FROM = 10; // sentences: the average of fewer says little

function sentencesOf(node) {
  const source = new StringSource(node, {
    replacer: ({ node: part, maskValue }) => (part.type === "Code" ? maskValue("x") : undefined),
  });
  const text = source.toString();
  const ends = [...text.matchAll(END)].map((match) => match.index + match[0].length);
  return [0, ...ends]
    .map((start, i) => ({
      words: (text.slice(start, ends[i]).match(WORD) || []).length,
      index: source.originalIndexFromIndex(start) ?? 0,
    }))
    .filter((sentence) => sentence.words > 0);
}

module.exports = function (context, { max = 25, mean = 15 } = {}) {
  const { Syntax, RuleError, report, locator } = context;
  const counts = [];
  const check = (node) => {
    for (const { words, index } of sentencesOf(node)) {
      counts.push(words);
      if (words > max) {
        report(node, new RuleError(`sentence of ${words} words; at most ${max}`, { padding: locator.at(index) }));
      }
    }
  };
  return {
    [Syntax.Paragraph]: check,
    [Syntax.TableCell]: check,
    [Syntax.DocumentExit](node) {
      const average = counts.reduce((sum, words) => sum + words, 0) / Math.max(1, counts.length);
      if (counts.length >= MEAN_FROM && average > mean) {
        report(node, new RuleError(`sentences of ${average.toFixed(1)} words on average; at most ${mean}`));
      }
    },
  };
};
